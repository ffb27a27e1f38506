"""Which release the peers may run next: Qdrant itself refuses neither a downgrade nor a skipped minor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qdrant_operator.domain.steps import Blocked, Guard

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Hop:
    """The version to run now, and why it is not the wanted one."""

    version: str
    blocked: tuple[Blocked, ...] = ()


def parse(text: str) -> Version:
    """Release as numbers: "v1.19.0" and "1.19.0" are (1, 19, 0)."""
    major, minor, patch = text.removeprefix("v").split("-")[0].split(".")[:3]
    return int(major), int(minor), int(patch)


def next_hop(wanted: str, running: Iterable[str], present: str | None) -> Hop:
    """Decide what to run.

    Args:
        wanted: the release that the spec asks for.
        running: releases that the peers say they run, or ran when they last answered.
        present: the release in the StatefulSet, kept when the hop is refused; None when there is none.
    """
    known = sorted(parse(version) for version in running)
    if not known or present is None:
        return Hop(wanted)
    for guard, message in (_downgrade(wanted, known[-1]), _skip(wanted, known[0])):
        if message:
            return Hop(present, (Blocked(f"run {wanted}", guard, message),))
    return Hop(wanted)


def _downgrade(wanted: str, highest: Version) -> tuple[Guard, str]:
    message = (
        f"peers run {_text(highest)}: an older release may not read what a newer one wrote; "
        f"set spec.version to {_text(highest)} or restore a snapshot into a new cluster"
    )
    return Guard.VERSION_DOWNGRADE, message if parse(wanted) < highest else ""


def _skip(wanted: str, lowest: Version) -> tuple[Guard, str]:
    message = (
        f"peers run {_text(lowest)} and only neighbouring minor releases work together: "
        f"set spec.version to the newest v{lowest[0]}.{lowest[1] + 1} first"
    )
    return Guard.VERSION_SKIP, message if parse(wanted)[:2] > (lowest[0], lowest[1] + 1) else ""


def _text(version: Version) -> str:
    return "v{}.{}.{}".format(*version)

"""Which release the peers may run next: Qdrant itself refuses neither a downgrade nor a skipped minor.

The evidence remains when peers are silent: versions of answering peers, the mark on each volume claim, and the highest
release in status. The start script keeps another record on the volume itself, see `manifests.start_script`.
Text that is no release is ignored: a hop is refused only when the evidence proves it wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qdrant_operator.domain.cluster.observed import PodState, Volume
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.names import claim_of
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.qdrant.views import PeerView, View

Version = tuple[int, int, int]
_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")

NEWER_VOLUME = "its volume was written by a newer Qdrant release"
"""Output of the start script before it ends because of a downgrade."""
OLDER_VOLUME = "its volume was written by a Qdrant release more than one minor older"
"""Output of the start script before it ends because of a skipped minor release."""


@dataclass(frozen=True, slots=True)
class Hop:
    """The version to run now, and why it is not the wanted one."""

    version: str
    blocked: tuple[Blocked, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """Releases that ran, as texts; text that is no release is ignored."""

    running: frozenset[str] = frozenset()
    """Releases that peers run, or ran on the volumes of those that do not answer; without pods: on any volume."""
    seen: frozenset[str] = frozenset()
    """Releases that ran at any time."""


def read(text: str) -> Version | None:
    """Release as numbers: "v1.19.0" and "1.19.0-dev" are (1, 19, 0); None for what is no release."""
    found = _RELEASE.match(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def highest(texts: Iterable[str]) -> str | None:
    """The highest release among these, written v1.19.0."""
    known = _known(texts)
    return _text(known[-1]) if known else None


def past(views: Mapping[str, View], volumes: Mapping[str, Volume], recorded: Iterable[str | None]) -> Past:
    """What is known of earlier releases.

    Args:
        views: by pod.
        volumes: by name of the claim.
        recorded: releases in status.
    """
    answers = {claim_of(pod): view.version for pod, view in views.items() if isinstance(view, PeerView)}
    notes = {claim: volume.marks.release for claim, volume in volumes.items()}
    used = {claim_of(pod) for pod in views} or set(notes)
    running = frozenset({**{claim: notes.get(claim, "") for claim in used}, **answers}.values())
    return Past(running, running | set(notes.values()) | {text or "" for text in recorded})


def next_hop(wanted: str, known: Past, present: str | None, allowed: str = "") -> Hop:
    """Decide what to run.

    Args:
        wanted: the release that the spec asks for.
        known: what ran before.
        present: the release in the StatefulSet, kept when the hop is refused and no higher one has run; None when
            there is none.
        allowed: the release to which a downgrade was allowed by annotation.

    Raises:
        Refused: `VersionDowngrade` or `VersionSkip`, where there is no StatefulSet: no pod is started.
    """
    for guard, message in _objections(wanted, known, allowed):
        if present is None:
            raise Refused(guard.value, message)
        return Hop(_kept(present, known, allowed), (Blocked(f"run {wanted}", guard, message),))
    return Hop(wanted)


def _kept(present: str, known: Past, allowed: str) -> str:
    """The release in the StatefulSet, unless it was asked for before anything was known that forbids it.

    New pods on such a release would write volumes that neither release can migrate. The highest known release replaces
    it: the mark on a silent peer's claim may be older than status.
    """
    if present == allowed or not any(True for _ in _objections(present, known, allowed)):
        return present
    return highest(known.seen) or present


def _objections(wanted: str, known: Past, allowed: str) -> Iterable[tuple[ClusterGuard, str]]:
    target, seen, running = read(wanted), _known(known.seen), _known(known.running)
    if target is None or not seen:
        return
    if target < seen[-1] and allowed != wanted:
        yield ClusterGuard.VERSION_DOWNGRADE, _downgrade(seen[-1])
    lowest = running[0] if running else seen[-1]
    if target[:2] > (lowest[0], lowest[1] + 1):
        yield ClusterGuard.VERSION_SKIP, _skip(lowest)


def _downgrade(top: Version) -> str:
    return (
        f"peers ran {_text(top)} on these volumes: an older release may not read what a newer one wrote; "
        f"set spec.version to {_text(top)} or restore a snapshot into a new cluster"
    )


def _skip(lowest: Version) -> str:
    return (
        f"peers ran {_text(lowest)} last and only neighbouring minor releases work together: "
        f"set spec.version to the newest v{lowest[0]}.{lowest[1] + 1} first"
    )


def refused_by_volume(pod: PodState) -> ClusterGuard | None:
    """Which guard of the start script keeps a pod's peer from starting, by its last output."""
    guards = {NEWER_VOLUME: ClusterGuard.VERSION_DOWNGRADE, OLDER_VOLUME: ClusterGuard.VERSION_SKIP}
    return next((guard for text, guard in guards.items() if pod.waiting and text in pod.message), None)


def _known(texts: Iterable[str]) -> list[Version]:
    return sorted(version for version in map(read, texts) if version is not None)


def _text(version: Version) -> str:
    return "v{}.{}.{}".format(*version)

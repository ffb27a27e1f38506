"""Which command stands behind which image: there are no containers here, only a table.

An image that is not in the table fails as a missing one does in a registry.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sandbox.processes import python_environment

_QDRANT_TAG = re.compile(r"v1\.(1[5-9])\.\d(-unprivileged)?")
"""Releases that exist in the sandbox: the operator's supported range and one minor around it. No Qdrant release
ever had a patch number of two digits: v1.19.99 stands for one that does not exist."""


class Runs(StrEnum):
    """What kind of program an image holds."""

    PROGRAM = "program"
    QDRANT = "qdrant"
    SIMULATED_PEER = "simulated peer"


@dataclass(frozen=True, slots=True)
class Image:
    """An image as the node knows it."""

    runs: Runs
    entrypoint: tuple[str, ...] = ()
    working_dir: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    """Folders of the image that texts may name; each gets a folder on this machine."""


class UnknownImageError(Exception):
    """No such image; the message is what a registry would say."""


def find_image(reference: str, qdrant: Path | None) -> Image:
    """Return what runs for an image reference.

    Args:
        reference: as written in the pod.
        qdrant: the Qdrant binary; None for simulated peers.

    Raises:
        UnknownImageError: the repository or the tag is not in the table.
    """
    repository, tag = split_reference(reference)
    name = repository.rsplit("/", 1)[-1]
    if name == "qdrant" and _QDRANT_TAG.fullmatch(tag):
        return _qdrant(qdrant)
    if name == "qdrant-operator":
        return Image(Runs.PROGRAM, (sys.executable, "-m", "qdrant_operator"), env=_python_path())
    if name == "python":
        return Image(Runs.PROGRAM, (sys.executable,), env=_python_path())
    if name in ("busybox", "alpine", "debian"):
        return Image(Runs.PROGRAM, ("/bin/sh",))
    raise UnknownImageError(f'failed to pull image "{reference}": {repository}:{tag}: not found')


def split_reference(reference: str) -> tuple[str, str]:
    """Split an image reference into repository and tag (`latest` when there is none); a digest is dropped."""
    plain = reference.partition("@")[0]
    repository, colon, tag = plain.rpartition(":")
    if not colon or "/" in tag:
        return plain, "latest"
    return repository, tag


def _qdrant(qdrant: Path | None) -> Image:
    runs = Runs.QDRANT if qdrant else Runs.SIMULATED_PEER
    env = {"RUN_MODE": "production", "QDRANT__TELEMETRY_DISABLED": "true"}
    return Image(runs, ("./qdrant",), "/qdrant", env, folders=("/qdrant",))


def _python_path() -> dict[str, str]:
    return {"PYTHONPATH": python_environment(os.environ)["PYTHONPATH"], "PYTHONUNBUFFERED": "1"}

"""Releases of Qdrant: in images, on volumes, and what the start script says when they do not fit."""

from __future__ import annotations

from qdrant_operator.domain.cluster.wanted.versions import NEWER_VOLUME, OLDER_VOLUME, Version, read
from qdrant_operator.domain.common.kinds import Manifest
from sandbox.qdrant_sim.core.disk import Disk


def objection(pod: Manifest, disk: Disk) -> str:
    """What the start script says before it ends; empty: it starts Qdrant, and notes the release."""
    release, name = release_of(pod), pod["metadata"]["name"]
    wanted, written = numbers(release), numbers(disk.release or release)
    if wanted < written:
        remedy = f"set spec.version to {disk.release}"
        return f"{name} does not start with {release}, {NEWER_VOLUME}: {disk.release}; {remedy}"
    if wanted[:2] > (written[0], written[1] + 1):
        return f"{name} does not start with {release}, {OLDER_VOLUME}: {disk.release}"
    disk.release = release
    return ""


def numbers(release: str) -> Version:
    found = read(release)
    assert found is not None, release
    return found


def release_of(pod: Manifest) -> str:
    """The release in a pod's image."""
    return str(pod["spec"]["containers"][0]["image"]).rsplit(":", 1)[1]


def text_of(release: Version) -> str:
    return "v{}.{}.{}".format(*release)

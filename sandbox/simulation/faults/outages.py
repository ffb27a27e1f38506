"""Some stories have an outage in which the user edits the version: what runs then must fit what is on the volumes."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from qdrant_operator.domain.cluster.wanted.versions import NEWER_VOLUME, OLDER_VOLUME, Version, read
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.simulation.world.user import NAMESPACE

if TYPE_CHECKING:
    from sandbox.simulation.story import Story

EVERY, WHICH = 13, 11
"""Every so many stories have an outage: of the seeds that notice a missing guard none has this remainder."""
WANTED = ("v1.17.1", "v1.18.2", "v1.19.2", "v1.20.0", "v1.21.0", "v1.22.3")
"""Down, further down, a patch, one minor release up, and several."""
LASTS = 20.0
"""Seconds for which nobody answers."""


class Outages:
    """Every peer is silent, operators come and go, and the user wants another release."""

    def __init__(self, story: Story) -> None:
        """The dice are its own, so that other stories stay as they are."""
        self._story, self.active = story, story.seed % EVERY == WHICH
        self._random = Random(story.seed + 3)
        self._written: dict[int, Version] = {}
        """Highest release that ran on a volume, by the volume."""
        self._wanted: Version | None = None
        """Release in the StatefulSet."""
        self._said: set[Version] = set()
        """What status has said at any time."""

    def begin(self) -> None:
        """It may begin while the cluster forms still."""
        if self.active:
            self._story.after(self._random.uniform(2.0, 40.0), self._silence)
            self._story.after(self._random.uniform(2.0, 50.0), self._edit)

    def _silence(self) -> None:
        story = self._story
        story.tell(f"an outage begins, for {LASTS:g} s")
        for pod in story.server.all(Kind.POD, NAMESPACE):
            story.node.kill(pod["metadata"]["name"], LASTS)
        for _ in range(self._random.randint(1, 3)):
            story.after(self._random.uniform(0.0, LASTS), self._edit)
        story.after(self._random.uniform(1.0, LASTS), self._new_operator)

    def _new_operator(self) -> None:
        """Who starts now has never heard a peer."""
        if self._story.operator is not None and not self._story.operator.dead and self._story.trouble:
            self._story.operator.vanish()

    def _edit(self) -> None:
        if self._story.trouble:
            self._story.user.edit({"version": self._random.choice(WANTED)})

    def end(self) -> None:
        """The user sees what was refused, and asks for the highest release that runs."""
        if self.active and self._written:
            self._story.user.edit({"version": "v{}.{}.{}".format(*max(self._written.values()))})

    def on_start(self, pod: Manifest, disk: Disk) -> None:
        """A process starts on a volume."""
        release = _numbers(release_of(pod))
        before = self._written.get(id(disk), release)
        name = pod["metadata"]["name"]
        if release < before:
            self._story.laws.breaks(f"{name} runs {_text(release)} on a volume of {_text(before)}")
        if release[:2] > (before[0], before[1] + 1):
            self._story.laws.breaks(
                f"{name} runs {_text(release)} on a volume of {_text(before)}, which skips a minor"
            )
        self._written[id(disk)] = max(release, before)

    def on_change(self, kind: Kind, event: str, manifest: Manifest) -> None:
        """Status says which release ran; the StatefulSet names another one: not a lower one than any that was said.

        What no operator has heard of yet is on the volume only, where the start script reads it.
        """
        if kind is Kind.CLUSTER:
            status = manifest.get("status") or {}
            texts = (str(status.get(field) or "") for field in ("version", "highestVersion"))
            self._said |= {release for text in texts if (release := read(text))}
        if not self.active or kind is not Kind.STATEFUL_SET or event == "DELETED":
            return
        before, self._wanted = self._wanted, _numbers(release_of(manifest["spec"]["template"]))
        release, top = self._wanted, max(self._said, default=self._wanted)
        if release != before and release < top:
            self._story.laws.breaks(
                f"the StatefulSet wants {_text(release)}, and {_text(top)} is known to have run"
            )


def objection(pod: Manifest, disk: Disk) -> str:
    """What the start script says before it ends; empty: it starts Qdrant, and notes the release."""
    release, name = release_of(pod), pod["metadata"]["name"]
    wanted, written = _numbers(release), _numbers(disk.release or release)
    if wanted < written:
        remedy = f"set spec.version to {disk.release}"
        return f"{name} does not start with {release}, {NEWER_VOLUME}: {disk.release}; {remedy}"
    if wanted[:2] > (written[0], written[1] + 1):
        return f"{name} does not start with {release}, {OLDER_VOLUME}: {disk.release}"
    disk.release = release
    return ""


def _numbers(release: str) -> Version:
    found = read(release)
    assert found is not None, release
    return found


def release_of(pod: Manifest) -> str:
    """The release in a pod's image."""
    return str(pod["spec"]["containers"][0]["image"]).rsplit(":", 1)[1]


def _text(release: Version) -> str:
    return "v{}.{}.{}".format(*release)

"""After the trouble: the cluster must become what its spec says, or say truly why it cannot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qdrant_operator.domain.cluster.wanted.versions import NEWER_VOLUME
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.qdrant_sim.core.api.answers import Call
from sandbox.qdrant_sim.core.consensus.state import ACTIVE, Collection, State
from sandbox.simulation.world.user import CLUSTER, NAMESPACE

if TYPE_CHECKING:
    from sandbox.simulation.story import Story

SETTLE_SECONDS = 900.0
STILL_SECONDS = 30.0
"""For so long a true excuse must stand before it is believed."""


class Settling:
    """Waits until a story's cluster has settled."""

    def __init__(self, story: Story) -> None:
        """The faults are over."""
        self._story = story

    async def wait(self) -> None:
        """Wait; what does not settle breaks a law."""
        story = self._story
        end, excused = story.clock.seconds() + SETTLE_SECONDS, 0.0
        while not story.laws.broken:
            wrong = [one for one in self._wrong() if not self._is_contested(one)]
            if not wrong:
                break
            self._obey()
            excused = excused + 2.0 if self._said() & set(self._excuses()) else 0.0
            if excused >= STILL_SECONDS:
                story.tell(f"it stays blocked, as it says: {', '.join(sorted(self._said()))}")
                break
            if story.clock.seconds() > end:
                story.laws.breaks(f"not settled: {'; '.join(wrong[:8])}; blocked: {self._blocked()}")
            await story.look_on(2.0)
        story.laws.check_points()

    def _is_contested(self, wrong: str) -> bool:
        """Somebody else still writes an object of ours: all but that must be as it shall be."""
        contested = self._story.rivals.at_work and "FieldContested" in self._said()
        return contested and wrong.startswith(f"{CLUSTER} is not Ready")

    def _obey(self) -> None:
        """The user does what the operator asks for: delete an old volume or a lost collection, set the version back."""
        for wait in self._blocked():
            if wait["guard"] == "OrphanedReplica":
                self._give_up(re.findall(r"DELETE /collections/([\w-]+)", wait["message"]))
            newer = re.search(rf"{NEWER_VOLUME}: .* set spec.version to (v[\d.]+)", wait["message"])
            if wait["guard"] == "VersionDowngrade" and newer:
                self._story.user.edit({"version": newer[1]})
            asked = re.search(r"kubectl delete pvc ([\w-]+)", wait["message"])
            if wait["guard"] == "RemovedVolumePresent" and asked:
                self._story.tell(f"the user deletes {asked[1]}, as {wait['step']} asks")
                self._story.node.lose_volume(asked[1].removeprefix("storage-"))

    def _give_up(self, names: list[str]) -> None:
        """Delete collections of which a shard is on no member at all."""
        story, state, group = self._story, self._story.laws.facts.state(), self._story.laws.facts.group()
        door = group.leader() if group else None
        for name in names:
            shards = state.collections[name].shards.values() if state and name in state.collections else ()
            if door and state and any(not set(shard.replicas) & set(state.peers) for shard in shards):
                story.tell(f"the user deletes collection {name} in Qdrant")
                story.writer.give_up(name)
                story.background(story.peers.respond(door, Call("DELETE", ("collections", name))))

    # -- what is wrong ------------------------------------------------------------------------------------

    def _wrong(self) -> Iterator[str]:
        story = self._story
        cluster = self._object(Kind.CLUSTER, CLUSTER)
        yield from self._unready(cluster)
        replicas, state = cluster["spec"]["replicas"], story.laws.facts.state()
        pods = story.server.all(Kind.POD, NAMESPACE)
        if len(pods) != replicas:
            yield f"{len(pods)} pods, {replicas} wanted"
        if state is None or len(state.peers) != replicas:
            yield f"{len(state.peers) if state else 0} members, {replicas} wanted"
        for wanted in story.server.all(Kind.COLLECTION, NAMESPACE):
            yield from self._unready(wanted)
            if state is not None:
                yield from self._misplaced(wanted, state, cluster)

    def _unready(self, manifest: Manifest) -> Iterator[str]:
        conditions = (manifest.get("status") or {}).get("conditions") or ()
        ready = [c for c in conditions if c["type"] == "Ready"]
        name, generation = manifest["metadata"]["name"], manifest["metadata"]["generation"]
        if not ready or ready[0]["status"] != "True":
            yield f"{name} is not Ready: {ready[0]['message'] if ready else 'nothing is said'}"
        elif ready[0]["observedGeneration"] != generation:
            yield f"{name}: Ready is said of another generation"

    def _misplaced(self, wanted: Manifest, state: State, cluster: Manifest) -> Iterator[str]:
        name, factor = wanted["metadata"]["name"], wanted["spec"]["replicationFactor"]
        collection = state.collections.get(name)
        if collection is None:
            yield f"collection {name} does not exist"
            return
        if collection.moves:
            yield f"{name}: {len(collection.moves)} transfers run"
        for number, shard in sorted(collection.shards.items()):
            states = sorted(shard.replicas.values())
            if states != [ACTIVE] * factor:
                yield f"{name}/{number}: {factor} replicas wanted, there are {states}"
        if self._mode(cluster) == "Auto" and (uneven := _imbalance(collection, state)) > 1:
            yield f"{name}: imbalance {uneven}"

    # -- what may be said instead -------------------------------------------------------------------------

    def _excuses(self) -> Iterator[str]:
        """Guards whose cause is true now: nothing more can be done until somebody acts."""
        story, state = self._story, self._story.laws.facts.state()
        cluster = self._object(Kind.CLUSTER, CLUSTER)
        unconsented = {peer for peer in story.troubles.lost if not story.user.consented(peer)}
        if state is not None and unconsented & set(state.peers):
            yield from ("ConsentNeeded", "VolumeLost", "PodNotRunning")
        factors = [one["spec"]["replicationFactor"] for one in story.server.all(Kind.COLLECTION)]
        if max(factors, default=1) > cluster["spec"]["replicas"]:
            yield "TooFewPeers"
        if self._mode(cluster) == "Manual":
            yield "ManualPlacement"
        if state is not None and self._has_lost_its_majority(state):
            yield "VolumeLost"
        if state is not None and any(self._is_gone(one, state) for one in state.collections.values()):
            yield from ("NoSoundSource", "ReplicaNotSound", "CollectionUnreadable", "VolumeLost")

    def _has_lost_its_majority(self, state: State) -> bool:
        """A removal that was under way when a volume was lost may leave too few volumes to elect a leader."""
        disks = self._story.node.living_disks().values()
        left = {disk.peer for disk in disks if disk.group is not None} & state.voters
        return 2 * len(left) <= len(state.voters)

    def _is_gone(self, collection: Collection, state: State) -> bool:
        """Whether a shard has no Active replica that can be read on a volume that exists."""
        readable = self._story.writer.readable
        return any(
            not set(shard.active()) & readable(state, collection.name, number)
            for number, shard in collection.shards.items()
        )

    def _said(self) -> set[str]:
        return {wait["guard"] for wait in self._blocked()}

    def _blocked(self) -> list[Any]:
        objects = [self._object(Kind.CLUSTER, CLUSTER), *self._story.server.all(Kind.COLLECTION)]
        return [wait for one in objects for wait in (one.get("status") or {}).get("blocked") or ()]

    def _object(self, kind: Kind, name: str) -> Manifest:
        found = self._story.server.get(kind, NAMESPACE, name)
        assert found is not None, f"{kind.kind} {name} exists for as long as the story"
        return found

    def _mode(self, cluster: Manifest) -> str:
        return str((cluster["spec"].get("shards") or {}).get("placement", "Auto"))


def _imbalance(collection: Collection, state: State) -> int:
    counts = [sum(peer in s.replicas for s in collection.shards.values()) for peer in state.peers]
    return max(counts) - min(counts) if counts else 0

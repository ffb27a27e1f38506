"""After the faults: the cluster must match its spec, or its status must say truly why it cannot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from qdrant_operator.domain.cluster.wanted.versions import NEWER_VOLUME
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.qdrant_sim.core.api.answers import Call
from sandbox.qdrant_sim.core.consensus.state import ACTIVE, Collection, State
from sandbox.simulation.clients.user import User
from sandbox.simulation.clients.writer import Writer
from sandbox.simulation.faults.losses import Losses
from sandbox.simulation.laws.laws import Laws
from sandbox.simulation.laws.violations import Violations
from sandbox.simulation.world.names import CLUSTER, NAMESPACE, pod_of
from sandbox.simulation.world.simulated import SimulatedWorld

SETTLE_SECONDS = 900.0
STILL_SECONDS = 30.0
"""Seconds for which a true reason must hold before it is accepted."""


class Settling:
    """Waits until the cluster has settled."""

    def __init__(
        self,
        world: SimulatedWorld,
        user: User,
        writer: Writer,
        losses: Losses,
        laws: Laws,
        violations: Violations,
    ) -> None:
        """The faults are over."""
        self._server, self._peers, self._node = world.server, world.peers, world.node
        self._clock, self._cluster = world.clock, world.cluster
        self._log, self._scheduler = world.log, world.scheduler
        self._user, self._writer, self._losses = user, writer, losses
        self._laws, self._violations = laws, violations

    async def wait(self, *, contested: bool) -> None:
        """Wait; what does not settle breaks a law. `contested`: another client still writes an object of ours."""
        end, excused = self._clock.seconds() + SETTLE_SECONDS, 0.0
        while not self._violations.found:
            wrong = [what for what in self._wrong() if not (contested and self._is_contested(what))]
            if not wrong:
                break
            self._obey()
            excused = excused + 2.0 if self._said() & set(self._excuses()) else 0.0
            if excused >= STILL_SECONDS:
                self._log.add(f"it stays blocked, as it says: {', '.join(sorted(self._said()))}")
                break
            if self._clock.seconds() > end:
                self._violations.add(f"not settled: {'; '.join(wrong[:8])}; blocked: {self._blocked()}")
            await self._laws.watch(2.0)
        self._laws.check_points()

    def _is_contested(self, wrong: str) -> bool:
        """Whether a contested object is the reason: everything else must match the spec."""
        return "FieldContested" in self._said() and wrong.startswith(f"{CLUSTER} is not Ready")

    def _obey(self) -> None:
        """The user does what the operator asks for: delete an old volume or a lost collection, set the version back."""
        for wait in self._blocked():
            if wait["guard"] == "OrphanedReplica":
                self._give_up(re.findall(r"DELETE /collections/([\w-]+)", wait["message"]))
            newer = re.search(rf"{NEWER_VOLUME}: .* set spec.version to (v[\d.]+)", wait["message"])
            if wait["guard"] == "VersionDowngrade" and newer:
                self._user.edit({"version": newer[1]})
            asked = re.search(r"kubectl delete pvc ([\w-]+)", wait["message"])
            if wait["guard"] == "RemovedVolumePresent" and asked:
                self._log.add(f"the user deletes {asked[1]}, as {wait['step']} asks")
                self._node.lose_volume(pod_of(asked[1]))

    def _give_up(self, names: list[str]) -> None:
        """Delete collections of which a shard is on no member at all."""
        state, door = self._cluster.state(), self._cluster.leader()
        for name in names:
            shards = state.collections[name].shards.values() if state and name in state.collections else ()
            if door and state and any(not set(shard.replicas) & set(state.peers) for shard in shards):
                self._log.add(f"the user deletes collection {name} in Qdrant")
                self._writer.give_up(name)
                self._scheduler.background(self._peers.respond(door, Call("DELETE", ("collections", name))))

    # -- what is wrong ------------------------------------------------------------------------------------

    def _wrong(self) -> Iterator[str]:
        cluster = self._object(Kind.CLUSTER, CLUSTER)
        yield from self._unready(cluster)
        replicas, state = cluster["spec"]["replicas"], self._cluster.state()
        pods = self._server.all(Kind.POD, NAMESPACE)
        if len(pods) != replicas:
            yield f"{len(pods)} pods, {replicas} wanted"
        if state is None or len(state.peers) != replicas:
            yield f"{len(state.peers) if state else 0} members, {replicas} wanted"
        for wanted in self._server.all(Kind.COLLECTION, NAMESPACE):
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
        """Guards whose cause is true now: nothing more can be done until a user acts."""
        state = self._cluster.state()
        cluster = self._object(Kind.CLUSTER, CLUSTER)
        unconsented = {peer for peer in self._losses.lost if not self._user.consented(peer)}
        if state is not None and unconsented & set(state.peers):
            yield from ("ConsentNeeded", "VolumeLost", "PodNotRunning")
        factors = [one["spec"]["replicationFactor"] for one in self._server.all(Kind.COLLECTION)]
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
        disks = self._node.living_disks().values()
        left = {disk.peer for disk in disks if disk.group is not None} & state.voters
        return 2 * len(left) <= len(state.voters)

    def _is_gone(self, collection: Collection, state: State) -> bool:
        """Whether a shard has no Active replica that can be read on a volume that exists."""
        readable = self._writer.readable
        return any(
            not set(shard.active()) & readable(state, collection.name, number)
            for number, shard in collection.shards.items()
        )

    def _said(self) -> set[str]:
        return {wait["guard"] for wait in self._blocked()}

    def _blocked(self) -> list[Any]:
        objects = [self._object(Kind.CLUSTER, CLUSTER), *self._server.all(Kind.COLLECTION)]
        return [wait for one in objects for wait in (one.get("status") or {}).get("blocked") or ()]

    def _object(self, kind: Kind, name: str) -> Manifest:
        found = self._server.get(kind, NAMESPACE, name)
        assert found is not None, f"{kind.kind} {name} exists for as long as the simulation"
        return found

    def _mode(self, cluster: Manifest) -> str:
        return str((cluster["spec"].get("shards") or {}).get("placement", "Auto"))


def _imbalance(collection: Collection, state: State) -> int:
    counts = [sum(peer in s.replicas for s in collection.shards.values()) for peer in state.peers]
    return max(counts) - min(counts) if counts else 0

"""What must never happen, whatever the faults; reported at once, with the reason."""

from __future__ import annotations

import asyncio

from qdrant_operator.domain.cluster.pods.rollout import RETURN_SECONDS
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.names import LABEL_SERVING
from sandbox.fakes.kubernetes import Write
from sandbox.fakes.statefulset import is_ready
from sandbox.qdrant_sim.core.api.answers import Call
from sandbox.qdrant_sim.core.consensus.op import Op
from sandbox.qdrant_sim.core.consensus.ops import Remove
from sandbox.qdrant_sim.core.consensus.shard_ops import DropReplica, Start
from sandbox.qdrant_sim.core.consensus.state import INITIALIZING, State
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.simulation.clients.user import User
from sandbox.simulation.clients.writer import Writer
from sandbox.simulation.laws.facts import NOTICED, Facts
from sandbox.simulation.laws.known_spec import KnownSpec
from sandbox.simulation.laws.shard_laws import ShardLaws
from sandbox.simulation.laws.violations import Violations
from sandbox.simulation.world.names import NAMESPACE, claim_of, pod_of
from sandbox.simulation.world.simulated import SimulatedWorld

JOINED = 4.0
"""Seconds by which the last look of all peers may be old."""
STRANGER = 25.0
"""Seconds after which a peer of another cluster is out of service: operators may have died meanwhile."""
A_LOOK = 1.0
"""Seconds between what a look finds and when it ends, if nothing is slow."""


class Laws:
    """Watches one simulation."""

    def __init__(self, world: SimulatedWorld, user: User, writer: Writer, violations: Violations) -> None:
        """Nothing has happened."""
        self._server, self._node, self._cluster = world.server, world.node, world.cluster
        self._clock, self._log = world.clock, world.log
        self._user, self._writer, self._violations = user, writer, violations
        self._facts = Facts(world)
        self._spec = KnownSpec(world.node, user, self._facts)
        self._stopped_by_us: set[str] = set()
        """Uids of pods that the operator deleted."""
        self._removals: dict[int, float] = {}
        """When the removal of a peer was requested last, by its id."""
        self._replicas = 0
        self._complete = False
        self._retired: set[int] = set()
        self._removed: set[int] = set()
        self._leaving: set[int] = set()
        """Peers whose removal was recorded: there is no way back."""
        self._shards = ShardLaws(world, writer, self._facts, self._spec, self._leaving, violations)

    async def watch(self, seconds: float) -> None:
        """Let time pass and check the laws, until one is broken."""
        end = self._clock.seconds() + seconds
        while self._clock.seconds() < end and not self._violations.found:
            await asyncio.sleep(min(0.5, max(0.01, end - self._clock.seconds())))
            self.check()

    # -- always -------------------------------------------------------------------------------------------

    def check(self) -> None:
        """The laws that hold at every moment."""
        self._facts.look()
        disks = self._node.living_disks().values()
        if len({id(disk.group) for disk in disks if disk.group is not None}) > 1:
            self._violations.add("a second cluster formed")
        down = [p["metadata"]["name"] for p in self._server.all(Kind.POD) if self._is_down_by_us(p)]
        if len(down) > 1:
            self._violations.add(f"{', '.join(down)} are down by our hand at the same time")
        late = () if self._user.was_paused(STRANGER) else self._facts.old("stranger", STRANGER)
        for fact in late:
            self._violations.add(f"{fact[1]} is alone in a cluster of its own, and clients reach it")

    def is_being_dropped(self, name: str, number: int) -> bool:
        """Whether a drop of one of a shard's replicas may be on its way."""
        return self._shards.is_being_dropped(name, number)

    def check_points(self) -> None:
        """No acknowledged point is lost."""
        state = self._cluster.state()
        missing = self._writer.missing(state) if state else []
        if missing:
            self._violations.add(f"lost: {'; '.join(missing[:5])} ({len(missing)} points)")

    def _is_down_by_us(self, pod: Manifest) -> bool:
        return pod["metadata"]["uid"] in self._stopped_by_us and not is_ready(pod)

    # -- what the operator asks of Qdrant -----------------------------------------------------------------

    def on_call(self, call: Call) -> None:
        """The operator sends a call that changes something."""
        if call.segments[:2] == ("cluster", "peer"):
            self._removals[int(call.segments[2])] = self._clock.seconds()
        elif call.segments[-1] == "cluster":
            self._facts.look()
            self._shards.on_call(call)

    def on_commit(self, op: Op, state: State) -> None:
        """Consensus carries something out; `state` is what was before."""
        if isinstance(op, Start | DropReplica | Remove):
            self._facts.look()
        if isinstance(op, Start):
            self._shards.on_start(op, state)
        elif isinstance(op, DropReplica):
            self._shards.on_drop(op, state)
        elif isinstance(op, Remove) and op.peer in self._removals:
            self._on_remove(op.peer, state)

    def _on_remove(self, peer: int, state: State) -> None:
        self._log.add(f"removed: peer {peer}")
        self._removed.add(peer)
        if peer not in state.peers:
            self._on_forget(peer, state)
            return
        pods = {disk.peer: name for name, disk in self._node.living_disks().items() if disk.group}
        lost = peer not in pods
        if state.holds_shards(peer) and not (lost and self._user.consented(peer)):
            self._violations.add(
                f"peer {peer} is removed and holds shards{' (its volume is lost)' if lost else ''}"
            )
        for where in _only_on(peer, state):
            self._violations.add(f"peer {peer} is removed and held the only replica of {where}")
        if self._is_reached(peer, pods.get(peer, "")):
            self._violations.add(f"peer {peer} is removed while clients reach it")
        if not lost and peer not in self._leaving and self._spec.is_wanted(pods[peer]):
            self._violations.add(f"peer {peer} of {pods[peer]} is removed and is wanted")
        rest = state.voters - {peer}
        silent = {int(fact[1]) for fact in self._known_when_asked("missing", peer)} - {peer}
        if rest and len(rest - silent) * 2 <= len(rest):
            self._violations.add(f"peer {peer} is removed and no majority of the others answers")

    def _is_reached(self, peer: int, claim: str) -> bool:
        """Whether clients reach it since before its removal was asked for: a pod that is made again is in service."""
        process, pod = self._cluster.running().get(peer), pod_of(claim)
        listed = process is not None and process.address in self._node.listed()
        return listed and ("ready", pod) in self._known_when_asked("ready", peer)

    def _known_when_asked(self, kind: str, peer: int) -> list[tuple[str, ...]]:
        """What must have been known when the removal was asked for last: it may be carried out much later."""
        return self._facts.known_by(kind, self._removals[peer])

    def _on_forget(self, peer: int, state: State) -> None:
        """An id that is no member is cleared: what the tables place on it must be good elsewhere.

        A collection that was created a moment ago has no replica with data yet, so nothing is lost with one.
        """
        silent = {int(fact[1]) for fact in self._facts.old("missing")}
        for name, collection in state.collections.items():
            for number, shard in collection.shards.items():
                good = self._writer.good(state, name, number) - silent - {peer}
                filled = set(shard.replicas.values()) - {INITIALIZING}
                if peer in shard.replicas and filled and not good:
                    self._violations.add(
                        f"peer {peer}, no member, is cleared, and {name}/{number} is good nowhere else"
                    )

    # -- what the operator writes to Kubernetes -----------------------------------------------------------

    def before_write(self, write: Write) -> None:
        """The operator's write reaches the server now."""
        if write.operation == "delete" and write.kind is Kind.POD:
            pod = self._server.get(Kind.POD, write.namespace, write.name)
            if pod is not None:
                self._on_stop(pod)
        elif write.operation == "delete" and write.kind is Kind.CLAIM:
            disk = self._node.living_disks().get(write.name)
            if disk is not None and self._is_member(disk):
                self._violations.add(f"the volume {write.name} of a member is deleted")

    def _on_stop(self, pod: Manifest) -> None:
        """A pod that is ready is stopped only when everything else is well; others may be stopped at any time.

        One that could load none of its replicas serves nothing: what is ill elsewhere need not wait for it.
        """
        name = pod["metadata"]["name"]
        self._facts.look()
        if ("ready", name) not in self._facts.old("ready"):
            return
        self._stopped_by_us.add(pod["metadata"]["uid"])
        self._check_quorum(name)
        disk = self._node.disk_of(name)
        me = str(disk.peer) if disk else ""
        idle = disk is not None and bool(disk.locals) and all(one.dummy for one in disk.locals.values())
        for kind in ("down", "mute", "missing", "apart", "transfer", "ill", "no leader"):
            for fact in self._facts.old(kind):
                if fact[-1] not in (name, me) and not (idle and kind == "ill"):
                    self._violations.add(f"{name} is stopped, though: {' '.join(fact)}")
        self._check_returns(name)
        if (pod.get("status") or {}).get("podIP") in self._node.listed():
            self._violations.add(f"{name} is stopped while clients reach it")

    def _check_returns(self, name: str) -> None:
        """Requests from before another pod came back have failed by now, if they do."""
        copies = {fact[1] for fact in self._facts.old("copies")}
        for _, other in self._facts.young("ready", RETURN_SECONDS - A_LOOK):
            disk = self._node.disk_of(other)
            if other != name and disk is not None and str(disk.peer) in copies:
                self._violations.add(f"{name} is stopped, and {other} has just come back")

    def _check_quorum(self, name: str) -> None:
        """Three or more have a majority without the one that is stopped."""
        state, disk = self._cluster.state(), self._node.disk_of(name)
        silent = {int(fact[1]) for fact in self._facts.old("missing")}
        if state is None or disk is None or len(state.voters) < 3:
            return
        if len(state.voters - silent - {disk.peer}) * 2 <= len(state.voters):
            self._violations.add(f"{name} is stopped, and no majority of the voters stays")

    def _on_status(self, status: Manifest) -> None:
        """What the operator has written about the removal of peers, and about the bootstrap."""
        state, leaving = self._cluster.state(), status.get("leaving") or {}
        if leaving.get("peerId") and leaving["peerId"] not in self._leaving:
            self._leaving.add(leaving["peerId"])
            self._facts.look()
            if self._spec.is_wanted(leaving["pod"]):
                self._violations.add(f"{leaving['pod']} is wanted, and its removal begins")
            if ("holds", str(leaving["peerId"])) in self._facts.old("holds"):
                self._violations.add(f"{leaving['pod']} holds shards, and its removal begins")
        complete = (status.get("bootstrap") or {}).get("phase") == "Complete"
        if complete and not self._complete:
            voters = len(state.voters) if state else 0
            if voters < self._user.least_replicas(NOTICED):
                self._violations.add(f"the cluster is called formed, and {voters} peers vote")
        self._complete = complete

    def on_change(self, kind: Kind, event: str, manifest: Manifest) -> None:
        """An object changed: was a pod taken away whose peer is a member? Is the removal of a wanted peer begun?"""
        if kind is Kind.CLUSTER and event == "MODIFIED":
            self._on_status(manifest.get("status") or {})
        if kind is not Kind.STATEFUL_SET or event == "DELETED":
            return
        before, self._replicas = self._replicas, int(manifest["spec"].get("replicas", 1))
        if self._replicas > before:
            self._on_growth()
        state = self._cluster.state()
        for ordinal in range(self._replicas, before):
            name = f"{manifest['metadata']['name']}-{ordinal}"
            disk = self._node.disk_of(name)
            if disk is not None and disk.group is not None:
                self._retired.add(id(disk))
            if disk is not None and state is not None and self._is_old_member(disk):
                self._violations.add(f"{name} is taken away and its peer {disk.peer} is a member")

    def _on_growth(self) -> None:
        """A new peer could ask a stranger for admission."""
        for name in self._node.foreign_pods():
            pod = self._server.get(Kind.POD, NAMESPACE, name)
            labels = pod["metadata"].get("labels") or {} if pod else {}
            if labels.get(LABEL_SERVING) == "false":
                self._violations.add(f"the StatefulSet grows beside {name}, which is known to be alone")

    def on_start(self, pod: Manifest, disk: Disk) -> None:
        """A process starts on a volume."""
        name = pod["metadata"]["name"]
        if id(disk) in self._retired and (disk.removed or disk.peer in self._removed):
            self._violations.add(f"{name} starts on {claim_of(name)}, the volume of a peer that was removed")

    def _is_member(self, disk: Disk) -> bool:
        state = self._cluster.state()
        return disk.group is not None and not disk.removed and state is not None and disk.peer in state.peers

    def _is_old_member(self, disk: Disk) -> bool:
        """It may have joined while its pod was already on its way out: then it is removed afterwards."""
        self._facts.look()
        return self._is_member(disk) and ("member", str(disk.peer)) in self._facts.old("member", JOINED)


def _only_on(peer: int, state: State) -> list[str]:
    """Shards whose only Active replica is on a peer."""
    return [
        f"{name}/{number}"
        for name, collection in state.collections.items()
        for number, shard in collection.shards.items()
        if set(shard.active()) == {peer}
    ]

"""Rarer faults: what users do by hand, and what disks do by themselves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qdrant_operator.domain.cluster.observed import LeavingPhase
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.qdrant_sim.core.api.answers import Call
from sandbox.qdrant_sim.core.consensus.state import State
from sandbox.simulation.clients.user import User
from sandbox.simulation.clients.writer import Writer
from sandbox.simulation.faults.losses import Losses
from sandbox.simulation.operators.operators import Operators
from sandbox.simulation.world.names import CLUSTER, NAMESPACE, pod_of
from sandbox.simulation.world.simulated import SimulatedWorld

DELAYED = 15.0
"""Seconds for which a peer learns nothing of what is committed."""
ABSENT = 10.0
"""Seconds without an operator, in which a pod may be replaced and its peer join."""
FROZEN = 1.0
"""Seconds for which a peer is frozen: less than the operator notices."""
RECREATED = 5.0
"""Seconds until a QdrantCluster that was deleted is created again, at most."""


class RareFaults:
    """Each happens at most once, or waits for the moment at which it does most harm."""

    def __init__(
        self,
        world: SimulatedWorld,
        user: User,
        writer: Writer,
        losses: Losses,
        operators: Operators,
        is_being_dropped: Callable[[str, int], bool],
    ) -> None:
        """`is_being_dropped(collection, shard)`: whether a replica of the shard may be dropped soon."""
        self._server, self._peers, self._node = world.server, world.peers, world.node
        self._clock, self._random, self._log = world.clock, world.random, world.log
        self._cluster, self._scheduler, self._conditions = world.cluster, world.scheduler, world.conditions
        self._user, self._writer, self._losses, self._operators = user, writer, losses, operators
        self._is_being_dropped = is_being_dropped
        self._deleted: Manifest | None = None
        self._recreated = False
        self._removal_armed = False
        self._creation_armed = False
        self._after_removal = world.seed % 2 == 1
        self._freezes_removed = world.seed % 5 == 3

    # -- the QdrantCluster is deleted and created again ------------------------------------------------------

    def delete_cluster(self) -> None:
        """A user deletes the QdrantCluster, keeps the volumes, and creates it again.

        Not while its status knows what nothing else knows: a running removal, a lost volume.
        """
        found = self._server.get(Kind.CLUSTER, NAMESPACE, CLUSTER)
        status = (found or {}).get("status") or {}
        formed = (status.get("bootstrap") or {}).get("phase") == "Complete"
        removed = any(disk.removed for disk in self._node.living_disks().values())
        if found is None or self._recreated or not formed or status.get("leaving") or removed:
            return
        if self._losses.lost:
            return
        self._recreated, self._deleted = True, found
        self._log.add("somebody deletes the QdrantCluster")
        self._server.delete(Kind.CLUSTER, NAMESPACE, CLUSTER)
        self._scheduler.within(RECREATED, self.recreate_cluster)

    def recreate_cluster(self) -> None:
        """Create the deleted QdrantCluster again."""
        if self._deleted is None:
            return
        meta = {"name": CLUSTER, "namespace": NAMESPACE}
        again = {k: v for k, v in self._deleted.items() if k in ("apiVersion", "kind", "spec")}
        self._deleted = None
        self._log.add("the QdrantCluster is made again")
        self._server.create({**again, "metadata": meta}, "user")

    # -- volumes ------------------------------------------------------------------------------------------

    def spoil_shard(self) -> None:
        """A replica of several cannot be loaded when its peer starts: Active in every view, and worth nothing."""
        state = self._cluster.state()
        if state is None:
            return
        claims = {disk.peer: name for name, disk in self._node.living_disks().items()}
        spots = self._sound_replicas(state)
        if not spots:
            return
        name, number, peer = self._random.choice(spots)
        pod = pod_of(claims[peer])
        self._log.add(f"{name}/{number} on {pod} cannot be loaded any more")
        self._node.living_disks()[claims[peer]].locals[name, number].dummy = True
        self._writer.losses.append(pod)
        self._node.kill(pod)
        self._user.reacts(20.0, self._user.configure, self._user.change_factor)

    def _sound_replicas(self, state: State) -> list[tuple[str, int, int]]:
        """Collection, shard and peer of each sound replica that is not the only one."""
        found, running = [], set(self._cluster.running())
        for name, collection in state.collections.items():
            for number in collection.shards:
                good = self._writer.good(state, name, number)
                if len(good) > 1 and not self._is_being_dropped(name, number):
                    found += [(name, number, peer) for peer in sorted(good & running)]
        return found

    def arm_removal(self) -> None:
        """The next pod that is removed loses its volume, meanwhile or just afterwards."""
        self._removal_armed = True
        if self._after_removal:
            self._scheduler.within(5.0, self._user.scale_in)

    def on_change(self, kind: Kind, _event: str, manifest: Manifest) -> None:
        """A removal begins, or its record says that it is done."""
        leaving = (manifest.get("status") or {}).get("leaving") if kind is Kind.CLUSTER else None
        if not (self._removal_armed and leaving and self._conditions.faults_active):
            return
        if not self._after_removal:
            self._removal_armed = False
            self._scheduler.within(4.0, lambda: self._lose(leaving["pod"]))
        elif leaving["phase"] == LeavingPhase.REMOVED:
            self._removal_armed = False
            self._scheduler.within(0.0, lambda: self._replace_unnoticed(leaving["pod"]))

    def _lose(self, pod: str) -> None:
        disk, state = self._node.disk_of(pod), self._cluster.state()
        if disk is None or state is None or not self._conditions.faults_active:
            return
        if state.holds_shards(disk.peer):
            return
        if disk.peer in state.peers and not self._losses.can_spare(disk.peer):
            return
        self._log.add(f"the volume of {pod} is lost, which is on its way out")
        self._node.lose_volume(pod)

    def _replace_unnoticed(self, pod: str) -> None:
        """The pod of a removed peer joins again on an empty volume, and only the leader knows.

        The next operator does not reach the leader, and every other peer is delayed.
        """
        operator, leader = self._operators.living, self._cluster.leader()
        disk, state = self._node.disk_of(pod), self._cluster.state()
        if operator is None or leader is None or disk is None or state is None:
            return
        if disk.peer in state.peers:
            return
        self._log.add(f"the volume of {pod} is lost, and nobody but the leader will hear who comes after it")
        operator.lifetime.vanish()
        self._conditions.absent_until = self._clock.seconds() + ABSENT
        self._node.lose_volume(pod)
        self._conditions.unreachable.add(leader.address)
        self._scheduler.after(DELAYED, lambda: self._conditions.unreachable.discard(leader.address))
        for address in self._peers.addresses():
            if address != leader.address:
                self._delay(address)

    def _delay(self, address: str) -> None:
        self._peers.delay(address, DELAYED)
        self._scheduler.after(DELAYED, partial(self._peers.end_delay, address))

    def _freeze(self, peer_id: int) -> None:
        """The peer that is to be removed is frozen for a moment: it never learns that it was removed.

        Also when the faults have ended: most removals come then, and no one notices the pause.
        """
        peers = [self._peers.at(address) for address in self._peers.addresses()]
        addresses = [peer.address for peer in peers if peer and peer.id == peer_id and not peer.paused]
        if not addresses:
            return
        address = addresses[0]
        self._log.add(f"{address} stands still while it is removed")
        self._peers.freeze(address)
        self._scheduler.after(FROZEN, lambda: self._peers.resume(address))

    # -- a collection is created late --------------------------------------------------------------------

    def delay_creation(self) -> None:
        """The next collection is requested by an operator that dies, through a peer that is delayed.

        Meanwhile another peer, which holds nothing, loses its volume, and Qdrant replaces it by itself.
        """
        self._creation_armed = True

    def is_last_call(self, host: str, call: Call) -> bool:
        """Whether this call of an operator is its last one, and arrives late."""
        if self._freezes_removed and call.method == "DELETE" and call.segments[0] == "cluster":
            self._freeze(int(call.segments[2]))
        state = self._cluster.state()
        creates = call.method == "PUT" and call.segments[0] == "collections" and len(call.segments) == 2
        if not (self._creation_armed and creates and self._conditions.faults_active):
            return False
        if state is None or self._losses.lost:
            return False
        others = self._empty_peers(state, host)
        if not others or not self._losses.lose_peer(self._random.choice(others)):
            return False
        self._creation_armed = False
        self._log.add(f"{host} hears late, and is asked for {call.segments[1]}")
        self._delay(host)
        return True

    def _empty_peers(self, state: State, but: str) -> list[str]:
        """Pods whose peers hold nothing, without the peer at one address."""
        found = []
        for claim, disk in sorted(self._node.living_disks().items()):
            peer = self._node.peer_of(pod_of(claim))
            empty = disk.peer in state.peers and not state.holds_shards(disk.peer)
            if empty and peer is not None and peer.address != but:
                found.append(pod_of(claim))
        return found

    # -- pods ---------------------------------------------------------------------------------------------

    def start_alone(self) -> None:
        """A pod starts on an empty volume, and a user lets it form a cluster of its own: a second, empty one."""
        state = self._cluster.state()
        pods = [pod["metadata"]["name"] for pod in self._server.all(Kind.POD, NAMESPACE)]
        status = (self._server.get(Kind.CLUSTER, NAMESPACE, CLUSTER) or {}).get("status") or {}
        formed = (status.get("bootstrap") or {}).get("phase") == "Complete"
        if not formed or self._losses.lost or state is None or len(state.voters) < 3 or not pods:
            return
        pod = self._random.choice(pods)
        if self._losses.lose_peer(pod):
            self._log.add(f"{pod} starts alone")
            self._node.allow_alone(pod)

    def end(self) -> None:
        """The user repairs what only users can."""
        self.recreate_cluster()
        self._node.allow_alone("")
        for pod in self._node.foreign_pods():
            self._log.add(f"the user takes the wrong volume of {pod} away")
            self._node.lose_volume(pod)

"""Rarer faults: what operators of clusters do by hand, and what disks do by themselves."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qdrant_operator.domain.cluster.observed import LeavingPhase
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.qdrant_sim.core.api.answers import Call
from sandbox.simulation.world.user import CLUSTER, NAMESPACE

if TYPE_CHECKING:
    from sandbox.simulation.story import Story

DEAF = 15.0
"""Seconds for which a peer hears nothing of what is committed."""
ABSENT = 10.0
"""Seconds without an operator, in which a pod may start anew and its peer join."""
STILL = 1.0
"""Seconds for which a peer stands still: less than anybody notices."""
AGAIN = 5.0
"""Seconds until a QdrantCluster that was deleted is made again, at most."""


class Mishaps:
    """Each happens at most once in a story, or waits for the moment at which it hurts."""

    def __init__(self, story: Story) -> None:
        """Nothing has happened."""
        self._story = story
        self._deleted: Manifest | None = None
        self._made_again = False
        self._armed = False
        self._delayed = False
        self._afterwards = story.seed % 2 == 1
        self._stands_still = story.seed % 5 == 3

    # -- the QdrantCluster is deleted and made again ------------------------------------------------------

    def delete_cluster(self) -> None:
        """Somebody deletes the QdrantCluster, keeps the volumes, and makes it again.

        Not while its status knows what nothing else knows: a removal under way, a lost volume.
        """
        story = self._story
        found = story.server.get(Kind.CLUSTER, NAMESPACE, CLUSTER)
        status = (found or {}).get("status") or {}
        formed = (status.get("bootstrap") or {}).get("phase") == "Complete"
        removed = any(disk.removed for disk in story.node.living_disks().values())
        if found is None or self._made_again or not formed or status.get("leaving") or removed:
            return
        if story.troubles.lost:
            return
        self._made_again, self._deleted = True, found
        story.tell("somebody deletes the QdrantCluster")
        story.server.delete(Kind.CLUSTER, NAMESPACE, CLUSTER)
        story.later(AGAIN, self.make_again)

    def make_again(self) -> None:
        """The same QdrantCluster once more, if it is deleted."""
        if self._deleted is None:
            return
        meta = {"name": CLUSTER, "namespace": NAMESPACE}
        again = {k: v for k, v in self._deleted.items() if k in ("apiVersion", "kind", "spec")}
        self._deleted = None
        self._story.tell("the QdrantCluster is made again")
        self._story.server.create({**again, "metadata": meta}, "user")

    # -- volumes ------------------------------------------------------------------------------------------

    def spoil_shard(self) -> None:
        """A replica of several cannot be loaded when its peer starts: Active in every view, and worth nothing."""
        story, state = self._story, self._story.laws.facts.state()
        if state is None:
            return
        pods = {disk.peer: name for name, disk in story.node.living_disks().items()}
        running = story.laws.facts.running()
        spots = [
            (name, number, peer)
            for name, collection in state.collections.items()
            for number in collection.shards
            if not story.laws.is_being_dropped(name, number)
            if len(good := story.writer.good(state, name, number)) > 1
            for peer in sorted(good & set(running))
        ]
        if not spots:
            return
        name, number, peer = story.random.choice(spots)
        pod = pods[peer].removeprefix("storage-")
        story.tell(f"{name}/{number} on {pod} cannot be loaded any more")
        story.node.living_disks()[pods[peer]].locals[name, number].dummy = True
        story.troubles.losses.append(pod)
        story.node.kill(pod)
        story.user.reacts(20.0, story.user.configure, story.user.change_factor)

    def arm(self) -> None:
        """The next pod that is taken away loses its volume, meanwhile or just afterwards."""
        self._armed = True
        if self._afterwards:
            self._story.later(5.0, self._story.user.scale_in)

    def on_change(self, kind: Kind, _event: str, manifest: Manifest) -> None:
        """A removal begins, or its record says that it is done."""
        leaving = (manifest.get("status") or {}).get("leaving") if kind is Kind.CLUSTER else None
        if not (self._armed and leaving and self._story.trouble):
            return
        if not self._afterwards:
            self._armed = False
            self._story.later(4.0, lambda: self._lose(leaving["pod"]))
        elif leaving["phase"] == LeavingPhase.REMOVED:
            self._armed = False
            self._story.later(0.0, lambda: self._replace_unseen(leaving["pod"]))

    def _lose(self, pod: str) -> None:
        story, disk = self._story, self._story.node.disk_of(pod)
        state = story.laws.facts.state()
        if disk is None or state is None or state.holds_shards(disk.peer) or not story.trouble:
            return
        if disk.peer in state.peers and not story.troubles.can_spare(disk.peer):
            return
        story.tell(f"the volume of {pod} is lost, which is on its way out")
        story.node.lose_volume(pod)

    def _replace_unseen(self, pod: str) -> None:
        """The pod of a removed peer joins anew on an empty volume; who acts next does not reach the leader, who knows.

        Everybody else hears late.
        """
        story, operator, group = self._story, self._story.operator, self._story.laws.facts.group()
        leader = group.leader() if group else None
        disk, state = story.node.disk_of(pod), story.laws.facts.state()
        if operator is None or operator.dead or leader is None or disk is None or state is None:
            return
        if disk.peer in state.peers:
            return
        story.tell(f"the volume of {pod} is lost, and nobody but the leader will hear who comes after it")
        operator.vanish()
        story.absent_until = story.clock.seconds() + ABSENT
        story.node.lose_volume(pod)
        story.mute.add(leader.address)
        story.after(DEAF, lambda: story.mute.discard(leader.address))
        for address in story.peers.universe.peers:
            if address != leader.address:
                story.peers.universe.lag[address] = DEAF
                story.after(DEAF, partial(story.troubles.hears, address))

    def _hold(self, member: int) -> None:
        """The peer that is to be removed stands still for a moment: it never hears that it was.

        Also after the time of trouble: most removals come then, and this is no trouble that anybody sees.
        """
        story, universe = self._story, self._story.peers.universe
        peers = [peer for peer in universe.peers.values() if peer.id == member and not peer.paused]
        if not peers:
            return
        story.tell(f"{peers[0].address} stands still while it is removed")
        story.peers.act(lambda: universe.pause(peers[0], True))
        story.after(STILL, lambda: story.troubles.thaw(peers[0].address))

    # -- a collection is created late --------------------------------------------------------------------

    def delay_creation(self) -> None:
        """The next collection is asked for by an operator that dies, through a peer that hears late.

        Meanwhile another peer, which holds nothing, loses its volume, and Qdrant replaces it by itself.
        """
        self._delayed = True

    def on_call(self, host: str, call: Call) -> bool:
        """An operator sends a call: whether it arrives late, as the last one of that operator."""
        if self._stands_still and call.method == "DELETE" and call.segments[0] == "cluster":
            self._hold(int(call.segments[2]))
        story, state = self._story, self._story.laws.facts.state()
        creates = call.method == "PUT" and call.segments[0] == "collections" and len(call.segments) == 2
        if not (self._delayed and creates and story.trouble) or state is None or story.troubles.lost:
            return False
        pods = [
            name.removeprefix("storage-")
            for name, disk in sorted(story.node.living_disks().items())
            if disk.peer in state.peers and not state.holds_shards(disk.peer)
        ]
        others = [pod for pod in pods if (peer := story.node.peer_of(pod)) and peer.address != host]
        if not others or not story.troubles.lose_member(story.random.choice(others)):
            return False
        self._delayed = False
        story.tell(f"{host} hears late, and is asked for {call.segments[1]}")
        story.peers.universe.lag[host] = DEAF
        story.after(DEAF, lambda: story.troubles.hears(host))
        return True

    # -- pods ---------------------------------------------------------------------------------------------

    def go_alone(self) -> None:
        """A pod comes up on an empty volume, and somebody let it start alone: a second, empty cluster."""
        story, state = self._story, self._story.laws.facts.state()
        pods = [pod["metadata"]["name"] for pod in story.server.all(Kind.POD, NAMESPACE)]
        status = (story.server.get(Kind.CLUSTER, NAMESPACE, CLUSTER) or {}).get("status") or {}
        formed = (status.get("bootstrap") or {}).get("phase") == "Complete"
        if not formed or story.troubles.lost or state is None or len(state.voters) < 3 or not pods:
            return
        pod = story.random.choice(pods)
        if story.troubles.lose_member(pod):
            story.tell(f"{pod} starts alone")
            story.node.alone = pod

    def end(self) -> None:
        """The user puts right what only users can."""
        self.make_again()
        self._story.node.alone = ""
        for pod in self._story.node.foreign_pods():
            self._story.tell(f"the user takes the wrong volume of {pod} away")
            self._story.node.lose_volume(pod)

    def slow_kubernetes(self) -> None:
        """Answers from Kubernetes come seconds late for a while."""
        story = self._story
        story.tell("Kubernetes answers late for 15 s")
        story.slow_kubernetes = True

        def over() -> None:
            story.slow_kubernetes = False

        story.after(15.0, over)

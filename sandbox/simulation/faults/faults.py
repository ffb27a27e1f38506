"""The faults, one at a time, at random moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qdrant_operator.domain.common.kinds import Kind
from sandbox.simulation.faults.rare_faults import Mishaps
from sandbox.simulation.world.user import CLUSTER, NAMESPACE

if TYPE_CHECKING:
    from sandbox.simulation.story import Story

SWARM = (0, 1, 1, 4)
LATE = (3.0, 3.0, 15.0)
"""Seconds by which a peer hears late."""


class Trouble:
    """Makes trouble in a story, and ends it."""

    def __init__(self, story: Story) -> None:
        """Every fault has a weight."""
        self._story = story
        self.lost: set[int] = set()
        """Peers whose volume was lost after the cluster had formed."""
        self.losses: list[str] = []
        """Pods and collections whose data was lost, in order."""
        self.mishaps = Mishaps(story)
        user, mishaps = story.user, self.mishaps
        kinds: dict[Callable[[], None], int] = {
            self._kill: 6,
            self._delete: 3,
            self._remove_object: 2,
            self._lose_volume: 2,
            self._cut_off: 3,
            self._freeze: 2,
            self._mute: 3,
            self._fail_probe: 2,
            self._lag: 3,
            self._stale_caches: 4,
            self._lose_quorum: 1,
            user.configure: 4,
            user.create_collection: 4,
            user.scale: 5,
            user.change_factor: 4,
            user.change_mode: 2,
            self._pause: 1,
            mishaps.delete_cluster: 1,
            mishaps.spoil_shard: 2,
            mishaps.arm: 2,
            mishaps.go_alone: 1,
            mishaps.slow_kubernetes: 2,
            mishaps.delay_creation: 2,
        }
        self._kinds = {kind: weight * story.random.choice(SWARM) for kind, weight in kinds.items()}
        """Each story has its own favourites: faults that meet seldom meet in some of them."""

    def one(self) -> None:
        """One fault, or one edit."""
        kinds, weights = list(self._kinds), list(self._kinds.values())
        if any(weights):
            self._story.random.choices(kinds, weights)[0]()

    def end(self) -> None:
        """Everything that was broken for a while works again, and the user makes up their mind."""
        story = self._story
        story.tell("trouble ends")
        story.trouble = False
        story.weather.clear()
        story.mute.clear()
        story.node.failing.clear()
        story.slow_kubernetes = False
        self.mishaps.end()
        story.peers.universe.lag.clear()
        for peer in list(story.peers.universe.peers.values()):
            self.thaw(peer.address)
        story.peers.act(story.peers.universe.heal)
        story.user.pause(paused=False)
        if story.random.random() < 0.8:
            story.user.set_mode("Auto")
        for lost in sorted(self.lost):
            if story.random.random() < 0.7:
                story.user.consent(lost)

    # -- pods and volumes ---------------------------------------------------------------------------------

    def _pod(self) -> str:
        pods = [pod["metadata"]["name"] for pod in self._story.server.all(Kind.POD, NAMESPACE)]
        return self._story.random.choice(pods) if pods else f"{CLUSTER}-0"

    def _kill(self) -> None:
        pod, rest = self._pod(), self._story.random.choice((1.0, 1.0, 15.0))
        self._story.tell(f"kill {pod}, back in {rest:g} s")
        self._story.node.kill(pod, rest)

    def _delete(self) -> None:
        pod = self._pod()
        self._story.tell(f"somebody deletes {pod}")
        if self._story.server.get(Kind.POD, NAMESPACE, pod) is not None:
            self._story.server.delete(Kind.POD, NAMESPACE, pod)

    def _remove_object(self) -> None:
        name = self._story.random.choice([CLUSTER, f"{CLUSTER}-peers", f"{CLUSTER}-config"])
        kind = Kind.CONFIG_MAP if name.endswith("config") else Kind.SERVICE
        self._story.tell(f"somebody deletes {kind.kind} {name}")
        if self._story.server.get(kind, NAMESPACE, name) is not None:
            self._story.server.delete(kind, NAMESPACE, name)

    def _lose_volume(self) -> None:
        """Before the first peer has formed the cluster, any number of times; afterwards one volume of several.

        Between the two the first peer is the only peer: losing it loses the cluster, and only a human may
        begin anew.
        """
        story = self._story
        found = story.server.get(Kind.CLUSTER, NAMESPACE, CLUSTER) or {}
        phase = ((found.get("status") or {}).get("bootstrap") or {}).get("phase", "Started")
        state = story.laws.facts.state()
        if phase == "Started" and story.laws.facts.group() is None:
            story.tell(f"the volume of {CLUSTER}-0 is lost")
            story.node.lose_volume(f"{CLUSTER}-0")
        elif phase == "Complete" and not self.lost and state is not None and len(state.voters) >= 3:
            self.lose_member(self._pod())

    def can_spare(self, peer: int) -> bool:
        """Whether a majority has its volumes without this peer: else no software can go on."""
        state = self._story.laws.facts.state()
        disks = self._story.node.living_disks().values()
        living = {disk.peer for disk in disks if not (disk.removed or disk.behind)}
        return state is not None and len(state.voters & living - {peer}) * 2 > len(state.peers)

    def lose_member(self, pod: str) -> bool:
        """Take the volume of a member's pod; whether it was one."""
        story, disk = self._story, self._story.node.disk_of(pod)
        if disk is None or disk.group is None or disk.removed or not self.can_spare(disk.peer):
            return False
        story.tell(f"the volume of {pod} is lost, peer {disk.peer}")
        self.lost.add(disk.peer)
        self.losses.append(pod)
        story.node.lose_volume(pod)
        state = story.laws.facts.state()
        gone = story.writer.forget_lost(state) if state else 0
        story.tell(f"{gone} points had no other copy")
        return True

    def _lose_quorum(self) -> None:
        pods = [pod["metadata"]["name"] for pod in self._story.server.all(Kind.POD, NAMESPACE)]
        self._story.random.shuffle(pods)
        for pod in pods[: len(pods) // 2 + 1]:
            self._story.tell(f"kill {pod}, back in 20 s")
            self._story.node.kill(pod, 20.0)

    def _fail_probe(self) -> None:
        pod, failing = self._pod(), self._story.node.failing
        self._story.tell(f"the probe of {pod} fails for 20 s")
        failing.add(pod)
        self._story.after(20.0, lambda: failing.discard(pod))

    # -- the network --------------------------------------------------------------------------------------

    def _address(self) -> str:
        addresses = sorted(self._story.peers.universe.peers)
        return self._story.random.choice(addresses) if addresses else ""

    def _for_a_while(self, what: str, begin: Callable[[str], None], end: Callable[[str], None]) -> None:
        address, seconds = self._address(), self._story.random.uniform(3.0, 20.0)
        self._story.tell(f"{what} {address} for {seconds:.1f} s")
        begin(address)
        self._story.after(seconds, lambda: end(address))

    def _cut_off(self) -> None:
        universe = self._story.peers.universe
        others = set(universe.peers)

        def cut(address: str) -> None:
            self._story.peers.act(lambda: universe.partition({address}, others - {address}))

        self._for_a_while("the others cannot reach", cut, lambda _: self._story.peers.act(universe.heal))

    def _freeze(self) -> None:
        universe = self._story.peers.universe

        def freeze(address: str) -> None:
            if peer := universe.peers.get(address):
                self._story.peers.act(lambda: universe.pause(peer, True))

        self._for_a_while("frozen:", freeze, self.thaw)

    def thaw(self, address: str) -> None:
        """Let a frozen peer go on."""
        universe = self._story.peers.universe
        peer = universe.peers.get(address)
        if peer is not None and peer.paused:
            self._story.peers.act(lambda: universe.pause(peer, False))

    def _mute(self) -> None:
        mute = self._story.mute
        self._for_a_while("the operator cannot reach", mute.add, mute.discard)

    def _lag(self) -> None:
        lag, late = self._story.peers.universe.lag, self._story.random.choice(LATE)
        self._for_a_while(
            f"{late:g} s late to hear:",
            lambda address: lag.update({address: late}),
            self.hears,
        )
        if late == max(LATE):  # views differ for long: it matters when replicas come or go meanwhile
            self._story.user.reacts(5.0, self._story.user.change_factor)

    def hears(self, address: str) -> None:
        """A peer hears late no more."""
        self._story.peers.universe.lag.pop(address, None)

    def _stale_caches(self) -> None:
        operator = self._story.operator
        if operator is None or operator.dead:
            return
        seconds = self._story.random.uniform(0.5, 2.5)
        self._story.tell(f"the operator's watches lag for {seconds:.1f} s")
        operator.kubernetes.lag()
        self._story.after(seconds, operator.kubernetes.catch_up)

    def _pause(self) -> None:
        self._story.user.pause(paused=True)
        self._story.after(10.0, lambda: self._story.user.pause(paused=False))

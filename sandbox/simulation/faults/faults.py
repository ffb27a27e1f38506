"""The faults, one at a time, at random moments."""

from __future__ import annotations

from collections.abc import Callable

from qdrant_operator.domain.common.kinds import Kind
from sandbox.simulation.clients.user import User
from sandbox.simulation.faults.losses import Losses
from sandbox.simulation.faults.rare_faults import RareFaults
from sandbox.simulation.operators.operators import Operators
from sandbox.simulation.world.names import CLUSTER, NAMESPACE
from sandbox.simulation.world.simulated import SimulatedWorld

SWARM = (0, 1, 1, 4)
"""Factors of a fault's weight: each seed prefers some faults and never has others."""
DELAYS = (3.0, 3.0, 15.0)
"""Seconds by which a peer is delayed."""


class Faults:
    """Injects faults and edits, and ends them."""

    def __init__(
        self, world: SimulatedWorld, user: User, losses: Losses, operators: Operators, rare: RareFaults
    ) -> None:
        """Every fault has a weight."""
        self._server, self._peers, self._node = world.server, world.peers, world.node
        self._random, self._cluster, self._log = world.random, world.cluster, world.log
        self._scheduler, self._conditions = world.scheduler, world.conditions
        self._user, self._losses, self._operators, self._rare = user, losses, operators, rare
        kinds: dict[Callable[[], None], int] = {
            self._kill: 6,
            self._delete: 3,
            self._remove_object: 2,
            self._lose_volume: 2,
            self._cut_off: 3,
            self._freeze: 2,
            self._hide: 3,
            self._fail_probe: 2,
            self._delay: 3,
            self._stale_caches: 4,
            self._lose_quorum: 1,
            user.configure: 4,
            user.create_collection: 4,
            user.scale: 5,
            user.change_factor: 4,
            user.change_mode: 2,
            self._pause: 1,
            rare.delete_cluster: 1,
            rare.spoil_shard: 2,
            rare.arm_removal: 2,
            rare.start_alone: 1,
            world.slow_kubernetes: 2,
            rare.delay_creation: 2,
        }
        self._kinds = {kind: weight * self._random.choice(SWARM) for kind, weight in kinds.items()}
        """Each seed has its own favourites: faults that seldom meet do so in some seeds."""

    def inject(self) -> None:
        """One fault, or one edit."""
        kinds, weights = list(self._kinds), list(self._kinds.values())
        if any(weights):
            self._random.choices(kinds, weights)[0]()

    def end(self) -> None:
        """What was broken for a while works again, and the user says what they want."""
        self._log.add("trouble ends")
        self._conditions.clear()
        self._node.failing.clear()
        self._rare.end()
        self._peers.recover()
        self._user.pause(paused=False)
        if self._random.random() < 0.8:
            self._user.set_mode("Auto")
        for peer in sorted(self._losses.lost):
            if self._random.random() < 0.7:
                self._user.consent(peer)

    # -- pods and volumes ---------------------------------------------------------------------------------

    def _pod(self) -> str:
        pods = [pod["metadata"]["name"] for pod in self._server.all(Kind.POD, NAMESPACE)]
        return self._random.choice(pods) if pods else f"{CLUSTER}-0"

    def _kill(self) -> None:
        pod, rest = self._pod(), self._random.choice((1.0, 1.0, 15.0))
        self._log.add(f"kill {pod}, back in {rest:g} s")
        self._node.kill(pod, rest)

    def _delete(self) -> None:
        pod = self._pod()
        self._log.add(f"somebody deletes {pod}")
        if self._server.get(Kind.POD, NAMESPACE, pod) is not None:
            self._server.delete(Kind.POD, NAMESPACE, pod)

    def _remove_object(self) -> None:
        name = self._random.choice([CLUSTER, f"{CLUSTER}-peers", f"{CLUSTER}-config"])
        kind = Kind.CONFIG_MAP if name.endswith("config") else Kind.SERVICE
        self._log.add(f"somebody deletes {kind.kind} {name}")
        if self._server.get(kind, NAMESPACE, name) is not None:
            self._server.delete(kind, NAMESPACE, name)

    def _lose_volume(self) -> None:
        """Before the first peer has formed the cluster, any number of times; afterwards one volume of several.

        Between the two the first peer is the only voter: losing it loses the cluster, and only a user may start again.
        """
        found = self._server.get(Kind.CLUSTER, NAMESPACE, CLUSTER) or {}
        phase = ((found.get("status") or {}).get("bootstrap") or {}).get("phase", "Started")
        state = self._cluster.state()
        if phase == "Started" and self._cluster.group() is None:
            self._log.add(f"the volume of {CLUSTER}-0 is lost")
            self._node.lose_volume(f"{CLUSTER}-0")
        elif phase == "Complete" and not self._losses.lost and state is not None and len(state.voters) >= 3:
            self._losses.lose_peer(self._pod())

    def _lose_quorum(self) -> None:
        pods = [pod["metadata"]["name"] for pod in self._server.all(Kind.POD, NAMESPACE)]
        self._random.shuffle(pods)
        for pod in pods[: len(pods) // 2 + 1]:
            self._log.add(f"kill {pod}, back in 20 s")
            self._node.kill(pod, 20.0)

    def _fail_probe(self) -> None:
        pod, failing = self._pod(), self._node.failing
        self._log.add(f"the probe of {pod} fails for 20 s")
        failing.add(pod)
        self._scheduler.after(20.0, lambda: failing.discard(pod))

    # -- the network --------------------------------------------------------------------------------------

    def _address(self) -> str:
        addresses = sorted(self._peers.addresses())
        return self._random.choice(addresses) if addresses else ""

    def _for_a_while(self, what: str, begin: Callable[[str], None], end: Callable[[str], None]) -> None:
        address, seconds = self._address(), self._random.uniform(3.0, 20.0)
        self._log.add(f"{what} {address} for {seconds:.1f} s")
        begin(address)
        self._scheduler.after(seconds, lambda: end(address))

    def _cut_off(self) -> None:
        others = set(self._peers.addresses())
        self._for_a_while(
            "the others cannot reach",
            lambda address: self._peers.cut_off(address, others),
            lambda _: self._peers.heal(),
        )

    def _freeze(self) -> None:
        self._for_a_while("frozen:", self._peers.freeze, self._peers.resume)

    def _hide(self) -> None:
        unreachable = self._conditions.unreachable
        self._for_a_while("the operator cannot reach", unreachable.add, unreachable.discard)

    def _delay(self) -> None:
        seconds = self._random.choice(DELAYS)
        self._for_a_while(
            f"{seconds:g} s late to hear:",
            lambda address: self._peers.delay(address, seconds),
            self._peers.end_delay,
        )
        if seconds == max(DELAYS):  # views differ for long: it matters when replicas come or go meanwhile
            self._user.reacts(5.0, self._user.change_factor)

    def _stale_caches(self) -> None:
        operator = self._operators.living
        if operator is None:
            return
        seconds = self._random.uniform(0.5, 2.5)
        self._log.add(f"the operator's watches lag for {seconds:.1f} s")
        operator.kubernetes.lag()
        self._scheduler.after(seconds, operator.kubernetes.catch_up)

    def _pause(self) -> None:
        self._user.pause(paused=True)
        self._scheduler.after(10.0, lambda: self._user.pause(paused=False))

"""A simulation without faults but those that a test injects: the real loops, peers in memory, virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.qdrant_sim.core.choices import Choices
from sandbox.simulation.clients.user import User
from sandbox.simulation.director import Director
from sandbox.simulation.isolation import isolated
from sandbox.simulation.world.clock import run
from sandbox.simulation.world.names import CLUSTER, NAMESPACE
from sandbox.simulation.world.simulated import SimulatedWorld

SEED = 11


class CalmUser(User):
    """Asks for what a test asks for."""

    def __init__(self, world: SimulatedWorld, replicas: int) -> None:
        """A cluster of so many peers will be created."""
        super().__init__(world)
        self._replicas = replicas

    def create_cluster(self, replicas: int) -> None:
        """With the number of the test, not the random one."""
        del replicas
        super().create_cluster(self._replicas)

    def declare(self, name: str, shards: int, factor: int) -> None:
        """A QdrantCollection."""
        spec = {"clusterRef": {"name": CLUSTER}, "vectors": {"size": 2, "distance": "Dot"}}
        self._remember(f"factor {name}", factor)
        self._server.create(
            {
                "apiVersion": Kind.COLLECTION.api_version,
                "kind": Kind.COLLECTION.kind,
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {**spec, "shardNumber": shards, "replicationFactor": factor},
            },
            "user",
        )

    def scale_to(self, replicas: int) -> None:
        """Another number of peers."""
        self._remember("replicas", replicas)
        self.edit({"replicas": replicas})

    def allow_replacement(self, peer: int) -> None:
        """By now the spec allows that this peer is replaced, without naming it."""
        self._consents.add(peer)


class Calm(Director):
    """A simulation that follows a script; the laws are checked all the while."""

    user: CalmUser

    def __init__(self, script: Callable[[Calm], Awaitable[None]], replicas: int) -> None:
        """Nothing runs yet."""
        super().__init__(SEED, partial(CalmUser, replicas=replicas))
        self._script = script
        self.server, self.node, self.clock = self.world.server, self.world.node, self.world.clock
        self.peers, self.cluster = self.world.peers, self.world.cluster
        self.world.conditions.clear()

    async def _run(self) -> bool:
        """No faults, and nothing to settle afterwards: the script says what must be true."""
        await self._script(self)
        return False

    def choose_with(self, choices: Choices) -> None:
        """From now on this decides what Qdrant leaves to chance."""
        self.peers.universe.choices = choices

    async def until(self, seconds: float) -> None:
        """Let time pass until this moment (seconds since midnight, UTC, when the simulation began)."""
        await self.laws.watch(seconds - self.clock.seconds())
        self.laws.check_points()
        assert self.violations.found == [], "\n".join(self.events[-40:])

    async def eventually(self, true: Callable[[], bool], seconds: float = 120.0) -> None:
        """Let time pass until something is true."""
        end = self.clock.seconds() + seconds
        while not true():
            assert self.clock.seconds() < end, f"not within {seconds} s; status: {self.status}"
            await self.until(self.clock.seconds() + 1.0)

    @property
    def status(self) -> Manifest:
        """Status of the QdrantCluster."""
        found = self.server.get(Kind.CLUSTER, NAMESPACE, CLUSTER)
        assert found is not None
        status: Manifest = found.get("status") or {}
        return status

    def waits(self, guard: str) -> list[str]:
        """Steps that this guard holds back, as status says."""
        return [wait["step"] for wait in self.status.get("blocked") or () if wait["guard"] == guard]

    def holders(self, name: str = "docs") -> dict[int, set[int]]:
        """Shard → peers with an Active replica, as consensus has it."""
        state = self.cluster.state()
        if state is None or name not in state.collections:
            return {}
        return {number: set(shard.active()) for number, shard in state.collections[name].shards.items()}

    def peer_ids(self) -> set[int]:
        """Peers in consensus."""
        state = self.cluster.state()
        return set(state.peers) if state else set()

    def imbalance(self) -> int:
        """Largest difference between the replicas of two peers."""
        counts = [sum(peer in held for held in self.holders().values()) for peer in self.peer_ids()]
        return max(counts) - min(counts)

    def is_at_factor(self, factor: int) -> bool:
        """Every shard has exactly so many Active replicas."""
        held = self.holders()
        return bool(held) and {len(peers) for peers in held.values()} == {factor}


def play(script: Callable[[Calm], Awaitable[None]], *, replicas: int = 3) -> None:
    """Form a cluster and go through a script."""
    with isolated(SEED):
        run(Calm(script, replicas).live())

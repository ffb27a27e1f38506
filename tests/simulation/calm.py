"""A story without faults but those that a test makes: the real loops, peers in memory, virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.simulation.faults.isolation import isolated
from sandbox.simulation.story import Story
from sandbox.simulation.world.clock import run
from sandbox.simulation.world.user import CLUSTER, NAMESPACE, User

SEED = 11


class CalmUser(User):
    """Asks for what a test asks for."""

    def __init__(self, story: Story, replicas: int) -> None:
        """A cluster of so many peers will be created."""
        super().__init__(story)
        self._replicas = replicas

    def create_cluster(self, replicas: int) -> None:
        """Not of the number that the story has drawn."""
        del replicas
        super().create_cluster(self._replicas)

    def declare(self, name: str, shards: int, factor: int) -> None:
        """A QdrantCollection."""
        spec = {"clusterRef": {"name": CLUSTER}, "vectors": {"size": 2, "distance": "Dot"}}
        self._remember(f"factor {name}", factor)
        self._story.server.create(
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

    def lets_go(self, peer: int) -> None:
        """By now the spec lets this peer be replaced, without naming it: the laws allow it."""
        self._consents.add(peer)


class Calm(Story):
    """A story that follows a script; the laws are watched all the while."""

    user: CalmUser

    def __init__(self, script: Callable[[Calm], Awaitable[None]], replicas: int) -> None:
        """Nothing runs yet."""
        super().__init__(SEED)
        self.user, self.trouble, self._script = CalmUser(self, replicas), False, script
        self.weather.clear()

    async def _make_trouble(self) -> bool:
        """No trouble, and nothing to settle afterwards: the script says what must be."""
        await self._script(self)
        return False

    async def until(self, seconds: float) -> None:
        """Let the story go on until this moment (seconds since midnight, UTC, when it began)."""
        await self.look_on(seconds - self.clock.seconds())
        self.laws.check_points()
        assert self.laws.broken == [], "\n".join(self.told[-40:])

    async def eventually(self, true: Callable[[], bool], seconds: float = 120.0) -> None:
        """Let it go on until something is true."""
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
        state = self.laws.facts.state()
        if state is None or name not in state.collections:
            return {}
        return {number: set(shard.active()) for number, shard in state.collections[name].shards.items()}

    def members(self) -> set[int]:
        """Peers in consensus."""
        state = self.laws.facts.state()
        return set(state.peers) if state else set()

    def imbalance(self) -> int:
        """Largest difference between the replicas of two members."""
        counts = [sum(peer in held for held in self.holders().values()) for peer in self.members()]
        return max(counts) - min(counts)

    def is_at_factor(self, factor: int) -> bool:
        """Every shard has exactly so many Active replicas."""
        held = self.holders()
        return bool(held) and {len(peers) for peers in held.values()} == {factor}


def play(script: Callable[[Calm], Awaitable[None]], *, replicas: int = 3) -> None:
    """Form a cluster and go through a script."""
    with isolated(SEED):
        run(Calm(script, replicas).live())

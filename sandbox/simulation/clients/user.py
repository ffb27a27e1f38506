"""The user: writes the objects, and edits them at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.simulation.world.names import CLUSTER, NAMESPACE
from sandbox.simulation.world.simulated import SimulatedWorld

MODES = ("Auto", "Auto", "DrainOnly", "Manual")


class User:
    """Remembers what was asked for, and when."""

    def __init__(self, world: SimulatedWorld) -> None:
        """Nothing has been asked for."""
        self._server, self._clock, self._random = world.server, world.clock, world.random
        self._log, self._scheduler, self._conditions = world.log, world.scheduler, world.conditions
        self._asked: dict[str, list[tuple[float, Any]]] = {}
        self._consents: set[int] = set()

    # -- the objects --------------------------------------------------------------------------------------

    def create_cluster(self, replicas: int) -> None:
        """The QdrantCluster."""
        spec: Manifest = {"version": "v1.19.0", "replicas": replicas}
        if self._random.random() < 0.2:
            spec["persistence"] = {"whenScaled": "Retain"}
        self._remember("replicas", replicas)
        self._remember("mode", "Auto")
        self._server.create(_manifest(Kind.CLUSTER, CLUSTER, spec), "user")

    def create_collection(self) -> None:
        """One more QdrantCollection, at most three."""
        taken = len(self._server.all(Kind.COLLECTION))
        if taken >= 3:
            return
        random, name = self._random, f"docs{taken}"
        factor = random.choice((1, 2, 2, 3))
        spec = {
            "clusterRef": {"name": CLUSTER},
            "vectors": {"size": 2, "distance": "Dot"},
            "shardNumber": random.randint(1, 6),
            "replicationFactor": factor,
        }
        self._remember(f"factor {name}", factor)
        self._log.add(f"user: {name} {spec}")
        self._server.create(_manifest(Kind.COLLECTION, name, spec), "user")

    def scale(self) -> None:
        """Another number of peers."""
        replicas = self._random.randint(1, 5)
        if self.edit({"replicas": replicas}):
            self._remember("replicas", replicas)

    def scale_in(self) -> None:
        """One peer fewer than was asked for last."""
        replicas = self.least_replicas(0.0) - 1
        if replicas and self._conditions.faults_active and self.edit({"replicas": replicas}):
            self._remember("replicas", replicas)

    def change_factor(self) -> None:
        """Another replication factor of a collection."""
        found = self._server.all(Kind.COLLECTION)
        if found:
            name = self._random.choice(found)["metadata"]["name"]
            self.set_factor(name, self._random.choice((1, 2, 2, 3)))

    def set_factor(self, name: str, factor: int) -> None:
        """This replication factor for a collection."""
        self._remember(f"factor {name}", factor)
        self._log.add(f"user: {name} replicationFactor {factor}")
        self._patch(Kind.COLLECTION, name, {"replicationFactor": factor})

    def change_mode(self) -> None:
        """How much the operator may move."""
        self.set_mode(self._random.choice(MODES))

    def set_mode(self, mode: str) -> None:
        """spec.shards.placement."""
        if self.edit({"shards": {"placement": mode}}):
            self._remember("mode", mode)

    def pause(self, *, paused: bool) -> None:
        """Hands off, or on again."""
        self.edit({"paused": paused})

    def configure(self) -> None:
        """A change that restarts every peer."""
        self.edit({"config": {"log_level": self._random.choice(["DEBUG", "INFO", "WARN"])}})

    def reacts(self, most: float, *edits: Callable[[], None]) -> None:
        """Make one of these edits within so many seconds, if there is trouble still."""
        edit = self._random.choice(edits)
        self._scheduler.within(most, lambda: edit() if self._conditions.faults_active else None)

    def consent(self, peer: int) -> None:
        """A peer whose volume is lost may be replaced."""
        self._consents.add(peer)
        self.edit({"shards": {"replaceLostPeers": sorted(self._consents)}})

    def edit(self, change: Manifest) -> bool:
        """Change the QdrantCluster's spec; whether there is one."""
        self._log.add(f"user: edits {change}")
        if "paused" in change:
            self._remember("paused", change["paused"])
        return self._patch(Kind.CLUSTER, CLUSTER, change)

    def _patch(self, kind: Kind, name: str, change: Manifest) -> bool:
        try:
            self._server.patch(kind, NAMESPACE, name, {"spec": change}, "user")
        except (Refused, Retryable) as error:
            self._log.add(f"user: refused: {error}")
            return False
        return True

    # -- what was asked for -------------------------------------------------------------------------------

    def consented(self, peer: int) -> bool:
        """Whether this peer may be replaced."""
        return peer in self._consents

    def mode_for(self, seconds: float) -> str:
        """The placement mode that has held for so long; Auto when it changed meanwhile."""
        modes = set(self._lately("mode", seconds))
        return modes.pop() if len(modes) == 1 else "Auto"

    def was_paused(self, seconds: float) -> bool:
        """Whether the cluster was paused at any moment of late: the operator only observed."""
        return any(self._lately("paused", seconds))

    def factors(self, name: str, seconds: float) -> list[int]:
        """The replication factors that were asked for lately."""
        return [int(factor) for factor in self._lately(f"factor {name}", seconds)]

    def least_replicas(self, seconds: float) -> int:
        """The least number of peers that was asked for lately."""
        return min(map(int, self._lately("replicas", seconds)))

    def most_replicas(self, seconds: float) -> int:
        """The greatest number of peers that was asked for lately."""
        return max(map(int, self._lately("replicas", seconds)))

    def _remember(self, what: str, value: Any) -> None:
        now = self._clock.seconds()
        self._asked.setdefault(what, []).append((now, value))

    def _lately(self, what: str, seconds: float) -> list[Any]:
        """What held at any moment of the last seconds, the value in force at their beginning included."""
        asked, since = self._asked.get(what, []), self._clock.seconds() - seconds
        later = [value for when, value in asked if when > since]
        before = [value for when, value in asked if when <= since]
        return [*before[-1:], *later]


def _manifest(kind: Kind, name: str, spec: Manifest) -> Manifest:
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": spec}

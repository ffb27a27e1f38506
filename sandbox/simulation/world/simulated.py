"""The world of one seed: what every fault, law, user and operator of a simulation works on."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sandbox.fakes.apiserver import FakeApiServer
from sandbox.simulation.kubernetes.node import VirtualNode
from sandbox.simulation.world.clock import VirtualClock
from sandbox.simulation.world.cluster_view import ClusterView
from sandbox.simulation.world.conditions import Conditions
from sandbox.simulation.world.event_log import EventLog
from sandbox.simulation.world.names import CLUSTER, NAMESPACE
from sandbox.simulation.world.network import VirtualUniverse
from sandbox.simulation.world.scheduler import Scheduler

SLOW_SECONDS = 15.0
"""Seconds for which Kubernetes answers late."""


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedWorld:
    """Time, chance, Kubernetes and the peers of one simulation. Nothing in it decides what happens next."""

    seed: int
    random: Random
    """The dice of this seed. Rolling them in another order gives another run."""
    clock: VirtualClock
    log: EventLog
    scheduler: Scheduler
    conditions: Conditions
    server: FakeApiServer
    peers: VirtualUniverse
    node: VirtualNode
    cluster: ClusterView

    @classmethod
    def of(cls, seed: int) -> SimulatedWorld:
        """A world in which nothing runs yet."""
        random, clock = Random(seed), VirtualClock()
        server, peers = FakeApiServer(clock.now), VirtualUniverse(Random(seed + 1))
        node = VirtualNode(server, peers, NAMESPACE, CLUSTER, random)
        return cls(
            seed=seed,
            random=random,
            clock=clock,
            log=EventLog(clock),
            scheduler=Scheduler(random),
            conditions=Conditions(),
            server=server,
            peers=peers,
            node=node,
            cluster=ClusterView(node),
        )

    def slow_kubernetes(self) -> None:
        """Answers from Kubernetes come seconds late for a while."""
        self.log.add(f"Kubernetes answers late for {SLOW_SECONDS:g} s")
        self.conditions.slow_kubernetes = True
        self.scheduler.after(SLOW_SECONDS, self._end_slowness)

    def _end_slowness(self) -> None:
        self.conditions.slow_kubernetes = False

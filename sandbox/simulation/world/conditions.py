"""What is wrong for a while with the network, with Kubernetes and with the operators; faults change it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.simulation.world.network import Weather


@dataclass(slots=True)
class Conditions:
    """The state of the surroundings now."""

    faults_active: bool = True
    """Whether faults still happen; False while the cluster has to settle."""
    weather: Weather = field(default_factory=Weather)
    """The network between the operator and the peers."""
    slow_kubernetes: bool = False
    """Whether answers from Kubernetes come seconds late."""
    absent_until: float = 0.0
    """Virtual second before which no operator starts."""
    unreachable: set[str] = field(default_factory=set)
    """Addresses of peers that the operator cannot reach."""

    def clear(self) -> None:
        """No more faults: the network, the peers and Kubernetes answer again."""
        self.faults_active = False
        self.weather.clear()
        self.unreachable.clear()
        self.slow_kubernetes = False

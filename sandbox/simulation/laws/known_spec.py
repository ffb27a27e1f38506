"""What the spec has said for long enough that the operator must know it."""

from __future__ import annotations

from sandbox.qdrant_sim.core.consensus.state import State
from sandbox.simulation.clients.user import User
from sandbox.simulation.kubernetes.node import VirtualNode
from sandbox.simulation.laws.facts import NOTICED, Facts


class KnownSpec:
    """The spec as laws read it: the operator need not know yet what has just changed."""

    def __init__(self, node: VirtualNode, user: User, facts: Facts) -> None:
        """The spec is what this user has written."""
        self._node, self._user, self._facts = node, user, facts

    def replicas_of(self, name: str, state: State) -> int:
        """Replicas that must stay; a factor that the peers cannot hold is refused, and the old one counts."""
        peers = self._user.least_replicas(20.0)
        known = int(state.collections[name].params["replication_factor"])
        asked = self._user.factors(name, 20.0)
        return min((factor if factor <= peers else min(factor, known) for factor in asked), default=1)

    def is_wanted(self, claim: str) -> bool:
        """Whether the pod of a claim, or a pod by its own name, is within what was asked for."""
        return int(claim.rsplit("-", 1)[1]) < self._user.least_replicas(NOTICED)

    def is_manual(self) -> bool:
        """Whether placement is Manual, for long enough that it must be known."""
        return self._user.mode_for(NOTICED) == "Manual"

    def has_room(self) -> bool:
        """Whether fewer peers could hold every replica at every recent moment: else no peer has to be removed."""
        factors = [int(fact[2]) for fact in self._facts.lately("factor")]
        return max(factors, default=1) <= self._user.least_replicas(NOTICED)

    def has_no_room(self) -> bool:
        """Whether fewer peers could not hold every replica, for long enough that it must be known."""
        factors = [int(fact[2]) for fact in self._facts.old("factor")]
        return max(factors, default=1) > self._user.most_replicas(NOTICED)

    def is_unwanted(self, peer: int) -> bool:
        """Whether a peer's pod is beyond all that was asked for."""
        pods = {disk.peer: name for name, disk in self._node.living_disks().items()}
        ordinal = int(pods[peer].rsplit("-", 1)[1]) if peer in pods else 0
        return ordinal >= self._user.most_replicas(NOTICED)

"""In some seeds a volume is lost before the cluster is complete: while it forms, is adopted, or removes a peer."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.simulation.clients.user import User
from sandbox.simulation.faults.losses import Losses
from sandbox.simulation.world.names import CLUSTER, NAMESPACE
from sandbox.simulation.world.simulated import SimulatedWorld

EVERY, WHICH = 19, 5
"""One in so many seeds has such a loss: of the seeds that notice a missing guard none has this remainder."""
PHASES = ("Started", "Formed", "Formed", "Adopted", "Adopted", "Removing", "Removed")
"""What status says when it happens: of the bootstrap, or of the peer that leaves."""
AFTER = (0.0, 0.0, 0.2, 0.5, 1.0, 2.0)
"""Seconds from there to the loss."""


class EarlyLosses:
    """One volume, in one phase."""

    def __init__(
        self, world: SimulatedWorld, user: User, losses: Losses, delete_cluster: Callable[[], None]
    ) -> None:
        """The dice are its own, so that other seeds stay as they are."""
        self.active, self._random = world.seed % EVERY == WHICH, Random(world.seed + 5)
        self._server, self._node, self._cluster = world.server, world.node, world.cluster
        self._log, self._scheduler, self._conditions = world.log, world.scheduler, world.conditions
        self._user, self._losses, self._delete_cluster = user, losses, delete_cluster
        self._phase = self._random.choice(PHASES)
        self._armed = self.active

    def begin(self) -> None:
        """The user does what leads to the phase."""
        if not self.active:
            return
        if self._phase == "Adopted":
            for _ in range(4):
                self._scheduler.after(self._random.uniform(10.0, 50.0), self._delete_cluster)
        if self._phase.startswith("Remov"):
            for _ in range(3):
                self._scheduler.after(self._random.uniform(10.0, 50.0), self._user.scale_in)

    def on_change(self, kind: Kind, _event: str, manifest: Manifest) -> None:
        """Whether the phase has come."""
        if not self._armed or kind is not Kind.CLUSTER or not self._conditions.faults_active:
            return
        status = manifest.get("status") or {}
        said = {(status.get("bootstrap") or {}).get("phase"), (status.get("leaving") or {}).get("phase")}
        if self._phase in said:
            self._armed = False
            self._scheduler.after(self._random.choice(AFTER), self._lose)

    def _lose(self) -> None:
        """The volume of some pod; not one without which the others are no majority: that is tried once more."""
        pods = [pod["metadata"]["name"] for pod in self._server.all(Kind.POD, NAMESPACE)]
        if not self._conditions.faults_active or self._losses.lost:
            return
        pod = self._random.choice(pods) if pods else ""
        if pod and self._is_lost(pod):
            self._log.add(f"the volume of {pod} is lost in phase {self._phase}")
        else:
            self._armed = True

    def _is_lost(self, pod: str) -> bool:
        """Take a volume that no member needs: of a peer that has not joined, or of one of several."""
        state, disk = self._cluster.state(), self._node.disk_of(pod)
        if disk is not None and state is not None and disk.peer in state.peers:
            return self._losses.lose_peer(pod)
        if disk is None or (state is None and pod != f"{CLUSTER}-0"):
            return False
        self._node.lose_volume(pod)
        return True

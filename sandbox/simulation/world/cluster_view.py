"""The Qdrant cluster as it is, seen from outside: no peer and no operator has this view."""

from __future__ import annotations

from sandbox.qdrant_sim.core.consensus.raft import Group
from sandbox.qdrant_sim.core.consensus.state import State
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.qdrant_sim.core.peer import Peer
from sandbox.simulation.kubernetes.node import VirtualNode


class ClusterView:
    """Reads the volumes and processes of a node."""

    def __init__(self, node: VirtualNode) -> None:
        """`node` runs every peer of the cluster."""
        self._node = node

    def group(self) -> Group[Peer] | None:
        """The consensus group; None before the first peer has formed it."""
        disks = self._node.living_disks().values()
        return next((disk.group for disk in disks if disk.group is not None), None)

    def leader(self) -> Peer | None:
        """The leader's process."""
        group = self.group()
        return group.leader() if group else None

    def state(self) -> State | None:
        """What consensus says now: the state of the peer that has applied most entries."""
        disks = [
            disk
            for disk in self._node.living_disks().values()
            if disk.group and not disk.removed and not disk.behind
        ]
        best: Disk | None = max(disks, key=lambda disk: (disk.applied, disk.term), default=None)
        return best.state if best else None

    def running(self) -> dict[int, Peer]:
        """Processes that answer, by the id of their peer."""
        group = self.group()
        live = group.live if group else {}
        return {peer: process for peer, process in live.items() if process.running and not process.paused}

"""Volumes that are lost after the cluster has formed: as many as Qdrant can survive."""

from __future__ import annotations

from sandbox.simulation.clients.writer import Writer
from sandbox.simulation.world.simulated import SimulatedWorld


class Losses:
    """Takes volumes of peers, and keeps count of them."""

    def __init__(self, world: SimulatedWorld, writer: Writer) -> None:
        """No volume is lost; the writer learns which of its points are gone."""
        self._node, self._cluster, self._log = world.node, world.cluster, world.log
        self._writer = writer
        self.lost: set[int] = set()
        """Peers whose volume was lost."""

    def can_spare(self, peer: int) -> bool:
        """Whether a majority has its volumes without this peer: else no software can repair the cluster."""
        state = self._cluster.state()
        disks = self._node.living_disks().values()
        living = {disk.peer for disk in disks if not (disk.removed or disk.behind)}
        return state is not None and len(state.voters & living - {peer}) * 2 > len(state.peers)

    def lose_peer(self, pod: str) -> bool:
        """Take the volume of a pod whose peer can be spared; whether it was taken."""
        disk = self._node.disk_of(pod)
        if disk is None or disk.group is None or disk.removed or not self.can_spare(disk.peer):
            return False
        self._log.add(f"the volume of {pod} is lost, peer {disk.peer}")
        self.lost.add(disk.peer)
        self._writer.losses.append(pod)
        self._node.lose_volume(pod)
        state = self._cluster.state()
        gone = self._writer.forget_lost(state) if state else 0
        self._log.add(f"{gone} points had no other copy")
        return True

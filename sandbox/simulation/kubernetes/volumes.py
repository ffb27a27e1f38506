"""Volumes of the simulated peers, and which of them belong to a cluster that a user has started by mistake."""

from __future__ import annotations

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.apiserver import FakeApiServer
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.simulation.world.names import claim_of, pod_of


class Volumes:
    """One disk for each claim."""

    def __init__(self, server: FakeApiServer, namespace: str) -> None:
        """There is none."""
        self._server, self._namespace = server, namespace
        self._disks: dict[str, Disk] = {}
        """By the uid of their claim."""
        self._foreign: list[Disk] = []
        """Disks on which a cluster of its own was formed."""

    def of(self, pod: str) -> Disk | None:
        """The volume of a pod; None without a claim, or before its first start."""
        claim = self._claim(pod)
        return self._disks.get(claim["metadata"]["uid"]) if claim else None

    def provision(self, pod: str) -> Disk | None:
        """The volume of a pod, an empty one at its first start; None without a claim."""
        claim = self._claim(pod)
        return self._disks.setdefault(claim["metadata"]["uid"], Disk()) if claim else None

    def wipe(self, pod: str) -> None:
        """The disk is empty from now on, under the same claim."""
        claim = self._claim(pod)
        if claim is not None:
            self._disks[claim["metadata"]["uid"]] = Disk()

    def living(self) -> dict[str, Disk]:
        """Volumes that exist, by the name of their claim; not those of a foreign cluster."""
        return {claim: disk for claim, disk in self._existing().items() if not self._is_foreign(disk)}

    def foreign_pods(self) -> list[str]:
        """Pods that are in a cluster of their own."""
        existing = self._existing() if self._foreign else {}
        return [pod_of(claim) for claim, disk in existing.items() if self._is_foreign(disk)]

    def mark_foreign(self, disk: Disk) -> None:
        """A cluster of its own is about to be formed on this disk."""
        self._foreign.append(disk)

    def unmark_foreign(self, disk: Disk) -> None:
        """The process was killed before it had formed a cluster of its own."""
        self._foreign = [foreign for foreign in self._foreign if foreign is not disk]

    def _claim(self, pod: str) -> Manifest | None:
        return self._server.get(Kind.CLAIM, self._namespace, claim_of(pod))

    def _existing(self) -> dict[str, Disk]:
        found = {}
        for claim in self._server.all(Kind.CLAIM, self._namespace):
            disk = self._disks.get(claim["metadata"]["uid"])
            if disk is not None:
                found[claim["metadata"]["name"]] = disk
        return found

    def _is_foreign(self, disk: Disk) -> bool:
        return any(
            disk is foreign or (disk.group and disk.group is foreign.group) for foreign in self._foreign
        )

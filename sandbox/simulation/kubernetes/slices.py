"""The endpoints of the client Service, as late as Kubernetes' controller keeps them."""

from __future__ import annotations

from random import Random

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.apiserver import FakeApiServer
from sandbox.fakes.statefulset import is_ready


class Slices:
    """Keeps one EndpointSlice of the cluster's ready and serving pods."""

    def __init__(self, server: FakeApiServer, namespace: str, cluster: str, random: Random) -> None:
        """Nothing is listed yet."""
        self._server, self._namespace, self._cluster, self._random = server, namespace, cluster, random
        self.listed: frozenset[str] = frozenset()
        """Addresses in the slice."""
        self._due: float | None = None

    def sync(self, now: float) -> None:
        """Write the slice when its time has come."""
        wanted = frozenset(pod["status"]["podIP"] for pod in self._pods())
        if wanted == self.listed:
            self._due = None
        elif self._due is None:
            self._due = now + self._random.choice((0.0, 0.5, 2.0))
        if self._due is not None and now >= self._due:
            self._due, self.listed = None, wanted
            self._write()

    def _pods(self) -> list[Manifest]:
        pods = self._server.all(Kind.POD, self._namespace)
        return [
            pod
            for pod in pods
            if is_ready(pod)
            and "deletionTimestamp" not in pod["metadata"]
            and (pod["metadata"].get("labels") or {}).get(names.LABEL_SERVING) == "true"
        ]

    def _write(self) -> None:
        name = f"{self._cluster}-slice"
        endpoints = [{"addresses": [address]} for address in sorted(self.listed)]
        if self._server.get(Kind.ENDPOINT_SLICE, self._namespace, name) is None:
            self._server.create(self._manifest(name, endpoints), "endpointslice-controller")
        else:
            body = {"endpoints": endpoints}
            self._server.patch(Kind.ENDPOINT_SLICE, self._namespace, name, body, "endpointslice-controller")

    def _manifest(self, name: str, endpoints: list[Manifest]) -> Manifest:
        labels = {"kubernetes.io/service-name": self._cluster}
        meta = {"name": name, "namespace": self._namespace, "labels": labels}
        kind = Kind.ENDPOINT_SLICE
        return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "endpoints": endpoints}

"""What the start script of a pod decides: whether its peer may form a cluster, and which peer it asks to join."""

from __future__ import annotations

from urllib.parse import urlsplit

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.apiserver import FakeApiServer
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.qdrant_sim.core.settings import Settings
from sandbox.simulation.kubernetes.releases import release_of
from sandbox.simulation.kubernetes.volumes import Volumes

NO_CONFIG: Manifest = {"members": "", "nobody": "http://nobody:6335", "first-pod": ""}
"""What the script reads where the ConfigMap does not exist."""


class StartScript:
    """The scripts of all pods, their counters of attempts included."""

    def __init__(self, server: FakeApiServer, namespace: str, cluster: str, volumes: Volumes) -> None:
        """No pod has started."""
        self._server, self._namespace, self._cluster, self._volumes = server, namespace, cluster, volumes
        self.alone = ""
        """Pod that a user lets form a cluster of its own, once."""
        self._attempts: dict[str, int] = {}
        """Starts of each pod, by its uid."""
        self._came_up: set[str] = set()
        """Uids of pods of which a container was ready once."""

    def came_up(self, pod: Manifest) -> None:
        """A container of the pod is ready."""
        self._came_up.add(pod["metadata"]["uid"])

    def settings(self, pod: Manifest, disk: Disk) -> Settings:
        """The settings with which the script starts Qdrant."""
        name, version = pod["metadata"]["name"], release_of(pod).removeprefix("v")
        environment = {e["name"]: e.get("value", "") for e in pod["spec"]["containers"][0]["env"]}
        uri = environment["QDRANT_PEER_URI"].replace("$(POD_NAME)", name)
        if self.alone == name and disk.fresh:
            self.alone = ""
            self._volumes.mark_foreign(disk)
            return Settings(uri=uri, clustered=True, version=version)
        if disk.fresh:
            self._volumes.unmark_foreign(disk)
        config = self._config()
        permitted = environment["QDRANT_FIRST_POD"] == name == config["first-pod"].strip()
        if permitted and not self._forbids_alone(pod):
            return Settings(uri=uri, clustered=True, version=version)
        target = self._next_peer(pod, uri, config)
        return Settings(uri=uri, bootstrap=target, clustered=True, version=version)

    def _config(self) -> Manifest:
        found = self._server.get(Kind.CONFIG_MAP, self._namespace, f"{self._cluster}-config")
        return (found or {}).get("data") or NO_CONFIG

    def _next_peer(self, pod: Manifest, uri: str, config: Manifest) -> str:
        """The peer to ask at this attempt: each of the others in turn.

        A peer in a cluster of its own admits none; that nothing grows beside it is a law of its own.
        """
        foreign, uid = self._volumes.foreign_pods(), pod["metadata"]["uid"]
        known = [peer for peer in config["members"].split() if peer != uri]
        others = [peer for peer in known if _pod_in(peer) not in foreign]
        attempt = self._attempts[uid] = self._attempts.get(uid, -1) + 1
        return str(others[attempt % len(others)] if others else config["nobody"].strip())

    def _forbids_alone(self, pod: Manifest) -> bool:
        """A container of this pod came up before, or other pods have addresses."""
        pods = self._server.all(Kind.POD, self._namespace)
        others = [other for other in pods if other["metadata"]["uid"] != pod["metadata"]["uid"]]
        listed = any((other.get("status") or {}).get("podIP") for other in others)
        return listed or pod["metadata"]["uid"] in self._came_up


def _pod_in(uri: str) -> str:
    """The pod that a peer's URI names."""
    return (urlsplit(uri).hostname or "").split(".")[0]

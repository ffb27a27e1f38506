"""Backups as a test sees them: a namespace with a cluster and a bucket, and a server into which they are restored."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdrant_operator.domain.backup.manifest import BackupManifest, load_manifest
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.cluster import Sandbox
from sandbox.handle import NodeHandle
from sandbox.kubectl import kubectl
from sandbox.s3 import ObjectStore
from tests.integration.support import manifests
from tests.integration.support.kube import Kube, eventually
from tests.integration.support.peers import Peers

ENDED = ("Verified", "Failed")
ALL_IDS = 2000
"""Points that are asked for in one request."""


@dataclass
class Home:
    """A namespace with a cluster of three peers, a collection with points, and a bucket of its name."""

    kube: Kube
    name: str
    s3: ObjectStore
    node: NodeHandle
    kubeconfig: Path

    @property
    def peers(self) -> Peers:
        """The cluster's peers."""
        return Peers(self.kube, self.name)

    def spec(self, **more: Any) -> Manifest:
        """What every snapshot here says."""
        access = {"secretRef": {"name": "s3"}}
        s3 = {"bucket": self.name, "endpoint": self.s3.endpoint, "credentials": access}
        return {"clusterRef": {"name": "vectors"}, "storage": {"s3": s3}, **more}

    def take(self, name: str, **more: Any) -> Manifest:
        """A snapshot, when it is good."""
        self.begin(name, **more)
        return self.kube.wait_ready(Kind.SNAPSHOT, self.name, name, 90)

    def begin(self, name: str, **more: Any) -> None:
        """A snapshot is asked for."""
        self.kube.create(manifests.custom(Kind.SNAPSHOT, name, self.spec(**more)), self.name)

    def ended(self, name: str, seconds: float) -> str:
        """The phase of a snapshot when its run is over: Verified, or Failed."""

        def over() -> str | None:
            found = self.kube.get(Kind.SNAPSHOT, self.name, name) or {}
            phase = str((found.get("status") or {}).get("phase"))
            return phase if phase in ENDED else None

        return eventually(over, seconds, lambda: self.kube.tell(Kind.SNAPSHOT, self.name, name))

    def manifest(self, name: str) -> BackupManifest | None:
        """What makes a snapshot's files a backup; None: there is none."""
        key = self._key(name, "manifest.json")
        return load_manifest(self.s3.read(self.name, key), key) if key else None

    def read(self, name: str, file: str) -> bytes:
        """Content of one file of a snapshot."""
        key = self._key(name, file)
        assert key is not None, f"no {file} of {name} in the bucket"
        return self.s3.read(self.name, key)

    def _key(self, name: str, file: str) -> str | None:
        keys = self.s3.keys(self.name)
        return next((key for key in keys if f"/{name}/" in key and key.endswith(f"/{file}")), None)

    def stored(self, snapshot: str) -> list[str]:
        """Files of one snapshot, without its folder."""
        keys = [key for key in self.s3.keys(self.name) if f"/{snapshot}/" in key]
        return sorted(key.rsplit("/", 1)[1] for key in keys)

    def left_on_peers(self) -> list[str]:
        """Snapshot files that still lie on peers."""
        return [name for pod in self.peers.pods() for name in self._left_on(pod)]

    def _left_on(self, pod: str) -> list[str]:
        local = self.peers.ask(pod, "GET", "/collections/docs/cluster")["local_shards"]
        paths = [f"/collections/docs/shards/{shard['shard_id']}/snapshots" for shard in local]
        return [found["name"] for path in paths for found in self.peers.ask(pod, "GET", path)]


@contextmanager
def new_home(kube: Kube, sandbox: Sandbox, cluster: Manifest, collection: Manifest) -> Iterator[Home]:
    """A formed cluster with an empty collection, in a namespace and with a bucket of its own."""
    assert sandbox.s3 is not None
    place = Home(kube, f"backed-{secrets.token_hex(4)}", sandbox.s3, sandbox.node, sandbox.kubeconfig)
    kubectl(sandbox.kubeconfig, "create", "namespace", place.name)
    place.s3.create_bucket(place.name)
    given = {"accessKeyId": place.s3.access_key, "secretAccessKey": place.s3.secret_key}
    kube.create(manifests.secret("s3", **given), place.name)
    kube.create(cluster, place.name)
    kube.create(collection, place.name)
    kube.wait_ready(Kind.COLLECTION, place.name, "docs", 90)
    yield place
    kubectl(sandbox.kubeconfig, "delete", "namespace", place.name, "--wait=false", "--ignore-not-found")


class Scratch:
    """A cluster of one peer in the same namespace, into which backups are restored as Qdrant's docs say."""

    NAME = "scratch"

    def __init__(self, home: Home) -> None:
        self._home = home
        home.kube.create(manifests.cluster(self.NAME, replicas=1), home.name)
        home.kube.wait_ready(Kind.CLUSTER, home.name, self.NAME, 90)
        self._peers = Peers(home.kube, home.name, self.NAME)
        self._pod = f"{self.NAME}-0"

    def restored(self, name: str, wanted: list[int]) -> set[int]:
        """Which of these points are in the files of a backup."""
        backup = self._home.manifest(name)
        assert backup is not None
        body = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": backup.shards}
        self._peers.ask(self._pod, "PUT", f"/collections/{name}", body)
        try:
            for shard in backup.collections[0].shards:
                content = self._home.read(name, shard.file)
                path = (
                    f"/collections/{name}/shards/{shard.shard}/snapshots/upload?priority=snapshot&wait=true"
                )
                self._peers.upload(self._pod, path, content)
            return self._found(name, wanted)
        finally:
            self._peers.ask(self._pod, "DELETE", f"/collections/{name}")

    def _found(self, name: str, wanted: list[int]) -> set[int]:
        found: set[int] = set()
        for start in range(0, len(wanted), ALL_IDS):
            body = {"ids": wanted[start : start + ALL_IDS], "with_payload": False}
            answer = self._peers.ask(self._pod, "POST", f"/collections/{name}/points", body)
            found |= {point["id"] for point in answer}
        return found

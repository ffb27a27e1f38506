"""What the demo does, step by step; each step waits for what it says, and fails with what it found instead."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from sandbox.binaries import find_control_plane, find_qdrant
from sandbox.cluster import Sandbox
from sandbox.credentials import Access
from sandbox.demo.objects import Objects, Seen
from sandbox.demo.points import Application, decoded
from sandbox.demo.screen import Screen
from sandbox.kubectl import kubectl
from sandbox.operator_process import OperatorProcess, install

CLUSTER, COLLECTION, SNAPSHOT, BUCKET = "vectors", "docs", "first", "backups"
VICTIM = f"{CLUSTER}-1"
POINTS = 10_000
REWRITTEN = 2_000
"""Points written again while a peer is dead."""
_NAMESPACE = "default"


class Demo:
    """One run; `close` ends everything it started."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self._began = time.monotonic()
        self._stack = ExitStack()
        self._facts: list[str] = []
        self.sandbox: Sandbox
        self._objects: Objects

    def tell(self) -> None:
        """Take every step.

        Raises:
            Exception: a step failed; the message says what was found.
        """
        self._prepare()
        self._start()
        self._apply()
        self._write()
        self._kill()
        self._snapshot()

    def close(self) -> None:
        """End every process and remove every file."""
        self._stack.close()

    def summary(self) -> str:
        """What was shown, in a few lines."""
        seconds = time.monotonic() - self._began
        lines = "\n".join(f"  {fact}" for fact in self._facts)
        return f"\nDone in {seconds:.0f} s\n{lines}"

    def trouble(self) -> str:
        """Where to look after a failure: the last lines of the operator's log."""
        log = self.sandbox.logs / "operator.log" if hasattr(self, "sandbox") else None
        if log is None or not log.exists():
            return ""
        return f"the end of {log}:\n" + "\n".join(log.read_text().splitlines()[-8:])

    def _prepare(self) -> None:
        with self.screen.step("prepare"):
            control_plane = find_control_plane(self.screen.progress)
            qdrant = find_qdrant(self.screen.progress)
            self.screen.detail("")
        self.screen.part(str(control_plane))
        self.screen.part(str(qdrant))
        self.screen.part("S3: SeaweedFS; pods run as processes, volumes are folders")
        self.sandbox = Sandbox(with_s3=True, qdrant=qdrant, progress=self.screen.progress)

    def _start(self) -> None:
        with self.screen.step("start Kubernetes and an S3 server"):
            self._stack.callback(self.sandbox.stop)
            self.sandbox.start()
            assert self.sandbox.s3 is not None
            self.sandbox.s3.create_bucket(BUCKET)
            self.screen.detail(self.sandbox.server)
        with self.screen.step("install the operator: CRDs, RBAC, process"):
            install(self.sandbox)
            operator = OperatorProcess(self.sandbox)
            self._stack.callback(operator.stop)
            operator.start()
        self._objects = Objects(Access.from_kubeconfig(self.sandbox.kubeconfig), self.screen.show)
        self._stack.callback(self._objects.stop)

    def _apply(self) -> None:
        with self.screen.step("kubectl apply -f examples/quickstart/"):
            self._kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(self._quickstart()))
            self.screen.detail("3-snapshots.yaml with the local S3's endpoint and keys")
        with self.screen.step(f"QdrantCluster {CLUSTER} becomes Ready"):
            cluster = self._objects.wait("QdrantCluster", CLUSTER, _ready, 120)
            self.screen.detail(_message(cluster))
        with self.screen.step(f"QdrantCollection {COLLECTION} becomes Ready"):
            collection = self._objects.wait("QdrantCollection", COLLECTION, _ready, 60)
            self.screen.detail(_message(collection))
            self._facts.append(f"cluster: {_message(cluster)}")

    def _write(self) -> None:
        with self.screen.step(f"write {POINTS} points with qdrant-client"):
            began = time.monotonic()
            self._application().write(
                COLLECTION, range(POINTS), lambda done: self.screen.progress("written", done / POINTS)
            )
            found = self._application().count(COLLECTION)
            assert found == POINTS, f"{found} points are there, not {POINTS}"
            self.screen.detail(f"{found} counted")
            self._facts.append(f"points: {found} written and counted in {time.monotonic() - began:.1f} s")

    def _kill(self) -> None:
        restarts = _restarts(self._objects.find("Pod", VICTIM))
        with self.screen.step(f"kill -9 the peer in {VICTIM} while points are written"):
            failures: list[Exception] = []
            writer = threading.Thread(target=self._rewrite, args=(failures,), daemon=True)
            writer.start()
            killed = time.monotonic()
            self.sandbox.node.kill(_NAMESPACE, VICTIM)
            self._objects.wait("Pod", VICTIM, lambda pod: _restarts(pod) > restarts, 60)
            writer.join(120)
            assert not failures, f"a write failed beyond one retry: {failures[0]}"
        with self.screen.step("the cluster heals"):
            self._objects.wait("Pod", VICTIM, _ready, 60)
            self._objects.wait("QdrantCluster", CLUSTER, _healed, 120)
            counts = self._application().counts(COLLECTION)
            assert set(counts.values()) == {POINTS}, f"peers count differently: {counts}"
            self.screen.detail(f"{POINTS} points from every peer")
            took = time.monotonic() - killed
            self._facts.append(f"a killed peer: healed after {took:.1f} s, no point lost, no write failed")

    def _rewrite(self, failures: list[Exception]) -> None:
        try:
            self._application().write(COLLECTION, range(REWRITTEN), lambda _: None)
        except Exception as error:
            failures.append(error)

    def _snapshot(self) -> None:
        with self.screen.step("take a snapshot"):
            self._kubectl("apply", "-f", "-", stdin=json.dumps(self._snapshot_object()))
            done = self._objects.wait("QdrantSnapshot", SNAPSHOT, _ready, 120)
            assert self.sandbox.s3 is not None
            keys = self.sandbox.s3.keys(BUCKET)
            assert any(key.endswith("manifest.json") for key in keys), f"no manifest among {keys}"
            status = done.status
            self.screen.detail(f"{len(keys)} objects in {status['location']}")
            self._facts.append(
                f"snapshot: {status['phase']}, {status.get('points', 0)} points, "
                f"{status.get('bytes', 0) / 1e6:.1f} MB in {len(keys)} objects at {status['location']}"
            )

    def _application(self) -> Application:
        secret = json.loads(self._kubectl("get", "secret", f"{CLUSTER}-auth", "-o", "json"))
        return Application(self._objects, decoded(secret["data"], ["api-key"])["api-key"])

    def _kubectl(self, *args: str, stdin: str | None = None) -> str:
        return kubectl(self.sandbox.kubeconfig, *args, stdin=stdin)

    def _quickstart(self) -> list[dict[str, Any]]:
        """The three manifests; the third one's placeholders filled in."""
        folder = self.sandbox.sources / "examples" / "quickstart"
        documents = [document for file in sorted(folder.glob("*.yaml")) for document in _load(file)]
        assert self.sandbox.s3 is not None
        for document in documents:
            if document["kind"] == "Secret":
                document["stringData"] = {
                    "accessKeyId": self.sandbox.s3.access_key,
                    "secretAccessKey": self.sandbox.s3.secret_key,
                }
            elif document["kind"] == "QdrantSnapshotSchedule":
                document["spec"]["storage"]["s3"]["endpoint"] = self.sandbox.s3.endpoint
        return documents

    def _snapshot_object(self) -> dict[str, Any]:
        """A snapshot by hand, where the schedule puts its own."""
        schedule = next(item for item in self._quickstart() if item["kind"] == "QdrantSnapshotSchedule")
        spec = {key: schedule["spec"][key] for key in ("clusterRef", "storage")}
        return {**schedule, "kind": "QdrantSnapshot", "metadata": {"name": SNAPSHOT}, "spec": spec}


def _load(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


def _ready(one: Seen) -> bool:
    return one.is_true("Ready")


def _healed(cluster: Seen) -> bool:
    shards = cluster.status.get("shards") or {}
    return cluster.is_true("Ready") and shards.get("sound") == shards.get("wanted") and not shards.get("dead")


def _message(one: Seen) -> str:
    return next((item["message"] for item in one.status["conditions"] if item["type"] == "Ready"), "")


def _restarts(pod: Seen | None) -> int:
    return sum(item["restartCount"] for item in pod.status.get("containerStatuses") or ()) if pod else 0

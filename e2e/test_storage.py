"""Backups to an object storage in the cluster: whole and verified under load; nothing of them when it goes away."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.conftest import Form, Sheet, Storage
from e2e.environment.kubectl import NAME, Kubectl, peers_of
from e2e.load import Load, under_load
from e2e.scenario.forming import COLLECTION
from e2e.scenario.probes import sleeper
from e2e.shell import CommandFailed, eventually, run
from qdrant_operator.domain.backup.job_spec import S3_ACCESS_KEY, S3_SECRET_KEY
from qdrant_operator.domain.common.kinds import Manifest
from sandbox.kubectl import find_kubectl

pytestmark = pytest.mark.usefixtures("chart")
SHARDS = 24
"""Eight for each peer, one after the other: long enough to be interrupted."""
SNAPSHOT_SECONDS = 240.0
GIVES_UP_SECONDS = 600.0
"""A run repeats an upload three times for a minute each before it fails, and cleans up as patiently."""
LEFT_SECONDS = 60.0


def test_a_snapshot_under_load(home: Kubectl, form: Form, storage: Storage, sheet: Sheet) -> None:
    """Every shard once, each byte as Qdrant made it, and no request fails while it is taken."""
    form(home)
    with under_load(home) as load:
        began = time.monotonic()
        status = _take(home, storage, "whole")
        took = time.monotonic() - began
        assert status["phase"] == "Verified"
        assert [(one["name"], one["shards"]) for one in status["collections"]] == [(COLLECTION, 6)]
        assert 0 < status["points"] <= load.tally.acknowledged
        assert _left_on_peers(home, load) == []
    load.no_failed()
    assert _verified(home, storage, status["location"]) == 6
    files = " ".join(storage.files(_folder(storage, status)))
    assert "manifest.json" in files, files
    sheet.row("snapshot to object storage", took, load)


@pytest.mark.timeout(1800, func_only=True)
def test_storage_away_during_a_snapshot(home: Kubectl, form: Form, storage: Storage, sheet: Sheet) -> None:
    """The snapshot fails in words and leaves nothing, here and there; the next one, with the storage back, is whole."""
    form(home, shards=SHARDS)
    with under_load(home) as load:
        home.apply(storage.secret(), _snapshot(storage, home, "cut"))
        _wait_for_a_shard(home, "cut")
        with away(storage):
            began = time.monotonic()
            eventually(lambda: _phase(home, "cut") == "Failed", GIVES_UP_SECONDS, lambda: _told(home, "cut"))
            failed_after = time.monotonic() - began
            eventually(
                lambda: not _left_on_peers(home, load), LEFT_SECONDS, lambda: str(_left_on_peers(home, load))
            )
        message = _told(home, "cut")
        assert storage.bucket in message, message
        assert re.search(r"could not|no answer", message), message
        back = time.monotonic()
        status = _take(home, storage, "next")
        took = time.monotonic() - back
        files = " ".join(storage.files(f"{home.namespace}/"))
        assert files.count("manifest.json") == 1, files
        assert status["collections"][0]["shards"] == SHARDS
        home.settled(replicas=3)
    load.no_failed()
    assert _verified(home, storage, status["location"]) == SHARDS
    sheet.row(
        f"object storage away during a snapshot, which failed after {failed_after:.0f} s; the next one",
        took,
        load,
    )


@contextmanager
def away(storage: Storage) -> Iterator[None]:
    """Nobody reaches the storage: its Service leads nowhere, and its server starts anew, so that no connection lives.

    What it stores stays.
    """
    storage.kubectl("set", "selector", "service/s3", "app=nobody")
    storage.kubectl("exec", "deployment/s3", "--", "sh", "-c", "kill 1")
    try:
        yield
    finally:
        storage.kubectl("set", "selector", "service/s3", "app=s3")
        storage.start()


def _wait_for_a_shard(home: Kubectl, snapshot: str) -> None:
    """Return in the moment in which the snapshot's Job says that it has saved its first shard."""
    job = eventually(lambda: _job(home, snapshot), 90, lambda: home.tell("qdrantsnapshot", snapshot))
    logs = f"{find_kubectl()} --kubeconfig {home.kubeconfig} -n {home.namespace} logs --follow job/{job}"
    wait = f"{logs} --pod-running-timeout=60s | grep --max-count=1 'Shard saved'"
    run("sh", "-c", wait, timeout=120)


def _job(home: Kubectl, snapshot: str) -> str:
    """The Job of a snapshot; empty before there is one."""
    return str(((home.get("qdrantsnapshot", snapshot) or {}).get("status") or {}).get("job") or "")


def _take(home: Kubectl, storage: Storage, name: str) -> Manifest:
    """The status of a snapshot that is good."""
    home.apply(storage.secret(), _snapshot(storage, home, name))
    home.ready("qdrantsnapshot", name, SNAPSHOT_SECONDS)
    found = home.get("qdrantsnapshot", name)
    assert found is not None
    return dict(found["status"])


def _snapshot(storage: Storage, home: Kubectl, name: str) -> Manifest:
    spec = {"clusterRef": {"name": NAME}, "storage": storage.place(f"{home.namespace}/")}
    meta = {"name": name}
    return {
        "apiVersion": "qdrantoperator.dev/v1alpha1",
        "kind": "QdrantSnapshot",
        "metadata": meta,
        "spec": spec,
    }


def _folder(storage: Storage, status: Manifest) -> str:
    return str(status["location"]).removeprefix(f"s3://{storage.bucket}/")


def _phase(home: Kubectl, snapshot: str) -> str:
    return str(((home.get("qdrantsnapshot", snapshot) or {}).get("status") or {}).get("phase") or "")


def _told(home: Kubectl, snapshot: str) -> str:
    """What the QdrantSnapshot says of itself."""
    return str(((home.get("qdrantsnapshot", snapshot) or {}).get("status") or {}).get("message") or "")


def _left_on_peers(home: Kubectl, load: Load) -> list[str]:
    """Snapshot files that lie on peers, each asked by its own name."""
    pods = [pod["metadata"]["name"] for pod in home.all("pods", peers_of())]
    return [file for pod in pods for file in _left_on(load, pod)]


def _left_on(load: Load, pod: str) -> list[str]:
    local = load.ask(pod, f"/collections/{COLLECTION}/cluster")["local_shards"]
    paths = [f"/collections/{COLLECTION}/shards/{one['shard_id']}/snapshots" for one in local]
    return [f"{pod}: {file['name']}" for path in paths for file in load.ask(pod, path)]


def _verified(home: Kubectl, storage: Storage, location: str) -> int:
    """Read a backup back with the product's own command, in a pod: how many files were as the manifest says."""
    pod = sleeper("verify")
    container = pod["spec"]["containers"][0]
    container["command"] = ["qdrant-operator", "snapshot", "verify", location, "--endpoint", storage.endpoint]
    keys = {S3_ACCESS_KEY: "accessKeyId", S3_SECRET_KEY: "secretAccessKey"}
    container["env"] = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": "s3", "key": key}}}
        for name, key in keys.items()
    ]
    home.apply({**pod, "spec": {**pod["spec"], "restartPolicy": "Never"}})
    try:
        home("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/verify", "--timeout=90s", timeout=100)
    except CommandFailed as error:
        raise AssertionError(f"{error}\n{home('logs', 'verify')}") from error
    said = re.search(r"(\d+) files read, 0 damaged", home("logs", "verify"))
    assert said is not None, home("logs", "verify")
    return int(said[1])

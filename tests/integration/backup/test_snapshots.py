"""Backups on a real API server and a real S3 server: whole or nothing, read back, kept as long as asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from qdrant_operator.domain.backup.job_spec import S3_ACCESS_KEY, S3_SECRET_KEY
from qdrant_operator.domain.common.kinds import Kind
from sandbox.cluster import Sandbox
from sandbox.kubectl import kubectl
from sandbox.processes import python_environment
from tests.integration.support import manifests
from tests.integration.support.backups import Home, new_home
from tests.integration.support.kube import Kube, eventually
from tests.integration.support.operator import Operator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
SNAPSHOT = Kind.SNAPSHOT
POINTS = 300
SHARDS = 3


@pytest.fixture(scope="module")
def home(operator: Operator, sandbox: Sandbox, kube: Kube) -> Iterator[Home]:
    """A formed cluster with data, and a schedule that is due every minute and keeps one."""
    with new_home(kube, sandbox, manifests.cluster(), manifests.collection(shardNumber=SHARDS)) as place:
        place.peers.upsert("docs", range(POINTS))
        every_minute = place.spec(schedule="* * * * *", retention={"keepLast": 1})
        kube.create(manifests.custom(Kind.SCHEDULE, "often", every_minute), place.name)
        yield place


def test_a_snapshot_has_every_shard_once_and_leaves_nothing_on_the_peers(home: Home) -> None:
    """One file per shard although each has two replicas, the manifest, the counts, and no local file."""
    found = home.take("whole")
    status, uid = found["status"], found["metadata"]["uid"]
    files = home.stored("whole")
    assert len(files) == SHARDS + 2
    assert "owner.json" in files
    assert "manifest.json" in files
    assert status["phase"] == "Verified"
    assert [(one["name"], one["shards"], one["points"]) for one in status["collections"]] == [
        ("docs", SHARDS, POINTS)
    ]
    assert status["location"] == f"s3://{home.name}/{home.name}/vectors/whole/{uid}/"
    eventually(lambda: home.left_on_peers() == [], 20)


def test_a_killed_job_leaves_no_manifest_and_the_next_one_succeeds(home: Home) -> None:
    """The kill is reported as Failed with its reason; nothing looks like a backup; nothing stays behind."""
    home.begin("killed")
    pod = eventually(lambda: _running(home, "killed"), 60)
    home.node.kill(home.name, pod)
    reason = home.kube.wait_reason(SNAPSHOT, home.name, "killed", "Ready", "JobFailed", 60)
    assert "the run was killed: its pod ended with exit code 137" in reason
    assert "it wrote no manifest, so there is no backup" in reason
    found = home.kube.get(SNAPSHOT, home.name, "killed") or {}
    assert found["status"]["phase"] == "Failed"
    assert "manifest.json" not in home.stored("killed")
    assert home.take("next")["status"]["points"] == POINTS
    eventually(lambda: home.left_on_peers() == [], 30, lambda: str(home.left_on_peers()))


def test_a_corrupted_byte_is_found(home: Home) -> None:
    """`snapshot verify` names the file and both sums, and its exit code is not 0."""
    location = home.take("rotten")["status"]["location"]
    assert _verify(home, location).returncode == 0
    key = next(key for key in home.s3.keys(home.name) if "/rotten/" in key and not key.endswith(".json"))
    content = home.s3.read(home.name, key)
    middle = len(content) // 2
    home.s3.write(home.name, key, content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    told = _verify(home, location)
    assert told.returncode == 1, told
    assert key.rsplit("/", 1)[1] in told.stdout
    assert "SHA-256" in told.stdout
    assert f"{SHARDS} files read, 1 damaged" in told.stdout


def test_a_schedule_makes_snapshots_and_keeps_the_newest(home: Home) -> None:
    """Two minutes of a schedule with keepLast 1: one snapshot, whole, in the API and in the bucket."""

    def made() -> list[str]:
        schedule = home.kube.get(Kind.SCHEDULE, home.name, "often") or {}
        done = schedule.get("status", {}).get("lastSuccessfulTime")
        found = [one["metadata"]["name"] for one in home.kube.all(SNAPSHOT, home.name)]
        return sorted(name for name in found if name.startswith("often-")) if done else []

    first = eventually(made, 90)[0]
    eventually(lambda: made() and first not in made(), 100, lambda: json.dumps(made()))
    home.kube.patch(Kind.SCHEDULE, home.name, "often", {"spec": {"suspend": True}})
    kept = eventually(lambda: made()[0] if len(made()) == 1 else None, 60)
    assert "manifest.json" in home.stored(kept)
    assert home.stored(first) == []


def test_a_quota_that_refuses_the_pod_is_told_and_can_be_met(home: Home) -> None:
    """The Job controller's own words stand in status; with the resources that it names the next run goes through."""
    meta = {"name": "team", "namespace": home.name}
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": meta,
        "spec": {"hard": {"limits.cpu": "20"}},
    }
    kubectl(home.kubeconfig, "create", "-f", "-", stdin=json.dumps(quota))
    try:
        home.begin("refused")
        told = home.kube.wait_reason(SNAPSHOT, home.name, "refused", "Ready", "JobNotStarted", 60)
        assert "FailedCreate" in told
        assert "must specify limits.cpu for: snapshot" in told
        assert "spec.job.resources" in told
        limits = {"cpu": "1", "memory": "512Mi"}
        assert home.take("met", job={"resources": {"limits": limits}})["status"]["phase"] == "Verified"
    finally:
        kubectl(home.kubeconfig, "delete", "resourcequota", "team", "-n", home.name)
    kubectl(home.kubeconfig, "delete", "qdrantsnapshot", "refused", "-n", home.name, "--timeout=30s")


def test_a_deleted_namespace_leaves_its_backups(home: Home) -> None:
    """Cluster, snapshots that say Delete, and the keys of the bucket go with it, soon; no byte of a backup does."""
    home.take("kept", deletionPolicy="Delete")
    before = sorted(home.s3.keys(home.name))
    kubectl(home.kubeconfig, "delete", "namespace", home.name, "--timeout=90s", timeout=100)
    assert sorted(home.s3.keys(home.name)) == before
    assert "manifest.json" in home.stored("kept")


def _running(home: Home, snapshot: str) -> str | None:
    """Name of the pod of a snapshot's Job once its process runs."""
    pods = [pod for pod in home.node.pods(home.name) if pod.pids and snapshot in pod.name]
    return pods[0].name if pods else None


def _verify(home: Home, location: str) -> subprocess.CompletedProcess[str]:
    keys = {S3_ACCESS_KEY: home.s3.access_key, S3_SECRET_KEY: home.s3.secret_key}
    command = ["-m", "qdrant_operator", "snapshot", "verify", location, "--endpoint", home.s3.endpoint]
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **python_environment(), **keys},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

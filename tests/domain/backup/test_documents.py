"""The documents of a backup: manifest.json, journals, results and job specs survive a round trip."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_operator.api import ClusterSpec, SnapshotJob, Storage
from qdrant_operator.domain.backup.job_spec import RESULT_BYTES, JobSpec, PeerAddress
from qdrant_operator.domain.backup.journal import (
    CollectionResult,
    JournalDocument,
    LocalFile,
    Result,
    dump_journal,
    dump_result,
    load_journal,
    load_result,
    result_of,
    time_in_name,
)
from qdrant_operator.domain.backup.manifest import (
    BackupManifest,
    CollectionBackup,
    ShardFile,
    dump_manifest,
    load_manifest,
)
from qdrant_operator.domain.backup.owner import Owner
from qdrant_operator.domain.backup.storage import S3Place, backup_folder, s3_place, shard_file
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.manifests.jobs import job_name, snapshot_job

FILES = tuple(
    ShardFile(n, key, f"docs/shard-{n}.snapshot", 10 * n, "ab", n, 7, "vectors-0", "2026-11-21T02:00:00Z")
    for n, key in ((1, "eu"), (2, "us"), (3, "eu"))
)
MANIFEST = BackupManifest(
    "default",
    "vectors",
    "nightly",
    Owner("uid-1", "cluster-uid", "a1"),
    "1.19.0",
    "2026-11-21T02:00:00Z",
    "2026-11-21T02:01:00Z",
    (CollectionBackup("docs", {"params": {}}, {"tenant": {}}, ("live",), FILES),),
)
PLACE = S3Place("backups", "eu-west-1", "prod", "http://s3:9000", "keys")
JOB_SPEC = JobSpec(
    "default",
    "vectors",
    "cluster-uid",
    "nightly",
    "uid-1",
    ("docs", "events-*"),
    True,
    PLACE,
    (PeerAddress("vectors-0", "http://vectors-0:6333"),),
)


def test_manifest_survives_a_round_trip() -> None:
    """What is written is read again, keys of shards in the order of their ids included."""
    content = dump_manifest(MANIFEST)
    assert load_manifest(content, "here") == MANIFEST
    document = json.loads(content)
    assert document["collections"][0]["shardKeys"] == [
        {"key": "eu", "shards": [1, 3]},
        {"key": "us", "shards": [2]},
    ]
    assert (document["bytes"], document["points"], document["formatVersion"]) == (60, 6, 1)


def test_manifest_of_a_later_format_is_refused() -> None:
    """A reader never guesses at a format that it does not know."""
    later = json.dumps({**json.loads(dump_manifest(MANIFEST)), "formatVersion": 2}).encode()
    with pytest.raises(Refused) as refused:
        load_manifest(later, "s3://backups/manifest.json")
    assert refused.value.reason == "ManifestTooNew"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"formatVersion": 1}'])
def test_what_is_no_manifest_is_refused_by_name(content: bytes) -> None:
    """The message says which object cannot be read."""
    with pytest.raises(Refused, match=r"s3://backups/manifest\.json") as refused:
        load_manifest(content, "s3://backups/manifest.json")
    assert refused.value.reason == "ManifestUnreadable"


def test_journal_survives_a_round_trip_and_rubbish_is_nobodys() -> None:
    """Only what a run wrote is read as a journal."""
    file = LocalFile("vectors-0", "docs", 1, "2026-11-21T02:00:00+00:00", ("a",), None)
    journal = JournalDocument("nightly", "cluster-uid", "1/2 shards", None, (file,))
    assert load_journal(dump_journal(journal)) == journal
    assert [load_journal(rubbish) for rubbish in (b"", b"[]", b'{"files": 3}', b"{}")] == [None] * 4


def test_time_is_read_from_a_snapshots_name() -> None:
    """Qdrant ends a snapshot's name with the second it was asked for, in UTC."""
    read = time_in_name("docs-shard-0-2026-11-21-09-42-56.snapshot")
    assert read is not None
    assert read.isoformat() == "2026-11-21T09:42:56+00:00"
    assert time_in_name("mine.snapshot") is None


@given(st.integers(0, 500), st.text(max_size=3000))
def test_result_fits_a_termination_message(collections: int, message: str) -> None:
    """However much there is to say, the kubelet keeps all of it and the sums are right."""
    several = tuple(CollectionResult(f"collection-{n}", 6, 100, 1000) for n in range(collections))
    result = replace(result_of(MANIFEST, verified=True), message=message, collections=several)
    text = dump_result(result)
    assert len(text.encode()) <= RESULT_BYTES
    read = load_result(text)
    assert read is not None
    assert (read.reason, read.bytes, read.points) == ("Verified", 60, 6)
    assert read.collections in (several, ())


def test_log_lines_are_no_result() -> None:
    """A crash leaves the end of the log where the result should be: that is no result."""
    assert [load_result(text) for text in (None, "", "Traceback", "{}", "3")] == [None] * 5
    assert load_result(dump_result(Result("Unreachable", "no"))) == Result("Unreachable", "no")


def test_job_spec_survives_a_round_trip() -> None:
    """The Job reads exactly what the operator wrote."""
    assert JobSpec.load(JOB_SPEC.dump()) == JOB_SPEC


def test_folder_is_the_prefix_the_namespace_the_cluster_the_name_and_the_uid() -> None:
    """A slash at the end of the prefix changes nothing."""
    storage = Storage.model_validate({"s3": {"bucket": "backups", "prefix": "prod/"}})
    assert (
        backup_folder(s3_place(storage), "default", "vectors", "one", "u1") == "prod/default/vectors/one/u1/"
    )
    bare = Storage.model_validate({"s3": {"bucket": "backups"}})
    assert backup_folder(s3_place(bare), "default", "vectors", "one", "u1") == "default/vectors/one/u1/"


@pytest.mark.parametrize("name", ["docs", "ü ö", "a%2Fb", "a#b", "..", "."])
def test_name_of_a_collection_stays_one_segment(name: str) -> None:
    """No name of a collection can leave its folder or collide with another."""
    path = shard_file(name, 3)
    assert path.count("/") == 1
    assert path.split("/")[0] not in ("", ".", "..")


def test_names_of_jobs_differ_by_uid_and_fit_a_label() -> None:
    """A snapshot made again under its old name gets a Job of its own; long names are cut."""
    assert job_name("nightly", "a") != job_name("nightly", "b")
    assert job_name("nightly", "a") == job_name("nightly", "a")
    assert len(job_name("x" * 253, "a")) <= 57


def cluster_spec(**fields: Any) -> ClusterSpec:
    """Spec of the QdrantCluster."""
    return ClusterSpec.model_validate({"version": "v1.19.0", **fields})


def test_job_gets_what_lets_the_peers_pods_start() -> None:
    """Pull secrets, node selector, tolerations and identity of the cluster; nothing that spreads or ranks peers."""
    toleration = {"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}
    template = {
        "nodeSelector": {"pool": "search"},
        "tolerations": [toleration],
        "serviceAccountName": "backup",
        "priorityClassName": "high",
        "affinity": {"podAntiAffinity": {}},
    }
    cluster = cluster_spec(image={"pullSecrets": [{"name": "registry"}]}, podTemplate={"spec": template})
    pod = snapshot_job(JOB_SPEC, "operator:1", cluster, SnapshotJob())["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"pool": "search"}, [toleration])
    assert pod["serviceAccountName"] == "backup"
    assert not {"priorityClassName", "affinity"} & pod.keys()


def test_job_has_the_resources_and_the_deadline_of_its_snapshot() -> None:
    """What a quota wants can be given; without a word there is a deadline and a bound on memory."""
    default = snapshot_job(JOB_SPEC, "operator:1", cluster_spec(), SnapshotJob())["spec"]
    assert default["activeDeadlineSeconds"] == 86_400
    assert default["template"]["spec"]["containers"][0]["resources"]["limits"] == {"memory": "512Mi"}
    settings = {"activeDeadlineSeconds": 3600, "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
    given = snapshot_job(JOB_SPEC, "operator:1", cluster_spec(), SnapshotJob.model_validate(settings))["spec"]
    assert given["activeDeadlineSeconds"] == 3600
    assert given["template"]["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "100m", "memory": "160Mi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }


def test_job_holds_no_secret_and_has_no_rights() -> None:
    """Secrets come by reference, the root file system is read-only, and Kubernetes gives no token."""
    job = snapshot_job(JOB_SPEC, "operator:1", cluster_spec(), SnapshotJob())
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    by_reference = {one["name"]: one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"][2:]}
    assert set(by_reference.values()) == {"vectors-peer-auth", "keys"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert (job["spec"]["backoffLimit"], pod["restartPolicy"]) == (0, "Never")

"""Bad input: each is told in a sentence with the field and the remedy, and what runs goes on untouched.

One cluster with one collection runs beside all of them; every test proves that its pods are the same ones
afterwards and that the collection still answers.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.cluster import Sandbox
from sandbox.kubectl import kubectl
from sandbox.processes import free_ports
from tests.integration.support import manifests
from tests.integration.support.kube import Kube, eventually
from tests.integration.support.operator import Operator
from tests.integration.support.peers import Peers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
CLUSTER, COLLECTION, SNAPSHOT, SCHEDULE = Kind.CLUSTER, Kind.COLLECTION, Kind.SNAPSHOT, Kind.SCHEDULE
POINTS = 100
NO_IMAGE = {"repository": "docker.io/qdrant/no-such-image"}


@pytest.fixture(scope="module")
def home(operator: Operator, sandbox: Sandbox, kube: Kube) -> Iterator[str]:
    """A namespace with a formed cluster of three peers and a collection with points."""
    name = f"home-{secrets.token_hex(4)}"
    kubectl(sandbox.kubeconfig, "create", "namespace", name)
    kube.create(manifests.cluster(), name)
    kube.create(manifests.collection(), name)
    kube.wait_ready(CLUSTER, name, "vectors", 90)
    kube.wait_ready(COLLECTION, name, "docs")
    Peers(kube, name).upsert("docs", range(1, POINTS + 1))
    yield name
    kubectl(sandbox.kubeconfig, "delete", "namespace", name, "--wait=false")


@pytest.fixture(autouse=True)
def untouched(kube: Kube, home: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """The same pods before and after, but for a roll on purpose, and every point still there."""
    peers = Peers(kube, home)
    before = peers.uids()
    yield
    kube.wait_ready(CLUSTER, home, "vectors", 60)
    kube.wait_ready(COLLECTION, home, "docs")
    assert peers.count("docs") == POINTS
    if request.function is not test_an_upgrade_to_an_image_that_does_not_exist:
        assert peers.uids() == before


@pytest.fixture
def keys(sandbox: Sandbox, kube: Kube, home: str) -> Iterator[str]:
    """Secret with the right keys of the S3 server."""
    assert sandbox.s3 is not None
    name = f"s3-{secrets.token_hex(3)}"
    given = {"accessKeyId": sandbox.s3.access_key, "secretAccessKey": sandbox.s3.secret_key}
    kube.create(manifests.secret(name, **given), home)
    yield name
    kube.delete(Kind.SECRET, home, name)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (manifests.cluster("bad", 0), ["spec.replicas", "greater than or equal to 1"]),
        (
            manifests.collection("bad", vectors={"size": 0, "distance": "Dot"}),
            ["spec.vectors.size", "greater than or equal to 1"],
        ),
        (manifests.cluster("bad", verison="v1.19.0"), ["unknown field", "spec.verison"]),
        (manifests.collection("bad", shards=3), ["unknown field", "spec.shards"]),
        (
            manifests.cluster("bad", 3, version="latest"),
            ["spec.version", "not a full Qdrant release; set one, for example v1.19.0"],
        ),
    ],
)
def test_what_the_schema_knows_is_rejected_at_once(
    kube: Kube, home: str, manifest: Manifest, words: list[str]
) -> None:
    """The API server names the field and what it may hold; no object is made."""
    said = kube.rejected(manifest, home)
    assert all(word in said for word in words), said
    kind = next(kind for kind in Kind if kind.kind == manifest["kind"])
    assert kube.get(kind, home, "bad") is None


def test_kubectl_prints_an_unknown_field(sandbox: Sandbox, kube: Kube, home: str) -> None:
    """`kubectl apply` of a misspelt field ends with an error that names it."""
    misspelt = json.dumps(manifests.cluster("bad", replica=3))
    with pytest.raises(RuntimeError, match=r'unknown field "spec\.replica"'):
        kubectl(sandbox.kubeconfig, "apply", "--namespace", home, "-f", "-", stdin=misspelt)
    assert kube.get(CLUSTER, home, "bad") is None


def test_more_replicas_of_a_shard_than_peers(sandbox: Sandbox, kube: Kube, home: str) -> None:
    """The condition counts the peers and names both remedies; `kubectl wait` does not return early for it."""
    kube.create(manifests.collection("bad", replicationFactor=4), home)
    said = kube.wait_reason(COLLECTION, home, "bad", "Ready", "TooFewPeers")
    assert "replicationFactor is 4, the cluster has 3 peers" in said
    assert "lower replicationFactor, or raise spec.replicas of the QdrantCluster" in said
    assert "bad" not in _collections(kube, home)
    with pytest.raises(RuntimeError, match="timed out waiting for the condition"):
        _kubectl_wait(sandbox, home, "qdrantcollection/bad", "3s")
    kube.patch(COLLECTION, home, "bad", {"spec": {"replicationFactor": 3}})
    _kubectl_wait(sandbox, home, "qdrantcollection/bad", "60s")
    assert "bad" in _collections(kube, home)
    kube.delete(COLLECTION, home, "bad")


def test_a_missing_api_key(kube: Kube, home: str) -> None:
    """Nothing is started without the Secret; once it is made, the cluster forms with that key."""
    kube.create(manifests.cluster("keyed", 1, auth=_given_key("chosen")), home)
    said = kube.wait_reason(CLUSTER, home, "keyed", "Ready", "SecretNotFound")
    assert f"Secret 'chosen' does not exist in namespace {home!r}: create it" in said
    assert kube.get(Kind.STATEFUL_SET, home, "keyed") is None
    kube.create(manifests.secret("chosen", api_key="not-empty"), home)
    kube.wait_ready(CLUSTER, home, "keyed", 60)
    assert Peers(kube, home, "keyed").key == "not-empty"
    kube.delete(CLUSTER, home, "keyed")


@pytest.mark.parametrize(
    ("name", "values", "reason", "sentence"),
    [
        ("hollow", {"api_key": ""}, "SecretEmpty", "is empty: Qdrant would start open; put a value"),
        ("odd", {"apiKey": "value"}, "SecretKeyNotFound", "Secret 'odd' has no key 'api-key': add it"),
    ],
)
def test_an_api_key_without_a_value(
    kube: Kube, home: str, name: str, values: dict[str, str], reason: str, sentence: str
) -> None:
    """Qdrant would start open with an empty key: no pod is made."""
    kube.create(manifests.secret(name, **values), home)
    kube.create(manifests.cluster(name, 1, auth=_given_key(name)), home)
    assert sentence in kube.wait_reason(CLUSTER, home, name, "Ready", reason)
    assert kube.get(Kind.STATEFUL_SET, home, name) is None
    kube.delete(CLUSTER, home, name)


def test_a_key_that_goes_missing_stops_nothing(kube: Kube, home: str) -> None:
    """A running cluster that is told to use a Secret that does not exist says so and runs on."""
    kube.patch(CLUSTER, home, "vectors", {"spec": {"auth": _given_key("nowhere")}})
    said = kube.wait_reason(CLUSTER, home, "vectors", "Blocked", "SecretNotFound")
    assert "Secret 'nowhere' does not exist" in said
    kube.patch(CLUSTER, home, "vectors", {"spec": {"auth": None}})


@pytest.mark.parametrize("kind", [COLLECTION, SNAPSHOT, SCHEDULE])
def test_an_unknown_cluster(kube: Kube, home: str, kind: Kind) -> None:
    """Everything that names a QdrantCluster says when there is none, and what to do."""
    kube.create(_about(kind, "nobody", keys="s3", endpoint="http://127.0.0.1:9"), home)
    said = kube.wait_reason(kind, home, "bad", "Ready", "ClusterNotFound")
    assert f"QdrantCluster 'nobody' does not exist in namespace {home!r}" in said
    assert "create it, or correct spec.clusterRef.name" in said
    kube.delete(kind, home, "bad")


def test_a_schedule_goes_on_once_its_cluster_is_there(kube: Kube, home: str) -> None:
    """The sentence about the missing cluster leaves as soon as the cluster is made."""
    kube.create(_about(SCHEDULE, "later", keys="s3", endpoint="http://127.0.0.1:9"), home)
    kube.wait_reason(SCHEDULE, home, "bad", "Ready", "ClusterNotFound")
    kube.create(manifests.cluster("later", 1), home)
    kube.wait_ready(SCHEDULE, home, "bad", 30)
    kube.delete(SCHEDULE, home, "bad")
    kube.delete(CLUSTER, home, "later")


def test_a_service_of_that_name_belongs_to_somebody_else(kube: Kube, home: str) -> None:
    """It is named and left as it is; once it is gone, the cluster forms."""
    ports = [{"port": 80, "name": "web"}]
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}, "spec": {"ports": ports}}
    before = kube.create(theirs, home)
    kube.create(manifests.cluster("shop", 1), home)
    said = kube.wait_reason(CLUSTER, home, "shop", "Ready", "NameClash")
    assert f"Service 'shop' exists in namespace {home!r} and was not created for this QdrantCluster" in said
    assert "give the QdrantCluster another name, or delete the Service if nothing uses it" in said
    assert kube.get(Kind.SERVICE, home, "shop") == before
    kube.delete(Kind.SERVICE, home, "shop")
    kube.wait_ready(CLUSTER, home, "shop", 60)
    kube.delete(CLUSTER, home, "shop")


def test_two_objects_want_the_same_collection(kube: Kube, home: str) -> None:
    """The younger one is told whose the name is; its deletion does not touch the collection."""
    second = manifests.collection("second", deletionPolicy="Delete", shardNumber=1)
    second["spec"]["name"] = "docs"
    kube.create(second, home)
    said = kube.wait_reason(COLLECTION, home, "second", "Ready", "NameClash")
    assert f"collection docs belongs to QdrantCollection {home}/docs, which is older" in said
    assert "choose another spec.name, or delete this object, which owns nothing in Qdrant" in said
    kube.delete(COLLECTION, home, "second")
    eventually(lambda: kube.get(COLLECTION, home, "second") is None, 30)


@pytest.mark.parametrize(
    ("schedule", "word"),
    [("every night", "five fields"), ("61 2 * * *", "five fields"), ("0 2 * *", "five fields")],
)
def test_what_is_no_cron_expression_is_rejected(kube: Kube, home: str, schedule: str, word: str) -> None:
    """The API server names spec.schedule and shows one that is right."""
    said = kube.rejected(_about(SCHEDULE, "vectors", schedule=schedule), home)
    assert "spec.schedule: not a cron expression" in said
    assert word in said
    assert '"0 2 * * *" for every night at two' in said


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            {"schedule": "0 0 30 2 *"},
            "schedule '0 0 30 2 *': bad day-of-month; name a day and a time that exist, for example",
        ),
        (
            {"timeZone": "Europe/Pariss"},
            "timeZone 'Europe/Pariss' is not in the time zone database: use a name like Europe/Paris",
        ),
    ],
)
def test_a_schedule_that_can_never_be_due(kube: Kube, home: str, spec: Manifest, sentence: str) -> None:
    """What only a calendar or a database of time zones knows is said in a condition; nothing is made."""
    kube.create(_about(SCHEDULE, "vectors", **spec), home)
    assert sentence in kube.wait_reason(SCHEDULE, home, "bad", "Ready", "InvalidSchedule")
    assert kube.all(SNAPSHOT, home) == []
    kube.delete(SCHEDULE, home, "bad")


def test_an_endpoint_where_nothing_listens(kube: Kube, home: str, keys: str) -> None:
    """The endpoint and the fields to check are named; no Job is started."""
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    kube.create(_about(SNAPSHOT, "vectors", keys=keys, endpoint=endpoint), home)
    said = kube.wait_reason(SNAPSHOT, home, "bad", "Ready", "BucketUnreachable", 60)
    assert endpoint in said
    assert f"check storage.s3.endpoint and region, and the network to {endpoint}" in said
    _drop_without_job(kube, home)


def test_a_bucket_that_does_not_exist(sandbox: Sandbox, kube: Kube, home: str, keys: str) -> None:
    """The bucket is named; once it is made, the same snapshot goes on and completes."""
    assert sandbox.s3 is not None
    bucket = f"late-{secrets.token_hex(4)}"
    kube.create(_about(SNAPSHOT, "vectors", keys, sandbox.s3.endpoint, bucket), home)
    said = kube.wait_reason(SNAPSHOT, home, "bad", "Ready", "BucketNotFound")
    assert f"bucket {bucket!r} at {sandbox.s3.endpoint} does not exist" in said
    assert "create it, or correct storage.s3.bucket" in said
    assert kube.all(Kind.JOB, home) == []
    sandbox.s3.create_bucket(bucket)
    found = kube.wait_ready(SNAPSHOT, home, "bad", 90)
    assert found["status"]["points"] == POINTS
    kube.delete(SNAPSHOT, home, "bad")


def test_keys_that_are_not_right(sandbox: Sandbox, kube: Kube, home: str) -> None:
    """The Secret is named, its values are not printed."""
    assert sandbox.s3 is not None
    sandbox.s3.create_bucket("locked")
    wrong = {"accessKeyId": sandbox.s3.access_key, "secretAccessKey": "wrong-and-private"}
    kube.create(manifests.secret("wrong", **wrong), home)
    kube.create(_about(SNAPSHOT, "vectors", "wrong", sandbox.s3.endpoint, "locked"), home)
    said = kube.wait_reason(SNAPSHOT, home, "bad", "Ready", "CredentialsRefused")
    assert "check the keys in Secret 'wrong' and the permissions of that account" in said
    assert "wrong-and-private" not in kube.tell(SNAPSHOT, home, "bad")
    _drop_without_job(kube, home)
    kube.delete(Kind.SECRET, home, "wrong")


def test_a_secret_of_the_storage_that_is_missing(kube: Kube, home: str) -> None:
    """The Secret, its place and the keys it must have are named."""
    kube.create(_about(SNAPSHOT, "vectors", "forgotten", "http://127.0.0.1:9"), home)
    said = kube.wait_reason(SNAPSHOT, home, "bad", "Ready", "SecretNotFound")
    assert f"Secret 'forgotten' of storage.s3.credentials does not exist in namespace {home!r}" in said
    assert "create it with the keys accessKeyId and secretAccessKey" in said
    _drop_without_job(kube, home)


def test_a_config_key_that_the_operator_owns(kube: Kube, home: str) -> None:
    """The key and what to use instead are named; no peer is restarted for it."""
    kube.patch(CLUSTER, home, "vectors", {"spec": {"config": {"service": {"api_key": "mine"}}}})
    said = kube.wait_reason(CLUSTER, home, "vectors", "Ready", "InvalidConfig")
    assert "spec.config.service.api_key is set by the operator: use spec.auth.apiKey; remove it" in said
    kube.patch(CLUSTER, home, "vectors", {"spec": {"config": None}})


def test_fewer_peers_than_replicas(kube: Kube, home: str) -> None:
    """Fewer peers than replicas of a shard: held back, with both remedies; all peers keep running."""
    kube.patch(CLUSTER, home, "vectors", {"spec": {"replicas": 1}})
    said = kube.wait_reason(CLUSTER, home, "vectors", "Blocked", "TooFewPeers")
    assert "and 1 peer would stay" in said
    assert "lower its replicationFactor to 1, or set spec.replicas to" in said
    assert len(Peers(kube, home).pods()) == 3
    kube.patch(CLUSTER, home, "vectors", {"spec": {"replicas": 3}})


def test_a_field_that_qdrant_cannot_change(sandbox: Sandbox, kube: Kube, home: str) -> None:
    """Both values and the remedy are told; `kubectl wait` right after the edit does not see the old Ready."""
    edit = json.dumps({"spec": {"vectors": {"size": 8}}})
    kubectl(sandbox.kubeconfig, "patch", "qcol", "docs", "-n", home, "--type=merge", "-p", edit)
    with pytest.raises(RuntimeError, match="timed out waiting for the condition"):
        _kubectl_wait(sandbox, home, "qdrantcollection/docs", "4s")
    said = kube.wait_reason(COLLECTION, home, "docs", "Synced", "ImmutableFieldChanged")
    assert "vectors.size is 4, wanted 8" in said
    assert (
        "Qdrant cannot change it: restore the present value in the spec, or create another collection" in said
    )
    kube.patch(COLLECTION, home, "docs", {"spec": {"vectors": {"size": 4}}})


def test_a_new_cluster_of_a_version_that_does_not_exist(sandbox: Sandbox, kube: Kube, home: str) -> None:
    """`kubectl describe` shows the image that cannot be pulled; with a version that exists, the cluster forms."""
    kube.create(manifests.cluster("fresh", 3, version="v1.18.0", image=NO_IMAGE), home)
    eventually(
        lambda: "does not run" in kube.condition(CLUSTER, home, "fresh", "Blocked").get("message", ""), 30
    )
    said = kubectl(sandbox.kubeconfig, "describe", "qdrantcluster", "fresh", "-n", home)
    assert "fresh-0 does not run: " in said
    assert f"{NO_IMAGE['repository']}:v1.18.0" in said
    with pytest.raises(RuntimeError, match="timed out waiting for the condition"):
        _kubectl_wait(sandbox, home, "qdrantcluster/fresh", "2s")
    kube.patch(CLUSTER, home, "fresh", {"spec": {"image": None}})
    kube.wait_ready(CLUSTER, home, "fresh", 90)
    kube.delete(CLUSTER, home, "fresh")


def test_an_upgrade_to_an_image_that_does_not_exist(sandbox: Sandbox, kube: Kube, home: str) -> None:
    """One peer waits for its image and the roll stops there; with the version back, all is well by itself."""
    peers = Peers(kube, home)
    before = peers.uids()
    kube.patch(CLUSTER, home, "vectors", {"spec": {"version": "v1.19.99"}})
    said = kube.wait_reason(CLUSTER, home, "vectors", "Blocked", "PodNotRunning", 90)
    assert "does not run: " in said
    assert "docker.io/qdrant/qdrant:v1.19.99" in said
    eventually(lambda: "does not run: " in _described(sandbox, home), 20)
    assert len(peers.uids().items() & before.items()) == 2, "one pod was replaced, the others are the same"
    assert peers.count("docs", _running(kube, home, before)) == POINTS
    kube.patch(CLUSTER, home, "vectors", {"spec": {"version": "v1.19.0"}})
    found = kube.wait_ready(CLUSTER, home, "vectors", 90)
    assert found["status"]["peersReady"] == "3/3"
    assert found["status"]["version"] == "v1.19.0"


def _described(sandbox: Sandbox, namespace: str) -> str:
    """What `kubectl describe` prints of the cluster, in one line."""
    told = kubectl(sandbox.kubeconfig, "describe", "qdrantcluster", "vectors", "-n", namespace)
    return " ".join(told.split())


def _running(kube: Kube, namespace: str, uids: dict[str, str]) -> str:
    """A pod that was not replaced."""
    now = Peers(kube, namespace).uids()
    return next(name for name, uid in uids.items() if now.get(name) == uid)


def _collections(kube: Kube, namespace: str) -> set[str]:
    """Names of the collections that Qdrant has."""
    told = Peers(kube, namespace).ask("vectors-0", "GET", "/collections")
    return {one["name"] for one in told["collections"]}


def _kubectl_wait(sandbox: Sandbox, namespace: str, what: str, timeout: str) -> None:
    arguments = ("--for=condition=Ready", what, "--namespace", namespace, f"--timeout={timeout}")
    kubectl(sandbox.kubeconfig, "wait", *arguments, timeout=90)


def _given_key(secret: str) -> Manifest:
    return {"apiKey": {"secretRef": {"name": secret, "key": "api-key"}}}


def _about(
    kind: Kind,
    cluster: str,
    keys: str = "s3",
    endpoint: str = "http://127.0.0.1:9",
    bucket: str = "none",
    **spec: Any,
) -> Manifest:
    """An object named `bad` of any kind that refers to a cluster."""
    if kind is COLLECTION:
        return manifests.collection("bad", cluster)
    s3 = {"bucket": bucket, "endpoint": endpoint, "credentials": {"secretRef": {"name": keys}}}
    timed = {"schedule": "0 2 * * *"} if kind is SCHEDULE else {}
    return manifests.custom(
        kind, "bad", {"clusterRef": {"name": cluster}, "storage": {"s3": s3}, **timed, **spec}
    )


def _drop_without_job(kube: Kube, namespace: str) -> None:
    """Delete the snapshot that waits, after proving that nothing was started for it."""
    assert kube.all(Kind.JOB, namespace) == []
    kube.delete(SNAPSHOT, namespace, "bad")
    eventually(lambda: kube.get(SNAPSHOT, namespace, "bad") is None, 30)

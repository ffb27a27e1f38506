"""The first hour with the product: the README's commands on a cluster of one's own, and what they print."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from e2e.conftest import Sheet, Storage
from e2e.environment import images, installing, namespaces, quickstart
from e2e.environment.kubectl import NAME, Kubectl
from e2e.scenario.evidence import save_evidence
from e2e.shell import CommandFailed, eventually, run

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def shop(
    request: pytest.FixtureRequest, kubectl: Kubectl, chart: None, storage: Storage
) -> Iterator[Kubectl]:
    """A namespace where somebody followed the README; only the bucket's endpoint and keys are put in."""
    namespace = f"shop-{secrets.token_hex(3)}"
    kubectl.apply(installing.restricted(namespace))
    shop, failed = kubectl.within(namespace), request.session.testsfailed
    shop.apply(*quickstart.files())
    ready = ("qdrantcluster/vectors", "qdrantcollection/docs", "--timeout=5m")
    shop("wait", "--for=condition=Ready", *ready, timeout=310)
    shop.apply(*quickstart.snapshots(storage))
    yield shop
    if request.session.testsfailed > failed:
        save_evidence(shop, "test_quickstart")
    with suppress(CommandFailed):
        kubectl("delete", "namespace", namespace, "--wait=false")


def test_three_peers_on_three_workers(shop: Kubectl) -> None:
    """After `kubectl wait` every peer runs, each on a node of its own, and every replica is sound."""
    status = shop.settled(replicas=3)
    assert (status["peersReady"], status["shardsSound"]) == ("3/3", "12/12")
    peers = shop.all("pods", "app.kubernetes.io/component=peer")
    assert len({pod["spec"]["nodeName"] for pod in peers}) == 3


def test_snapshot_reaches_the_bucket(shop: Kubectl, storage: Storage, sheet: Sheet) -> None:
    """A QdrantSnapshot where the schedule puts its own becomes Ready, and its files are in the bucket."""
    shop.apply(quickstart.snapshot(shop, "first"))
    shop.ready("qdrantsnapshot", "first", 120)
    found = shop.get("qdrantsnapshot", "first")
    assert found is not None
    folder = found["status"]["location"].removeprefix(f"s3://{storage.bucket}/")
    files = storage.files(folder)
    assert "manifest.json" in " ".join(files), files
    shop.ready("qdrantsnapshotschedule", "nightly", 30)


def test_get_is_readable(shop: Kubectl) -> None:
    """`kubectl get qdrant -o wide` and the short names print one line an object, with what counts."""
    wide = shop("get", "qdrant", "--output=wide")
    for line in (
        r"NAME +VERSION +PEERS +SHARDS +STATUS +AGE",
        r"qdrantcluster\S+/vectors +v1\.19\.0 +3/3 +12/12 +Ready +\S+",
        r"NAME +CLUSTER +POINTS +SHARDS +STATUS +AGE",
        r"qdrantcollection\S+/docs +vectors +0 +12/12 +Ready +\S+",
        r"NAME +CLUSTER +SCHEDULE +SUSPEND +LAST +NEXT +AGE",
        r"qdrantsnapshotschedule\S+/nightly +vectors +0 2 \* \* \* .*",
    ):
        assert re.search(f"^{line}$", wide, re.MULTILINE), wide
    assert max(len(line.rstrip()) for line in wide.splitlines()) < 150, (
        wide
    )  # what a terminal shows in one line
    assert {line.split("/")[0].split(".")[0] for line in shop("get", "qdc,qcol,qss", "--output=name").split()} == {
        "qdrantcluster", "qdrantcollection", "qdrantsnapshotschedule"
    }  # fmt: skip
    shop("get", "qsnap")


def test_describe_tells_the_story(shop: Kubectl) -> None:
    """`kubectl describe` shows the conditions in sentences, and the Events of how the cluster came to be."""
    told = shop("describe", "qdrantcluster", NAME)
    assert "3 peers follow one leader; every shard is at its replication factor" in told
    assert re.search(r"^Events:\n +Type +Reason", told, re.MULTILINE), told
    assert "<none>" not in told.split("Events:")[1], told


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("qdrantcluster.spec.shards", "Placement and transfers of replicas"),
        ("qdrantcluster.spec.persistence.whenScaled", "A removed peer can never join again"),
        ("qdrantcollection.spec.replicationFactor", "replicationFactor <integer>"),
        ("qdrantsnapshotschedule.spec.retention", "keepLast"),
        ("qdrantsnapshot.status.location", "location <string>"),
    ],
)
def test_explain_is_readable(shop: Kubectl, field: str, words: str) -> None:
    """`kubectl explain` has a sentence for each field, and none is empty."""
    text = shop("explain", field)
    assert words in re.sub(r"\s+", " ", text.replace("\t", " ")), text
    assert "<no description>" not in text, text


def _cluster(**spec: object) -> str:
    plain = yaml.safe_load(quickstart.files()[0].read_text())
    return yaml.safe_dump({**plain, "metadata": {"name": "wrong"}, "spec": {**plain["spec"], **spec}})


def _collection(**spec: object) -> str:
    plain = yaml.safe_load(quickstart.files()[1].read_text())
    return yaml.safe_dump({**plain, "metadata": {"name": "wrong"}, "spec": {**plain["spec"], **spec}})


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (_cluster(version="latest"), "spec.version: not a full Qdrant release; set one, for example v1.19.0"),
        (_cluster(replicas=0), "spec.replicas in body should be greater than or equal to 1"),
        (_cluster(replica=3), 'unknown field "spec.replica"'),
        (_cluster(persistence={"size": "0"}), "spec.persistence.size: must be greater than 0, for example 10Gi"),
        (
            _cluster(image={"repository": "qdrant/qdrant:v1.19.0"}),
            "spec.image.repository: has a tag or a digest; remove it, the tag is spec.version",
        ),
        (_collection(vectors={"size": 0, "distance": "Dot"}), "should be greater than or equal to 1"),
        (_collection(vectors={"size": 4, "distance": "Angle"}), 'Unsupported value: "Angle"'),
    ],
)  # fmt: skip
def test_wrong_manifests_are_refused(shop: Kubectl, manifest: str, words: str) -> None:
    """`kubectl apply` ends with a sentence that names the field, and nothing is made."""
    assert words in shop.refused("apply", "-f", "-", stdin=manifest)
    assert shop.get(yaml.safe_load(manifest)["kind"], "wrong") is None


def test_what_only_the_cluster_knows_is_said_in_status(shop: Kubectl) -> None:
    """Four replicas of a shard do not fit on three peers: the condition says so, with both remedies."""
    shop("apply", "-f", "-", stdin=_collection(replicationFactor=4, aliases=[]))

    def said() -> bool:
        found = shop.get("qdrantcollection", "wrong") or {}
        conditions = (found.get("status") or {}).get("conditions") or ()
        return any("lower replicationFactor, or raise" in one["message"] for one in conditions)

    eventually(said, 30, lambda: shop.tell("qdrantcollection", "wrong"))
    shop("delete", "qdrantcollection", "wrong", "--wait=false")


def test_crds_by_client_side_apply(kubectl: Kubectl, chart: None) -> None:
    """`kubectl apply -f crds/` holds the whole CRD in its annotation, and says unchanged the second time."""
    said = kubectl("apply", "-f", str(installing.CRDS))
    assert len(said.splitlines()) == 4
    assert all(line.endswith("unchanged") for line in said.splitlines()), said


def _operator(shop: Kubectl, *arguments: str) -> str:
    """The command line as a person runs it, with a kubeconfig."""
    where = ("--kubeconfig", str(shop.kubeconfig), "--namespace", shop.namespace)
    return run(sys.executable, "-m", "qdrant_operator", *arguments, *where, env={"NO_COLOR": "1"})


def test_status_through_the_api_server(shop: Kubectl) -> None:
    """`qdrant-operator status` reaches every peer through the API server's pod proxy and draws them."""
    status = shop.settled(replicas=3)
    drawn = _operator(shop, "status", NAME)
    assert "3/3 peers ready  12/12 replicas sound" in drawn, drawn
    for peer in status["peers"]:
        assert re.search(rf"^\d +{peer['pod']} +{peer['id']} .*Active", drawn, re.MULTILINE), drawn
    assert re.search(rf"{status['leader']} .* leader$", drawn, re.MULTILINE), drawn
    assert "does not answer" not in drawn


def test_plan_through_the_api_server(shop: Kubectl) -> None:
    """`qdrant-operator plan` says that nothing is to be done, and what five peers would mean."""
    shop.settled(replicas=3)
    assert "nothing" in _operator(shop, "plan", NAME)
    wish = _operator(shop, "plan", NAME, "--what-if", "replicas=5")
    assert "AFTER vectors-3, vectors-4 JOINED" in wish, wish


def test_image_is_small(built: images.Images) -> None:
    """The operator's image is at most 200 MB."""
    assert built.operator_bytes <= 200e6


def test_first_pass_comes_soon(shop: Kubectl, sheet: Sheet, tmp_path: Path) -> None:
    """An operator puts a deleted object back within 5 s of the start of its container."""
    operators = shop.within(namespaces.OPERATOR)
    deployment = "deployment/qdrant-operator"
    operators("scale", deployment, "--replicas=0")
    eventually(lambda: not operators.all("pods", "app.kubernetes.io/name=qdrant-operator"), 60)
    shop("delete", "configmap", f"{NAME}-config")
    operators("scale", deployment, "--replicas=1")
    made = eventually(lambda: shop.get("configmap", f"{NAME}-config"), 60)
    pod = operators.all("pods", "app.kubernetes.io/name=qdrant-operator")[0]
    started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    seconds = (_moment(made["metadata"]["creationTimestamp"]) - _moment(started)).total_seconds()
    operators("scale", deployment, f"--replicas={installing.REPLICAS}")
    operators("rollout", "status", deployment, "--timeout=60s", timeout=70)
    sheet.fact("first write after the start of the operator's container", f"{seconds:.0f} s")
    assert seconds <= 5


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)

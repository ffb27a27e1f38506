"""The operator as a process: one of two acts, it ends in order, tells of itself, and has the rights it needs."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from qdrant_operator.api.rbac import bound, lease_role
from qdrant_operator.domain.common.kinds import Kind
from sandbox.cluster import OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, Sandbox
from sandbox.kubectl import kubectl
from tests.integration.support import manifests
from tests.integration.support.audit import UNSEEN, granted, operator_requests, refused, used
from tests.integration.support.kube import Kube, eventually
from tests.integration.support.operator import Operator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
LEASE = "qdrant-operator"
DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def lease_rights(sandbox: Sandbox, installed: None) -> None:
    """What the chart grants beside the cluster role: the one Lease in the operator's namespace."""
    role = lease_role("qdrant-operator-lease", OPERATOR_NAMESPACE, LEASE)
    both = yaml.safe_dump_all([role, bound(role, OPERATOR_ACCOUNT, OPERATOR_NAMESPACE)])
    kubectl(sandbox.kubeconfig, "apply", "-f", "-", stdin=both)


@pytest.fixture
def pair(
    sandbox: Sandbox, kube: Kube, lease_rights: None, namespace: str, tmp_path: Path
) -> Iterator[tuple[Operator, Operator]]:
    """Two replicas of the operator for one namespace; the first one leads."""
    kube.delete(Kind.LEASE, OPERATOR_NAMESPACE, LEASE)
    first, second = (
        Operator(sandbox.operator_kubeconfig, tmp_path / f"{name}.log", namespace, lease=LEASE)
        for name in ("first", "second")
    )
    first.start()
    eventually(lambda: leads(first), 30)
    second.start()
    yield first, second
    first.kill()
    second.kill()


def test_of_two_only_the_leader_acts(pair: tuple[Operator, Operator], kube: Kube, namespace: str) -> None:
    """The other is ready, has full caches, and takes no pass while the leader forms a cluster."""
    first, second = pair
    kube.create(manifests.cluster(replicas=1), namespace)
    kube.wait_ready(Kind.CLUSTER, namespace, "vectors", 60)
    assert _holder(kube).split("_")[2] == str(first.pid)
    assert second.ready()
    assert not leads(second)
    assert _samples(second, "qdrant_operator_reconcile_total") == {}
    assert _samples(second, "qdrant_operator_steps_total") == {}
    assert sum(_samples(first, "qdrant_operator_steps_total").values()) > 0


def test_the_other_takes_over_from_a_killed_leader(
    pair: tuple[Operator, Operator], kube: Kube, namespace: str
) -> None:
    """Within 20 s the other one leads, and finishes what was begun."""
    first, second = pair
    kube.create(manifests.cluster(replicas=1), namespace)
    eventually(lambda: kube.get(Kind.STATEFUL_SET, namespace, "vectors"), 30)
    first.kill()
    killed = time.monotonic()
    eventually(lambda: leads(second), 30)
    took = time.monotonic() - killed
    assert took < 20, f"{took:.1f} s"
    assert _holder(kube).split("_")[2] == str(second.pid)
    kube.wait_ready(Kind.CLUSTER, namespace, "vectors", 60)


def test_a_stopped_leader_hands_over(pair: tuple[Operator, Operator], kube: Kube, namespace: str) -> None:
    """SIGTERM in the middle of a formation: exit code 0 within 10 s, and the other need not wait for the Lease."""
    first, second = pair
    kube.create(manifests.cluster(replicas=1), namespace)
    eventually(lambda: kube.get(Kind.STATEFUL_SET, namespace, "vectors"), 30)
    began = time.monotonic()
    assert first.stop() == 0, first.log.read_text()[-3000:]
    took = time.monotonic() - began
    assert took < 10, f"{took:.1f} s"
    eventually(lambda: leads(second), 8)
    kube.wait_ready(Kind.CLUSTER, namespace, "vectors", 60)
    assert second.stop() == 0
    assert _holder(kube) == "", "the last one gives the Lease back too"


def test_a_standby_ends_in_order(pair: tuple[Operator, Operator], kube: Kube) -> None:
    """It leaves the Lease to the leader."""
    first, second = pair
    began = time.monotonic()
    assert second.stop() == 0, second.log.read_text()[-3000:]
    assert time.monotonic() - began < 10
    assert _holder(kube).split("_")[2] == str(first.pid)


def test_probes_answer(operator: Operator) -> None:
    """200 and `ok` for a process that works; other paths are 404."""
    assert _get(operator, "/healthz") == (200, "ok")
    assert _get(operator, "/readyz") == (200, "ok")
    assert _get(operator, "/nothing")[0] == 404


def test_it_is_not_ready_without_an_api_server(sandbox: Sandbox, tmp_path: Path) -> None:
    """It lives, is not ready, says what it has not listed, and still ends in order."""
    config = json.loads(sandbox.operator_kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    lonely = Operator(kubeconfig, tmp_path / "operator.log")
    lonely.start(wait=False)
    status, text = eventually(lambda: _reached(lonely, "/readyz"), 30)
    assert (status, text.partition(":")[0]) == (503, "not listed yet")
    assert _get(lonely, "/healthz") == (200, "ok")
    assert lonely.stop() == 0, lonely.log.read_text()[-3000:]


def test_the_metrics_tell_of_a_formation(
    operator: Operator, sandbox: Sandbox, kube: Kube, namespace: str
) -> None:
    """Every documented metric is there, with values that the formation, a bad object and a snapshot explain."""
    kube.create(manifests.cluster(), namespace)
    kube.create(manifests.collection(), namespace)
    kube.create(manifests.collection("wide", replicationFactor=5), namespace)
    kube.wait_ready(Kind.COLLECTION, namespace, "docs", 90)
    kube.wait_reason(Kind.COLLECTION, namespace, "wide", "Ready", "TooFewPeers")
    size = _take_snapshot(sandbox, kube, namespace)
    mine = {"namespace": namespace}
    # the snapshot is Ready before its metric is set
    eventually(lambda: _of(_page(operator)["qdrant_operator_snapshot_size_bytes"], **mine), 10)
    page = _page(operator)
    assert set(page) >= {name.removesuffix("_total") for name in _documented()}
    blocked = [s.labels | {"value": s.value} for s in _of(page["qdrant_operator_blocked"], **mine)]
    wide = {"kind": "QdrantCollection", "name": "wide", "guard": "TooFewPeers", "value": 1.0}
    assert blocked == [{**mine, **wide}]
    assert _value(page["qdrant_operator_leader"]) == 1
    assert _value(page["qdrant_operator_snapshot_size_bytes"], cluster="vectors", **mine) == size > 0
    completed = _value(page["qdrant_operator_snapshot_completed_timestamp_seconds"], **mine)
    assert 0 <= time.time() - completed < 120
    assert _value(page["qdrant_operator_reconcile"], kind="QdrantCluster", result="ok") > 3
    assert not _of(page["qdrant_operator_reconcile"], result="error")
    steps = {(s.labels["kind"], s.labels["step"]): s.value for s in page["qdrant_operator_steps"].samples}
    assert steps["QdrantCluster", "RecordBootstrap"] >= 3
    assert steps["QdrantCollection", "CreateCollection"] >= 1
    assert steps["QdrantSnapshot", "CreateJob"] >= 1
    _durations_are_sensible(page)
    assert all(0 <= s.value < 330 for s in page["qdrant_operator_watch_age_seconds"].samples)
    assert 30e6 < _value(page["process_resident_memory_bytes"]) < 300e6


def test_no_metric_outlives_its_object(operator: Operator, kube: Kube, namespace: str) -> None:
    """The series of a deleted object that was held back is gone: no alert fires for a ghost."""
    kube.create(manifests.collection("lost", cluster="nobody"), namespace)
    eventually(lambda: namespace in operator.metrics(), 30)
    kube.delete(Kind.COLLECTION, namespace, "lost")
    eventually(lambda: namespace not in operator.metrics(), 30)


def test_the_rights_are_enough_and_no_more(
    whole_run: Path, operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the audit log of the whole session: nothing was refused; rights that nothing used are printed."""
    requests = list(operator_requests(whole_run))
    assert len(requests) > 50, "the log shows the operator"
    assert refused(whole_run) == []
    unused = granted(LEASE) - used(whole_run) - UNSEEN.keys()
    with capsys.disabled():
        print("\nrights that nothing used in this session:")  # noqa: T201 (for the reader of the run)
        for group, resource, verb in sorted(unused):
            print(f"  {group or 'core':24} {resource:36} {verb}")  # noqa: T201
    assert ("qdrantoperator.dev", "qdrantclusters", "watch") not in unused


def leads(operator: Operator) -> bool:
    """Whether this process says that it holds the Lease."""
    return sum(_samples(operator, "qdrant_operator_leader").values()) == 1


def _holder(kube: Kube) -> str:
    lease = kube.get(Kind.LEASE, OPERATOR_NAMESPACE, LEASE)
    assert lease is not None
    return str(lease["spec"]["holderIdentity"])


def _samples(operator: Operator, name: str) -> dict[str, float]:
    """Samples of one name on an operator's page, by their labels."""
    samples = (sample for metric in _page(operator).values() for sample in metric.samples)
    return {str(sample.labels): sample.value for sample in samples if sample.name == name}


def _of(metric: Metric, **labels: str) -> list[Sample]:
    """Samples with these labels."""
    return [sample for sample in metric.samples if labels.items() <= sample.labels.items()]


def _page(operator: Operator) -> dict[str, Metric]:
    """Every metric, by its name."""
    return {metric.name: metric for metric in text_string_to_metric_families(operator.metrics())}


def _value(metric: Metric, **labels: str) -> float:
    """Value of the only sample with these labels; `_created` twins of counters aside."""
    found = [sample.value for sample in _of(metric, **labels) if not sample.name.endswith("_created")]
    assert len(found) == 1, f"{metric.name} {labels}: {metric.samples}"
    return float(found[0])


def _durations_are_sensible(page: dict[str, Metric]) -> None:
    """On average a pass takes less than 2 s and a request to a peer less than 1 s, and there are some of each."""
    for name, most in (
        ("qdrant_operator_reconcile_duration_seconds", 2),
        ("qdrant_operator_qdrant_call_duration_seconds", 1),
    ):
        seconds = sum(s.value for s in page[name].samples if s.name.endswith("_sum"))
        count = sum(s.value for s in page[name].samples if s.name.endswith("_count"))
        assert count > 20, name
        assert 0 < seconds / count < most, name


def _documented() -> set[str]:
    """Names in the table of the documentation."""
    return set(re.findall(r"^\| `(qdrant_operator_\w+)`", DOCUMENT.read_text(), re.MULTILINE))


def _take_snapshot(sandbox: Sandbox, kube: Kube, namespace: str) -> int:
    """One complete snapshot; its size in bytes."""
    assert sandbox.s3 is not None
    sandbox.s3.create_bucket(namespace)
    given = {"accessKeyId": sandbox.s3.access_key, "secretAccessKey": sandbox.s3.secret_key}
    kube.create(manifests.secret("s3", **given), namespace)
    s3 = {"bucket": namespace, "endpoint": sandbox.s3.endpoint, "credentials": {"secretRef": {"name": "s3"}}}
    spec = {"clusterRef": {"name": "vectors"}, "storage": {"s3": s3}}
    kube.create(manifests.custom(Kind.SNAPSHOT, "now", spec), namespace)
    return int(kube.wait_ready(Kind.SNAPSHOT, namespace, "now", 90)["status"]["bytes"])


def _get(operator: Operator, path: str) -> tuple[int, str]:
    """Status and text of one page of the operator."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{operator.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _reached(operator: Operator, path: str) -> tuple[int, str] | None:
    """The same for a process that may not listen yet."""
    try:
        return _get(operator, path)
    except OSError:
        return None

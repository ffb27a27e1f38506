"""A QdrantCluster on a real API server: formation, repair of what was damaged, rolls, silence when idle."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import Any

import pytest

from qdrant_operator.domain.cluster.pods.disruptions import STEADY
from qdrant_operator.domain.cluster.pods.rollout import RETURN_SECONDS
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.cluster import Sandbox
from tests.integration.support import manifests
from tests.integration.support.audit import operator_writes, recent_operator_writes
from tests.integration.support.kube import Kube, eventually
from tests.integration.support.load import Load
from tests.integration.support.operator import Operator
from tests.integration.support.peers import Peers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
CLUSTER = Kind.CLUSTER
OWNED = [
    (Kind.SERVICE, "vectors"),
    (Kind.SERVICE, "vectors-peers"),
    (Kind.CONFIG_MAP, "vectors-config"),
    (Kind.SECRET, "vectors-auth"),
    (Kind.SECRET, "vectors-peer-auth"),
    (Kind.SERVICE_ACCOUNT, "vectors"),
    (Kind.DISRUPTION_BUDGET, "vectors"),
    (Kind.NETWORK_POLICY, "vectors-peers"),
    (Kind.STATEFUL_SET, "vectors"),
]
DAMAGE: list[tuple[Kind, str, Manifest]] = [
    (Kind.SERVICE, "vectors", {"spec": {"selector": {"app": "somebody-else"}}}),
    (Kind.SERVICE, "vectors-peers", {"spec": {"publishNotReadyAddresses": False}}),
    (Kind.CONFIG_MAP, "vectors-config", {"data": {"start.sh": "exit 1"}}),
    (Kind.SECRET, "vectors-auth", {"data": {"host": "eA=="}}),
    (Kind.SECRET, "vectors-peer-auth", {"metadata": {"labels": {names.LABEL_CLUSTER: None}}}),
    (Kind.SERVICE_ACCOUNT, "vectors", {"automountServiceAccountToken": True}),
    (Kind.DISRUPTION_BUDGET, "vectors", {"spec": {"maxUnavailable": 3}}),
    (Kind.NETWORK_POLICY, "vectors-peers", {"spec": {"ingress": [{}]}}),
    (Kind.STATEFUL_SET, "vectors", {"spec": {"updateStrategy": {"type": "RollingUpdate"}}}),
]


def form(kube: Kube, namespace: str, replicas: int = 3, **spec: Any) -> Peers:
    """Create a cluster and wait as `kubectl wait` does."""
    kube.create(manifests.cluster(replicas=replicas, **spec), namespace)
    kube.wait_ready(CLUSTER, namespace, "vectors", 90)
    return Peers(kube, namespace)


def one_cluster(peers: Peers, count: int) -> frozenset[str]:
    """The peer ids, after proving that all peers know the same ones."""
    known = set(peers.memberships().values())
    assert len(known) == 1, f"more than one Raft cluster: {known}"
    ids = known.pop()
    assert len(ids) == count
    return ids


@pytest.mark.parametrize("replicas", [1, 3, 5])
def test_a_cluster_of_any_size_forms_as_one(
    operator: Operator, kube: Kube, namespace: str, replicas: int
) -> None:
    """Ready means: so many peers, one leader, one membership, and the cluster carries our mark."""
    peers = form(kube, namespace, replicas)
    one_cluster(peers, replicas)
    found = kube.get(CLUSTER, namespace, "vectors")
    assert found is not None
    assert found["status"]["peersReady"] == f"{replicas}/{replicas}"
    mark = peers.ask("vectors-0", "GET", "/cluster/metadata/keys/qdrant-operator-cluster-uid")
    assert mark == {"uid": found["metadata"]["uid"]}


def test_an_operator_killed_at_random_moments_forms_one_cluster(
    own_operator: Operator, kube: Kube, namespace: str
) -> None:
    """Twenty kills while five peers form; the decision in status outlives each of them."""
    kube.create(manifests.cluster(replicas=5), namespace)
    for _ in range(20):
        own_operator.start(wait=False)
        time.sleep(random.uniform(0.6, 2.2))
        own_operator.kill()
    own_operator.start()
    kube.wait_ready(CLUSTER, namespace, "vectors", 120)
    one_cluster(Peers(kube, namespace), 5)


def test_what_is_deleted_or_edited_comes_back(operator: Operator, kube: Kube, namespace: str) -> None:
    """Every owned object, each within 30 s, with the API key unchanged and no peer restarted."""
    peers = form(kube, namespace)
    key, before = peers.key, _pod_uids(kube, namespace)
    for kind, name in OWNED:
        old = kube.get(kind, namespace, name)
        assert old is not None
        kube.delete(kind, namespace, name, grace=0)
        eventually(partial(_is_new, kube, namespace, kind, name, old), 30)
    for kind, name, drift in DAMAGE:
        wanted = kube.get(kind, namespace, name)
        assert wanted is not None
        kube.patch(kind, namespace, name, drift)
        eventually(partial(_is_back, kube, namespace, kind, name, wanted), 30)
    kube.wait_ready(CLUSTER, namespace, "vectors")
    assert peers.key == key
    survivors = {name: uid for name, uid in _pod_uids(kube, namespace).items() if before.get(name) == uid}
    assert len(survivors) in (0, 3), "the StatefulSet's deletion takes its pods along, nothing else does"


def test_a_network_policy_follows_the_spec(operator: Operator, kube: Kube, namespace: str) -> None:
    """Clients of each sort are taken by the API server, nothing is written twice, and disabled means gone."""
    form(kube, namespace, 1)
    before, kind, name = _pod_uids(kube, namespace), Kind.NETWORK_POLICY, "vectors-peers"
    expression = {"key": "tier", "operator": "In", "values": ["a"]}
    clients = [
        {"podSelector": {}},
        {"namespaceSelector": {"matchExpressions": [expression]}, "podSelector": {"matchLabels": {"a": "b"}}},
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
    ]
    kube.patch(CLUSTER, namespace, "vectors", {"spec": {"networkPolicy": {"clients": clients}}})
    kube.wait_ready(CLUSTER, namespace, "vectors")
    found = kube.get(kind, namespace, name)
    assert found is not None
    sources = found["spec"]["ingress"][0]["from"]
    assert [one for one in clients if one not in sources] == []
    assert {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "qdrant-operator"}}
    } in sources
    assert found["metadata"]["generation"] == 2, "made, changed once, and left alone"
    kube.patch(CLUSTER, namespace, "vectors", {"spec": {"networkPolicy": {"enabled": False}}})
    eventually(lambda: kube.get(kind, namespace, name) is None, 30)
    kube.wait_ready(CLUSTER, namespace, "vectors")
    assert _pod_uids(kube, namespace) == before


def test_all_pods_deleted_at_once_come_back_as_the_same_cluster(
    operator: Operator, kube: Kube, namespace: str
) -> None:
    """Same peer ids, same points: nobody started anew."""
    peers = form(kube, namespace)
    kube.create(manifests.collection(), namespace)
    kube.wait_ready(Kind.COLLECTION, namespace, "docs")
    peers.upsert("docs", range(1, 501))
    ids, old = one_cluster(peers, 3), _pod_uids(kube, namespace)
    for pod in old:
        kube.delete(Kind.POD, namespace, pod, grace=0)
    eventually(lambda: len(_pod_uids(kube, namespace).items() - old.items()) == 3, 60)
    kube.wait_ready(CLUSTER, namespace, "vectors", 90)
    assert one_cluster(peers, 3) == ids
    assert peers.count("docs") == 500


def test_a_cluster_made_again_adopts_the_volumes_that_were_kept(
    operator: Operator, kube: Kube, namespace: str
) -> None:
    """Deleted and applied again: nobody starts alone, same peer ids, same points, and status says Adopted first."""
    peers = form(kube, namespace)
    kube.create(manifests.collection(), namespace)
    kube.wait_ready(Kind.COLLECTION, namespace, "docs")
    peers.upsert("docs", range(1, 301))
    ids = one_cluster(peers, 3)
    kube.delete(CLUSTER, namespace, "vectors")
    eventually(lambda: not _pod_uids(kube, namespace), 60)
    kube.create(manifests.cluster(), namespace)
    told = eventually(lambda: _bootstrap(kube, namespace), 20)
    assert told == "Adopted"
    kube.wait_ready(CLUSTER, namespace, "vectors", 90)
    assert one_cluster(peers, 3) == ids
    assert peers.count("docs") == 300


def _bootstrap(kube: Kube, namespace: str) -> str:
    found = kube.get(CLUSTER, namespace, "vectors") or {}
    return str(((found.get("status") or {}).get("bootstrap") or {}).get("phase") or "")


def test_a_config_change_rolls_without_a_failed_request(
    operator: Operator, kube: Kube, namespace: str
) -> None:
    """A writer and a reader never pause; every pod is replaced; nothing fails and nothing is lost."""
    peers = form(kube, namespace)
    kube.create(manifests.collection(), namespace)
    kube.wait_ready(Kind.COLLECTION, namespace, "docs")
    old = _pod_uids(kube, namespace)
    with Load(kube, namespace, "vectors", "docs", peers.key) as load:
        eventually(lambda: len(load.acknowledged) > 20, 30)
        kube.patch(CLUSTER, namespace, "vectors", {"spec": {"config": {"log_level": "DEBUG"}}})
        kube.wait_ready(CLUSTER, namespace, "vectors", 200)
        after = len(load.acknowledged)
        eventually(lambda: len(load.acknowledged) > after + 20, 30)
    assert not old.items() & _pod_uids(kube, namespace).items(), "every pod was made anew"
    assert load.writes.failed == []
    assert load.reads.failed == []
    assert peers.count("docs") >= len(load.acknowledged)


def test_a_killed_peer_comes_back_by_itself(
    operator: Operator, kube: Kube, namespace: str, sandbox: Sandbox
) -> None:
    """After SIGKILL of one peer's process: Ready turns False, then True again, with the same members."""
    peers = form(kube, namespace)
    ids = one_cluster(peers, 3)
    sandbox.node.pause(namespace, "vectors-1")
    eventually(lambda: kube.condition(CLUSTER, namespace, "vectors", "Ready").get("status") == "False", 30)
    sandbox.node.kill(namespace, "vectors-1")
    kube.wait_ready(CLUSTER, namespace, "vectors", 60)
    assert one_cluster(peers, 3) == ids


def test_an_idle_healthy_cluster_writes_nothing(
    operator: Operator, kube: Kube, namespace: str, sandbox: Sandbox
) -> None:
    """By the API server's own audit log: no write by the operator in 60 s."""
    form(kube, namespace)
    log = sandbox.audit_log
    assert log is not None
    assert operator_writes(log, namespace) != [], "the log shows the writes of the formation"
    quiet = (
        RETURN_SECONDS + STEADY.total_seconds() + 5
    )  # then the disruption budget has followed the last change
    eventually(lambda: not recent_operator_writes(log, namespace, quiet), 90)
    mark = log.stat().st_size
    time.sleep(60)
    assert "\n".join(operator_writes(log, namespace, mark)) == ""


def test_paused_means_hands_off(operator: Operator, kube: Kube, namespace: str) -> None:
    """A damaged object stays damaged while the cluster is paused, and is put back afterwards."""
    form(kube, namespace, 1)
    kube.patch(CLUSTER, namespace, "vectors", {"spec": {"paused": True}})
    eventually(lambda: _phase(kube, namespace) == "Paused", 30)
    kube.patch(Kind.SERVICE, namespace, "vectors", {"metadata": {"labels": {names.LABEL_NAME: "damaged"}}})
    kube.patch(CLUSTER, namespace, "vectors", {"spec": {"service": {"annotations": {"a": "b"}}}})
    eventually(lambda: _seen(kube, namespace), 30)
    service = kube.get(Kind.SERVICE, namespace, "vectors")
    assert service is not None
    assert service["metadata"]["labels"][names.LABEL_NAME] == "damaged"
    kube.patch(CLUSTER, namespace, "vectors", {"spec": {"paused": False}})
    kube.wait_ready(CLUSTER, namespace, "vectors")
    service = kube.get(Kind.SERVICE, namespace, "vectors")
    assert service is not None
    assert service["metadata"]["labels"][names.LABEL_NAME] == "qdrant"


def _phase(kube: Kube, namespace: str) -> str:
    found = kube.get(CLUSTER, namespace, "vectors") or {}
    return str((found.get("status") or {}).get("phase"))


def _seen(kube: Kube, namespace: str) -> bool:
    found = kube.get(CLUSTER, namespace, "vectors")
    assert found is not None
    return bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])


def _pod_uids(kube: Kube, namespace: str) -> dict[str, str]:
    selector = f"{names.LABEL_INSTANCE}=vectors,{names.LABEL_COMPONENT}=peer"
    return {
        pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in kube.all(Kind.POD, namespace, selector)
    }


def _is_new(kube: Kube, namespace: str, kind: Kind, name: str, old: Manifest) -> bool:
    found = kube.get(kind, namespace, name)
    return found is not None and found["metadata"]["uid"] != old["metadata"]["uid"]


def _is_back(kube: Kube, namespace: str, kind: Kind, name: str, wanted: Manifest) -> bool:
    """Equal but for what the server counts."""
    found = kube.get(kind, namespace, name)
    return found is not None and _essence(found) == _essence(wanted)


def _essence(manifest: Manifest) -> Manifest:
    kept = {key: value for key, value in manifest.items() if key not in ("metadata", "status")}
    return {**kept, "labels": manifest["metadata"].get("labels")}

"""Descriptions that say what an absent field means, and who makes it so.

A description is a promise. Each is listed here with whoever keeps it; those that we keep are tried.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from qdrant_operator.api import CollectionSpec
from qdrant_operator.api.crds import crd
from qdrant_operator.api.kinds import KINDS
from qdrant_operator.domain.collection.requests import create_body
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.collection_names import collection_name
from qdrant_operator.domain.manifests.network_policy import network_policy
from qdrant_operator.domain.manifests.stateful_set import stateful_set
from qdrant_operator.domain.placement.wants import wants
from tests.domain.clusters import desired

KUBERNETES = "Kubernetes has this default"
QDRANT = "Qdrant has this default, and we send nothing"
OFF = "without it nothing happens"
POD = "podTemplate.spec"
PEERS = names.peer_selector("vectors")


def pod_spec(**spec: Any) -> Any:
    """What becomes of spec.podTemplate.spec."""
    manifest = stateful_set(desired(podTemplate={"spec": spec}))
    return manifest["spec"]["template"]["spec"]


def spread_over_peers() -> None:
    """A constraint without a selector would match no pod."""
    bare = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    own = {"matchLabels": {"app": "search"}}
    (kept,) = pod_spec(topologySpreadConstraints=[{**bare, "labelSelector": own}])[
        "topologySpreadConstraints"
    ]
    (filled,) = pod_spec(topologySpreadConstraints=[bare])["topologySpreadConstraints"]
    assert kept["labelSelector"] == own
    assert filled["labelSelector"] == {"matchLabels": PEERS}


def peers_apart() -> None:
    """The peers prefer different nodes."""
    (term,) = pod_spec()["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["labelSelector"] == {"matchLabels": PEERS}
    assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"


def own_account() -> None:
    """The account that is made has the cluster's name."""
    assert pod_spec()["serviceAccountName"] == "vectors"


def default_class() -> None:
    """No class is named."""
    (claim,) = stateful_set(desired())["spec"]["volumeClaimTemplates"]
    assert "storageClassName" not in claim["spec"]


def no_read_only_key() -> None:
    """No variable is set, so Qdrant knows no such key."""
    variables = stateful_set(desired())["spec"]["template"]["spec"]["containers"][0]["env"]
    assert "QDRANT__SERVICE__READ_ONLY_API_KEY" not in {one["name"] for one in variables}


def clients_of_every_kind() -> None:
    """The rule of the API's ports names nobody."""
    rules = network_policy(desired())["spec"]["ingress"]
    open_ports = [port["port"] for rule in rules if not rule.get("from") for port in rule["ports"]]
    assert {names.REST_PORT, names.GRPC_PORT} <= set(open_ports)


def own_name() -> None:
    """The collection has the object's name."""
    assert collection_name({"metadata": {"name": "docs"}, "spec": {}}) == "docs"


def nothing_is_sent() -> None:
    """Qdrant decides, with what its configuration says."""
    spec = CollectionSpec.model_validate(
        {"clusterRef": {"name": "vectors"}, "vectors": {"size": 4, "distance": "Dot"}}
    )
    assert create_body(spec) == {"vectors": {"size": 4, "distance": "Dot"}}


def key_as_the_collection() -> None:
    """Neither a factor nor peers of its own."""
    found = {
        "metadata": {"name": "docs", "namespace": "default"},
        "spec": {
            "clusterRef": {"name": "vectors"},
            "vectors": {"size": 4, "distance": "Dot"},
            "sharding": {"method": "Custom", "keys": [{"key": "a"}]},
        },
        "status": {"owned": True},
    }
    assert all(want.factor is None and want.pods is None for want in wants((found,)).values())


Keeper = str | Callable[[], None]
PROMISES: Mapping[str, Mapping[str, Keeper]] = {
    "QdrantCluster": {
        f"{POD}.tolerations.key": KUBERNETES,
        f"{POD}.tolerations.operator": KUBERNETES,
        f"{POD}.tolerations.effect": KUBERNETES,
        f"{POD}.tolerations.tolerationSeconds": KUBERNETES,
        f"{POD}.topologySpreadConstraints.labelSelector": spread_over_peers,
        f"{POD}.affinity": peers_apart,
        f"{POD}.serviceAccountName": own_account,
        "persistence.storageClassName": default_class,
        "auth.apiKey": "tests/reconcile/cluster/test_keys.py",
        "auth.readOnlyApiKey": no_read_only_key,
        "networkPolicy.clients": clients_of_every_kind,
        "shards.zoneKey": OFF,
        "shards.window": OFF,
        "shards.replaceLostPeerAfter": OFF,
    },
    "QdrantCollection": {
        "name": own_name,
        "shardNumber": nothing_is_sent,
        "replicationFactor": nothing_is_sent,
        "writeConsistencyFactor": nothing_is_sent,
        "readFanOutFactor": nothing_is_sent,
        "sharding": nothing_is_sent,
        "sharding.keys.replicationFactor": key_as_the_collection,
        "sharding.keys.peers": key_as_the_collection,
        "payloadIndexes.lookup": QDRANT,
        "payloadIndexes.range": QDRANT,
        "payloadIndexes.tokenizer": QDRANT,
        "payloadIndexes.lowercase": QDRANT,
        "vectors.datatype": QDRANT,
        "namedVectors.datatype": QDRANT,
        "sparseVectors.datatype": QDRANT,
        "quantization.scalar.quantile": QDRANT,
        "vectors.quantization.scalar.quantile": QDRANT,
        "namedVectors.quantization.scalar.quantile": QDRANT,
    },
    "QdrantSnapshot": {
        "storage.s3.endpoint": "tests/adapters/test_object_storage.py",
        "storage.s3.credentials": "tests/adapters/test_object_storage.py",
    },
    "QdrantSnapshotSchedule": {
        "startingDeadlineSeconds": "tests/domain/common/timing/test_schedules.py",
        "retention": OFF,
        "storage.s3.endpoint": "tests/adapters/test_object_storage.py",
        "storage.s3.credentials": "tests/adapters/test_object_storage.py",
    },
}


def promised(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Fields whose description says what it means that they are absent."""
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        if re.search(r"\b(absent|by default)\b", field.get("description", ""), re.IGNORECASE):
            yield here
        yield from promised(field, here)
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from promised(inner, path)


@pytest.mark.parametrize("kind", PROMISES)
def test_each_promise_has_somebody_who_keeps_it(kind: str) -> None:
    """A description with a new promise is red until it is said here who keeps it."""
    manifest = crd(next(one for one in KINDS if one.kind == kind))
    schema = manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert sorted(set(promised(schema))) == sorted(PROMISES[kind])


def name_of(keeper: Keeper) -> str:
    """Name of a function, or who else keeps the promise."""
    return str(getattr(keeper, "__name__", keeper))


OURS: Mapping[str, Callable[[], None]] = {
    name_of(keeper): keeper
    for fields in PROMISES.values()
    for keeper in fields.values()
    if not isinstance(keeper, str)
}


@pytest.mark.parametrize("keeper", OURS.values(), ids=OURS)
def test_what_we_promise_is_so(keeper: Callable[[], None]) -> None:
    """What we put in ourselves is in the objects and requests."""
    keeper()

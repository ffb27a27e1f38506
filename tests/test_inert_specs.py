"""Every field of a cluster's and a collection's spec leads somewhere: taken out of a full spec, something differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from qdrant_operator.api import ClusterSpec, CollectionSpec
from qdrant_operator.domain.cluster.wanted.desired import Credentials, DesiredCluster
from qdrant_operator.domain.cluster.wanted.objects import wanted_objects
from qdrant_operator.domain.collection.observed import Desired, KeySeen
from qdrant_operator.domain.collection.planner import plan
from tests.api.manifests import FULL
from tests.domain.collection_model import live, observed

ELSEWHERE: Mapping[str, str] = {
    "persistence.whenScaled": "tests/test_inert.py",
    "persistence.whenDeleted": "tests/test_inert.py",
    "auth": "becomes Credentials before objects are made",
    "auth.apiKey": "becomes Credentials before objects are made",
    "auth.apiKey.secretRef.key": "becomes Credentials before objects are made",
    "auth.readOnlyApiKey": "becomes Credentials before objects are made",
    "auth.readOnlyApiKey.secretRef.key": "becomes Credentials before objects are made",
    "auth.disabled": "becomes Credentials before objects are made",
    "networkPolicy.enabled": "tests/domain/manifests/test_network_policy.py; the full spec says the default",
    "paused": "stops the loop, whatever the plan",
    "name": "is the name that a plan is made for",
    "sharding.keys.shards": "tests/test_inert.py; the full spec says the default",
    "sharding.keys.replicationFactor": "tests/test_inert.py; the full spec says the default",
}
"""Fields whose effect is not in the objects or the plan, and where it is."""
ONLY_VALUE = ("multivector.comparator", "quantization.scalar.type")
"""Qdrant knows one value, which is the default."""


def of_cluster(spec: Any) -> Any:
    """Objects of a cluster; spec.shards, whose fields tests/test_inert.py looks at one by one."""
    parsed = ClusterSpec.model_validate(spec)
    keys = Credentials("key")
    wanted = DesiredCluster(
        "search",
        "default",
        "uid",
        parsed,
        keys,
        pod_count=parsed.replicas,
        version=parsed.version,
        digest=parsed.image.digest or "",
    )
    return list(wanted_objects(wanted)), parsed.shards


def of_collection(spec: Any) -> Any:
    """Plans for a collection that is absent, somebody else's, and ours with more than was declared."""
    parsed = CollectionSpec.model_validate(spec)
    custom = live({"sharding_method": "custom"}, indexes={"extra": {"data_type": "keyword"}})
    looks = (observed(), observed(live(owner=None)), observed(custom, keys={"gone": KeySeen(1, 5)}))
    kinds = (
        Desired(
            "docs",
            "default/docs/uid-1",
            parsed,
            wanted_peers=3,
            has_finalizer=held,
            granted_keys=frozenset({"gone"}),
        )
        for held in (False, True)
    )
    return [plan(wanted, look) for wanted in kinds for look in looks]


def without(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each field's path, and the whole without it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            here = f"{path}.{name}".lstrip(".")
            yield here, {other: kept for other, kept in value.items() if other != name}
            for below, changed in without(inner, here):
                yield below, {**value, name: changed}
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            for below, changed in without(inner, path):
                yield below, [*value[:number], changed, *value[number + 1 :]]


@pytest.mark.parametrize(
    ("kind", "made"), [("QdrantCluster", of_cluster), ("QdrantCollection", of_collection)]
)
def test_no_field_of_a_full_spec_can_go_unnoticed(kind: str, made: Callable[[Any], Any]) -> None:
    """Objects or plan differ without it, or it is listed here with the place of its effect."""
    noticed: dict[str, bool] = {}
    for full in FULL[kind]:
        whole = made(full)
        for path, rest in without(full):
            try:
                differs = made(rest) != whole
            except ValidationError:  # it cannot be left out: that is noticed
                differs = True
            noticed[path] = noticed.get(path, False) or differs
    assert len(noticed) > 50
    silent = [path for path, differs in noticed.items() if not differs and not path.endswith(ONLY_VALUE)]
    assert sorted(path for path in silent if path not in ELSEWHERE) == []

"""Nothing is there for show: each field of a spec changes something, each fact, word and metric is written."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest
from pydantic import BaseModel

import qdrant_operator
from qdrant_operator.adapters.metrics import Metrics
from qdrant_operator.api import ClusterStatus, CollectionStatus, Sharding
from qdrant_operator.api.cluster.shards import Shards
from qdrant_operator.api.cluster.spec import Persistence
from qdrant_operator.api.kinds import KINDS
from qdrant_operator.domain.cluster.observed import Leaving, LeavingPhase, Volume
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.volumes.marks import find_unmarked
from qdrant_operator.domain.collection.observed import KeySeen
from qdrant_operator.domain.collection.planner import plan as plan_collection
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.manifests.stateful_set import stateful_set
from qdrant_operator.domain.placement.wants import wants
from qdrant_operator.domain.qdrant.views import PeerId
from qdrant_operator.reconcile.cluster.pods import read_pods
from qdrant_operator.reconcile.context import Context
from sandbox.fakes.kubernetes import FakeKubernetes
from tests.domain.clusters import desired
from tests.domain.collection_model import DOCS, live, observed
from tests.domain.collection_model import desired as wanted_collection
from tests.domain.guards import cluster_worlds as guard_cluster_worlds
from tests.domain.guards import collection_worlds as guard_collection_worlds
from tests.domain.guards import examples as guard_examples
from tests.domain.guards.cluster_worlds import LEVEL, ClusterWorld, lost, peers
from tests.domain.guards.collection_worlds import CollectionWorld
from tests.reconcile.collection_world import declare_pod

PACKAGE = Path(qdrant_operator.__file__).parent
SOURCES = {path.relative_to(PACKAGE): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
PILED = {0: (0, 1), 1: (0, 1), 2: (0, 1)}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
Effect = Callable[[Any], Any]
"""What the code makes of a part of a spec."""


def in_plan(look: Any, replicas: int = 3) -> Effect:
    """The plan for this look, with these spec.shards."""
    return lambda shards: plan(desired(replicas, shards=shards), look)


def in_plan_of_zones(shards: Any) -> Any:
    """The plan for pods that carry two labels."""
    fake = FakeKubernetes()
    for ordinal in range(4):
        declare_pod(fake, ordinal, f"10.0.0.{ordinal}")
        labels = {"zone": "ab"[ordinal // 2], "rack": "ab"[ordinal % 2]}
        fake.server.patch(Kind.POD, "default", f"vectors-{ordinal}", {"metadata": {"labels": labels}}, "test")
    world = cast("Context", SimpleNamespace(kubernetes=fake))
    wanted = desired(4, shards=shards)
    seen = peers(4, {0: (0, 1), 1: (2, 3), 2: (0, 1), 3: (2, 3)})
    zones = {
        pod.name: pod.zone for pod in read_pods(world, "default", "vectors", wanted.spec.shards.zone_key)
    }
    pods = tuple(replace(pod, zone=zones[pod.name]) for pod in seen.pods)
    return plan(wanted, replace(seen, pods=pods))


def in_stateful_set(persistence: Any) -> Any:
    """The StatefulSet of a cluster with this spec.persistence."""
    return stateful_set(desired(persistence=persistence))


def in_marks(persistence: Any) -> Any:
    """What is written on the claim of a peer."""
    observed = peers(1, volumes={"storage-vectors-0": Volume("claim-0", labelled=True)})
    return find_unmarked(desired(1, persistence=persistence), observed)


def in_plan_of_removal(persistence: Any) -> Any:
    """The plan when a peer was removed and its pod is gone."""
    gone = Leaving("vectors-3", PeerId(103), "claim-3", LeavingPhase.REMOVED)
    volumes = {**peers(4).volumes}
    return plan(desired(persistence=persistence), replace(peers(3), leaving=gone, volumes=volumes))


def in_collection(sharding: Any) -> Any:
    """The plan of a collection that is to be made; what is asked of placement."""
    wanted = wanted_collection({"sharding": sharding, "replicationFactor": 1})
    spec = {**DOCS, "sharding": sharding}
    meta = {"name": "docs", "namespace": "default", "uid": "uid"}
    return plan_collection(wanted, observed()).steps, wants([{"metadata": meta, "spec": spec}])


def in_removal_of_key(sharding: Any) -> Any:
    """The plan when a key with points is declared no more."""
    wanted = wanted_collection({"sharding": sharding}, granted_keys=frozenset({"eu"}))
    return plan_collection(wanted, observed(live({"sharding_method": "custom"}), keys={"eu": KeySeen(1, 5)}))


def at_noon(**window: str) -> dict[str, Any]:
    """A window that is open at noon, unless one of its fields says otherwise."""
    return {"window": {"schedule": "0 12 * * *", "duration": "30m", **window}}


def key(**fields: Any) -> dict[str, Any]:
    """One shard key."""
    return {"method": "Custom", "keys": [{"key": "eu", **fields}]}


LEVELLING = in_plan(peers(3, PILED, now=NOON))
LOST = in_plan(lost(LEVEL, 2))
CASES: Mapping[str, tuple[Effect, tuple[Any, ...]]] = {
    "shards.placement": (LEVELLING, ({}, {"placement": "DrainOnly"}, {"placement": "Manual"})),
    "shards.zoneKey": (in_plan_of_zones, ({"zoneKey": "zone"}, {"zoneKey": "rack"})),
    "shards.transfers.perCluster": (
        in_plan(peers(4, {0: (0,), 1: (1,)}), 4),
        ({"transfers": {"perCluster": 1}}, {"transfers": {"perCluster": 2}}),
    ),
    "shards.transfers.perPeer": (
        in_plan(peers(2, {0: (0,), 1: (0,)}), 2),
        ({"transfers": {"perPeer": 1}}, {"transfers": {"perPeer": 2}}),
    ),
    "shards.transfers.method": (
        LEVELLING,
        tuple({"transfers": {"method": method}} for method in ("snapshot", "stream_records", "wal_delta")),
    ),
    "shards.window.schedule": (LEVELLING, (at_noon(), at_noon(schedule="0 1 * * *"))),
    "shards.window.duration": (
        LEVELLING,
        (at_noon(schedule="0 11 * * *"), at_noon(schedule="0 11 * * *", duration="2h")),
    ),
    "shards.window.timeZone": (LEVELLING, (at_noon(), at_noon(timeZone="Europe/Paris"))),
    "shards.replaceLostPeerAfter": (LOST, ({"replaceLostPeerAfter": "5m"}, {"replaceLostPeerAfter": "11m"})),
    "shards.replaceLostPeers": (LOST, ({"replaceLostPeers": [102]}, {"replaceLostPeers": [101]})),
    "persistence.size": (in_stateful_set, ({"size": "10Gi"}, {"size": "20Gi"})),
    "persistence.storageClassName": (in_stateful_set, ({}, {"storageClassName": "fast"})),
    "persistence.whenDeleted": (in_marks, ({"whenDeleted": "Retain"}, {"whenDeleted": "Delete"})),
    "persistence.whenScaled": (in_plan_of_removal, ({"whenScaled": "Retain"}, {"whenScaled": "Delete"})),
    "sharding.method": (in_collection, ({"method": "Auto"}, {"method": "Custom"})),
    "sharding.keys.key": (in_collection, (key(), key(key="us"), key(key=1), key(key="1"))),
    "sharding.keys.shards": (in_collection, (key(shards=1), key(shards=2))),
    "sharding.keys.replicationFactor": (in_collection, (key(), key(replicationFactor=2))),
    "sharding.keys.peers.zone": (in_collection, (key(peers={"zone": "a"}), key(peers={"zone": "b"}))),
    "sharding.keys.peers.pods": (
        in_collection,
        (key(peers={"pods": ["vectors-0"]}), key(peers={"pods": ["vectors-1"]})),
    ),
    "sharding.onKeyRemoval": (
        in_removal_of_key,
        ({"method": "Custom", "onKeyRemoval": "Refuse"}, {"method": "Custom", "onKeyRemoval": "Delete"}),
    ),
}
"""By field: what depends on it, and values of which each must give something else."""


def leaves(model: type[BaseModel], path: str) -> Iterator[str]:
    """Paths of a model's fields that hold no model themselves."""
    for name, field in model.model_fields.items():
        below = f"{path}.{field.alias or name}"
        inner: type[BaseModel] | None = next(models(field.annotation), None)
        yield from leaves(inner, below) if inner else [below]


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models in a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models(part)


def test_the_cases_are_all_fields_of_shards_persistence_and_sharding() -> None:
    """A new field needs a case that shows what it does."""
    roots: dict[str, type[BaseModel]] = {"shards": Shards, "persistence": Persistence, "sharding": Sharding}
    assert {path for name, model in roots.items() for path in leaves(model, name)} == set(CASES)


@pytest.mark.parametrize("path", CASES)
def test_each_value_of_a_field_makes_a_difference(path: str) -> None:
    """Any two of the values lead to another plan, manifest or wish."""
    effect, values = CASES[path]
    for one, other in combinations(values, 2):
        assert effect(one) != effect(other), f"{path}: {one} and {other} do the same"


def paths(value: Any, path: str) -> Iterator[str]:
    """Paths of all that stands in a status."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from paths(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from paths(inner, path)
    elif value is not None:
        yield path


def cluster_worlds() -> Iterator[ClusterWorld]:
    """The guards' worlds; a peer that leaves; advice; zones; a loss."""
    yield from (world() for world in guard_cluster_worlds.WORLDS.values())
    leaving = Leaving("vectors-2", PeerId(102), "claim-2", LeavingPhase.REMOVING)
    zoned = replace(peers(3), pods=tuple(replace(pod, zone="a") for pod in peers(3).pods))
    yield ClusterWorld(desired(2), replace(zoned, leaving=leaving))


def collection_worlds() -> Iterator[CollectionWorld]:
    """The guards' worlds; a key that was declared; an alias that is there."""
    yield from (world() for world in guard_collection_worlds.WORLDS.values())
    wanted = wanted_collection({**guard_collection_worlds.keyed({"key": "eu"}), "aliases": ["live"]})
    there = observed(
        live({"sharding_method": "custom"}), keys={"eu": KeySeen(1, 0)}, aliases={"live": "docs"}
    )
    yield CollectionWorld(replace(wanted, granted=frozenset({"live"})), there)


BY_THE_WRITER = {"status.observedGeneration"}
CONDITION = "status.conditions"


def written_by_write_status(path: str) -> bool:
    """Conditions, the generation and the installation that acts stand in every status (tests of installations)."""
    return path in BY_THE_WRITER or path.startswith((CONDITION, "status.operator."))


def test_every_field_of_a_clusters_status_is_written() -> None:
    """Some world fills it."""
    told = (guard_examples.status_of_cluster(world) for world in cluster_worlds())
    found = {path for facts in told for path in paths(facts, "status")}
    declared = set(leaves(ClusterStatus, "status"))
    assert sorted(path for path in declared - found if not written_by_write_status(path)) == []


def test_every_field_of_a_collections_status_is_written() -> None:
    """Some world fills it."""
    told = (guard_examples.status_of_collection(world) for world in collection_worlds())
    found = {path for facts in told for path in paths(facts, "status")}
    declared = set(leaves(CollectionStatus, "status"))
    assert sorted(path for path in declared - found if not written_by_write_status(path)) == []


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if "Snapshot" in kind.kind], ids=lambda kind: kind.kind
)
def test_every_field_of_a_backups_status_has_a_writer(kind: Any) -> None:
    """Its name stands in the loops of backups, as a key or as an argument."""
    loops = "\n".join(text for path, text in SOURCES.items() if path.parts[0] in ("reconcile", "domain"))
    names = {
        path.rsplit(".", 1)[1] for path in leaves(kind.status, "status") if not written_by_write_status(path)
    }
    assert names
    assert sorted(name for name in names if f'"{name}"' not in loops and f"{snake(name)}=" not in loops) == []


def snake(name: str) -> str:
    """The Python name of a field."""
    return re.sub(r"([A-Z])", r"_\1", name).lower()


def words() -> Iterator[StrEnum]:
    """Every member of every closed set of words in the package."""
    for found in pkgutil.walk_packages([str(PACKAGE)], "qdrant_operator."):
        if found.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(found.name)).values():
            if isinstance(value, type) and issubclass(value, StrEnum) and value.__module__ == found.name:
                yield from value


def test_every_word_of_a_closed_set_is_used() -> None:
    """A phase, reason, guard or state that nothing says or reads is dead."""
    text = "\n".join(SOURCES.values())
    elsewhere = re.sub(r'^    [A-Z_0-9]+ = "\w+"$', "", text, flags=re.MULTILINE)
    unused = [
        f"{type(word).__name__}.{word.name}"
        for word in words()
        if f"{type(word).__name__}.{word.name}" not in text and f'"{word}"' not in elsewhere
    ]
    assert unused == []


BACKED_UP: Mapping[Kind, list[Manifest]] = {
    Kind.CLUSTER: [{"metadata": {"namespace": "default", "name": "vectors", "uid": "1"}}],
    Kind.SNAPSHOT: [
        {
            "metadata": {"namespace": "default", "name": "nightly"},
            "spec": {"clusterRef": {"name": "vectors"}},
            "status": {
                "phase": "Verified",
                "completedAt": "2026-11-21T12:00:00Z",
                "bytes": 7,
                "clusterUid": "1",
            },
        }
    ],
    Kind.SCHEDULE: [
        {
            "metadata": {"namespace": "default", "name": "nightly"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
    ],
}
"""A cluster, its backup, and the schedule that made it."""


def test_every_metric_is_written_by_the_operator() -> None:
    """Each way of writing one is used in the package, and together they fill every metric that is served."""
    metrics = Metrics()
    metrics.watch_ages(lambda: {("QdrantCluster", "default"): 1.0})
    metrics.reconciled("QdrantCluster", "done", 0.1)
    metrics.step("QdrantCluster", "MoveShard", "done")
    metrics.called("observe", "ok", 0.1)
    metrics.blocked("QdrantCluster", "default", "vectors", ["OneAtATime"])
    metrics.watch_backups(lambda kind: BACKED_UP[kind])
    metrics.leading(holder=True)
    page = metrics.page().decode()
    served = set(re.findall(r"^# TYPE (qdrant_\w+)", page, re.MULTILINE))
    assert (
        sorted(name for name in served if not re.search(rf"^{name}[^#\n]* [0-9]", page, re.MULTILINE)) == []
    )
    writers = [name for name in vars(Metrics) if not name.startswith("_")]
    others = "\n".join(text for path, text in SOURCES.items() if path != Path("adapters/metrics.py"))
    assert sorted(name for name in writers if not re.search(rf"(metrics|reporter)\.{name}\b", others)) == []

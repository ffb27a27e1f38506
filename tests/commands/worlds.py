"""Recorded states for tests: what a look at a settled cluster reads, and ways to hurt it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from qdrant_operator.commands.recording import Recording
from qdrant_operator.domain.cluster.observed import Disruptions
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.cluster.wanted.objects import wanted_objects
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.manifests.diff import stamped
from qdrant_operator.domain.manifests.stateful_set import template_hash
from qdrant_operator.domain.qdrant.views import (
    CollectionView,
    LocalReplica,
    PeerId,
    PeerView,
    ReplicaState,
    ShardId,
    ShardView,
    Silent,
    Transfer,
    View,
)
from tests.domain.clusters import desired, view

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEGAN = "2026-03-01T08:00:00Z"
MIB = 2**20
ZONE_KEY = "topology.kubernetes.io/zone"
Placement = Mapping[int, tuple[int, ...]]
LEVEL: Placement = {0: (0, 1), 1: (1, 2), 2: (0, 2)}


def recorded(
    replicas: int = 3,
    placement: Placement = LEVEL,
    *,
    factor: int = 2,
    spec: Manifest | None = None,
    disruptions: Disruptions | None = None,
    **more: Any,
) -> Recording:
    """A formed cluster `vectors` whose collection `docs` is placed so, by ordinals; `spec` is wanted of it now."""
    runs = replace(desired(replicas), disruptions=disruptions or Disruptions())
    views: dict[str, View] = {
        f"pod-{n}": view(n, replicas, collections=(docs(n, placement, factor=factor, **more),))
        for n in range(replicas)
    }
    wanted = {"version": "v1.19.0", "replicas": replicas, **(spec or {})}
    things = (*owned(runs), *(pod(n, runs) for n in range(replicas)), *(claim(n) for n in range(replicas)))
    objects = ((Kind.CLUSTER, subject(wanted)), *things)
    return Recording("default", "vectors", NOW, objects, views, {})


def subject(spec: Manifest) -> Manifest:
    """The QdrantCluster, formed, answered by the operator."""
    bootstrap = {"phase": "Complete", "pod": "vectors-0", "peerId": 100}
    status = {"bootstrap": bootstrap, "observedGeneration": 2}
    return made(Kind.CLUSTER, "vectors", "uid-1", generation=2) | {"spec": spec, "status": status}


def made(kind: Kind, name: str, uid: str, **meta: Any) -> Manifest:
    """An object as the API server shows it."""
    given = {
        "name": name,
        "namespace": "default",
        "uid": uid,
        "resourceVersion": "7",
        "creationTimestamp": BEGAN,
    }
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {**given, **meta}}


def owned(runs: DesiredCluster) -> list[tuple[Kind, Manifest]]:
    """Every object that the operator made, undamaged."""
    found = []
    for manifest in map(stamped, wanted_objects(runs)):
        kind = next(kind for kind in Kind if kind.kind == manifest["kind"])
        meta = made(kind, manifest["metadata"]["name"], f"uid-{kind.plural}")["metadata"]
        found.append((kind, {**manifest, "metadata": {**meta, **manifest["metadata"]}}))
    return found


def pod(ordinal: int, runs: DesiredCluster) -> tuple[Kind, Manifest]:
    """A ready pod of the present template."""
    name = names.pod_name("vectors", ordinal)
    labels = {
        **names.cluster_labels("vectors"),
        **names.peer_selector("vectors"),
        names.LABEL_SERVING: "true",
        ZONE_KEY: f"eu-1{'abc'[ordinal % 3]}",
    }
    meta = {"labels": labels, "annotations": {names.ANNOTATION_TEMPLATE: template_hash(runs)}}
    ready = {"type": "Ready", "status": "True"}
    status = {"podIP": f"10.0.0.{ordinal}", "phase": "Running", "conditions": [ready]}
    return Kind.POD, made(Kind.POD, name, f"pod-{ordinal}", **meta) | {"status": status}


def claim(ordinal: int) -> tuple[Kind, Manifest]:
    """The volume claim of a pod."""
    name, ran = names.claim_name("vectors", ordinal), {names.ANNOTATION_RELEASE: "v1.19.0"}
    labels = names.cluster_labels("vectors")
    return Kind.CLAIM, made(Kind.CLAIM, name, f"claim-{ordinal}", labels=labels, annotations=ran)


def docs(
    own: int,
    placement: Placement,
    *,
    factor: int = 2,
    states: Mapping[tuple[int, int], ReplicaState] | None = None,
    transfers: tuple[Transfer, ...] = (),
    name: str = "docs",
) -> CollectionView:
    """The collection as peer `own` shows it: 1,000 points and 64 MiB a shard."""
    told = states or {}
    shards = tuple(
        ShardView(
            ShardId(shard),
            None,
            {PeerId(100 + holder): told.get((shard, holder), ReplicaState.ACTIVE) for holder in holders},
            LocalReplica(1000, 64 * MIB) if own in holders else None,
        )
        for shard, holders in placement.items()
    )
    return CollectionView(
        name, len(placement), factor, 1, sharding_custom=False, shards=shards, transfers=transfers
    )


def silent(found: Recording, ordinal: int, reason: str = "no answer in time") -> Recording:
    """The same where one peer does not answer."""
    return replace(found, views={**found.views, f"pod-{ordinal}": Silent(reason)})


def wanting(found: Recording, **spec: Any) -> Recording:
    """The same with another spec, which the operator has not answered yet."""

    def changed(kind: Kind, manifest: Manifest) -> Manifest:
        if kind is not Kind.CLUSTER:
            return manifest
        meta = {**manifest["metadata"], "generation": 3}
        return {**manifest, "metadata": meta, "spec": {**manifest["spec"], **spec}}

    return replace(found, objects=tuple((kind, changed(kind, one)) for kind, one in found.objects))


def peers(found: Recording) -> list[PeerView]:
    """Views of peers that answer."""
    return [one for one in found.views.values() if isinstance(one, PeerView)]


def settled() -> Recording:
    """Three peers in three zones, all as wanted."""
    return recorded(spec={"shards": {"zoneKey": ZONE_KEY}})


def hurt() -> Recording:
    """A peer is silent, a replica is Dead and a shard is on its way to it."""
    placement = {0: (0, 1), 1: (1, 2), 2: (2, 3), 3: (0, 3)}
    copying = Transfer(ShardId(0), PeerId(100), PeerId(101), "wal_delta", keeps_source=True)
    dead = {(0, 1): ReplicaState.DEAD}
    return silent(recorded(4, placement, disruptions=Disruptions(0), states=dead, transfers=(copying,)), 3)


def shrinking() -> Recording:
    """Five peers of which four are wanted, and the operator has not looked since."""
    placement = {0: (0, 1), 1: (1, 2), 2: (2, 3), 3: (3, 4), 4: (0, 4)}
    return wanting(recorded(5, placement), replicas=4)


STATES = {"settled": settled, "hurt": hurt, "shrinking": shrinking}
"""States that the documentation shows, by name."""

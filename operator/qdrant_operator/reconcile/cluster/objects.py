"""The objects that a QdrantCluster owns, and what is wrong with them now."""

from __future__ import annotations

from collections.abc import Iterator

from qdrant_operator.domain.cluster.desired import DesiredCluster
from qdrant_operator.domain.cluster.observed import Drift, Obsolete
from qdrant_operator.domain.common import names
from qdrant_operator.domain.manifests.config import config_map
from qdrant_operator.domain.manifests.diff import differences, stamped
from qdrant_operator.domain.manifests.network_policy import network_policy
from qdrant_operator.domain.manifests.secrets import connection_secret, peer_auth_secret
from qdrant_operator.domain.manifests.services import (
    client_service,
    disruption_budget,
    headless_service,
    service_account,
)
from qdrant_operator.domain.manifests.stateful_set import stateful_set
from qdrant_operator.reconcile.ports import Kind, Kubernetes, Manifest


def wanted_objects(desired: DesiredCluster) -> Iterator[Manifest]:
    """Every object of the cluster, in an order in which none waits for a later one."""
    yield service_account(desired)
    if desired.credentials.api_key:
        yield peer_auth_secret(desired)
    yield connection_secret(desired)
    yield config_map(desired)
    yield headless_service(desired)
    yield client_service(desired)
    yield disruption_budget(desired)
    if desired.spec.network_policy.enabled:
        yield network_policy(desired)
    yield stateful_set(desired)


def find_drift(kubernetes: Kubernetes, desired: DesiredCluster) -> tuple[Drift, ...]:
    """Objects that are missing or differ from what we want, by the watch caches."""
    found = (_damage(kubernetes, stamped(manifest)) for manifest in wanted_objects(desired))
    return tuple(drift for drift in found if drift)


def find_unwanted(kubernetes: Kubernetes, desired: DesiredCluster) -> tuple[Obsolete, ...]:
    """Objects that were made for this QdrantCluster and that its spec asks for no more, by the watch caches."""
    if desired.spec.network_policy.enabled:
        return ()
    kind, name = Kind.NETWORK_POLICY, names.network_policy(desired.name)
    live = kubernetes.cached_one(kind, desired.namespace, name)
    owners = [ref.get("uid") for ref in ((live or {}).get("metadata") or {}).get("ownerReferences") or ()]
    if live is None or desired.uid not in owners:
        return ()
    return (Obsolete(kind, name, live["metadata"]["uid"], "spec.networkPolicy.enabled is false"),)


def _damage(kubernetes: Kubernetes, manifest: Manifest) -> Drift | None:
    kind = next(kind for kind in Kind if kind.kind == manifest["kind"])
    name = manifest["metadata"]["name"]
    live = kubernetes.cached_one(kind, manifest["metadata"]["namespace"], name)
    if live is None:
        return Drift(kind, name, (), manifest)
    fields = differences(manifest, live)
    meta = live["metadata"]
    return Drift(kind, name, fields, manifest, meta["uid"], meta["resourceVersion"]) if fields else None

"""The objects that a QdrantCluster owns, and where they differ from the desired state. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from qdrant_operator.domain.cluster.observed import Drift, Observed, Obsolete
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
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


def owned_names(cluster: str) -> tuple[tuple[Kind, str], ...]:
    """Kind and name of every object that a QdrantCluster may own."""
    return (
        (Kind.SERVICE_ACCOUNT, cluster),
        (Kind.SECRET, names.peer_auth_secret(cluster)),
        (Kind.SECRET, names.auth_secret(cluster)),
        (Kind.CONFIG_MAP, names.config_map(cluster)),
        (Kind.SERVICE, names.headless_service(cluster)),
        (Kind.SERVICE, cluster),
        (Kind.DISRUPTION_BUDGET, cluster),
        (Kind.NETWORK_POLICY, names.network_policy(cluster)),
        (Kind.STATEFUL_SET, cluster),
    )


def find_drift(desired: DesiredCluster, observed: Observed) -> tuple[Drift, ...]:
    """Objects that are missing or differ from the desired state; none before it is decided how the cluster starts."""
    if observed.bootstrap is None:
        return ()
    found = [_drift(stamped(manifest), observed) for manifest in wanted_objects(desired)]
    return tuple(drift for drift in found if drift)


def find_obsolete(desired: DesiredCluster, observed: Observed) -> tuple[Obsolete, ...]:
    """Objects that were created for this QdrantCluster and that its spec no longer asks for."""
    if desired.spec.network_policy.enabled:
        return ()
    kind, name = Kind.NETWORK_POLICY, names.network_policy(desired.name)
    live = observed.objects.get((kind, name))
    if live is None or desired.uid not in _owner_uids(live):
        return ()
    return (Obsolete(kind, name, live["metadata"]["uid"], "spec.networkPolicy.enabled is false"),)


def _owner_uids(manifest: Manifest) -> set[str]:
    return {str(owner.get("uid")) for owner in manifest["metadata"].get("ownerReferences") or ()}


def _drift(manifest: Manifest, observed: Observed) -> Drift | None:
    kind = next(kind for kind in Kind if kind.kind == manifest["kind"])
    name = manifest["metadata"]["name"]
    live = observed.objects.get((kind, name))
    if live is None:
        return Drift(kind, name, (), manifest)
    fields = differences(manifest, live)
    meta = live["metadata"]
    return Drift(kind, name, fields, manifest, meta["uid"], meta["resourceVersion"]) if fields else None

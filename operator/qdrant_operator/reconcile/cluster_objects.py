"""The objects that a QdrantCluster owns, and what is wrong with them now."""

from __future__ import annotations

from collections.abc import Iterator

from qdrant_operator.domain.desired import DesiredCluster
from qdrant_operator.domain.diff import differences, stamped
from qdrant_operator.domain.manifests.config import config_map
from qdrant_operator.domain.manifests.secrets import connection_secret, peer_auth_secret
from qdrant_operator.domain.manifests.services import (
    client_service,
    disruption_budget,
    headless_service,
    service_account,
)
from qdrant_operator.domain.manifests.stateful_set import stateful_set
from qdrant_operator.domain.observed import Damage
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
    yield stateful_set(desired)


def find_damage(kubernetes: Kubernetes, desired: DesiredCluster) -> tuple[Damage, ...]:
    """Objects that are missing or differ from what we want, by the watch caches."""
    found = (_damage(kubernetes, stamped(manifest)) for manifest in wanted_objects(desired))
    return tuple(damage for damage in found if damage)


def _damage(kubernetes: Kubernetes, manifest: Manifest) -> Damage | None:
    kind = next(kind for kind in Kind if kind.kind == manifest["kind"])
    name = manifest["metadata"]["name"]
    live = kubernetes.cached_one(kind, manifest["metadata"]["namespace"], name)
    if live is None:
        return Damage(kind, name, (), manifest)
    fields = differences(manifest, live)
    return Damage(kind, name, fields, manifest) if fields else None

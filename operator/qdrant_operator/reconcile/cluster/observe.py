"""One observation of everything that belongs to a QdrantCluster: it only reads and decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from qdrant_operator.api import ClusterSpec
from qdrant_operator.domain.cluster.membership.identity import find_removed_pod
from qdrant_operator.domain.cluster.observed import Bootstrap, BootstrapPhase, Observed, PodState, Volume
from qdrant_operator.domain.cluster.shard_health import health
from qdrant_operator.domain.cluster.wanted.objects import owned_names
from qdrant_operator.domain.cluster.wanted.request import NO_KEYS, ClusterRequest, Keys
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.collection_names import collection_name
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.manifests.services import read_disruptions
from qdrant_operator.domain.placement.wants import wants
from qdrant_operator.domain.qdrant.views import Silent, View
from qdrant_operator.reconcile import access
from qdrant_operator.reconcile.cluster.backups import running_backups
from qdrant_operator.reconcile.cluster.keys import resolve_keys
from qdrant_operator.reconcile.cluster.memory.remembered import Remembered
from qdrant_operator.reconcile.cluster.pods import read_pods
from qdrant_operator.reconcile.cluster.records import (
    read_bootstrap,
    read_leaving,
    read_peer_records,
    read_releases,
    read_volumes,
)
from qdrant_operator.reconcile.cluster.spec import parse_spec
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.objects.remains import find_remains
from qdrant_operator.reconcile.ports import Endpoint, Kind, Manifest

UID_KEY = f"{names.FIELD_MANAGER}-cluster-uid"
"""Key in the cluster's consensus metadata that names the QdrantCluster it belongs to."""
Recall = Callable[[Observed], Remembered]


@dataclass(frozen=True, slots=True)
class Observation:
    """The request, the observed state, and how to reach the peers."""

    request: ClusterRequest
    observed: Observed
    endpoints: dict[str, Endpoint]


def no_memory(_observed: Observed) -> Remembered:
    """Nothing is remembered of earlier observations."""
    return Remembered()


async def observe(context: Context, subject: Manifest, recall: Recall = no_memory) -> Observation:
    """Read everything that belongs to a QdrantCluster; parts that do not answer are values, not exceptions.

    Nothing is decided here. `recall` adds what is remembered of earlier observations.

    Raises:
        Refused: the spec cannot be read, or a Secret that it names.
        Retryable: Kubernetes did not answer.
    """
    spec = parse_spec(subject, context.clock.now())
    remains = () if read_bootstrap(subject) else await find_remains(context, subject)
    keys = NO_KEYS if remains else await resolve_keys(context, subject, spec)
    request = _request(context, subject, spec, keys)
    pods = read_pods(context, request.namespace, request.name, spec.shards.zone_key)
    endpoints = {} if remains else _endpoints(pods, keys.credentials.api_key)
    views = await read_views(context, pods, endpoints)
    observed = await _observe(context, subject, request, pods, endpoints, views)
    observed = replace(recall(observed).added_to(observed), remains=remains)
    return Observation(request, observed, endpoints)


def _request(context: Context, subject: Manifest, spec: ClusterSpec, keys: Keys) -> ClusterRequest:
    meta = subject["metadata"]
    return ClusterRequest(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        spec=spec,
        keys=keys,
        operator=context.options.operator_pods,
        allowed_downgrade=(meta.get("annotations") or {}).get(names.ANNOTATION_ALLOW_DOWNGRADE, ""),
    )


async def _observe(
    context: Context,
    subject: Manifest,
    request: ClusterRequest,
    pods: tuple[PodState, ...],
    endpoints: dict[str, Endpoint],
    views: dict[str, View],
) -> Observed:
    """Remote requests come first; then the caches are read without a pause, so that no write happens between."""
    namespace, name = request.namespace, request.name
    bootstrap, leaving = read_bootstrap(subject), read_leaving(subject)
    listed = await _listed(context, subject, pods)
    mark = await _mark(context, bootstrap, endpoints, views)
    live = (
        None if bootstrap else (await _live_replicas(context, subject), await live_claims(context, subject))
    )
    objects = _objects(context, namespace, name)
    stateful_set = objects.get((Kind.STATEFUL_SET, name))
    volumes = live[1] if live else read_volumes(subject, context.kubernetes.cached(Kind.CLAIM, namespace, {}))
    collections = _collections(context, namespace, name)
    wanted, floors = wants(collections), _floors(collections, request.spec.replicas)
    going = find_removed_pod(leaving, pods, views)
    staying = {pod: view for pod, view in views.items() if going is None or pod != going.name}
    return Observed(
        bootstrap=bootstrap,
        pods=tuple(pod for pod in pods if pod is not going),
        views=staying,
        objects=objects,
        stateful_set_replicas=live[0] if live else (stateful_set or {}).get("spec", {}).get("replicas"),
        listed=listed,
        mark=mark,
        shards=health(staying, wanted, floors),
        volumes=volumes,
        records=read_peer_records(subject),
        releases=read_releases(subject),
        leaving=leaving,
        removed_pod=going,
        removed_view=views.get(going.name) if going else None,
        wants=wanted,
        floors=floors,
        backups=running_backups(context, namespace, name),
        disruptions=read_disruptions(objects.get((Kind.DISRUPTION_BUDGET, name))),
        now=context.clock.now(),
    )


def _objects(context: Context, namespace: str, cluster: str) -> dict[tuple[Kind, str], Manifest]:
    """The existing objects of the cluster, by the watch caches."""
    found = {key: context.kubernetes.cached_one(key[0], namespace, key[1]) for key in owned_names(cluster)}
    return {key: manifest for key, manifest in found.items() if manifest is not None}


def _collections(context: Context, namespace: str, cluster: str) -> tuple[Manifest, ...]:
    found = context.kubernetes.cached(Kind.COLLECTION, namespace, {})
    return tuple(item for item in found if item["spec"]["clusterRef"]["name"] == cluster)


def _floors(collections: tuple[Manifest, ...], peers: int) -> dict[str, int]:
    """Factors that QdrantCollections request for the collections they own; their own loops apply them a little later.

    Those loops refuse a factor above the number of peers.
    """
    owned = [item for item in collections if (item.get("status") or {}).get("owned")]
    requested = {collection_name(item): int(item["spec"].get("replicationFactor") or 0) for item in owned}
    return {name: factor for name, factor in requested.items() if factor <= peers}


async def live_claims(context: Context, subject: Manifest) -> dict[str, Volume]:
    """Volume claims that pods of this cluster would use, no matter who created them."""
    meta = subject["metadata"]
    claims = await context.kubernetes.list(Kind.CLAIM, meta["namespace"], {})
    return read_volumes(subject, claims)


async def _live_replicas(context: Context, subject: Manifest) -> int | None:
    meta = subject["metadata"]
    live = await context.kubernetes.read(Kind.STATEFUL_SET, meta["namespace"], meta["name"])
    return int(live["spec"].get("replicas", 1)) if live else None


def _endpoints(pods: tuple[PodState, ...], key: str | None) -> dict[str, Endpoint]:
    return {
        pod.name: Endpoint(names.rest_url(pod.address), pod.uid, key)
        for pod in pods
        if pod.address and not pod.terminating
    }


async def read_views(
    context: Context, pods: tuple[PodState, ...], endpoints: Mapping[str, Endpoint]
) -> dict[str, View]:
    """The views of all peers, by pod; a peer that does not answer is `Silent`."""
    views = await asyncio.gather(*(_view(context, pod, endpoints.get(pod.name)) for pod in pods))
    return {pod.name: view for pod, view in zip(pods, views, strict=True)}


async def _view(context: Context, pod: PodState, endpoint: Endpoint | None) -> View:
    if endpoint is None:
        return Silent("its pod is stopping" if pod.terminating else "its pod has no address")
    try:
        return await context.qdrant.observe(endpoint)
    except (Retryable, Refused) as error:
        return access.silent(error)


async def _listed(context: Context, subject: Manifest, pods: tuple[PodState, ...]) -> frozenset[str]:
    """Addresses in the client Service's endpoint slices; read only while a pod is out of service."""
    return frozenset() if all(pod.serving for pod in pods) else await service_addresses(context, subject)


async def service_addresses(context: Context, subject: Manifest) -> frozenset[str]:
    """Addresses to which the client Service sends requests, read live."""
    meta = subject["metadata"]
    labels = {"kubernetes.io/service-name": meta["name"]}
    slices = await context.kubernetes.list(Kind.ENDPOINT_SLICE, meta["namespace"], labels)
    endpoints = (endpoint for part in slices for endpoint in part.get("endpoints") or ())
    listed = {address for endpoint in endpoints for address in endpoint.get("addresses") or ()}
    # A Service may list an address of the other family than the one that the operator connects to.
    pods = context.kubernetes.cached(Kind.POD, meta["namespace"], names.peer_selector(meta["name"]))
    known = (pod for pod in pods if not listed.isdisjoint(access.addresses(pod)))
    return frozenset(listed | {primary for pod in known if (primary := access.address(pod))})


async def _mark(
    context: Context, bootstrap: Bootstrap | None, endpoints: dict[str, Endpoint], views: dict[str, View]
) -> str | None:
    """Read only while the cluster forms; without an answer there is no mark."""
    forming = bootstrap and bootstrap.phase in (BootstrapPhase.FORMED, BootstrapPhase.ADOPTED)
    pod = min((name for name, view in views.items() if not isinstance(view, Silent)), default=None)
    if not forming or pod is None:
        return None
    try:
        value = await context.qdrant.cluster_key(endpoints[pod], UID_KEY)
    except (Retryable, Refused):
        return None
    return value.get("uid") if isinstance(value, dict) else None

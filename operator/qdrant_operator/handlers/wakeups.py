"""Wake-ups: for every change in the caches, the objects to reconcile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.handlers.runner import Key, Runner

OWN_KINDS = (Kind.CLUSTER, Kind.COLLECTION, Kind.SCHEDULE, Kind.SNAPSHOT)


class Wakeups:
    """Listens to the store and wakes the runner."""

    def __init__(self, runner: Runner) -> None:
        """Wake this runner."""
        self._runner = runner

    def __call__(self, kind: Kind, old: Manifest | None, new: Manifest | None) -> None:
        """One change: an object before and after (None: it did not or does not exist)."""
        for key in affected(kind, old, new):
            self._runner.wake(*key)


def affected(kind: Kind, old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
    """Objects to reconcile after this change."""
    present = new or old
    if present is None:
        return
    meta = present["metadata"]
    labels = meta.get("labels") or {}
    if kind in OWN_KINDS:
        if _concerns_user(old, new):
            yield (kind, meta["namespace"], meta["name"])
        if kind is Kind.COLLECTION and _phase(old) != _phase(new):
            yield (Kind.CLUSTER, meta["namespace"], str(present["spec"]["clusterRef"]["name"]))
        if names.LABEL_SCHEDULE in labels:
            yield (Kind.SCHEDULE, meta["namespace"], labels[names.LABEL_SCHEDULE])
        return
    for owner in meta.get("ownerReferences") or ():
        for own in OWN_KINDS:
            if owner.get("kind") == own.kind:
                yield (own, meta["namespace"], owner["name"])
    if cluster := _cluster_of(kind, meta["name"], labels):
        yield (Kind.CLUSTER, meta["namespace"], cluster)


def _cluster_of(kind: Kind, name: str, labels: Mapping[str, str]) -> str | None:
    """The QdrantCluster of a pod or a Secret by its label, of a volume claim by its name, with or without a label."""
    if kind is Kind.CLAIM:
        return names.cluster_of_claim(name)
    return labels.get(names.LABEL_CLUSTER) if kind in (Kind.POD, Kind.SECRET) else None


def _concerns_user(old: Manifest | None, new: Manifest | None) -> bool:
    """Whether more than our own status changed: a pass after each status write would find nothing new."""
    if old is None or new is None:
        return True
    return _essence(old) != _essence(new)


def _phase(manifest: Manifest | None) -> object:
    return ((manifest or {}).get("status") or {}).get("phase")


def _essence(manifest: Manifest) -> tuple[object, ...]:
    meta = manifest["metadata"]
    bootstrap = (manifest.get("status") or {}).get("bootstrap")
    return (
        meta.get("uid"),
        meta.get("generation"),
        meta.get("deletionTimestamp"),
        tuple(meta.get("finalizers") or ()),
        tuple(sorted((meta.get("labels") or {}).items())),
        str(bootstrap),
    )

"""The cache of Kubernetes objects, filled by watches and by answers to the operator's writes; the newer version wins.

No requests and no clock. Objects are shared: readers never change them.

Why resourceVersions are compared as integers: the API server stores objects of one kind in one etcd, whose
revision only grows, and Kubernetes declares them comparable within a resource type (since 1.35; true before).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest

_log = logging.getLogger(__name__)

OWNED: Final = (
    Kind.STATEFUL_SET,
    Kind.POD,
    Kind.SERVICE,
    Kind.CONFIG_MAP,
    Kind.SECRET,
    Kind.SERVICE_ACCOUNT,
    Kind.CLAIM,
    Kind.DISRUPTION_BUDGET,
    Kind.NETWORK_POLICY,
    Kind.JOB,
)
"""Kinds that we create and watch, all except claims by our managed-by label."""
OURS: Final = (Kind.CLUSTER, Kind.COLLECTION, Kind.SCHEDULE, Kind.SNAPSHOT)
"""Kinds that users write."""
_WATCHED: Final = frozenset((*OWNED, *OURS))
_GONE_FOR_GOOD: Final = 1 << 62
_TOMBSTONES: Final = 10_000

Change = tuple[Kind, Manifest | None, Manifest | None]
"""Kind, the object before (None: new), the object now (None: gone)."""
Listener = Callable[[Kind, Manifest | None, Manifest | None], None]
_Key = tuple[str, str]


def version(manifest: Manifest) -> int:
    """Return resourceVersion as a number; 0 where there is none."""
    try:
        return int(manifest["metadata"]["resourceVersion"])
    except (KeyError, ValueError):
        return 0


def has_labels(manifest: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether the object carries all these labels."""
    own = manifest["metadata"].get("labels") or {}
    return all(own.get(key) == value for key, value in labels.items())


def watch_labels(kind: Kind) -> Mapping[str, str]:
    """Labels by which the API server selects what is listed and watched of this kind.

    Users' objects carry no label of ours. A volume claim belongs to a cluster by its name, with labels or without.
    """
    return {} if kind in OURS or kind is Kind.CLAIM else names.MANAGED


def is_watched(kind: Kind, manifest: Manifest) -> bool:
    """Whether the store keeps an object: other claims would only take memory."""
    if kind is Kind.CLAIM:
        return names.cluster_of_claim(manifest["metadata"]["name"]) is not None
    return kind in _WATCHED and has_labels(manifest, watch_labels(kind))


def remains(answer: Manifest) -> bool:
    """Whether the answer to a DELETE is an object that still exists, for its finalizers or its grace period."""
    meta = answer.get("metadata") or {}
    pending = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds")
    return answer.get("kind") != "Status" and bool(meta.get("deletionTimestamp")) and bool(pending)


def _clusters(manifest: Manifest) -> set[str]:
    """Clusters whose label selectors may find the object: one in practice, named by either label."""
    labels = manifest["metadata"].get("labels") or {}
    return {labels[key] for key in (names.LABEL_CLUSTER, names.LABEL_INSTANCE) if key in labels}


def _without_managed_fields(manifest: Manifest) -> Manifest:
    # managedFields are half of a small object's size, and nothing here reads them.
    meta = manifest["metadata"]
    if "managedFields" not in meta:
        return manifest
    return {**manifest, "metadata": {key: meta[key] for key in meta if key != "managedFields"}}


class Store:
    """Objects of watched kinds by kind, namespace and name."""

    def __init__(self) -> None:
        """Start empty."""
        self._objects: dict[Kind, dict[str, dict[str, Manifest]]] = {kind: {} for kind in _WATCHED}
        self._by_cluster: dict[tuple[Kind, str, str], dict[str, Manifest]] = {}
        self._tombstones: OrderedDict[str, int] = OrderedDict()
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener` after every change, our own writes included."""
        self._listeners.append(listener)

    def listen_from_the_start(self, listener: Listener) -> None:
        """Call `listener` with every object in the store, as if it had just appeared, then after every change.

        For a listener that starts when the caches are full: the watches do not report known objects again.
        """
        for kind in self._objects:
            for manifest in self.every(kind):
                _call(listener, kind, None, manifest)
        self.listen(listener)

    def one(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """The object, if known."""
        return self._objects.get(kind, {}).get(namespace, {}).get(name)

    def all(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]:
        """Objects of one namespace with all these labels, sorted by name."""
        cluster = labels.get(names.LABEL_CLUSTER) or labels.get(names.LABEL_INSTANCE)
        if cluster is None:
            candidates = self._objects.get(kind, {}).get(namespace, {})
        else:
            candidates = self._by_cluster.get((kind, namespace, cluster), {})
        found = [item for item in candidates.items() if has_labels(item[1], labels)]
        return tuple(manifest for _, manifest in sorted(found, key=lambda item: item[0]))

    def every(self, kind: Kind) -> tuple[Manifest, ...]:
        """All known objects of a watched kind, in no order."""
        found: list[Manifest] = []
        for objects in self._objects[kind].values():
            found += objects.values()
        return tuple(found)

    def put(self, kind: Kind, manifest: Manifest) -> Change | None:
        """Keep the object unless a newer version is known; returns the change, or None where there is none."""
        # An object that is not watched would never be refreshed or removed.
        if not is_watched(kind, manifest):
            return None
        meta = manifest["metadata"]
        old = self.one(kind, meta["namespace"], meta["name"])
        known = max(version(old) if old else 0, self._tombstones.get(meta["uid"], 0))
        if version(manifest) <= known:
            return None
        kept = _without_managed_fields(manifest)
        self._insert(kind, kept)
        return self._notify(kind, old, kept)

    def drop(self, kind: Kind, manifest: Manifest) -> Change | None:
        """Remove the object of a DELETED event, unless a newer version or another object of its name is known."""
        meta = manifest["metadata"]
        self._add_tombstone(meta["uid"], version(manifest))
        old = self.one(kind, meta["namespace"], meta["name"])
        if old is None or version(old) > version(manifest):
            return None
        return self._remove(kind, old)

    def gone(self, kind: Kind, namespace: str, name: str, uid: str) -> Change | None:
        """Remove the object with this uid permanently: the server answered that it does not exist."""
        self._add_tombstone(uid, _GONE_FOR_GOOD)
        old = self.one(kind, namespace, name)
        return self._remove(kind, old) if old is not None and old["metadata"]["uid"] == uid else None

    def replace(
        self,
        kind: Kind,
        namespace: str,
        items: Iterable[Manifest],
        list_version: int,
        *,
        rewound: bool = False,
    ) -> tuple[Change, ...]:
        """Replace the objects of a kind by a list (`namespace` empty: of all); objects it lacks are removed.

        Objects newer than the list stay. An object in the list exists, so its tombstone ends: if it was deleted
        since, the watch reports that. `rewound`: the versions of the server went back (etcd was restored), so no
        known object is newer.
        """
        listed = list(items)
        if rewound:
            return self._replace_whole(kind, namespace, listed)
        for item in listed:
            if self._tombstones.get(item["metadata"]["uid"]) == _GONE_FOR_GOOD:
                del self._tombstones[item["metadata"]["uid"]]
        present = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in listed}
        absent = [
            old
            for key, old in self._within(kind, namespace)
            if key not in present and version(old) <= list_version
        ]
        removed = [self._remove(kind, old) for old in absent]
        put = [change for item in listed if (change := self.put(kind, item))]
        return (*removed, *put)

    def _replace_whole(self, kind: Kind, namespace: str, listed: list[Manifest]) -> tuple[Change, ...]:
        self._tombstones.clear()
        removed = [self._remove(kind, old) for _, old in self._within(kind, namespace)]
        return (*removed, *(change for item in listed if (change := self.put(kind, item))))

    def _within(self, kind: Kind, namespace: str) -> list[tuple[_Key, Manifest]]:
        spaces = self._objects[kind]
        chosen = [namespace] if namespace else list(spaces)
        return [((space, name), old) for space in chosen for name, old in spaces.get(space, {}).items()]

    def _insert(self, kind: Kind, manifest: Manifest) -> None:
        meta = manifest["metadata"]
        old = self.one(kind, meta["namespace"], meta["name"])
        if old is not None:
            self._unindex(kind, old)
        self._objects[kind].setdefault(meta["namespace"], {})[meta["name"]] = manifest
        for cluster in _clusters(manifest):
            self._by_cluster.setdefault((kind, meta["namespace"], cluster), {})[meta["name"]] = manifest

    def _remove(self, kind: Kind, old: Manifest) -> Change:
        meta = old["metadata"]
        self._unindex(kind, old)
        space = self._objects[kind][meta["namespace"]]
        del space[meta["name"]]
        if not space:
            del self._objects[kind][meta["namespace"]]
        return self._notify(kind, old, None)

    def _unindex(self, kind: Kind, old: Manifest) -> None:
        meta = old["metadata"]
        for cluster in _clusters(old):
            bucket = self._by_cluster[kind, meta["namespace"], cluster]
            del bucket[meta["name"]]
            if not bucket:
                del self._by_cluster[kind, meta["namespace"], cluster]

    def _add_tombstone(self, uid: str, at: int) -> None:
        self._tombstones[uid] = max(at, self._tombstones.get(uid, 0))
        self._tombstones.move_to_end(uid)
        if len(self._tombstones) > _TOMBSTONES:
            self._tombstones.popitem(last=False)

    def _notify(self, kind: Kind, old: Manifest | None, new: Manifest | None) -> Change:
        for listener in self._listeners:
            _call(listener, kind, old, new)
        return (kind, old, new)


def _call(listener: Listener, kind: Kind, old: Manifest | None, new: Manifest | None) -> None:
    try:
        listener(kind, old, new)
    except Exception:
        # A defect in a listener must not stop the watch of the whole kind.
        _log.exception("A listener of the cache failed", extra={"kind": kind.kind})

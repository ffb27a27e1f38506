"""An API server in memory: objects, versions, finalizers, garbage; what every client of it shares.

Single-threaded and without timers: a test drives it. The contract suite holds it to the real server's answers.

What it does not know: schemas (no defaults, no validation, unknown fields pass) and lists by key. A list is one
value: server-side apply replaces it whole, where the real server merges containers, volumes or ports by key.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from qdrant_operator.domain.common.conditions import timestamp
from qdrant_operator.domain.common.errors import Conflict, Refused
from qdrant_operator.domain.common.kinds import Kind, Manifest

Path = tuple[str, ...]
Key = tuple[Kind, str, str]
Webhook = Callable[[Kind, Manifest], Manifest]
"""Gives the object as it shall be stored."""
Watcher = Callable[[Kind, str, Manifest], None]
"""Called with kind, event type (ADDED, MODIFIED, DELETED) and object."""

WITHOUT_STATUS: Final = frozenset(
    {Kind.CONFIG_MAP, Kind.SECRET, Kind.SERVICE_ACCOUNT, Kind.ENDPOINT_SLICE, Kind.NETWORK_POLICY}
)
WITHOUT_GENERATION: Final = (WITHOUT_STATUS - {Kind.NETWORK_POLICY}) | {
    Kind.SERVICE,
    Kind.CLAIM,
    Kind.EVENT,
    Kind.LEASE,
}
SERVER_FIELDS: Final = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
IN_USE: Final = "kubernetes.io/pvc-protection"
FOREGROUND: Final = "foregroundDeletion"


def epoch() -> datetime:
    """A fixed moment, for tests that do not care about time."""
    return datetime(2026, 1, 1, tzinfo=UTC)


def kind_of(manifest: Manifest) -> Kind:
    """The kind of a manifest."""
    wanted = (manifest["apiVersion"], manifest["kind"])
    return next(kind for kind in Kind if (kind.api_version, kind.kind) == wanted)


def key_of(manifest: Manifest) -> Key:
    """Kind, namespace and name of a manifest."""
    return kind_of(manifest), manifest["metadata"]["namespace"], manifest["metadata"]["name"]


class FakeApiServer:
    """The truth. Every stored object is replaced, never changed in place, so it may be handed out."""

    def __init__(self, now: Callable[[], datetime] = epoch) -> None:
        """Start empty; `now` stamps creation and deletion."""
        self.objects: dict[Key, Manifest] = {}
        self.terminating_namespaces: set[str] = set()
        self.watchers: list[Watcher] = []
        self.webhooks: list[Webhook] = []
        """Mutating admission, asked in this order at every create, apply and patch."""
        self.now = now
        self._keys: dict[Kind, list[Key]] = {}
        """Names of the objects of a kind, in order, from the first question to the next change."""
        self._versions = itertools.count(1000)
        self._uids = itertools.count(1)
        self._managers: dict[str, dict[str, frozenset[Path]]] = {}

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """The object as it is."""
        return self.objects.get((kind, namespace, name))

    def namespace(self, name: str) -> Manifest:
        """A namespace: each is there, and active unless it is being deleted."""
        going = name in self.terminating_namespaces
        deleted = {"deletionTimestamp": timestamp(self.now())} if going else {}
        phase = "Terminating" if going else "Active"
        return {"metadata": {"name": name, **deleted}, "status": {"phase": phase}}

    def all(self, kind: Kind, namespace: str = "") -> list[Manifest]:
        """Objects of a kind by namespace and name; an empty namespace means all."""
        keys = self._keys.get(kind)
        if keys is None:
            keys = self._keys[kind] = sorted((k for k in self.objects if k[0] is kind), key=lambda k: k[1:])
        return [self.objects[key] for key in keys if namespace in ("", key[1])]

    def managed(self, manifest: Manifest) -> Manifest:
        """The object with its managedFields, as a read from the server shows it."""
        entries = [
            {
                "manager": who,
                "operation": operation.capitalize(),
                "fieldsType": "FieldsV1",
                "fieldsV1": tree(paths),
            }
            for full, paths in self._managers.get(manifest["metadata"]["uid"], {}).items()
            for who, _, operation in (full.partition("/"),)
        ]
        return _with_meta(manifest, {**manifest["metadata"], "managedFields": entries})

    def create(self, manifest: Manifest, manager: str) -> Manifest:
        """Create; a status is ignored where the kind has a status subresource."""
        key = key_of(manifest)
        if key in self.objects:
            raise Refused("AlreadyExists", f'{key[0].plural} "{key[2]}" already exists')
        if key[1] in self.terminating_namespaces:
            raise Refused("NamespaceTerminating", f"namespace {key[1]} is being terminated")
        made = copied(manifest)
        for field in SERVER_FIELDS:
            made["metadata"].pop(field, None)
        if key[0] not in WITHOUT_STATUS:
            made.pop("status", None)
        if key[0] is Kind.CLAIM:
            made["status"] = {"phase": "Pending"}
        made["metadata"] |= {"uid": f"uid-{next(self._uids)}", "creationTimestamp": timestamp(self.now())}
        if key[0] not in WITHOUT_GENERATION:
            made["metadata"]["generation"] = 1
        self._managers[made["metadata"]["uid"]] = {manager: frozenset(leaves(_owned_part(manifest)))}
        return self._store(key, self._admitted(key[0], made), "ADDED")

    def apply(self, manifest: Manifest, manager: str) -> Manifest:
        """Server-side apply, forced: takes over what it names, drops what the manager named before only."""
        key = key_of(manifest)
        current = self.objects.get(key)
        meant = manifest["metadata"].get("uid")
        if meant and meant != (current or {"metadata": {"uid": None}})["metadata"]["uid"]:
            raise Conflict(f"{key[2]} with uid {meant} does not exist any more")
        if current is None:
            return self.create(manifest, f"{manager}/apply")
        self._check_version(current, manifest)
        wanted = copied(_owned_part(manifest))
        managers = self._managers[current["metadata"]["uid"]]
        mine = frozenset(leaves(wanted))
        others = frozenset().union(*(paths for who, paths in managers.items() if who != f"{manager}/apply"))
        changed = merge(current, wanted)
        for path in managers.get(f"{manager}/apply", frozenset()) - mine - others:
            if not any(other[: len(path)] == path for other in mine):
                changed = without(changed, path)
        self._claim(current, changed, f"{manager}/apply", mine)
        return self._update(key, self._admitted(key[0], changed))

    def patch(self, kind: Kind, namespace: str, name: str, body: Manifest, manager: str) -> Manifest:
        """Merge patch of everything but status."""
        current = self._existing(kind, namespace, name)
        self._check_version(current, body)
        body = copied(body) if kind in WITHOUT_STATUS else copied(_without_status(body))
        changed = merge(current, body)
        self._claim(current, changed, f"{manager}/update", frozenset(_differing(current, changed)))
        return self._update((kind, namespace, name), self._admitted(kind, changed))

    def put_status(
        self, kind: Kind, namespace: str, name: str, status: Manifest, resource_version: str | None = None
    ) -> Manifest:
        """Replace status; on exactly this version where one is given."""
        current = self._existing(kind, namespace, name)
        self._check_version(current, {"metadata": {"resourceVersion": resource_version}})
        return self._update((kind, namespace, name), {**current, "status": copied(status)})

    def delete(self, kind: Kind, namespace: str, name: str, *, foreground: bool = False) -> Manifest | None:
        """Delete; the object where it waits for finalizers or its grace, else None."""
        key = (kind, namespace, name)
        current = self._existing(*key)
        meta: Manifest = {
            **current["metadata"],
            "finalizers": list(current["metadata"].get("finalizers") or ()),
        }
        if foreground and FOREGROUND not in meta["finalizers"]:
            meta["finalizers"].append(FOREGROUND)
        runs = kind is Kind.POD and bool((current.get("spec") or {}).get("nodeName"))
        if not meta["finalizers"] and not runs:
            self._remove(key)
            return None
        if "deletionTimestamp" not in meta:
            meta["deletionTimestamp"] = timestamp(self.now())
            meta["deletionGracePeriodSeconds"] = 30 if runs else 0
            if "generation" in meta:
                meta["generation"] += 1
        return self._store(key, _with_meta(current, meta))

    def finish(self, kind: Kind, namespace: str, name: str) -> None:
        """End a deletion's grace period, as the kubelet does when the containers have stopped."""
        key = (kind, namespace, name)
        current = self._existing(*key)
        meta = {**current["metadata"], "deletionGracePeriodSeconds": 0}
        self._update(key, _with_meta(current, meta))

    def collect_garbage(self) -> None:
        """Delete what has lost all its owners, let go what waited for dependents or users; until nothing moves."""
        while any([self._collect_orphans(), self._finish_foreground(), self._release_claims()]):
            pass

    def _collect_orphans(self) -> bool:
        living = {m["metadata"]["uid"]: m for m in self.objects.values()}
        moved = False
        for (kind, namespace, name), manifest in list(self.objects.items()):
            owners = [living.get(ref["uid"]) for ref in manifest["metadata"].get("ownerReferences") or ()]
            lost = bool(owners) and all(owner is None or _is_foreground(owner) for owner in owners)
            if lost and "deletionTimestamp" not in manifest["metadata"]:
                self.delete(kind, namespace, name, foreground=any(owners))
                moved = True
        return moved

    def _finish_foreground(self) -> bool:
        owned = {
            ref["uid"]
            for manifest in self.objects.values()
            for ref in manifest["metadata"].get("ownerReferences") or ()
            if ref.get("blockOwnerDeletion")
        }
        done = [m for m in self.objects.values() if _is_foreground(m) and m["metadata"]["uid"] not in owned]
        for manifest in done:
            self._drop_finalizer(manifest, FOREGROUND)
        return bool(done)

    def _release_claims(self) -> bool:
        used = {
            (pod["metadata"]["namespace"], claim) for pod in self.all(Kind.POD) for claim in claims_of(pod)
        }
        leaving = [
            claim
            for claim in self.all(Kind.CLAIM)
            if "deletionTimestamp" in claim["metadata"]
            and IN_USE in (claim["metadata"].get("finalizers") or ())
            and (claim["metadata"]["namespace"], claim["metadata"]["name"]) not in used
        ]
        for claim in leaving:
            self._drop_finalizer(claim, IN_USE)
        return bool(leaving)

    def _drop_finalizer(self, manifest: Manifest, finalizer: str) -> None:
        meta = manifest["metadata"]
        kept = [other for other in meta["finalizers"] if other != finalizer]
        self._update(key_of(manifest), _with_meta(manifest, {**meta, "finalizers": kept}))

    def _admitted(self, kind: Kind, manifest: Manifest) -> Manifest:
        """What a webhook writes counts as written by whoever sent the request, as with the real server."""
        for webhook in self.webhooks:
            manifest = webhook(kind, manifest)
        return manifest

    def _existing(self, kind: Kind, namespace: str, name: str) -> Manifest:
        current = self.objects.get((kind, namespace, name))
        if current is None:
            raise Conflict(f'{kind.plural} "{name}" does not exist any more')
        return current

    def _check_version(self, current: Manifest, body: Manifest) -> None:
        wanted = (body.get("metadata") or {}).get("resourceVersion")
        if wanted is not None and wanted != current["metadata"]["resourceVersion"]:
            raise Conflict(f"{current['metadata']['name']} is not at version {wanted} any more")

    def _claim(self, current: Manifest, changed: Manifest, manager: str, mine: frozenset[Path]) -> None:
        """Record what `manager` owns now; whose value was changed loses the field."""
        managers = self._managers[current["metadata"]["uid"]]
        moved = frozenset(_differing(current, changed))
        for other in managers:
            managers[other] -= moved
        kept = frozenset() if manager.endswith("/apply") else managers.get(manager, frozenset())
        managers[manager] = kept | mine

    def _update(self, key: Key, changed: Manifest) -> Manifest:
        current = self.objects[key]
        meta = {**changed["metadata"], **{f: v for f, v in current["metadata"].items() if f in SERVER_FIELDS}}
        if not meta.get("finalizers", True):
            del meta["finalizers"]
        changed = _with_meta(changed, meta)
        if changed == current:
            return current
        if "generation" in meta and _desired(changed) != _desired(current):
            meta["generation"] += 1
        waits = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds")
        if "deletionTimestamp" in meta and not waits:
            self.objects[key] = changed
            self._remove(key)
            return changed
        return self._store(key, changed)

    def _store(self, key: Key, manifest: Manifest, event: str = "MODIFIED") -> Manifest:
        meta = {**manifest["metadata"], "resourceVersion": str(next(self._versions))}
        if key not in self.objects:
            self._keys.pop(key[0], None)
        self.objects[key] = _with_meta(manifest, meta)
        self._tell(key[0], event, self.objects[key])
        return self.objects[key]

    def _remove(self, key: Key) -> None:
        last = self.objects.pop(key)
        self._keys.pop(key[0], None)
        self._managers.pop(last["metadata"]["uid"], None)
        meta = {**last["metadata"], "resourceVersion": str(next(self._versions))}
        self._tell(key[0], "DELETED", _with_meta(last, meta))

    def _tell(self, kind: Kind, event: str, manifest: Manifest) -> None:
        for watcher in self.watchers:
            watcher(kind, event, manifest)


def copied(value: Any) -> Any:
    """A copy of plain JSON that shares nothing that changes."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def merge(current: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386), leaving its arguments alone."""
    if not isinstance(patch, dict):
        return patch
    base = current if isinstance(current, dict) else {}
    kept = {key: value for key, value in base.items() if key not in patch}
    return {**kept, **{key: merge(base.get(key), v) for key, v in patch.items() if v is not None}}


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of everything that is not a non-empty mapping."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path


def tree(paths: Iterable[Path]) -> Manifest:
    """Paths as FieldsV1 has them."""
    grown: Manifest = {}
    for path in paths:
        branch = grown
        for part in path:
            branch = branch.setdefault(f"f:{part}", {})
    return grown


def without(value: Manifest, path: Path) -> Manifest:
    """The mapping without this path; a mapping that becomes empty by that goes too."""
    if path[0] not in value:
        return value
    rest = {key: inner for key, inner in value.items() if key != path[0]}
    if len(path) == 1:
        return rest
    inner = without(value[path[0]], path[1:]) if isinstance(value[path[0]], dict) else value[path[0]]
    return {**value, path[0]: inner} if inner else rest


def claims_of(pod: Manifest) -> list[str]:
    """Names of the volume claims that a pod uses."""
    volumes = (pod.get("spec") or {}).get("volumes") or []
    return [v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v]


def _differing(before: Any, after: Any, path: Path = ()) -> Iterator[Path]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            yield from _differing(before.get(key), after.get(key), (*path, key))
    else:
        yield path


def _owned_part(manifest: Manifest) -> Manifest:
    identity = {"name", "namespace", *SERVER_FIELDS}
    meta = {key: value for key, value in manifest["metadata"].items() if key not in identity}
    rest = {k: v for k, v in manifest.items() if k not in ("apiVersion", "kind", "status", "metadata")}
    return {**rest, **({"metadata": meta} if meta else {})}


def _desired(manifest: Manifest) -> Manifest:
    return {key: value for key, value in manifest.items() if key not in ("metadata", "status")}


def _without_status(body: Manifest) -> Manifest:
    return {key: value for key, value in body.items() if key != "status"}


def _with_meta(manifest: Manifest, meta: Manifest) -> Manifest:
    return {**manifest, "metadata": meta}


def _is_foreground(manifest: Manifest) -> bool:
    meta = manifest["metadata"]
    return "deletionTimestamp" in meta and FOREGROUND in (meta.get("finalizers") or ())

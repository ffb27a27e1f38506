"""A recorded state: everything that one observation of a cluster read, as one JSON file without keys.

The observation is repeated on the file as on the cluster: its objects and views replace the answers of the adapters.
Secret values become placeholders, and hashes of them become hashes of the placeholders: what was equal stays equal,
and what differed still differs.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from qdrant_operator.adapters.kubernetes.store import Store, has_labels
from qdrant_operator.commands.readonly import ReadOnlyKubernetes, ReadOnlyQdrant
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.cluster.wanted.objects import wanted_objects
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint, Json, Kind, Manifest
from qdrant_operator.domain.manifests.diff import stamped
from qdrant_operator.domain.qdrant.views import PeerView, Silent, View

FORMAT = 1
"""Raised when an older release would misread the file."""
VIEW: TypeAdapter[View] = TypeAdapter(PeerView | Silent)
HASHES = (names.ANNOTATION_HASH, names.ANNOTATION_TEMPLATE, f"{names.GROUP}/config-hash")


@dataclass(frozen=True, slots=True)
class Recording:
    """What one observation read."""

    namespace: str
    cluster: str
    taken_at: datetime
    objects: tuple[tuple[Kind, Manifest], ...]
    views: Mapping[str, View]
    """By uid of the pod."""
    keys: Mapping[str, Json]
    """The cluster's consensus metadata."""


def record(
    namespace: str, cluster: str, now: datetime, kubernetes: ReadOnlyKubernetes, qdrant: ReadOnlyQdrant
) -> Recording:
    """What these two ports have returned, with placeholders for secret values."""
    objects = [(key[0], manifest) for key, manifest in sorted(kubernetes.seen.items(), key=_order)]
    placeholders: dict[str, str] = {}
    plain = tuple((kind, _without_secrets(kind, manifest, placeholders)) for kind, manifest in objects)
    return Recording(namespace, cluster, now, plain, dict(qdrant.views), dict(qdrant.keys))


def _order(item: tuple[tuple[Kind, str, str], Manifest]) -> tuple[str, str, str]:
    (kind, namespace, name), _ = item
    return kind.kind, namespace, name


def _without_secrets(kind: Kind, manifest: Manifest, placeholders: dict[str, str]) -> Manifest:
    meta = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    plain = {**manifest, "metadata": meta, "apiVersion": kind.api_version, "kind": kind.kind}
    if kind is not Kind.SECRET:
        return plain
    meta["annotations"] = {k: v for k, v in (meta.get("annotations") or {}).items() if k in HASHES}
    return {**plain, "data": dict(_placeholders(manifest.get("data") or {}, placeholders))}


def _placeholders(data: Mapping[str, str], known: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Equal values get equal placeholders; hosts and ports in our own Secrets are not secret."""
    for key, value in data.items():
        if key in ("type", "provider", "host", "port", "grpc-port", "uri", "grpc-uri"):
            yield key, value
        elif value:
            known.setdefault(value, base64.b64encode(f"recorded-{len(known) + 1}".encode()).decode())
            yield key, known[value]
        else:
            yield key, value


def rehashed(text: str, true: DesiredCluster, plain: DesiredCluster) -> str:
    """The file's text with hashes over secret values replaced by those over placeholders."""
    for old, new in zip(_hashes(true), _hashes(plain), strict=True):
        text = text.replace(old, new)
    return text


def _hashes(desired: DesiredCluster) -> list[str]:
    """Every hash in the annotations of our objects, in an order that does not depend on values."""
    found: list[str] = []
    for manifest in wanted_objects(desired):
        whole = stamped(manifest)
        template = (whole.get("spec") or {}).get("template") or {"metadata": {}}
        for meta in (whole["metadata"], template["metadata"]):
            found += [meta["annotations"][name] for name in HASHES if name in (meta.get("annotations") or {})]
    return found


def dump(recording: Recording) -> str:
    """The file's text."""
    document = {
        "formatVersion": FORMAT,
        "namespace": recording.namespace,
        "cluster": recording.cluster,
        "takenAt": recording.taken_at.isoformat(),
        "objects": [manifest for _, manifest in recording.objects],
        "views": {uid: VIEW.dump_python(view, mode="json") for uid, view in recording.views.items()},
        "keys": dict(recording.keys),
    }
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def load(text: str, where: str) -> Recording:
    """Read a file's text; `where` names it in errors.

    Raises:
        Refused: `RecordingUnreadable`, or `RecordingTooNew` when a later release wrote it.
    """
    try:
        document = json.loads(text)
        if int(document["formatVersion"]) > FORMAT:
            raise Refused(
                "RecordingTooNew",
                f"{where} has format {document['formatVersion']}, this release reads up to {FORMAT}: upgrade it",
            )
        return _recording(document)
    except (KeyError, TypeError, ValueError, AttributeError, ValidationError) as error:
        raise Refused(
            "RecordingUnreadable", f"{where} is not a file that --record wrote: {error!r}"[:400]
        ) from error


def _recording(document: Mapping[str, Any]) -> Recording:
    kinds = {(kind.api_version, kind.kind): kind for kind in Kind}
    return Recording(
        namespace=document["namespace"],
        cluster=document["cluster"],
        taken_at=datetime.fromisoformat(document["takenAt"]),
        objects=tuple((kinds[item["apiVersion"], item["kind"]], item) for item in document["objects"]),
        views={uid: VIEW.validate_python(view) for uid, view in document["views"].items()},
        keys=document["keys"],
    )


class RecordedKubernetes:
    """Answers reads from a recording: `commands.readonly.ReadsObjects`."""

    def __init__(self, recording: Recording) -> None:
        """Answer from its objects."""
        self._store, self._objects = Store(), recording.objects
        for kind, manifest in recording.objects:
            self._store.put(kind, manifest)

    def cached(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]:
        """As the port."""
        return self._store.all(kind, namespace, labels)

    def cached_one(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """As the port."""
        return self._store.one(kind, namespace, name)

    async def read(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """As the port."""
        found = await self.list(kind, namespace, {})
        return next((manifest for manifest in found if manifest["metadata"]["name"] == name), None)

    async def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]:
        """As the port."""
        of_kind = [manifest for found, manifest in self._objects if found is kind]
        here = [manifest for manifest in of_kind if manifest["metadata"]["namespace"] == namespace]
        return tuple(manifest for manifest in here if has_labels(manifest, labels))


class RecordedPeers:
    """Answers reads of peers from a recording: `commands.readonly.ReadsPeers`."""

    def __init__(self, recording: Recording) -> None:
        """Answer from its views."""
        self._recording = recording

    async def observe(self, endpoint: Endpoint) -> PeerView:
        """As the port."""
        view = self._recording.views.get(endpoint.identity, Silent("not recorded: the peer was not queried"))
        if isinstance(view, Silent):
            raise Refused("Forbidden", view.reason) if view.key_refused else Unreachable(view.reason)
        return view

    async def cluster_key(self, _endpoint: Endpoint, key: str) -> Json:
        """As the port."""
        return self._recording.keys.get(key)

"""The API key of a cluster: given or generated once, and kept as long as the volumes."""

from __future__ import annotations

import base64

from qdrant_operator.api import ClusterSpec
from qdrant_operator.domain.cluster.wanted.desired import Credentials
from qdrant_operator.domain.cluster.wanted.request import NO_KEYS, Keys
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.secret_values import clean_value, is_clean
from qdrant_operator.domain.manifests.diff import fingerprint
from qdrant_operator.domain.manifests.secrets import PEER_KEY
from qdrant_operator.domain.manifests.stateful_set import API_KEY_VARIABLE, has_api_key
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.objects.belonging import belongs
from qdrant_operator.reconcile.objects.secrets import secret_value
from qdrant_operator.reconcile.ports import Kind, Manifest


async def resolve_keys(context: Context, subject: Manifest, spec: ClusterSpec) -> Keys:
    """Find the keys of a cluster.

    Raises:
        Refused: a Secret that the spec names is missing, lacks the key, or holds a value that cannot be used; or the
            peers run with a key that no Secret holds any more (`ApiKeyLost`).
    """
    if spec.auth.disabled:
        return NO_KEYS
    given = await _given(context, subject, spec)
    kept, revision = await _kept(context, subject)
    read_only, salted = await _read_only(context, subject, spec)
    in_force = kept or given or await _first_key(context, subject)
    return Keys(Credentials(in_force, read_only, salted, revision), given)


async def _first_key(context: Context, subject: Manifest) -> str:
    """A new key, for a cluster that has none: peers that run with one would refuse another."""
    meta = subject["metadata"]
    running = await context.kubernetes.read(Kind.STATEFUL_SET, meta["namespace"], meta["name"])
    if running is not None and has_api_key(running):
        raise Refused("ApiKeyLost", _lost(meta["name"]))
    return context.new_key()


def _lost(cluster: str) -> str:
    return (
        f"neither Secret {names.auth_secret(cluster)!r} nor {names.peer_auth_secret(cluster)!r} holds the key any more "
        f"that the peers run with: read it with `kubectl exec {names.pod_name(cluster, 0)} -- printenv "
        f"{API_KEY_VARIABLE}`, put it into a Secret, and name that in spec.auth.apiKey; no peer is touched until then"
    )


async def _given(context: Context, subject: Manifest, spec: ClusterSpec) -> str | None:
    if spec.auth.api_key is None:
        return None
    ref = spec.auth.api_key.secret_ref
    return await secret_value(context.kubernetes, subject["metadata"]["namespace"], ref.name, ref.key)


async def _read_only(context: Context, subject: Manifest, spec: ClusterSpec) -> tuple[str | None, str]:
    if spec.auth.read_only_api_key is None:
        return None, ""
    ref = spec.auth.read_only_api_key.secret_ref
    value = await secret_value(context.kubernetes, subject["metadata"]["namespace"], ref.name, ref.key)
    salted = fingerprint([subject["metadata"]["uid"], value])
    return value, salted


async def _kept(context: Context, subject: Manifest) -> tuple[str | None, int]:
    """The key in force and its revision, from either of the two owned Secrets: losing one loses no key."""
    meta = subject["metadata"]
    for name in (names.peer_auth_secret(meta["name"]), names.auth_secret(meta["name"])):
        secret = await _own_secret(context, meta, name)
        raw = base64.b64decode(((secret or {}).get("data") or {}).get(PEER_KEY) or "")
        if secret is not None and is_clean(raw):
            return clean_value(raw, name), _revision(secret)
    return None, 0


def _revision(secret: Manifest) -> int:
    text = (secret["metadata"].get("annotations") or {}).get(names.ANNOTATION_KEY_REVISION, "")
    return int(text) if text.isdecimal() else 0


async def _own_secret(context: Context, meta: Manifest, name: str) -> Manifest | None:
    """From the cache, or live where the cache has none: only a live answer proves that there is no key."""
    secret = context.kubernetes.cached_one(Kind.SECRET, meta["namespace"], name)
    secret = secret or await context.kubernetes.read(Kind.SECRET, meta["namespace"], name)
    return secret if secret is not None and belongs(secret, meta["name"], meta["uid"]) else None

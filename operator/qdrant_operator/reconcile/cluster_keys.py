"""Which API key a cluster runs with: given, generated once, and kept when a Secret is lost."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from qdrant_operator.api import ClusterSpec
from qdrant_operator.domain import names
from qdrant_operator.domain.desired import Credentials, key_changed
from qdrant_operator.domain.diff import fingerprint
from qdrant_operator.domain.errors import Refused
from qdrant_operator.domain.manifests.stateful_set import API_KEY_VARIABLE, has_api_key
from qdrant_operator.domain.secret_values import clean_value, is_clean
from qdrant_operator.domain.steps import Blocked
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.secrets import secret_value
from qdrant_operator.reconcile.world import World


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys in force, and what waits because a Secret says otherwise."""

    credentials: Credentials
    blocked: tuple[Blocked, ...] = ()


async def resolve_keys(world: World, subject: Manifest, spec: ClusterSpec) -> Keys:
    """Find the keys of a cluster.

    Raises:
        Refused: a Secret that the spec names is missing, lacks the key, or holds a value that cannot be used; or the
            peers run with a key that no Secret holds any more (`ApiKeyLost`).
    """
    if spec.auth.disabled:
        return Keys(Credentials(None))
    given = await _given(world, subject, spec)
    kept = await _kept(world, subject)
    read_only = await _read_only(world, subject, spec)
    in_force = kept or given or await _first_key(world, subject)
    credentials = Credentials(in_force, *read_only)
    return Keys(credentials, _changed(given, in_force, spec))


async def _first_key(world: World, subject: Manifest) -> str:
    """A new key, for a cluster that has none: peers that run with one would refuse another."""
    meta = subject["metadata"]
    running = await world.kubernetes.read(Kind.STATEFUL_SET, meta["namespace"], meta["name"])
    if running is not None and has_api_key(running):
        raise Refused("ApiKeyLost", _lost(meta["name"]))
    return world.new_key()


def _lost(cluster: str) -> str:
    return (
        f"Secrets {names.auth_secret(cluster)} and {names.peer_auth_secret(cluster)} are both gone, and the peers "
        f"run with the key that was in them: read it with `kubectl exec {names.pod_name(cluster, 0)} -- printenv "
        f"{API_KEY_VARIABLE}`, put it into a Secret, and name that in spec.auth.apiKey; no peer is touched until then"
    )


def _changed(given: str | None, in_force: str, spec: ClusterSpec) -> tuple[Blocked, ...]:
    if given is None or given == in_force or spec.auth.api_key is None:
        return ()
    return (key_changed(spec.auth.api_key.secret_ref.name),)


async def _given(world: World, subject: Manifest, spec: ClusterSpec) -> str | None:
    if spec.auth.api_key is None:
        return None
    ref = spec.auth.api_key.secret_ref
    return await secret_value(world.kubernetes, subject["metadata"]["namespace"], ref.name, ref.key)


async def _read_only(world: World, subject: Manifest, spec: ClusterSpec) -> tuple[str | None, str]:
    if spec.auth.read_only_api_key is None:
        return None, ""
    ref = spec.auth.read_only_api_key.secret_ref
    value = await secret_value(world.kubernetes, subject["metadata"]["namespace"], ref.name, ref.key)
    salted = fingerprint([subject["metadata"]["uid"], value])
    return value, salted


async def _kept(world: World, subject: Manifest) -> str | None:
    """The key in force, from either of our two Secrets: losing one loses no key."""
    meta = subject["metadata"]
    for name in (names.peer_auth_secret(meta["name"]), names.auth_secret(meta["name"])):
        key = await _own_key(world, meta["namespace"], name, meta["uid"])
        if key:
            return key
    return None


async def _own_key(world: World, namespace: str, name: str, owner: str) -> str | None:
    """From the cache, and live where the cache has nothing: only a live answer proves that there is no key."""
    secret = world.kubernetes.cached_one(Kind.SECRET, namespace, name)
    secret = secret or await world.kubernetes.read(Kind.SECRET, namespace, name)
    owners = (secret or {}).get("metadata", {}).get("ownerReferences") or []
    if secret is None or owner not in [reference.get("uid") for reference in owners]:
        return None
    raw = base64.b64decode((secret.get("data") or {}).get("api-key") or "")
    return clean_value(raw, name) if is_clean(raw) else None

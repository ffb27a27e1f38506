"""The only reader of Secrets that users write: API keys and keys of object storage."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.secret_values import clean_value
from qdrant_operator.reconcile.ports import Kind, Kubernetes


@dataclass(frozen=True, slots=True)
class Secret:
    """The values of one Secret, cleaned when they are taken out."""

    name: str
    data: Mapping[str, str] = field(repr=False)
    """Base64."""

    def has(self, key: str) -> bool:
        """Whether the key is there with a value."""
        return bool(self.data.get(key))

    def value(self, key: str, *, harm: str = "") -> str:
        """One value; `harm` says what an empty one would do.

        Raises:
            Refused: `SecretKeyNotFound`, `SecretEmpty` or `SecretValueInvalid`.
        """
        if key not in self.data:
            raise Refused("SecretKeyNotFound", f"Secret {self.name!r} has no key {key!r}: add it")
        raw = base64.b64decode(self.data[key] or "")
        return clean_value(raw, f"key {key!r} of Secret {self.name!r}", harm=harm)


async def read_secret(
    kubernetes: Kubernetes, namespace: str, name: str, *, field: str = "", remedy: str = "create it"
) -> Secret:
    """A Secret, live. `field` is the part of the spec that names it.

    Raises:
        Refused: `SecretNotFound`.
    """
    found = await kubernetes.read(Kind.SECRET, namespace, name)
    if found is None:
        of_field = f" of {field}" if field else ""
        raise Refused(
            "SecretNotFound", f"Secret {name!r}{of_field} does not exist in namespace {namespace!r}: {remedy}"
        )
    return Secret(name, found.get("data") or {})


async def secret_value(kubernetes: Kubernetes, namespace: str, name: str, key: str) -> str:
    """One API key.

    Raises:
        Refused: `SecretNotFound`, `SecretKeyNotFound`, `SecretEmpty` or `SecretValueInvalid`.
    """
    secret = await read_secret(kubernetes, namespace, name)
    return secret.value(key, harm="Qdrant would start open")

"""Does a live object still say what we want it to say?

The API server adds defaults and others own fields of their own, so only the fields that we set are compared.
Maps and lists that Kubernetes treats as one value under server-side apply (selectors) must be equal as a whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Manifest

ATOMIC = frozenset({"selector", "matchLabels", "nodeSelector"})
"""Fields with `x-kubernetes-map-type: atomic` in the kinds we apply."""
EXACT = frozenset({"ingress", "podSelector"})
"""Rules of a NetworkPolicy: a field more opens or closes as much as a field less, and the server adds none."""
SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal(10**3), "M": Decimal(10**6),
    "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18), "Ki": Decimal(2**10),
    "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip
"""Suffixes of Kubernetes quantities (apimachinery, resource.Quantity)."""
QUANTITY_PARENTS = frozenset({"requests", "limits", "capacity"})


def fingerprint(value: Any) -> str:
    """Short hash of a JSON value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stamped(manifest: Manifest) -> Manifest:
    """The manifest with its own hash as an annotation, so that a field we stop setting is noticed."""
    meta = manifest["metadata"]
    annotations = {**meta.get("annotations", {}), names.ANNOTATION_HASH: fingerprint(manifest)}
    return {**manifest, "metadata": {**meta, "annotations": annotations}}


def differences(desired: Any, live: Any) -> tuple[str, ...]:
    """Paths of fields that we set and that the live object does not have or has otherwise."""
    return tuple(_differences(desired, live, "", ""))


def _differences(desired: Any, live: Any, path: str, key: str) -> Iterator[str]:
    if key in EXACT:
        if desired != live:
            yield path
    elif isinstance(desired, Mapping):
        yield from _of_maps(desired, live, path, key)
    elif isinstance(desired, list):
        yield from _of_lists(desired, live, path, key)
    elif not _same_scalar(desired, live, key):
        yield path


def _of_maps(desired: Mapping[str, Any], live: Any, path: str, key: str) -> Iterator[str]:
    if not isinstance(live, Mapping):
        if desired:
            yield path
        return
    if key in ATOMIC and set(desired) != set(live):
        yield path
    for name, value in desired.items():
        child = "quantity" if key in QUANTITY_PARENTS else name
        yield from _differences(value, live.get(name), f"{path}.{name}".lstrip("."), child)


def _of_lists(desired: list[Any], live: Any, path: str, key: str) -> Iterator[str]:
    if not isinstance(live, Sequence) or isinstance(live, str):
        if desired:
            yield path
    elif _keyed(desired):
        found = {item["name"]: item for item in live if isinstance(item, Mapping) and "name" in item}
        for item in desired:
            yield from _differences(item, found.get(item["name"]), f"{path}[{item['name']}]", key)
    elif len(desired) != len(live):
        yield path
    else:
        for index, (wanted, actual) in enumerate(zip(desired, live, strict=True)):
            yield from _differences(wanted, actual, f"{path}[{index}]", key)


def _keyed(items: list[Any]) -> bool:
    return bool(items) and all(isinstance(item, Mapping) and "name" in item for item in items)


def _same_scalar(desired: Any, live: Any, key: str) -> bool:
    if desired == live or (desired in (None, "") and live in (None, "")):
        return True
    if key not in ("quantity", "storage", "cpu", "memory", "sizeLimit"):
        return False
    wanted, actual = quantity(str(desired)), quantity(str(live))
    return wanted is not None and wanted == actual


def quantity(text: str) -> Decimal | None:
    """A Kubernetes quantity as a number ("500m" → 0.5, "1Gi" → 1073741824); None when it is none."""
    for length in (2, 1):
        factor = SUFFIXES.get(text[-length:])
        if factor is not None:
            return _decimal(text[:-length], factor)
    return _decimal(text, Decimal(1))


def _decimal(digits: str, factor: Decimal) -> Decimal | None:
    try:
        return Decimal(digits) * factor
    except InvalidOperation:
        return None

"""The operator's finalizer: whether an object has it, and the patch that adds or removes it."""

from __future__ import annotations

from qdrant_operator.domain.common.names import FINALIZER
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind, Manifest


def has_finalizer(subject: Manifest) -> bool:
    """Whether the operator's finalizer is on the object."""
    return FINALIZER in _finalizers(subject)


async def add_finalizer(context: Context, kind: Kind, subject: Manifest) -> Manifest:
    """Add it to exactly the version that was read; returns the object as it is now.

    Raises:
        Conflict: the object has another version.
    """
    return await _patch(context, kind, subject, [*_others(subject), FINALIZER])


async def remove_finalizer(context: Context, kind: Kind, subject: Manifest) -> Manifest:
    """Remove it from exactly the version that was read; the finalizers of others stay.

    Raises:
        Conflict: the object has another version.
    """
    return await _patch(context, kind, subject, _others(subject))


def _finalizers(subject: Manifest) -> list[str]:
    return list(subject["metadata"].get("finalizers") or ())


def _others(subject: Manifest) -> list[str]:
    return [finalizer for finalizer in _finalizers(subject) if finalizer != FINALIZER]


async def _patch(context: Context, kind: Kind, subject: Manifest, finalizers: list[str]) -> Manifest:
    meta = subject["metadata"]
    body = {"metadata": {"resourceVersion": meta["resourceVersion"], "finalizers": finalizers}}
    return await context.kubernetes.patch(kind, meta["namespace"], meta["name"], body)

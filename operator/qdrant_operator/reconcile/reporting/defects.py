"""A pass that ended as no pass should: reported where users look, instead of leaving yesterday's truth in status.

What the error says stays in the log: its text may hold what users keep in Secrets.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from qdrant_operator.api import ClusterPhase, ClusterStatus, CollectionPhase, CollectionStatus
from qdrant_operator.api.base import Status
from qdrant_operator.domain.common.conditions import Condition
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.reconcile.backup.snapshot.subject import phase_of
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.records import read_status
from qdrant_operator.reconcile.reporting.events import warn_once
from qdrant_operator.reconcile.reporting.status import every_field, status_model, write_status

INTERNAL_ERROR = "InternalError"
REFERENCE_CHARACTERS = 8
PHASED: Mapping[Kind, Status] = {
    Kind.CLUSTER: ClusterStatus(phase=ClusterPhase.UNKNOWN),
    Kind.COLLECTION: CollectionStatus(phase=CollectionPhase.UNKNOWN),
}
"""Kinds whose phase has the value Unknown."""

logger = logging.getLogger(__name__)


def reference(error: BaseException) -> str:
    """A short word for where an error came from: the same each time, so that status does not change with each try."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.name}:{frame.lineno}" for frame in frames]
    return sha256(" ".join([type(error).__name__, *places]).encode()).hexdigest()[:REFERENCE_CHARACTERS]


async def report_defect(context: Context, kind: Kind, namespace: str, name: str, error: Exception) -> None:
    """Say in every condition and in an Event that nothing is known of this object, and why; never raises.

    It ends with the next pass that ends well: that one writes all conditions. What the last good pass saw stays in
    the rest of status. A snapshot that is over keeps its conditions: whether it can be restored is no matter of passes.
    """
    subject = context.kubernetes.cached_one(kind, namespace, name)
    if subject is None:
        return
    reason, message = _said(error)
    try:
        await warn_once(context, kind, subject, reason, message)
        if kind is not Kind.SNAPSHOT or not phase_of(subject).over:
            conditions = _conditions(kind, subject, reason, message)
            kept = every_field(kind)
            await write_status(context, kind, subject, PHASED.get(kind, Status()), conditions, kept=kept)
    except Exception as failure:
        extra = {"kind": kind.kind, "object": f"{namespace}/{name}", "why": str(failure)}
        logger.warning("A failed pass was not reported", extra=extra)


def _said(error: Exception) -> tuple[str, str]:
    if isinstance(error, Refused):
        return error.reason, error.message
    return INTERNAL_ERROR, (
        f"the operator met an unexpected {type(error).__name__} and cannot reconcile this object; what runs is left as"
        f" it is, and the rest of status is older. Find reference {reference(error)} in the operator's log, and report"
        " it with that entry"
    )


def _conditions(kind: Kind, subject: Manifest, reason: str, message: str) -> tuple[Condition, ...]:
    """A snapshot that is not over cannot be restored: that stays certain."""
    certain = False if kind is Kind.SNAPSHOT else None
    present = read_status(status_model(kind), subject).conditions
    types = dict.fromkeys(["Ready", *(condition.type for condition in present)])
    return tuple(Condition(type_, certain, reason, message) for type_ in types)

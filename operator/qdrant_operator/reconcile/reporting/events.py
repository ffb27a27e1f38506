"""Warnings that are sent once: an Event when something begins to be wrong, not one with each pass.

One rule for all kinds. A warning is new while the object's status shows no condition and no blocked step with the same
reason and the same message. So the key is the object's uid, the reason and the message, and the memory is status
itself: a restart of the operator repeats nothing, what ended and begins again is sent again, and nothing is left to
forget when the object is gone. It works because every pass writes what it warns of into status, right after the
Events; a write that fails repeats them, and the adapter folds those into one series.
"""

from __future__ import annotations

from qdrant_operator.api.base import Blocked, Status
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.records import read_status
from qdrant_operator.reconcile.reporting.status import status_model


async def warn_once(
    context: Context, kind: Kind, subject: Manifest, reason: str, message: str, *, text: str = ""
) -> None:
    """Send a Warning unless the status of `subject`, as it was read, shows it already.

    Args:
        context: where Events go.
        kind: kind of the object.
        subject: the object as it was before this pass wrote its status.
        reason: reason of the condition, or guard of the blocked step.
        message: message of the condition or of the blocked step.
        text: what the Event says instead of `message`.
    """
    if not is_shown(kind, subject, reason, message):
        await context.reporter.event(subject, kind="Warning", reason=reason, message=text or message)


def is_shown(kind: Kind, subject: Manifest, reason: str, message: str) -> bool:
    """Whether status has a condition or a blocked step with this reason and this message."""
    status = read_status(status_model(kind), subject)
    conditions = ((condition.reason, condition.message) for condition in status.conditions)
    blocked = ((step.guard, step.message) for step in _blocked(status))
    return (reason, message) in {*conditions, *blocked}


def _blocked(status: Status) -> tuple[Blocked, ...]:
    """The blocked steps; only QdrantCluster and QdrantCollection have any."""
    return getattr(status, "blocked", ())

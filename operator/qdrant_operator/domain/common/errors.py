"""Two families of failure; they differ in who must act.

`Retryable`: the world will change by itself (an unreachable peer, a conflict, a throttled call).
`Refused`: a user must change something (a bad spec, a missing permission, Qdrant says no).
Adapters raise them with the cause chained; the loop turns them into conditions.
"""

from __future__ import annotations


class Retryable(Exception):  # noqa: N818 (the name is the remedy)
    """The call may succeed later without a change by a user."""

    def __init__(self, message: str, *, after: float = 5.0) -> None:
        """Say what happened; `after` is the pause in seconds before another look."""
        super().__init__(message)
        self.after = after


class Conflict(Retryable):
    """The object has changed since it was read: read it again."""


class Unreachable(Retryable):
    """No answer: nothing is known about what the call did."""


class Refused(Exception):  # noqa: N818
    """A user must change something; `reason` is a closed CamelCase word for conditions."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason beside the sentence that names the field and the remedy."""
        super().__init__(message)
        self.reason = reason
        self.message = message

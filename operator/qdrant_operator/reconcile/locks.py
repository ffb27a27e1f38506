"""Locks on a cluster's shards: no shard key is removed while a transfer of one of its shards is being requested.

Qdrant 1.19.0 does not survive that: two of three peers never answered about the collection again.
Both loops look at all peers before they write, and neither sees what the other has just sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qdrant_operator.domain.common.errors import Conflict


class ShardLocks:
    """One step per cluster at a time, from the last read of its shards to the answer to the call that follows."""

    def __init__(self) -> None:
        """No lock is held."""
        self._held: dict[tuple[str, str], str] = {}

    @contextmanager
    def hold(self, namespace: str, cluster: str, what: str) -> Iterator[None]:
        """Hold the lock; `what` names the step in the error of others.

        Raises:
            Conflict: another step holds it.
        """
        key = (namespace, cluster)
        if key in self._held:
            raise Conflict(f"{what}: waits for another step: {self._held[key]}; retrying", after=0.5)
        self._held[key] = what
        try:
            yield
        finally:
            del self._held[key]

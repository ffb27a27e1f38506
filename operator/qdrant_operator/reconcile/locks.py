"""Turns at a cluster's shards, so that no shard key is removed while one of its shards sets out for another peer.

Qdrant 1.19.0 does not survive that: two of three peers answered nothing about the collection any more, for good.
Both loops look at all peers before they write, and neither sees what the other has just sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qdrant_operator.domain.common.errors import Conflict


class Turns:
    """Who is between a last look at a cluster's shards and the answer to the call that follows it."""

    def __init__(self) -> None:
        """Nobody is."""
        self._taken: dict[tuple[str, str], str] = {}

    @contextmanager
    def taken(self, namespace: str, cluster: str, what: str) -> Iterator[None]:
        """Take the turn; `what` is told to others.

        Raises:
            Conflict: somebody else has it: look again.
        """
        key = (namespace, cluster)
        if key in self._taken:
            raise Conflict(f"{what}: waits for another step: {self._taken[key]}; looking again", after=0.5)
        self._taken[key] = what
        try:
            yield
        finally:
            del self._taken[key]

"""Creations in flight: no peer is removed while Qdrant creates shards.

Qdrant looks for shards on a peer before it proposes the peer's removal, and places new shards on every peer that it
knows: a collection that is being created at that moment would get shards on a removed peer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class InFlightCreations:
    """Counts calls in flight that make shards, by cluster."""

    def __init__(self) -> None:
        """No call is in flight."""
        self._calls: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def track(self, namespace: str, cluster: str) -> Iterator[None]:
        """A call that makes shards, from before it is sent until it is answered or times out."""
        self._calls[namespace, cluster] += 1
        try:
            yield
        finally:
            self._calls[namespace, cluster] -= 1
            if not self._calls[namespace, cluster]:
                del self._calls[namespace, cluster]

    def any_for(self, namespace: str, cluster: str) -> bool:
        """Whether any such call is in flight."""
        return self._calls[namespace, cluster] > 0

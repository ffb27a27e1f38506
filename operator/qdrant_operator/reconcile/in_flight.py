"""Creations that are on their way to Qdrant, so that no peer is removed under them.

Qdrant looks for shards on a peer before it proposes the peer's removal, and puts new shards on every member that it
knows: a collection that is being created at that moment would get shards on a peer that is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Creations:
    """Counts calls in flight that make shards, by cluster."""

    def __init__(self) -> None:
        """Nothing is on its way."""
        self._running: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def begun(self, namespace: str, cluster: str) -> Iterator[None]:
        """A call that makes shards, from before it is sent until its answer is there or given up."""
        self._running[namespace, cluster] += 1
        try:
            yield
        finally:
            self._running[namespace, cluster] -= 1
            if not self._running[namespace, cluster]:
                del self._running[namespace, cluster]

    def running(self, namespace: str, cluster: str) -> bool:
        """Whether any such call is on its way."""
        return self._running[namespace, cluster] > 0

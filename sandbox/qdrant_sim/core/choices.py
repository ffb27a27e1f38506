"""What Qdrant leaves to chance, as choices that a recording may fix."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random


class Choices:
    """What Qdrant leaves to chance."""

    def __init__(self, random: Random) -> None:
        """Chance comes from `random` alone."""
        self._random = random

    def peer_id(self, address: str) -> int:
        """The id of a new member."""
        del address
        return self._random.randrange(2**20, 2**53)

    def uuid(self) -> str:
        """The identity of a new collection."""
        return f"{self._random.getrandbits(128):032x}"

    def winner(self, candidates: Sequence[int]) -> int:
        """Who wins an election."""
        return self._random.choice(candidates)

    def telling_shard(self, name: str, shards: Sequence[int]) -> int:
        """The shard whose answer gives a collection's configuration."""
        del name
        return self._random.choice(shards)

    def place(self, name: str, shards: int, factor: int, peers: Sequence[int]) -> list[tuple[int, ...]]:
        """Peers of each new shard: even by count over all members, dead ones included, from a random start."""
        del name
        ring = sorted(peers)
        first = self._random.randrange(len(ring))
        factor = min(factor, len(ring))
        return [
            tuple(ring[(first + shard * factor + copy) % len(ring)] for copy in range(factor))
            for shard in range(shards)
        ]

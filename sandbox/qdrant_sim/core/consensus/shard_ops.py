"""Operations on shards: transfers, replicas and shard keys."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.qdrant_sim.core.api import answers
from sandbox.qdrant_sim.core.consensus.state import (
    ACTIVE,
    DEAD,
    INITIALIZING,
    PARTIAL,
    RECOVERY,
    Move,
    Shard,
    State,
)


@dataclass(frozen=True, slots=True)
class Start:
    """A transfer begins. Nobody looks whether the target holds the shard already: neither does Qdrant."""

    name: str
    move: Move

    def check(self, state: State) -> None:
        move, collection = self.move, state.collections[self.name]
        if collection.shards[move.shard].replicas.get(move.source) != ACTIVE:
            raise answers.bad_request(f"Shard {move.shard} is not active on peer {move.source}")
        for running in collection.moves:
            if running.shard == move.shard and (running.touches(move.source) or running.touches(move.target)):
                raise answers.bad_request(
                    f"Shard {move.shard} is already involved in transfer {running.source} -> {running.target}"
                )

    def apply(self, state: State) -> None:
        collection = state.collections[self.name]
        collection.moves.append(self.move)
        arriving = PARTIAL if self.move.method == "stream_records" else RECOVERY
        collection.shards[self.move.shard].replicas[self.move.target] = arriving


@dataclass(frozen=True, slots=True)
class Finish:
    """A transfer is done: its target counts, and after a move its source does not."""

    name: str
    move: Move

    def check(self, state: State) -> None:
        if self.name not in state.collections or self.move not in state.collections[self.name].moves:
            raise answers.not_found("the transfer has ended already")

    def apply(self, state: State) -> None:
        collection = state.collections[self.name]
        collection.moves.remove(self.move)
        shard = collection.shards[self.move.shard]
        shard.replicas[self.move.target] = ACTIVE
        if not self.move.keep_source:
            shard.replicas.pop(self.move.source, None)


@dataclass(frozen=True, slots=True)
class Abort:
    """A transfer ends without success: a copy leaves a Dead replica, a move leaves none."""

    name: str
    move: Move

    def check(self, state: State) -> None:
        if self.name not in state.collections or self.move not in state.collections[self.name].moves:
            raise answers.not_found("the transfer has ended already")

    def apply(self, state: State) -> None:
        collection = state.collections[self.name]
        collection.moves.remove(self.move)
        shard = collection.shards.get(self.move.shard)
        if shard is None or self.move.target not in shard.replicas:
            return
        if self.move.keep_source:
            shard.replicas[self.move.target] = DEAD
        else:
            del shard.replicas[self.move.target]


@dataclass(frozen=True, slots=True)
class SetReplica:
    """A replica's state changes; the last active one stays active unless `forced`; Dead ends its transfers.

    Who reports a failed replica reports one that took writes: a second report of the same failure is refused. A
    new replica that missed a write before its peer knew of it is Dead, and its late word that it is there comes to
    nothing.
    """

    name: str
    shard: int
    peer: int
    state: str
    forced: bool = False

    def check(self, state: State) -> None:
        collection = state.collections.get(self.name)
        shard = collection.shards.get(self.shard) if collection else None
        if shard is None or (self.peer not in shard.replicas and not self.forced):
            raise answers.bad_request(f"Peer {self.peer} has no replica of shard {self.shard}")
        before = shard.replicas.get(self.peer)
        if self.state == DEAD and before not in (ACTIVE, INITIALIZING):
            raise answers.bad_request(f"Replica {self.peer} of shard {self.shard} is not active")
        if self.state == ACTIVE and before == DEAD and not self.forced:
            raise answers.bad_request(f"Replica {self.peer} of shard {self.shard} is not initializing")
        if self.state != ACTIVE and shard.active() == [self.peer] and not self.forced:
            raise answers.bad_request("Cannot deactivate the last active replica")

    def apply(self, state: State) -> None:
        collection = state.collections[self.name]
        collection.shards[self.shard].replicas[self.peer] = self.state
        if self.state == DEAD:
            for move in [m for m in collection.moves if m.shard == self.shard and m.touches(self.peer)]:
                Abort(self.name, move).apply(state)


@dataclass(frozen=True, slots=True)
class DropReplica:
    """A replica goes at once, with its transfers."""

    name: str
    shard: int
    peer: int

    def check(self, state: State) -> None:
        shard = state.collections[self.name].shards[self.shard]
        if self.peer not in shard.replicas:
            raise answers.bad_request(f"Peer {self.peer} has no replica of shard {self.shard}")
        if not [peer for peer in shard.active() if peer != self.peer]:
            raise answers.bad_request(
                f"Shard {self.shard} must have at least one active replica after removing {self.peer}"
            )

    def apply(self, state: State) -> None:
        collection = state.collections[self.name]
        for move in [m for m in collection.moves if m.shard == self.shard and m.touches(self.peer)]:
            Abort(self.name, move).apply(state)
        collection.shards[self.shard].replicas.pop(self.peer, None)


@dataclass(frozen=True, slots=True)
class CreateKey:
    """A shard key with its shards; shard ids are never used again."""

    name: str
    key: int | str
    placement: tuple[tuple[int, ...], ...]

    def check(self, state: State) -> None:
        if self.key in state.collections[self.name].keys:
            raise answers.bad_request(
                f"Sharding key {shown(self.key)} already exists for collection {self.name}"
            )

    def apply(self, state: State) -> None:
        collection = state.collections[self.name]
        collection.keys.append(self.key)
        for peers in self.placement:
            number = collection.next_shard = collection.next_shard + 1
            collection.shards[number] = Shard(number, self.key, dict.fromkeys(peers, INITIALIZING))


@dataclass(frozen=True, slots=True)
class DropKey:
    """A shard key goes, with its data."""

    name: str
    key: int | str

    def check(self, state: State) -> None:
        if self.key not in state.collections[self.name].keys:
            raise answers.bad_request(
                f"Sharding key {shown(self.key)} does not exist for collection {self.name}"
            )

    def apply(self, state: State) -> None:
        collection = state.collections[self.name]
        collection.keys.remove(self.key)
        gone = [number for number, shard in collection.shards.items() if shard.key == self.key]
        collection.moves = [move for move in collection.moves if move.shard not in gone]
        for number in gone:
            del collection.shards[number]


def shown(key: int | str) -> str:
    """A shard key as Qdrant writes it in messages."""
    return f'"{key}"' if isinstance(key, str) else str(key)

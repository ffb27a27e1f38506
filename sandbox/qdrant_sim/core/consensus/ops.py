"""What is put into consensus: each operation knows whether it may be applied, and what it changes.

`check` runs once, on the leader, when the operation is about to be committed; `apply` runs on every peer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sandbox.qdrant_sim.core.api import answers
from sandbox.qdrant_sim.core.api.answers import Fault, Json
from sandbox.qdrant_sim.core.config import merged
from sandbox.qdrant_sim.core.consensus.state import (
    ACTIVE,
    DEAD,
    INITIALIZING,
    PARTIAL,
    RECOVERY,
    Collection,
    Move,
    Shard,
    State,
)


class Op(Protocol):
    """One entry of the log."""

    def check(self, state: State) -> None:
        """Raise a Fault when the operation must not be applied."""

    def apply(self, state: State) -> None:
        """Change the state."""


class Halfway(Fault):
    """A refusal after a part was carried out."""

    def __init__(self, fault: Fault, done: Op) -> None:
        """`done`: the part."""
        super().__init__(fault.status, fault.message)
        self.done = done


class _Free:
    """An operation that nothing forbids."""

    def check(self, state: State) -> None:
        """Nothing to look at."""


@dataclass(frozen=True, slots=True)
class Join(_Free):
    """A peer becomes a member, without a vote yet; an empty old member of the same URI is replaced."""

    peer: int
    uri: str

    def apply(self, state: State) -> None:
        for old in [peer for peer, uri in state.peers.items() if uri == self.uri and peer != self.peer]:
            del state.peers[old]
            state.voters.discard(old)
        state.peers[self.peer] = self.uri


@dataclass(frozen=True, slots=True)
class Promote(_Free):
    """A member gets a vote."""

    peer: int

    def apply(self, state: State) -> None:
        if self.peer in state.peers:
            state.voters.add(self.peer)


@dataclass(frozen=True, slots=True)
class Remove(_Free):
    """A member leaves; its replicas and transfers vanish from every table."""

    peer: int

    def apply(self, state: State) -> None:
        state.peers.pop(self.peer, None)
        state.voters.discard(self.peer)
        for collection in state.collections.values():
            for move in [m for m in collection.moves if m.touches(self.peer)]:
                Abort(collection.name, move).apply(state)
            for shard in collection.shards.values():
                shard.replicas.pop(self.peer, None)


@dataclass(frozen=True, slots=True)
class PutKey(_Free):
    """A value in the cluster's metadata; null deletes."""

    key: str
    value: Json

    def apply(self, state: State) -> None:
        if self.value is None:
            state.keys.pop(self.key, None)
        else:
            state.keys[self.key] = self.value


@dataclass(frozen=True, slots=True)
class Create:
    """A new collection; its replicas are Initializing until their peers confirm."""

    collection: Collection

    @property
    def name(self) -> str:
        return self.collection.name

    def check(self, state: State) -> None:
        if self.name in state.collections:
            raise answers.conflict(f"Collection `{self.name}` already exists!")
        if self.name in state.aliases:
            raise answers.wrong_input(
                f"Can't create collection with name {self.name}. Alias with the same name already exists"
            )

    def apply(self, state: State) -> None:
        state.collections[self.name] = self.collection.copy()


@dataclass(frozen=True, slots=True)
class Update:
    """A change of a collection's configuration."""

    name: str
    changes: Json

    def check(self, state: State) -> None:
        if self.name not in state.collections:
            raise answers.no_collection(self.name)

    def apply(self, state: State) -> None:
        collection = state.collections[self.name]
        collection.config = merged(collection.config, self.changes)


@dataclass(frozen=True, slots=True)
class Delete(_Free):
    """A collection and its aliases go."""

    name: str

    def apply(self, state: State) -> None:
        state.collections.pop(self.name, None)
        for alias in [a for a, target in state.aliases.items() if target == self.name]:
            del state.aliases[alias]


@dataclass(frozen=True, slots=True)
class Aliases:
    """Several changes of aliases in one entry; one that fails ends the list, and those before it stay."""

    actions: tuple[Json, ...]

    def check(self, state: State) -> None:
        trial = State(collections=state.collections, aliases=dict(state.aliases))
        for done, action in enumerate(self.actions):
            try:
                self._one(trial, action)
            except Fault as fault:
                raise Halfway(fault, Aliases(self.actions[:done])) from fault

    def apply(self, state: State) -> None:
        for action in self.actions:
            self._one(state, action)

    @staticmethod
    def _one(state: State, action: Json) -> None:
        if made := action.get("create_alias"):
            if made["collection_name"] not in state.collections:
                raise answers.no_collection(made["collection_name"])
            if made["alias_name"] in state.collections:
                raise answers.conflict(f"Collection `{made['alias_name']}` already exists!")
            state.aliases[made["alias_name"]] = made["collection_name"]
        elif gone := action.get("delete_alias"):
            state.aliases.pop(gone["alias_name"], None)
        elif renamed := action.get("rename_alias"):
            old, new = renamed["old_alias_name"], renamed["new_alias_name"]
            if old not in state.aliases:
                raise answers.not_found(f"Alias {old} does not exists!")
            state.aliases[new] = state.aliases.pop(old)


@dataclass(frozen=True, slots=True)
class PutIndex:
    """A payload index; another type on the same field replaces it."""

    name: str
    field: str
    schema: Json

    def check(self, state: State) -> None:
        if self.name not in state.collections:
            raise answers.no_collection(self.name)

    def apply(self, state: State) -> None:
        collection = state.collections[self.name]
        collection.schema = collection.schema | {self.field: self.schema}


@dataclass(frozen=True, slots=True)
class DropIndex:
    """A payload index goes."""

    name: str
    field: str

    def check(self, state: State) -> None:
        if self.name not in state.collections:
            raise answers.no_collection(self.name)

    def apply(self, state: State) -> None:
        collection = state.collections[self.name]
        collection.schema = {name: one for name, one in collection.schema.items() if name != self.field}


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

"""Operations on peers, cluster metadata, collections, aliases and indexes."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.qdrant_sim.core.api import answers
from sandbox.qdrant_sim.core.api.answers import Fault, Json
from sandbox.qdrant_sim.core.config import merged
from sandbox.qdrant_sim.core.consensus.op import Free, Halfway
from sandbox.qdrant_sim.core.consensus.shard_ops import Abort
from sandbox.qdrant_sim.core.consensus.state import Collection, State


@dataclass(frozen=True, slots=True)
class Join(Free):
    """A peer becomes a member, without a vote yet; an empty old member of the same URI is replaced."""

    peer: int
    uri: str

    def apply(self, state: State) -> None:
        for old in [peer for peer, uri in state.peers.items() if uri == self.uri and peer != self.peer]:
            del state.peers[old]
            state.voters.discard(old)
        state.peers[self.peer] = self.uri


@dataclass(frozen=True, slots=True)
class Promote(Free):
    """A member gets a vote."""

    peer: int

    def apply(self, state: State) -> None:
        if self.peer in state.peers:
            state.voters.add(self.peer)


@dataclass(frozen=True, slots=True)
class Remove(Free):
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
class PutKey(Free):
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
class Delete(Free):
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
                self._apply_action(trial, action)
            except Fault as fault:
                raise Halfway(fault, Aliases(self.actions[:done])) from fault

    def apply(self, state: State) -> None:
        for action in self.actions:
            self._apply_action(state, action)

    @staticmethod
    def _apply_action(state: State, action: Json) -> None:
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

"""What consensus agrees on, as one peer knows it: members, collections, replicas, transfers, aliases, keys."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.qdrant_sim.core.api.answers import Json, no_collection

ACTIVE, DEAD, PARTIAL, RECOVERY, INITIALIZING = "Active", "Dead", "Partial", "Recovery", "Initializing"
HEALTHY = frozenset({ACTIVE, "Listener", "Resharding", "ReshardingScaleDown", "ManualRecovery"})
"""Replica states that let `/readyz` say 200."""
TAKES_WRITES = frozenset({ACTIVE, PARTIAL, INITIALIZING, "Listener", "Resharding", "ActiveRead"})


@dataclass(frozen=True, slots=True)
class Move:
    """A shard transfer: a copy (`keep_source`) or a move."""

    shard: int
    source: int
    target: int
    keep_source: bool
    method: str

    def touches(self, peer: int) -> bool:
        """Whether the peer is one of its ends."""
        return peer in (self.source, self.target)


@dataclass(slots=True)
class Shard:
    """A shard and its replicas' states by peer."""

    id: int
    key: int | str | None
    replicas: dict[int, str]

    def active(self) -> list[int]:
        """Peers whose replica is Active."""
        return [peer for peer, state in self.replicas.items() if state == ACTIVE]


@dataclass(slots=True)
class Collection:
    """A collection's configuration and shards."""

    name: str
    uuid: str
    config: dict[str, Json]
    """Replaced, never changed in place."""
    shards: dict[int, Shard]
    moves: list[Move] = field(default_factory=list)
    schema: dict[str, Json] = field(default_factory=dict)
    keys: list[int | str] = field(default_factory=list)
    next_shard: int = 0

    @property
    def params(self) -> dict[str, Json]:
        """`config.params`."""
        params: dict[str, Json] = self.config["params"]
        return params

    @property
    def custom(self) -> bool:
        """Whether users name a shard key with each write."""
        return bool(self.params.get("sharding_method") == "custom")

    def copy(self) -> Collection:
        """A copy that shares nothing that changes."""
        shards = {i: Shard(s.id, s.key, dict(s.replicas)) for i, s in self.shards.items()}
        return Collection(
            self.name,
            self.uuid,
            self.config,
            shards,
            list(self.moves),
            dict(self.schema),
            list(self.keys),
            self.next_shard,
        )


@dataclass(slots=True)
class State:
    """The state machine that consensus feeds."""

    peers: dict[int, str] = field(default_factory=dict)
    """Members and their URIs, without a trailing slash."""
    voters: set[int] = field(default_factory=set)
    collections: dict[str, Collection] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    keys: dict[str, Json] = field(default_factory=dict)

    def copy(self) -> State:
        """A copy that shares nothing that changes."""
        collections = {name: one.copy() for name, one in self.collections.items()}
        return State(dict(self.peers), set(self.voters), collections, dict(self.aliases), dict(self.keys))

    def collection(self, name: str) -> Collection:
        """By its name or by an alias; 404 when there is none."""
        found = self.collections.get(self.aliases.get(name, name))
        if found is None:
            raise no_collection(name)
        return found

    def holds_shards(self, peer: int) -> bool:
        """Whether any shard has a replica on the peer."""
        return any(peer in s.replicas for c in self.collections.values() for s in c.shards.values())

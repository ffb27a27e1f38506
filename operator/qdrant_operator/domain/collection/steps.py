"""The steps of a collection's plan, one frozen value each; their text is what users read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qdrant_operator.domain.common.guards import Guard
from qdrant_operator.domain.common.kinds import Json
from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.domain.qdrant.views import ShardKey


class CollectionGuard(Guard):
    """Why a step is blocked. Users see these names in status.blocked, Events and metrics."""

    INVALID_SPEC = "InvalidSpec"
    NAME_CLASH = "NameClash"
    ADOPTION_REFUSED = "AdoptionRefused"
    TOO_FEW_PEERS = "TooFewPeers"
    IMMUTABLE_FIELD_CHANGED = "ImmutableFieldChanged"
    SHARD_KEY_HOLDS_POINTS = "ShardKeyHoldsPoints"
    ALIAS_CLASH = "AliasClash"
    ALIAS_IS_COLLECTION = "AliasIsCollection"
    QDRANT_REFUSED = "QdrantRefused"
    PEERS_UNREACHABLE = "PeersUnreachable"
    PEERS_CATCHING_UP = "PeersCatchingUp"
    COLLECTION_UNREADABLE = "CollectionUnreadable"
    INDEX_BUILDING = "IndexBuilding"
    REPLICAS_MISSING = "ReplicasMissing"
    TRANSFER_RUNNING = "TransferRunning"
    CLUSTER_PAUSED = "ClusterPaused"


_PASSING = frozenset(
    {
        CollectionGuard.PEERS_UNREACHABLE,
        CollectionGuard.PEERS_CATCHING_UP,
        CollectionGuard.COLLECTION_UNREADABLE,
        CollectionGuard.INDEX_BUILDING,
        CollectionGuard.REPLICAS_MISSING,
        CollectionGuard.TRANSFER_RUNNING,
    }
)


def ends_soon(guard: Guard) -> bool:
    """Whether it ends soon without an action of a user."""
    return guard in _PASSING


def needs_action(guard: Guard) -> bool:
    """Whether a user must act; a pause is the user's own choice already."""
    return not ends_soon(guard) and guard is not CollectionGuard.CLUSTER_PAUSED


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Add the operator's finalizer: with deletionPolicy Delete there is something to do before the object goes."""

    reason: ClassVar[str] = "FinalizerAdded"
    gate: ClassVar[bool] = True

    def __str__(self) -> str:
        return "add the finalizer: deletionPolicy is Delete"


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Remove the operator's finalizer."""

    why: str
    reason: ClassVar[str] = "FinalizerRemoved"
    gate: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"remove the finalizer: {self.why}"


@dataclass(frozen=True, slots=True)
class CreateCollection:
    """Create the collection, marked as this object's in the same call."""

    name: str
    body: Json
    reason: ClassVar[str] = "CollectionCreated"
    gate: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"create collection {self.name}"


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Mark an existing collection that matches the spec as this object's."""

    name: str
    owner: str
    reason: ClassVar[str] = "CollectionAdopted"
    gate: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"adopt collection {self.name}, which matches the spec"


@dataclass(frozen=True, slots=True)
class UpdateCollection:
    """Change settings that Qdrant changes in place."""

    name: str
    body: Json
    fields: tuple[str, ...]
    reason: ClassVar[str] = "CollectionUpdated"
    gate: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"change {', '.join(self.fields)} of collection {self.name}"


@dataclass(frozen=True, slots=True)
class CreateShardKey:
    """Create a missing shard key with its shards."""

    name: str
    key: str
    """The key as users read it."""
    body: Json
    pods: tuple[str, ...] = ()
    """Pods whose peers get its shards; empty: all."""
    reason: ClassVar[str] = "ShardKeyCreated"
    gate: ClassVar[bool] = False

    def __str__(self) -> str:
        shards, factor = self.body["shards_number"], self.body["replication_factor"]
        where = f" on {', '.join(self.pods)}" if self.pods else ""
        return f"create shard key {self.key} of {self.name}: shards {shards}, replicas {factor}{where}"


@dataclass(frozen=True, slots=True)
class RemoveShardKey:
    """Remove a shard key that is no longer declared: an empty one, or one whose points may be deleted."""

    name: str
    key: ShardKey
    label: str
    """The key as users read it."""
    points: int | None
    """Points that it holds; None: not known."""
    consented: bool
    """Whether the spec allows deleting its points; if not, they are counted once more before the call."""
    reason: ClassVar[str] = "ShardKeyRemoved"
    gate: ClassVar[bool] = False

    def __str__(self) -> str:
        points = "an unknown number of" if self.points is None else str(self.points)
        lost = f"with {points} points (onKeyRemoval is Delete)" if self.consented else "(it is empty)"
        return f"remove shard key {self.label} of {self.name} {lost}"


@dataclass(frozen=True, slots=True)
class CreatePayloadIndex:
    """Have Qdrant build a missing index."""

    name: str
    field: str
    schema: Json
    reason: ClassVar[str] = "PayloadIndexCreated"
    gate: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"build the {self.schema['type']} index on payload field {self.field} of {self.name}"


@dataclass(frozen=True, slots=True)
class ReplacePayloadIndex:
    """Have Qdrant rebuild an index with another type or other options: until then queries that need it are slow."""

    name: str
    field: str
    schema: Json
    changes: str
    reason: ClassVar[str] = "PayloadIndexReplaced"
    gate: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"replace the index on payload field {self.field} of {self.name} ({self.changes})"


@dataclass(frozen=True, slots=True)
class DropPayloadIndex:
    """Remove an index that is not declared; only with prunePayloadIndexes."""

    name: str
    field: str
    reason: ClassVar[str] = "PayloadIndexDropped"
    gate: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"drop the undeclared index on payload field {self.field} of {self.name}"


@dataclass(frozen=True, slots=True)
class MoveAliases:
    """Point aliases to the collection and remove others, in one atomic call."""

    name: str
    put: tuple[str, ...]
    remove: tuple[str, ...] = ()
    reason: ClassVar[str] = "AliasesMoved"
    gate: ClassVar[bool] = False

    @property
    def actions(self) -> Json:
        """The call's list of actions."""
        removals = [{"delete_alias": {"alias_name": alias}} for alias in self.remove]
        puts = [{"create_alias": {"collection_name": self.name, "alias_name": alias}} for alias in self.put]
        return [*removals, *puts]

    def __str__(self) -> str:
        parts = [
            f"point {', '.join(self.put)} to {self.name}" if self.put else "",
            f"remove {', '.join(self.remove)}" if self.remove else "",
        ]
        return "aliases: " + "; ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class StartOptimizations:
    """Start optimizations that wait for the next write, by an empty update."""

    name: str
    body: ClassVar[Json] = {"optimizers_config": {}}
    reason: ClassVar[str] = "OptimizationsStarted"
    gate: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"start the pending optimizations of collection {self.name}"


@dataclass(frozen=True, slots=True)
class DeleteCollection:
    """Delete the collection and its data: deletionPolicy Delete."""

    name: str
    reason: ClassVar[str] = "CollectionDeleted"
    gate: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"delete collection {self.name} and its data"


CollectionStep = (
    AddFinalizer
    | RemoveFinalizer
    | CreateCollection
    | TakeOver
    | UpdateCollection
    | CreateShardKey
    | RemoveShardKey
    | CreatePayloadIndex
    | ReplacePayloadIndex
    | DropPayloadIndex
    | MoveAliases
    | StartOptimizations
    | DeleteCollection
)
"""`reason` names the Event that follows a step; nothing after a `gate` makes sense until it is done."""

CollectionPlan = Plan[CollectionStep]

StepKey = tuple[str, ...]


def step_key(step: CollectionStep) -> StepKey:
    """What identifies a step within one plan: its reason, and what it is about."""
    match step:
        case UpdateCollection(fields=fields):
            return (step.reason, *fields)
        case CreateShardKey(key=key) | RemoveShardKey(label=key):
            return (step.reason, key)
        case CreatePayloadIndex(field=name) | ReplacePayloadIndex(field=name) | DropPayloadIndex(field=name):
            return (step.reason, name)
        case MoveAliases(put=put, remove=remove):
            return (step.reason, *put, "/", *remove)
        case _:
            return (step.reason,)

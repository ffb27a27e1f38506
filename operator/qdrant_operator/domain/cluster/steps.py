"""The verbs of the cluster's loop, one frozen value each; their text is what users read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_operator.domain.cluster.observed import Bootstrap, Drift, Leaving, MarkVolume, Obsolete
from qdrant_operator.domain.common.names import ANNOTATION_HASH
from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.domain.common.text import counted
from qdrant_operator.domain.placement.steps import (
    AbortTransfer,
    DropReplica,
    MoveShard,
    PlacementStep,
    ReplicateShard,
)
from qdrant_operator.domain.qdrant.views import PeerId


@dataclass(frozen=True, slots=True)
class RecordBootstrap:
    """Write the decision into status before acting upon it."""

    bootstrap: Bootstrap

    def __str__(self) -> str:
        words = {
            "Started": f"let {self.bootstrap.pod} start the cluster alone",
            "Formed": f"take away the permission to start alone: {self.bootstrap.pod} formed the cluster",
            "Adopted": "adopt the volumes that are there: nobody may start alone",
            "Complete": "call the cluster formed",
        }
        return words[self.bootstrap.phase]


@dataclass(frozen=True, slots=True)
class ApplyObject:
    """Create an owned object, or put it back."""

    drift: Drift

    def __str__(self) -> str:
        what = f"{self.drift.kind.kind} {self.drift.name}"
        if not self.drift.fields:
            return f"create {what}"
        fields = [field for field in self.drift.fields if not field.endswith(ANNOTATION_HASH)]
        verb = "put back" if self.restores else "update"
        return f"{verb} {what}: {', '.join(fields[:3]) or 'fields that are wanted no more'}"

    @property
    def restores(self) -> bool:
        """Somebody else changed the object; otherwise we want something new of it."""
        return bool(self.drift.fields) and not any(f.endswith(ANNOTATION_HASH) for f in self.drift.fields)


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Delete an object of ours that the spec asks for no more."""

    obsolete: Obsolete

    def __str__(self) -> str:
        return f"delete {self.obsolete.kind.kind} {self.obsolete.name} ({self.obsolete.why})"


@dataclass(frozen=True, slots=True)
class RetriggerStatefulSet:
    """Make Kubernetes look at the StatefulSet again, whose controller waits longer after each failure to make a pod."""

    pods: tuple[str, ...]

    def __str__(self) -> str:
        return f"remind the StatefulSet of {', '.join(self.pods)}: nothing of that name is there"


@dataclass(frozen=True, slots=True)
class MarkCluster:
    """Write our QdrantCluster's uid into the cluster's own metadata."""

    pod: str

    def __str__(self) -> str:
        return f"mark the cluster as ours through {self.pod}"


@dataclass(frozen=True, slots=True)
class TakeOutOfService:
    """Take a pod out of the client Service."""

    pod: str
    why: str

    def __str__(self) -> str:
        return f"take {self.pod} out of the client Service ({self.why})"


@dataclass(frozen=True, slots=True)
class PutInService:
    """Let the client Service send requests to a pod again."""

    pod: str

    def __str__(self) -> str:
        return f"put {self.pod} back into the client Service"


@dataclass(frozen=True, slots=True)
class RestartPod:
    """Delete a pod, so that the StatefulSet makes it anew from the present template."""

    pod: str
    uid: str
    why: str

    def __str__(self) -> str:
        return f"restart {self.pod} ({self.why})"


@dataclass(frozen=True, slots=True)
class RemovePeer:
    """Take a peer out of consensus: a drained one, or by force a lost one that consent was given for."""

    peer: PeerId
    pod: str
    force: bool
    why: str

    def __str__(self) -> str:
        return f"remove peer {self.peer} of {self.pod}{' by force' if self.force else ''} ({self.why})"


@dataclass(frozen=True, slots=True)
class PurgePeerId:
    """Clear an id that is no member from the shard tables."""

    peer: PeerId

    def __str__(self) -> str:
        return f"forget peer {self.peer}, on which shards are placed and which is no member"


@dataclass(frozen=True, slots=True)
class RecordLeaving:
    """Write into status which peer is being taken away, before acting upon it; None: it is over."""

    leaving: Leaving | None
    pod: str

    def __str__(self) -> str:
        if self.leaving is None:
            return f"call the removal of {self.pod} done"
        return f"record that the peer of {self.pod} is {self.leaving.phase.value.lower()}"


@dataclass(frozen=True, slots=True)
class LowerMembers:
    """Take the topmost pod, whose peer is gone from consensus, out of the StatefulSet."""

    pod: str
    members: int
    """Replicas of the StatefulSet afterwards: exactly one fewer."""

    def __str__(self) -> str:
        return f"take {self.pod} away: {counted(self.members, 'pod')} stay{'s' if self.members == 1 else ''}"


@dataclass(frozen=True, slots=True)
class DeleteClaim:
    """Delete the volume of a peer that was removed; it could never join again."""

    claim: str
    uid: str

    def __str__(self) -> str:
        return f"delete the volume {self.claim} of a removed peer"


Step = (
    RecordBootstrap
    | ApplyObject
    | DeleteObject
    | RetriggerStatefulSet
    | MarkCluster
    | TakeOutOfService
    | PutInService
    | RestartPod
    | PlacementStep
    | MarkVolume
    | RecordLeaving
    | RemovePeer
    | PurgePeerId
    | LowerMembers
    | DeleteClaim
)
"""What the loop can do."""


def event_reason(step: Step) -> str | None:
    """Reason of the Event that tells of a step; None for steps that nobody needs to hear of."""
    match step:
        case RecordBootstrap():
            return f"Bootstrap{step.bootstrap.phase}"
        case ApplyObject():
            return "ObjectRestored" if step.restores else None
        case TakeOutOfService():
            return "PodOutOfService"
        case RestartPod():
            return "PodRestarted"
        case MarkCluster() | MarkVolume() | PutInService() | RecordLeaving():
            return None
        case _:
            return EVENT_REASONS[type(step)]


EVENT_REASONS: Mapping[type, str] = {
    DeleteObject: "ObjectDeleted",
    RetriggerStatefulSet: "StatefulSetRetriggered",
    ReplicateShard: "ReplicaStarted",
    MoveShard: "MoveStarted",
    DropReplica: "ReplicaDropped",
    AbortTransfer: "TransferAborted",
    RemovePeer: "PeerRemoved",
    PurgePeerId: "PeerIdPurged",
    LowerMembers: "ScaledIn",
    DeleteClaim: "VolumeDeleted",
}
"""Reasons of the Events that tell of shards, peers and objects that go."""


ClusterPlan = Plan[Step]
NOTHING: ClusterPlan = Plan()

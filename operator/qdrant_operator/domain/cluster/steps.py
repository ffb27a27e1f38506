"""The steps of the cluster's loop, one frozen value each; their text is what users read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_operator.domain.cluster.observed import Bootstrap, Drift, Leaving, MarkVolume, Obsolete
from qdrant_operator.domain.common.names import ANNOTATION_HASH
from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.domain.common.text import counted, named
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
    """Write the decision into status before acting on it."""

    bootstrap: Bootstrap

    def __str__(self) -> str:
        texts = {
            "Started": f"allow {self.bootstrap.pod} to form the cluster",
            "Formed": f"revoke the permission to start alone: {self.bootstrap.pod} formed the cluster",
            "Adopted": "adopt the existing volumes: no pod may start alone",
            "Complete": "record the cluster as complete",
        }
        return texts[self.bootstrap.phase]


@dataclass(frozen=True, slots=True)
class ApplyObject:
    """Create or restore an owned object."""

    drift: Drift

    def __str__(self) -> str:
        what = f"{self.drift.kind.kind} {self.drift.name}"
        if not self.drift.fields:
            return f"create {what}"
        fields = [field for field in self.drift.fields if not field.endswith(ANNOTATION_HASH)]
        verb = "restore" if self.restores else "update"
        return f"{verb} {what}: {', '.join(fields[:3]) or 'fields that are no longer wanted'}"

    @property
    def restores(self) -> bool:
        """Another writer changed the object; otherwise its desired state changed."""
        return bool(self.drift.fields) and not any(f.endswith(ANNOTATION_HASH) for f in self.drift.fields)


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Delete an owned object that the spec no longer asks for."""

    obsolete: Obsolete

    def __str__(self) -> str:
        return f"delete {self.obsolete.kind.kind} {self.obsolete.name} ({self.obsolete.why})"


@dataclass(frozen=True, slots=True)
class RetriggerStatefulSet:
    """Make the StatefulSet controller reconcile now: it waits longer after each failure to create a pod."""

    pods: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"retrigger the StatefulSet: {named(self.pods)} {'is' if len(self.pods) == 1 else 'are'} missing"
        )


@dataclass(frozen=True, slots=True)
class MarkCluster:
    """Write the QdrantCluster's uid into the consensus metadata of the cluster."""

    pod: str

    def __str__(self) -> str:
        return f"record the owner in the cluster through {self.pod}"


@dataclass(frozen=True, slots=True)
class TakeOutOfService:
    """Take a pod out of the client Service."""

    pod: str
    why: str

    def __str__(self) -> str:
        return f"take {self.pod} out of service ({self.why})"


@dataclass(frozen=True, slots=True)
class PutInService:
    """Let the client Service send requests to a pod again."""

    pod: str

    def __str__(self) -> str:
        return f"put {self.pod} back into service"


@dataclass(frozen=True, slots=True)
class RestartPod:
    """Delete a pod, so that the StatefulSet recreates it from the present template."""

    pod: str
    uid: str
    why: str

    def __str__(self) -> str:
        return f"restart {self.pod} ({self.why})"


@dataclass(frozen=True, slots=True)
class RemovePeer:
    """Remove a peer from consensus: a drained one, or by force a lost one with consent."""

    peer: PeerId
    pod: str
    force: bool
    why: str

    def __str__(self) -> str:
        return f"remove peer {self.peer} of {self.pod}{' by force' if self.force else ''} ({self.why})"


@dataclass(frozen=True, slots=True)
class PurgePeerId:
    """Clear a peer id that is not in the cluster from the shard tables."""

    peer: PeerId

    def __str__(self) -> str:
        return f"purge peer id {self.peer}: shards are placed on it and it is not in the cluster"


@dataclass(frozen=True, slots=True)
class RecordLeaving:
    """Record in status which peer is being removed, before acting on it; None: the removal is complete."""

    leaving: Leaving | None
    pod: str

    def __str__(self) -> str:
        if self.leaving is None:
            return f"record the removal of {self.pod} as complete"
        return f"record that the peer of {self.pod} is {self.leaving.phase.value.lower()}"


@dataclass(frozen=True, slots=True)
class ScaleInStatefulSet:
    """Remove the topmost pod, whose peer has left consensus, from the StatefulSet."""

    pod: str
    replicas: int
    """Replicas of the StatefulSet afterwards: exactly one fewer."""

    def __str__(self) -> str:
        remain = "remains" if self.replicas == 1 else "remain"
        return f"remove {self.pod} from the StatefulSet: {counted(self.replicas, 'pod')} {remain}"


@dataclass(frozen=True, slots=True)
class DeleteClaim:
    """Delete the volume of a removed peer; it could never join again."""

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
    | ScaleInStatefulSet
    | DeleteClaim
)
"""All steps of the loop."""


def event_reason(step: Step) -> str | None:
    """Reason of the Event that reports a step; None: it is not reported."""
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
    ScaleInStatefulSet: "ScaledIn",
    DeleteClaim: "VolumeDeleted",
}
"""Reasons of the Events that report steps on shards, peers and objects."""


ClusterPlan = Plan[Step]
NOTHING: ClusterPlan = Plan()

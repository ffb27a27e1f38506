"""The verbs of the cluster's loop, one frozen value each; their text is what users read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from qdrant_operator.domain.names import ANNOTATION_HASH
from qdrant_operator.domain.observed import Bootstrap, Damage


class Guard(StrEnum):
    """Why a wanted step waits. Users see these words in status.blocked, Events and metrics."""

    ONE_AT_A_TIME = "OneAtATime"
    PEERS_UNREACHABLE = "PeersUnreachable"
    CONSENSUS_UNSETTLED = "ConsensusUnsettled"
    TRANSFER_RUNNING = "TransferRunning"
    REPLICA_NOT_SOUND = "ReplicaNotSound"
    NO_QUORUM_WITHOUT = "NoQuorumWithout"
    STILL_IN_SERVICE = "StillInService"
    PEER_NOT_JOINED = "PeerNotJoined"
    POD_NOT_RUNNING = "PodNotRunning"
    VOLUME_LOST = "VolumeLost"
    SCALE_IN_NEEDS_DRAIN = "ScaleInNeedsDrain"
    KEY_CHANGED = "KeyChanged"
    VERSION_DOWNGRADE = "VersionDowngrade"
    VERSION_SKIP = "VersionSkip"


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

    damage: Damage

    def __str__(self) -> str:
        what = f"{self.damage.kind.kind} {self.damage.name}"
        if not self.damage.fields:
            return f"create {what}"
        fields = [field for field in self.damage.fields if not field.endswith(ANNOTATION_HASH)]
        verb = "put back" if self.restores else "update"
        return f"{verb} {what}: {', '.join(fields[:3]) or 'fields that are wanted no more'}"

    @property
    def restores(self) -> bool:
        """Somebody else changed the object; otherwise we want something new of it."""
        return bool(self.damage.fields) and not any(f.endswith(ANNOTATION_HASH) for f in self.damage.fields)


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


Step = RecordBootstrap | ApplyObject | MarkCluster | TakeOutOfService | PutInService | RestartPod


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
        case MarkCluster() | PutInService():
            return None


@dataclass(frozen=True, slots=True)
class Blocked:
    """A wanted step that a guard holds back now."""

    step: str
    guard: Guard
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, and what waits."""

    steps: tuple[Step, ...] = ()
    blocked: tuple[Blocked, ...] = ()

    def __add__(self, later: Plan) -> Plan:
        return Plan(self.steps + later.steps, self.blocked + later.blocked)


NOTHING = Plan()

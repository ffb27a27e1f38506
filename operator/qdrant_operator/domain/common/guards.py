"""Guards: why a step of a plan waits. `ClusterGuard` is shared by the cluster's planner and by placement."""

from __future__ import annotations

from enum import StrEnum


class Guard(StrEnum):
    """Why a step waits: the base of each kind's closed list."""


class ClusterGuard(Guard):
    """Why a step waits. Users see these words in status.blocked, Events and metrics."""

    ONE_AT_A_TIME = "OneAtATime"
    PEERS_UNREACHABLE = "PeersUnreachable"
    CONSENSUS_UNSETTLED = "ConsensusUnsettled"
    TRANSFER_RUNNING = "TransferRunning"
    REPLICA_NOT_SOUND = "ReplicaNotSound"
    QUORUM_AT_RISK = "QuorumAtRisk"
    STILL_IN_SERVICE = "StillInService"
    BACKUP_RUNNING = "BackupRunning"
    OBJECTS_TERMINATING = "ObjectsTerminating"
    NO_PEER_ON_VOLUMES = "NoPeerOnVolumes"
    PEER_NOT_JOINED = "PeerNotJoined"
    POD_NOT_RUNNING = "PodNotRunning"
    VOLUME_LOST = "VolumeLost"
    VIEWS_DISAGREE = "ViewsDisagree"
    TOO_FEW_PEERS = "TooFewPeers"
    NO_SOUND_SOURCE = "NoSoundSource"
    NOT_ENOUGH_DISK = "NotEnoughDisk"
    TRANSFER_BUDGET = "TransferBudget"
    MANUAL_PLACEMENT = "ManualPlacement"
    OUTSIDE_WINDOW = "OutsideWindow"
    PEER_HOLDS_SHARDS = "PeerHoldsShards"
    CONSENT_NEEDED = "ConsentNeeded"
    ORPHANED_REPLICA = "OrphanedReplica"
    REMOVED_VOLUME_PRESENT = "RemovedVolumePresent"
    LAST_TRANSFER_ABORTED = "LastTransferAborted"
    KEY_CHANGED = "KeyChanged"
    VERSION_DOWNGRADE = "VersionDowngrade"
    VERSION_SKIP = "VersionSkip"
    FIELD_CONTESTED = "FieldContested"

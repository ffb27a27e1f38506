"""The observed state of one cluster, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from qdrant_operator.domain.cluster.pods.stuck import StuckPod
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.text import named
from qdrant_operator.domain.manifests.rival_writers import Contested
from qdrant_operator.domain.placement.wants import KeyWant
from qdrant_operator.domain.qdrant.soundness import ShardHealth, ShardRef, answering
from qdrant_operator.domain.qdrant.views import PeerId, PeerView, ShardKey, Silent, View

COMMIT_LAG = 16
"""Entries by which two healthy peers' commits may differ between two reads (Raft sends them in batches)."""


class BootstrapPhase(StrEnum):
    """How far the cluster's one formation has come; recorded in status before it is acted upon."""

    STARTED = "Started"
    """Pod 0 may start alone; no other pod exists."""
    FORMED = "Formed"
    """The first peer answered; no pod may start alone from now on."""
    ADOPTED = "Adopted"
    """Volumes existed before the QdrantCluster: no pod may ever start alone."""
    COMPLETE = "Complete"
    """All peers agreed once, and the cluster has the mark of its QdrantCluster."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The recorded decision which pod may start alone."""

    phase: BootstrapPhase
    pod: str
    peer: PeerId | None = None


@dataclass(frozen=True, slots=True)
class VolumeMarks:
    """What the operator wrote on a volume claim."""

    release: str = ""
    """Highest Qdrant release that ran on the volume; empty where that is not known."""
    unformed: bool = False
    """Only pod 0 was ever allowed to start on it, while no other volume existed."""
    owner: str = ""
    """Uid of the QdrantCluster with which Kubernetes deletes the claim; empty where it is kept."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume claim that a pod of the cluster uses or would use: by its name, no matter who created it."""

    uid: str
    created: str = ""
    """RFC 3339."""
    terminating: bool = False
    unbound: bool = False
    """No volume was ever bound to it, and nothing names one: it certainly holds no data."""
    labelled: bool = False
    """It has the labels of the cluster's own claims."""
    storage_class: str | None = None
    marks: VolumeMarks = field(default=VolumeMarks())


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """Which peer runs on which volume (status.members): it distinguishes a lost volume from a slow start."""

    pod: str
    peer: PeerId
    claim_uid: str
    lost_since: datetime | None = None
    """Since when the pod has another volume, while its peer does not answer and is still in the cluster."""


class LeavingPhase(StrEnum):
    """How far the removal of a peer has come; recorded in status before it is acted upon."""

    REMOVING = "Removing"
    """It holds no shards; its removal from consensus may have been requested and cannot be undone."""
    REMOVED = "Removed"
    """No peer lists it: its pod and its volume are deleted."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """The one peer that is being removed (status.leaving)."""

    pod: str
    peer: PeerId | None
    """None: its pod never joined."""
    claim_uid: str
    """Its volume; empty where it has none."""
    phase: LeavingPhase


@dataclass(frozen=True, slots=True)
class PodState:
    """One pod of the StatefulSet."""

    name: str
    ordinal: int
    uid: str
    address: str | None
    ready: bool
    serving: bool
    """Its label lets the client Service send requests to it."""
    terminating: bool
    template_hash: str
    waiting: str = ""
    """Why its container does not run: the kubelet's reason."""
    message: str = ""
    """The kubelet's message, or the last output of the container."""
    created: str = ""
    """RFC 3339."""
    zone: str = ""
    """Value of its label spec.shards.zoneKey."""
    life: str = ""
    """Changes whenever its container starts or its readiness changes, also between two observations of a ready pod. It
    contains times of the kubelet's clock, so it is only compared with itself."""
    node: str = ""
    """The node that it runs on."""
    deleted: str = ""
    """When its grace period ends, RFC 3339; empty: it is not stopping."""
    started: bool = False
    """Its container runs or ran."""
    resource_version: str = field(default="", compare=False)
    """It changes with every write, also with irrelevant ones."""
    down_since: str = ""
    """Since when it is not ready, RFC 3339; empty: it is ready, or its kubelet has not reported it."""


@dataclass(frozen=True, slots=True)
class Drift:
    """An owned object that is missing or differs from the desired state."""

    kind: Kind
    name: str
    fields: tuple[str, ...]
    """Paths that differ; empty when the object is missing."""
    manifest: Manifest = field(repr=False)
    uid: str = ""
    """Of the observed object; empty when it is missing."""
    version: str = ""
    """Its resourceVersion at that time."""


@dataclass(frozen=True, slots=True)
class Obsolete:
    """An owned object that the spec no longer asks for."""

    kind: Kind
    name: str
    uid: str
    why: str


@dataclass(frozen=True, slots=True)
class MarkVolume:
    """Write on a volume claim what outlives the QdrantCluster's status."""

    claim: str
    uid: str
    marks: VolumeMarks

    def __str__(self) -> str:
        facts = (
            self.marks.release,
            "unformed" if self.marks.unformed else "",
            "owned" if self.marks.owner else "",
        )
        return f"mark the volume claim {self.claim}: {', '.join(filter(None, facts)) or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Disruptions:
    """How many ready pods may be evicted at the same time, and which pod is not counted."""

    allowed: int = 1
    exempt: str | None = None
    """A pod that may be evicted whatever `allowed` says."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One observation of everything that belongs to a cluster."""

    bootstrap: Bootstrap | None
    pods: tuple[PodState, ...]
    views: Mapping[str, View]
    """By pod name: the view of its peer, or why there is none."""
    objects: Mapping[tuple[Kind, str], Manifest] = field(default_factory=dict, repr=False)
    """Existing objects of those that the QdrantCluster may own, by kind and name."""
    contested: tuple[Contested, ...] = ()
    """Owned objects that another writer keeps changing; they are applied again after a pause."""
    stateful_set_replicas: int | None = None
    """Replicas of the StatefulSet; None when there is none."""
    remains: tuple[str, ...] = ()
    """Objects of an earlier QdrantCluster of this name that Kubernetes is deleting; listed until the decision."""
    listed: frozenset[str] = frozenset()
    """Addresses to which the client Service may still send requests."""
    just_left: frozenset[str] = frozenset()
    """Pods that it no longer lists, while nodes may still send requests to them."""
    just_back: frozenset[str] = frozenset()
    """Pods that became ready a moment ago: earlier requests may still fail."""
    just_changed: bool = False
    """A change of consensus was requested a moment ago: only the leader is certain to show it."""
    overdue: tuple[int, ...] = ()
    """Ordinals of pods that the StatefulSet counts and that have been missing for a while."""
    stuck_pods: tuple[StuckPod, ...] = ()
    """Pods that make no progress, and why."""
    mark: str | None = None
    """Uid of the QdrantCluster that the cluster's own metadata names."""
    shards: tuple[ShardHealth, ...] = field(default=())
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    """Volume claims of the cluster's pods by name."""
    records: tuple[PeerRecord, ...] = ()
    """status.members; the planner first updates it with this observation."""
    releases: tuple[str | None, ...] = ()
    """Releases that status says ran."""
    leaving: Leaving | None = None
    """status.leaving."""
    removed_pod: PodState | None = None
    """The pod of a removed peer, until it is deleted; its peer is not in the cluster."""
    removed_view: View | None = None
    """The view of that peer."""
    wants: Mapping[tuple[str, ShardKey], KeyWant] = field(default_factory=dict)
    """Placement that QdrantCollections request for their shard keys."""
    floors: Mapping[str, int] = field(default_factory=dict)
    """Replication factors that specs request and Qdrant may not have applied yet: no replica below them is surplus."""
    waits: frozenset[tuple[ShardRef, PeerId]] = frozenset()
    """Shards and targets whose last transfer was aborted a moment ago."""
    stale: frozenset[tuple[ShardRef, PeerId]] = frozenset()
    """Dead replicas that no peer recovers."""
    disruptions: Disruptions | None = None
    """What the PodDisruptionBudget allows; None when there is none, or when another writer changed it."""
    steady: timedelta = timedelta()
    """For how long the same disruptions have been safe."""
    backups: tuple[str, ...] = ()
    """QdrantSnapshots that copy shards now and that restarts and moves wait for."""
    now: datetime | None = None
    """When this observation began; None: rules that depend on time are off."""

    @property
    def peers(self) -> Mapping[str, PeerView]:
        """Views of the pods whose peers answer."""
        return {pod: view for pod, view in self.views.items() if isinstance(view, PeerView)}

    @property
    def all_views(self) -> Mapping[str, View]:
        """Views of all pods, also of the removed one."""
        if self.removed_pod is None or self.removed_view is None:
            return self.views
        return {**self.views, self.removed_pod.name: self.removed_view}

    @property
    def silent(self) -> Mapping[str, str]:
        """Pods whose peers do not answer, and why."""
        return {pod: view.reason for pod, view in self.views.items() if isinstance(view, Silent)}

    @property
    def leader(self) -> PeerId | None:
        """The leader that a majority of the known peers follows in the highest term, if there is one."""
        views = answering(self.views.values())
        term = max((view.term for view in views), default=0)
        followers = [view.leader for view in views if view.term == term and view.leader is not None]
        best = max(set(followers), key=followers.count, default=None)
        known = max((len(view.peers) for view in views), default=0)
        return best if best is not None and followers.count(best) * 2 > known else None

    def pod_of(self, peer: PeerId | None) -> str | None:
        """Pod in which a peer runs."""
        return next((pod for pod, view in self.peers.items() if view.peer == peer), None)


def behind(views: Mapping[str, PeerView]) -> str:
    """Pods whose consensus lags behind the others', and by how much; empty when none does."""
    ahead = max((view.commit for view in views.values()), default=0)
    lags = {pod: ahead - view.commit for pod, view in sorted(views.items())}
    late = [f"{pod} is {lag} consensus entries behind" for pod, lag in lags.items() if lag > COMMIT_LAG]
    return named(late)

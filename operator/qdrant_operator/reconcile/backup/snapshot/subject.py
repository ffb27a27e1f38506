"""A QdrantSnapshot as its loop reads it: its spec, its names, and its status."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from qdrant_operator.api.backup.snapshot import SnapshotRetention, SnapshotSpec, SnapshotStatus
from qdrant_operator.api.base import Condition
from qdrant_operator.domain.backup.retention import Phase
from qdrant_operator.domain.backup.storage import S3Place, backup_folder, journal_key, s3_place
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.manifests.jobs import job_name
from qdrant_operator.reconcile import finalizers
from qdrant_operator.reconcile.named import Named
from qdrant_operator.reconcile.ports import Manifest
from qdrant_operator.reconcile.records import check_known, read_status
from qdrant_operator.reconcile.spec import read_spec


@dataclass(frozen=True, slots=True)
class Subject(Named):
    """One QdrantSnapshot."""

    spec: SnapshotSpec
    status: SnapshotStatus
    """As the cache shows it."""

    @property
    def cluster(self) -> str:
        """Name of the QdrantCluster."""
        return self.spec.cluster_ref.name

    @property
    def job(self) -> str:
        """Name of its only Job."""
        return job_name(self.name, self.uid)

    @property
    def place(self) -> S3Place:
        """Where its files are stored."""
        return s3_place(self.spec.storage)

    @property
    def folder(self) -> str:
        """Its folder in the bucket."""
        return backup_folder(self.place, self.namespace, self.cluster, self.name, self.uid)

    @property
    def journal(self) -> str:
        """Key of its run's journal."""
        return journal_key(self.place, self.namespace, self.cluster, self.uid)

    @property
    def location(self) -> str:
        """URL of its folder."""
        return self.place.url(self.folder)

    @property
    def verifies(self) -> bool:
        """Whether the files are read back before the snapshot counts."""
        return self.spec.verify.mode == "Checksum"

    @property
    def phase(self) -> Phase:
        """How far it is; a finished one never changes again."""
        return phase_of(self.manifest)

    @property
    def has_finalizer(self) -> bool:
        """Whether the operator's finalizer is on it."""
        return finalizers.has_finalizer(self.manifest)

    @property
    def reason(self) -> str:
        """Reason of its Ready condition."""
        return self._ready.reason if self._ready else ""

    @property
    def ready_message(self) -> str:
        """Sentence of its Ready condition."""
        return self._ready.message if self._ready else ""

    @property
    def over_since(self) -> datetime:
        """When its loop saw that it is over, by the operator's own clock: `Ready` or `Failed` became true then."""
        times = (condition.last_transition_time for condition in self.status.conditions)
        return max(time for time in times if time)

    @property
    def _ready(self) -> Condition | None:
        return next((found for found in self.status.conditions if found.type == "Ready"), None)

    @property
    def cluster_uid(self) -> str | None:
        """Uid of the QdrantCluster whose data it holds; None before its Job."""
        return self.status.cluster_uid

    @property
    def expired(self) -> bool:
        """Whether retention decided to delete its files too: for this object, not for one that it was copied from."""
        return is_expired(self.manifest)

    @property
    def cleans_up(self) -> bool:
        """Whether its files are deleted with it: retention decided so, or its user wrote `deletionPolicy: Delete`."""
        return self.expired or (self.spec.deletion_policy == "Delete" and not self._inherits)

    @property
    def _inherits(self) -> bool:
        """Whether the schedule of an earlier release created it, which copied its own policy: no user chose it here."""
        notes = self.manifest["metadata"].get("annotations") or {}
        return names.ANNOTATION_SCHEDULED_AT in notes and names.ANNOTATION_SCHEDULE not in notes


def read_subject(manifest: Manifest) -> Subject:
    """A manifest as a value.

    Raises:
        Refused: `NewerOperator`, `InvalidSpec`.
    """
    _check_status(manifest)
    return Subject(manifest, read_spec(SnapshotSpec, manifest["spec"]), status_of(manifest))


def status_of(manifest: Manifest) -> SnapshotStatus:
    """Status of a QdrantSnapshot, as far as this release understands it."""
    return read_status(SnapshotStatus, manifest)


def is_expired(manifest: Manifest) -> bool:
    """Whether retention decided that the files are deleted with this object, whatever its spec says."""
    decided = status_of(manifest).retention
    return decided is not None and decided.uid == manifest["metadata"]["uid"]


def phase_of(manifest: Manifest) -> Phase:
    """Phase of a QdrantSnapshot, Pending before its first status. Read as text: no model knows a newer phase."""
    return Phase.read((manifest.get("status") or {}).get("phase"))


def is_over(manifest: Manifest) -> bool:
    """Whether its run has ended, also in a phase that only a newer release of the operator knows."""
    phase = phase_of(manifest)
    return phase.over or (phase is Phase.UNKNOWN and status_of(manifest).completed_at is not None)


def is_known(manifest: Manifest) -> bool:
    """Whether this release understands what its status says."""
    try:
        _check_status(manifest)
    except Refused:
        return False
    return True


def _check_status(manifest: Manifest) -> None:
    status, until_then = manifest.get("status") or {}, "Until then nothing is done with this object"
    if phase := status.get("phase"):
        check_known({"phase": phase}, SnapshotStatus, "status", until_then)
    if retention := status.get("retention"):
        check_known(retention, SnapshotRetention, "status.retention", until_then)


def moment(text: str) -> datetime:
    """A Kubernetes timestamp."""
    return datetime.fromisoformat(text)

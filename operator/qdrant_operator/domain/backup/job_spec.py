"""What a snapshot Job does: everything but secrets, as one JSON document in its environment.

The Job has no rights in Kubernetes and needs no other input; each secret has its own variable.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from qdrant_operator.domain.backup.storage import S3Place, backup_folder, journal_folder, journal_key

JOB_SPEC = "SNAPSHOT_INSTRUCTION"
QDRANT_KEY = "QDRANT_API_KEY"
S3_ACCESS_KEY = "SNAPSHOT_S3_ACCESS_KEY_ID"
S3_SECRET_KEY = "SNAPSHOT_S3_SECRET_ACCESS_KEY"  # noqa: S105 (a variable's name)
S3_SESSION_TOKEN = "SNAPSHOT_S3_SESSION_TOKEN"  # noqa: S105
"""Names of the variables in the Job's environment."""
RESULT_FILE = "SNAPSHOT_RESULT_FILE"
"""Where the Job leaves its result for the kubelet (the container's terminationMessagePath)."""
RESULT_PATH = "/dev/termination-log"
RESULT_BYTES = 4096
"""The kubelet keeps this much of a termination message."""


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """A peer's pod and its stable address."""

    pod: str
    url: str
    """Of its REST API."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One snapshot to be made."""

    namespace: str
    cluster: str
    cluster_uid: str
    """Of the QdrantCluster: another Kubernetes may have one of the same name, and use the same bucket."""
    snapshot: str
    run: str
    """The snapshot object's uid, which is never used again."""
    collections: tuple[str, ...]
    """Globs."""
    verify: bool
    """Read every file back and compare."""
    place: S3Place
    peers: tuple[PeerAddress, ...]

    @property
    def folder(self) -> str:
        """The backup's folder in storage."""
        return backup_folder(self.place, self.namespace, self.cluster, self.snapshot, self.run)

    @property
    def journals(self) -> str:
        """Folder of the journals of this cluster's runs."""
        return journal_folder(self.place, self.namespace, self.cluster)

    @property
    def journal(self) -> str:
        """Key of this run's journal."""
        return journal_key(self.place, self.namespace, self.cluster, self.run)

    def dump(self) -> str:
        """As the Job's environment carries it."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def load(text: str) -> JobSpec:
        """Read what `dump` wrote."""
        fields = json.loads(text)
        place = S3Place(**fields.pop("place"))
        peers = tuple(PeerAddress(**peer) for peer in fields.pop("peers"))
        return JobSpec(**{**fields, "collections": tuple(fields["collections"])}, place=place, peers=peers)

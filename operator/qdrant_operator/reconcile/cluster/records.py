"""The records in a QdrantCluster's status, and the volumes they name, as values."""

from __future__ import annotations

from collections.abc import Iterable

from qdrant_operator.api.cluster import status as api
from qdrant_operator.domain.cluster import records
from qdrant_operator.domain.cluster.observed import (
    Bootstrap,
    Leaving,
    PeerRecord,
    Volume,
    VolumeMarks,
)
from qdrant_operator.domain.common import names
from qdrant_operator.reconcile.ports import Manifest
from qdrant_operator.reconcile.records import check_known

UNTIL_THEN = "The peers keep running, and nothing is changed until then"


def read_bootstrap(subject: Manifest) -> Bootstrap | None:
    """The recorded decision, if there is one.

    Raises:
        Refused: `NewerOperator`: a newer release wrote fields that this one does not understand.
    """
    recorded = (subject.get("status") or {}).get("bootstrap")
    if not recorded:
        return None
    check_known(recorded, api.Bootstrap, "status.bootstrap", UNTIL_THEN)
    return records.read_bootstrap(api.Bootstrap.model_validate(recorded))


def read_peer_records(subject: Manifest) -> tuple[PeerRecord, ...]:
    """status.members.

    Raises:
        Refused: `NewerOperator`.
    """
    recorded = (subject.get("status") or {}).get("members") or ()
    for entry in recorded:
        check_known(entry, api.Member, "status.members", UNTIL_THEN)
    return tuple(records.read_peer_record(api.Member.model_validate(entry)) for entry in recorded)


def read_leaving(subject: Manifest) -> Leaving | None:
    """status.leaving.

    Raises:
        Refused: `NewerOperator`.
    """
    recorded = (subject.get("status") or {}).get("leaving")
    if not recorded:
        return None
    check_known(recorded, api.Leaving, "status.leaving", UNTIL_THEN)
    return records.read_leaving(api.Leaving.model_validate(recorded))


def read_releases(subject: Manifest) -> tuple[str | None, ...]:
    """Releases that status says ran."""
    status = subject.get("status") or {}
    return status.get("version"), status.get("highestVersion")


def read_volumes(subject: Manifest, claims: Iterable[Manifest]) -> dict[str, Volume]:
    """The claims among these that pods of this QdrantCluster use, by name."""
    cluster, owner = subject["metadata"]["name"], subject["metadata"]["uid"]
    named = ((str(claim["metadata"]["name"]), claim) for claim in claims)
    return {
        name: _volume(claim, cluster, owner)
        for name, claim in named
        if names.cluster_of_claim(name) == cluster
    }


def _volume(claim: Manifest, cluster: str, owner: str) -> Volume:
    meta = claim["metadata"]
    return Volume(
        uid=meta["uid"],
        created=meta.get("creationTimestamp") or "",
        terminating="deletionTimestamp" in meta,
        unbound=_is_unbound(claim),
        labelled=names.cluster_labels(cluster).items() <= (meta.get("labels") or {}).items(),
        storage_class=(claim.get("spec") or {}).get("storageClassName"),
        marks=read_marks(claim, owner),
    )


def read_marks(claim: Manifest, owner: str) -> VolumeMarks:
    """What the operator wrote on a claim; of its owners only the QdrantCluster with this uid counts."""
    annotations = claim["metadata"].get("annotations") or {}
    owners = {reference.get("uid") for reference in claim["metadata"].get("ownerReferences") or ()}
    return VolumeMarks(
        release=str(annotations.get(names.ANNOTATION_RELEASE, "")),
        unformed=annotations.get(names.ANNOTATION_UNFORMED) == "true",
        owner=owner if owner in owners else "",
    )


def _is_unbound(claim: Manifest) -> bool:
    """Pending, without a named volume, and not filled from a snapshot or another claim."""
    spec, phase = claim.get("spec") or {}, (claim.get("status") or {}).get("phase")
    filled = any(spec.get(field) for field in ("volumeName", "dataSource", "dataSourceRef", "selector"))
    return phase == "Pending" and not filled

"""Writes on volume claims: marks that outlive status, and owner references that let Kubernetes delete them.

A volume is deleted with its QdrantCluster only while `persistence.whenDeleted` is Delete. References are removed
at the beginning of a pass, also if it is paused or refused, and set only after a live read of the spec.
"""

from __future__ import annotations

from typing import Any

from qdrant_operator.domain.cluster.observed import MarkVolume, VolumeMarks
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Conflict
from qdrant_operator.reconcile.cluster.records import read_marks
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind, Manifest


async def keep_volumes(context: Context, subject: Manifest) -> None:
    """Remove the operator's owner references from the cluster's claims, unless the spec deletes volumes with it.

    Raises:
        Retryable: Kubernetes did not answer, or a claim changed in the meantime.
    """
    if when_deleted(subject) == "Delete":
        return
    meta = subject["metadata"]
    for claim in context.kubernetes.cached(Kind.CLAIM, meta["namespace"], {}):
        marks = read_marks(claim, meta["uid"])
        if marks.owner and names.cluster_of_claim(claim["metadata"]["name"]) == meta["name"]:
            kept = VolumeMarks(marks.release, marks.unformed)
            await _write(
                context, subject, MarkVolume(claim["metadata"]["name"], claim["metadata"]["uid"], kept)
            )


async def mark_volume(context: Context, subject: Manifest, step: MarkVolume) -> None:
    """Write these marks on a claim.

    Raises:
        Conflict: the claim was recreated, or the QdrantCluster has changed since the step was planned.
    """
    if step.marks.owner:
        await _check_owner(context, subject)
    await _write(context, subject, step)


def when_deleted(subject: Manifest) -> str:
    """What happens to the volumes when the QdrantCluster is deleted: Retain or Delete."""
    return str((subject["spec"].get("persistence") or {}).get("whenDeleted", "Retain"))


async def _check_owner(context: Context, subject: Manifest) -> None:
    """Kubernetes would delete the volume of an owner that no longer exists."""
    meta = subject["metadata"]
    live = await context.kubernetes.read(Kind.CLUSTER, meta["namespace"], meta["name"])
    same = live is not None and live["metadata"]["uid"] == meta["uid"]
    if live is None or not same or when_deleted(live) != "Delete" or "deletionTimestamp" in live["metadata"]:
        raise Conflict(f"QdrantCluster {meta['name']} has changed: retrying", after=0.5)


async def _write(context: Context, subject: Manifest, step: MarkVolume) -> None:
    """On exactly the version that was read: a merge patch replaces the list of owners as a whole."""
    meta = subject["metadata"]
    live = await context.kubernetes.read(Kind.CLAIM, meta["namespace"], step.claim)
    if live is None or live["metadata"]["uid"] != step.uid or "deletionTimestamp" in live["metadata"]:
        raise Conflict(f"claim {step.claim} was recreated or is being deleted: retrying", after=0.5)
    if read_marks(live, meta["uid"]) == step.marks:
        return
    changed = {
        "resourceVersion": live["metadata"]["resourceVersion"],
        "annotations": {
            names.ANNOTATION_RELEASE: step.marks.release or None,
            names.ANNOTATION_UNFORMED: "true" if step.marks.unformed else None,
        },
        "ownerReferences": _owners(live, meta, step.marks) or None,
    }
    await context.kubernetes.patch(Kind.CLAIM, meta["namespace"], step.claim, {"metadata": changed})


def _owners(live: Manifest, owner: Manifest, marks: VolumeMarks) -> list[dict[str, Any]]:
    """References of other owners are kept. It is no controller reference: the claim may have one and needs none."""
    references = live["metadata"].get("ownerReferences") or ()
    others = [reference for reference in references if reference.get("uid") != owner["uid"]]
    if not marks.owner:
        return others
    kind = {"apiVersion": Kind.CLUSTER.api_version, "kind": Kind.CLUSTER.kind}
    return [*others, {**kind, "name": owner["name"], "uid": owner["uid"], "blockOwnerDeletion": True}]

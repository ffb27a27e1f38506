"""Writes on volume claims: marks that outlive status, and owner references that let Kubernetes delete them.

A volume is deleted with its QdrantCluster only while `persistence.whenDeleted` is Delete. References are taken away
as the first thing of a pass, also of one that is paused or refused, and set only after a live look at the spec.
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
    """Take our owner references off the cluster's claims, unless the spec says that volumes go with it.

    Raises:
        Retryable: Kubernetes did not answer, or a claim changed meanwhile.
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
        Conflict: the claim is another one, or the QdrantCluster is not what the step was planned on.
    """
    if step.marks.owner:
        await _check_owner(context, subject)
    await _write(context, subject, step)


def when_deleted(subject: Manifest) -> str:
    """What happens to the volumes when the QdrantCluster is deleted: Retain or Delete."""
    return str((subject["spec"].get("persistence") or {}).get("whenDeleted", "Retain"))


async def _check_owner(context: Context, subject: Manifest) -> None:
    """An owner that does not exist any more would take the volume with it."""
    meta = subject["metadata"]
    live = await context.kubernetes.read(Kind.CLUSTER, meta["namespace"], meta["name"])
    same = live is not None and live["metadata"]["uid"] == meta["uid"]
    if live is None or not same or when_deleted(live) != "Delete" or "deletionTimestamp" in live["metadata"]:
        raise Conflict(f"QdrantCluster {meta['name']} has changed: looking again", after=0.5)


async def _write(context: Context, subject: Manifest, step: MarkVolume) -> None:
    """On exactly the version that was read: a merge patch replaces the list of owners as a whole."""
    meta = subject["metadata"]
    live = await context.kubernetes.read(Kind.CLAIM, meta["namespace"], step.claim)
    if live is None or live["metadata"]["uid"] != step.uid or "deletionTimestamp" in live["metadata"]:
        raise Conflict(f"claim {step.claim} is another one or is being deleted: looking again", after=0.5)
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
    """Everybody else's references stay. No controller: the claim may have one, and needs none to be collected."""
    others = [one for one in live["metadata"].get("ownerReferences") or () if one.get("uid") != owner["uid"]]
    if not marks.owner:
        return others
    kind = {"apiVersion": Kind.CLUSTER.api_version, "kind": Kind.CLUSTER.kind}
    return [*others, {**kind, "name": owner["name"], "uid": owner["uid"], "blockOwnerDeletion": True}]

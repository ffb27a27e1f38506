"""Volumes as folders: the StorageClass `standard`, and a PersistentVolume for each claim that a pod waits for.

The scheduler marks a claim with the node it chose; we make the folder and the volume, Kubernetes' own controller
binds them. A volume whose claim is gone goes with its folder.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from sandbox.node.context import Node
from sandbox.node.kube import ApiError, Changed, Listed, Manifest, Notice

STORAGE_CLASS = "standard"
PROVISIONER = "sandbox.local/folder"
_CHOSEN = "volume.kubernetes.io/selected-node"
_VOLUMES = "/api/v1/persistentvolumes"


async def install_storage_class(node: Node) -> None:
    """Make `standard` the default class."""
    body = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    await node.kube.ensure("/apis/storage.k8s.io/v1/storageclasses", body)


async def provision(node: Node) -> None:
    """Give every waiting claim a volume, for ever."""
    async for notice in node.kube.follow("/api/v1/persistentvolumeclaims"):
        for claim in _present(notice):
            if _waits_for(claim, node.name):
                await node.kube.ensure(_VOLUMES, _volume(node, claim))


async def reclaim(node: Node) -> None:
    """Remove volumes whose claims are gone, for ever."""
    async for notice in node.kube.follow(_VOLUMES):
        for volume in _present(notice):
            if _is_released(volume):
                folder = Path(volume["spec"]["hostPath"]["path"])
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                await _remove(node, volume)


async def _remove(node: Node, volume: Manifest) -> None:
    uid = volume["metadata"]["uid"]
    try:
        await node.kube.delete(f"{_VOLUMES}/{volume['metadata']['name']}", {"preconditions": {"uid": uid}})
    except ApiError as error:
        if error.status != 409:
            raise


def _present(notice: Notice) -> tuple[Manifest, ...]:
    match notice:
        case Listed(items):
            return items
        case Changed(item):
            return (item,)
        case _:
            return ()


def _waits_for(claim: Manifest, node: str) -> bool:
    metadata, spec = claim["metadata"], claim["spec"]
    return (
        spec.get("storageClassName") == STORAGE_CLASS
        and not spec.get("volumeName")
        and (metadata.get("annotations") or {}).get(_CHOSEN) == node
        and "deletionTimestamp" not in metadata
    )


def _is_released(volume: Manifest) -> bool:
    spec = volume["spec"]
    return (
        volume.get("status", {}).get("phase") == "Released"
        and spec.get("storageClassName") == STORAGE_CLASS
        and spec.get("persistentVolumeReclaimPolicy") == "Delete"
        and "deletionTimestamp" not in volume["metadata"]
    )


def _volume(node: Node, claim: Manifest) -> Manifest:
    metadata, spec = claim["metadata"], claim["spec"]
    reference = {key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")}
    affinity = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}
    folder = node.folder / "volumes" / f"{metadata['namespace']}.{metadata['name']}.{metadata['uid'][:8]}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": f"pvc-{metadata['uid']}",
            "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER},
        },
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": STORAGE_CLASS,
            "volumeMode": spec.get("volumeMode", "Filesystem"),
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **reference},
            "hostPath": {"path": str(folder), "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [affinity]}]}},
        },
    }

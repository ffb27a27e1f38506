"""Volumes as folders: each container gets a root in which its mounts lie at their paths.

Folders that keep data (claims, emptyDir) are linked in; ConfigMaps, Secrets and the like are written anew at each
start of the container, with names and paths replaced, so a restarted container sees their newest content.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.node.context import NotYetError, Pod, config_error
from sandbox.node.kube import Manifest
from sandbox.node.pods.environment import config_map_data, pod_field, secret_data

TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_TEXT_SOURCES = ("configMap", "secret", "projected", "downwardAPI")


@dataclass(frozen=True, slots=True)
class TextVolume:
    """A volume of small files, not yet written."""

    files: Mapping[str, bytes]
    mode: int


Volume = Path | TextVolume


async def load_volumes(pod: Pod, container: Manifest) -> dict[str, Volume]:
    """Load the volumes that a container mounts, by their names.

    Raises:
        NotYetError: a claim is not bound, or a ConfigMap or Secret is missing.
    """
    declared = {volume["name"]: volume for volume in pod.manifest["spec"].get("volumes", ())}
    mounted = {mount["name"] for mount in container.get("volumeMounts", ())}
    return {name: await _load(pod, declared[name]) for name in sorted(mounted)}


async def _load(pod: Pod, volume: Manifest) -> Volume:
    if any(source in volume for source in _TEXT_SOURCES):
        return await _load_text(pod, volume)
    if "persistentVolumeClaim" in volume:
        return await _claimed(pod, str(volume["persistentVolumeClaim"]["claimName"]))
    if "ephemeral" in volume:
        return await _claimed(pod, f"{pod.name}-{volume['name']}")
    if "hostPath" in volume:
        return Path(volume["hostPath"]["path"])
    if "emptyDir" in volume:
        return pod.folder / "volumes" / str(volume["name"])
    kinds = ", ".join(key for key in volume if key != "name")
    raise config_error(f"the sandbox does not know the kind of volume {volume['name']}: {kinds}")


async def _claimed(pod: Pod, claim: str) -> Path:
    kube = pod.node.kube
    found = await kube.find(f"/api/v1/namespaces/{pod.namespace}/persistentvolumeclaims/{claim}")
    if found is None or found.get("status", {}).get("phase") != "Bound":
        raise NotYetError("ContainerCreating", f'persistentvolumeclaim "{claim}" is not bound')
    volume = await kube.get(f"/api/v1/persistentvolumes/{found['spec']['volumeName']}")
    return Path(volume["spec"]["hostPath"]["path"])


async def _load_text(pod: Pod, volume: Manifest) -> TextVolume:
    if "projected" in volume:
        files: dict[str, bytes] = {}
        for source in volume["projected"].get("sources", ()):
            files.update(await _files(pod, source))
        return TextVolume(files, volume["projected"].get("defaultMode", 0o644))
    kind = next(source for source in _TEXT_SOURCES if source in volume)
    return TextVolume(await _files(pod, volume), volume[kind].get("defaultMode", 0o644))


async def _files(pod: Pod, source: Manifest) -> dict[str, bytes]:
    if "configMap" in source:
        name = source["configMap"]["name"]
        return _chosen(source["configMap"], await config_map_data(pod, name), f'configmap "{name}" not found')
    if "secret" in source:
        name = source["secret"].get("secretName") or source["secret"]["name"]
        return _chosen(source["secret"], await secret_data(pod, name), f'secret "{name}" not found')
    if "downwardAPI" in source:
        items = source["downwardAPI"].get("items", ())
        return {item["path"]: pod_field(pod, item["fieldRef"]["fieldPath"]).encode() for item in items}
    if "serviceAccountToken" in source:
        return {source["serviceAccountToken"]["path"]: await _token(pod, source["serviceAccountToken"])}
    raise config_error(f"the sandbox does not know the projected source {', '.join(source)}")


def _chosen(source: Manifest, data: dict[str, bytes] | None, missing: str) -> dict[str, bytes]:
    if data is None:
        if source.get("optional"):
            return {}
        # kubelet keeps such a pod in ContainerCreating and says so in an event; here it stands in the state
        raise NotYetError("ContainerCreating", f"MountVolume.SetUp failed: {missing}")
    if "items" not in source:
        return data
    absent = [item["key"] for item in source["items"] if item["key"] not in data]
    if absent and not source.get("optional"):
        raise NotYetError("ContainerCreating", f"MountVolume.SetUp failed: no key {', '.join(absent)}")
    return {item["path"]: data[item["key"]] for item in source["items"] if item["key"] in data}


async def _token(pod: Pod, source: Manifest) -> bytes:
    account = pod.manifest["spec"].get("serviceAccountName", "default")
    bound = {"kind": "Pod", "apiVersion": "v1", "name": pod.name, "uid": pod.uid}
    spec = {
        "expirationSeconds": source.get("expirationSeconds", 3607),
        "audiences": [source["audience"]] if "audience" in source else [],
        "boundObjectRef": bound,
    }
    path = f"/api/v1/namespaces/{pod.namespace}/serviceaccounts/{account}/token"
    made = await pod.node.kube.post(path, {"spec": spec})
    return str(made["status"]["token"]).encode()


@dataclass(frozen=True, slots=True)
class Root:
    """A container's root folder on this machine."""

    folder: Path

    def host(self, path: str) -> Path:
        """Return what lies behind a path of the container."""
        return self.folder / path.lstrip("/")

    def clear(self) -> None:
        """Start from nothing: links go, what they point at stays."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def link(self, path: str, target: Path) -> None:
        """Show a folder or file at a path."""
        place = self.host(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)


def write_files(folder: Path, volume: TextVolume, contents: Mapping[str, bytes]) -> None:
    """Write a text volume's files, `contents` being what is in them after substitution."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in contents.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        # the owner must be able to remove it again, whatever the mode
        file.chmod(volume.mode | 0o600)


def mounted_at(root: Root, mount: Manifest, volume: Path) -> None:
    """Link one volume, or a part of it, to its mount path."""
    target = volume / mount["subPath"] if mount.get("subPath") else volume
    if not target.exists():
        target.mkdir(parents=True)
    root.link(mount["mountPath"], target)

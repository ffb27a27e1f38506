"""Everything that is settled before a container's process starts: image, folders, environment, command."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.credentials import write_kubeconfig
from sandbox.node.context import NotYetError, Pod
from sandbox.node.kube import ApiError, Manifest
from sandbox.node.network.services import ready_address
from sandbox.node.network.substitution import ServiceName, Substitution, expand, mentioned_services
from sandbox.node.peers import install_stub
from sandbox.node.pods import mounts
from sandbox.node.pods.environment import pod_environment
from sandbox.node.pods.images import Image, Runs, UnknownImageError, find_image
from sandbox.node.pods.mounts import Root, TextVolume, Volume

_TERMINATION_LOG = "/dev/termination-log"


@dataclass(frozen=True, slots=True)
class Launch:
    """A container that can be started."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    root: Root
    simulated: bool
    substitution: Substitution
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the pod set, for `$(NAME)` in commands of probes and hooks."""

    def command(self, argv: list[str]) -> tuple[str, ...]:
        """Make a command of the pod (a probe's, a hook's) one of this machine."""
        return tuple(self.substitution.text(expand(part, self.variables)) for part in argv)


async def prepare(pod: Pod, container: Manifest) -> Launch:
    """Settle everything for one start of a container.

    Raises:
        NotYetError: the image is unknown, or something that is named does not exist yet.
    """
    try:
        image = find_image(container["image"], pod.node.qdrant)
        volumes = await mounts.load_volumes(pod, container)
        variables = await pod_environment(pod, container)
        substitution = await _substitution(pod, container, image, volumes, variables)
    except UnknownImageError as error:
        raise NotYetError("ErrImagePull", str(error)) from error
    except ApiError as error:
        raise NotYetError("CreateContainerConfigError", str(error)) from error
    root = Root(container_folder(pod, container) / "root")
    own = _lay_out(root, pod, container, image, volumes, substitution)
    env = _environment(
        pod, image, root, {name: substitution.text(value) for name, value in variables.items()}
    )
    cwd = root.host(container.get("workingDir") or image.working_dir)
    cwd.mkdir(parents=True, exist_ok=True)
    argv = command_line(container, image, lambda part: substitution.text(expand(part, variables)))
    simulated = image.runs is Runs.SIMULATED_PEER
    return Launch(argv, env | own, cwd, root, simulated, substitution, variables)


def container_folder(pod: Pod, container: Manifest) -> Path:
    """Folder of one container; goes with the pod."""
    return pod.folder / "containers" / str(container["name"])


def termination_message(root: Root, container: Manifest) -> str:
    """What a container left for its status, cut as kubelet cuts it."""
    file = root.host(container.get("terminationMessagePath", _TERMINATION_LOG))
    return file.read_text(errors="replace")[:4096] if file.is_file() else ""


def command_line(container: Manifest, image: Image, translate: Callable[[str], str]) -> tuple[str, ...]:
    """Kubernetes' rule: `command` replaces the image's entrypoint, `args` follow either.

    What the pod says is translated into paths of this machine; the image's own program is a path of this machine
    already, and may lie below a folder that the container mounts something at (/tmp).
    """
    program = tuple(translate(part) for part in container.get("command") or ()) or image.entrypoint
    return (*program, *(translate(part) for part in container.get("args") or ()))


async def _substitution(
    pod: Pod, container: Manifest, image: Image, volumes: Mapping[str, Volume], variables: Mapping[str, str]
) -> Substitution:
    texts = [*variables.values(), *command_line(container, image, str)]
    for volume in volumes.values():
        if isinstance(volume, TextVolume):
            texts += [content.decode(errors="replace") for content in volume.files.values()]
    services: dict[ServiceName, str] = {}
    for name in sorted({name for text in texts for name in mentioned_services(text)}):
        address = await ready_address(pod.node.kube, *name)
        if address is not None:
            services[name] = address
    return Substitution(_paths(pod, container, image), pod.node.addresses.of, services)


def _paths(pod: Pod, container: Manifest, image: Image) -> dict[str, str]:
    root = Root(container_folder(pod, container) / "root")
    named = [mount["mountPath"].rstrip("/") for mount in container.get("volumeMounts", ())]
    named += [*image.folders, container.get("terminationMessagePath", _TERMINATION_LOG)]
    return {path: str(root.host(path)) for path in named}


def _lay_out(
    root: Root,
    pod: Pod,
    container: Manifest,
    image: Image,
    volumes: Mapping[str, Volume],
    substitution: Substitution,
) -> dict[str, str]:
    """Make the container's root; returns variables that its program needs for it."""
    root.clear()
    root.host(container.get("terminationMessagePath", _TERMINATION_LOG)).parent.mkdir(
        parents=True, exist_ok=True
    )
    for folder in image.folders:
        root.host(folder).mkdir(parents=True, exist_ok=True)
    for mount in sorted(container.get("volumeMounts", ()), key=lambda mount: str(mount["mountPath"])):
        volume = volumes[mount["name"]]
        if isinstance(volume, TextVolume):
            volume = _written(container_folder(pod, container), mount["name"], volume, substitution)
        mounts.mounted_at(root, mount, volume)
    if image.runs is Runs.SIMULATED_PEER:
        return install_stub(root.folder)
    if image.runs is Runs.QDRANT:
        assert pod.node.qdrant is not None
        root.link("/qdrant/qdrant", pod.node.qdrant)
    return {}


def _written(folder: Path, name: str, volume: TextVolume, substitution: Substitution) -> Path:
    target = folder / "files" / name
    contents = {path: substitution.file(content) for path, content in volume.files.items()}
    mounts.write_files(target, volume, contents)
    return target


def _environment(pod: Pod, image: Image, root: Root, given: Mapping[str, str]) -> dict[str, str]:
    host, _, port = pod.node.kube.server.removeprefix("https://").partition(":")
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(root.folder), "HOSTNAME": pod.name}
    env |= {"LANG": "C.UTF-8", "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    env |= {**image.env, **given}
    temporary = root.host("/tmp")
    if temporary.exists():
        env["TMPDIR"] = str(temporary)
    if image.runs is not Runs.PROGRAM:
        # every pod has an address of its own, and all of them are on this machine: never bind them all
        env["QDRANT__SERVICE__HOST"] = pod.address
    return env | _cluster_access(pod, root)


def _cluster_access(pod: Pod, root: Root) -> dict[str, str]:
    """A kubeconfig where a container would find its token at a fixed path that is not ours to fill."""
    token = root.host(mounts.TOKEN_MOUNT) / "token"
    if not token.exists():
        return {}

    authority, path = root.folder / "ca.crt", root.folder / "kubeconfig"
    authority.write_text(pod.node.kube.authority)
    write_kubeconfig(
        path,
        server=pod.node.kube.server,
        ca=authority,
        token=token.read_text(),
        namespace=pod.namespace,
    )
    return {"KUBECONFIG": str(path)}

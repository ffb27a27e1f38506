"""A container's environment: from its image, from the pod, from ConfigMaps, Secrets and the pod's own fields."""

from __future__ import annotations

import base64
import re
from typing import Any

from sandbox.node.context import Pod, config_error
from sandbox.node.kube import Manifest
from sandbox.node.network.substitution import expand

_KEYED = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


async def pod_environment(pod: Pod, container: Manifest) -> dict[str, str]:
    """Variables that the pod sets, expanded as Kubernetes expands them.

    Raises:
        NotYetError: a ConfigMap, Secret or key that is named does not exist.
    """
    variables: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        variables.update(await _all_of(pod, source))
    for item in container.get("env", ()):
        if "valueFrom" in item:
            value = await _referenced(pod, item["name"], item["valueFrom"])
            if value is not None:
                variables[item["name"]] = value
        else:
            variables[item["name"]] = expand(item.get("value", ""), variables)
    return variables


async def config_map_data(pod: Pod, name: str) -> dict[str, bytes] | None:
    """Content of a ConfigMap in the pod's namespace, None when it does not exist."""
    found = await pod.node.kube.find(f"/api/v1/namespaces/{pod.namespace}/configmaps/{name}")
    if found is None:
        return None
    data = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    return data | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}


async def secret_data(pod: Pod, name: str) -> dict[str, bytes] | None:
    """Content of a Secret in the pod's namespace, None when it does not exist."""
    found = await pod.node.kube.find(f"/api/v1/namespaces/{pod.namespace}/secrets/{name}")
    if found is None:
        return None
    return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}


def pod_field(pod: Pod, path: str) -> str:
    """One of the fields that the downward API offers.

    Raises:
        NotYetError: there is no such field.
    """
    metadata, spec = pod.manifest["metadata"], pod.manifest["spec"]
    if keyed := _KEYED.fullmatch(path):
        return str((metadata.get(keyed[1]) or {}).get(keyed[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        items = (metadata.get(path.partition(".")[2]) or {}).items()
        return "\n".join(f'{key}="{value}"' for key, value in sorted(items))
    fields: dict[str, Any] = {
        "metadata.name": pod.name,
        "metadata.namespace": pod.namespace,
        "metadata.uid": pod.uid,
        "spec.nodeName": pod.node.name,
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": pod.address,
        "status.podIPs": pod.address,
        "status.hostIP": "127.0.0.1",
    }
    if path not in fields:
        raise config_error(f"the sandbox does not know the pod field {path}")
    return str(fields[path])


async def _all_of(pod: Pod, source: Manifest) -> dict[str, str]:
    kind, reference = next((kind, source[kind]) for kind in ("configMapRef", "secretRef") if kind in source)
    load = config_map_data if kind == "configMapRef" else secret_data
    data = await load(pod, reference["name"])
    if data is None:
        if reference.get("optional"):
            return {}
        raise config_error(_missing(kind, reference["name"]))
    prefix = source.get("prefix", "")
    return {prefix + key: value.decode() for key, value in data.items()}


async def _referenced(pod: Pod, variable: str, source: Manifest) -> str | None:
    if "fieldRef" in source:
        return pod_field(pod, source["fieldRef"]["fieldPath"])
    for kind, load in (("configMapKeyRef", config_map_data), ("secretKeyRef", secret_data)):
        if kind in source:
            reference = source[kind]
            data = await load(pod, reference["name"])
            return _one_key(kind, reference, data)
    raise config_error(f"the sandbox does not know the source of variable {variable}: {', '.join(source)}")


def _one_key(kind: str, reference: Manifest, data: dict[str, bytes] | None) -> str | None:
    if data is not None and reference["key"] in data:
        return data[reference["key"]].decode()
    if reference.get("optional"):
        return None
    if data is None:
        raise config_error(_missing(kind, reference["name"]))
    what = "ConfigMap" if kind.startswith("configMap") else "Secret"
    raise config_error(f"couldn't find key {reference['key']} in {what} {reference['name']}")


def _missing(kind: str, name: str) -> str:
    """Kubelet's own words."""
    what = "configmap" if kind.startswith("configMap") else "secret"
    return f'{what} "{name}" not found'

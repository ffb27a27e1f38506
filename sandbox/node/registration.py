"""The Node object and its heartbeat: what makes the scheduler send pods here and the controllers trust us."""

from __future__ import annotations

import asyncio
import platform
from datetime import UTC, datetime

import aiohttp

from sandbox.node.context import Node
from sandbox.node.kube import ApiError, Manifest
from sandbox.node.pods.container import now

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_HEARTBEAT = 10.0
"""Seconds between renewals: kubelet's own; the controllers wait 50 s before they give a node up."""
_CAPACITY = {"cpu": "256", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "1000"}


async def register(node: Node) -> None:
    """Create the Node (or take it over) and say that it is ready."""
    await node.kube.ensure("/api/v1/nodes", _node(node.name))
    await report_ready(node, ready=True)
    await _renew(node)


async def report_ready(node: Node, *, ready: bool) -> None:
    """Post the node's status."""
    await node.kube.patch(f"/api/v1/nodes/{node.name}/status", {"status": _status(node.name, ready=ready)})


async def heartbeat(node: Node) -> None:
    """Renew the node's lease, for ever."""
    while True:
        await asyncio.sleep(_HEARTBEAT)
        try:
            await _renew(node)
        except (ApiError, aiohttp.ClientError, OSError, TimeoutError):
            continue


async def _renew(node: Node) -> None:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": node.name, "leaseDurationSeconds": 40, "renewTime": stamp}
    try:
        await node.kube.patch(f"{_LEASES}/{node.name}", {"spec": spec})
    except ApiError as error:
        if error.status != 404:
            raise
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-node-lease"}}
        await node.kube.ensure("/api/v1/namespaces", namespace)
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": node.name}}
        await node.kube.ensure(_LEASES, {**lease, "spec": spec})


def _node(name: str) -> Manifest:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "amd64"),
        "topology.kubernetes.io/zone": "sandbox",
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def _status(name: str, *, ready: bool) -> Manifest:
    time = now()
    states = {"Ready": ready, "MemoryPressure": False, "DiskPressure": False, "PIDPressure": False}
    conditions = [
        {
            "type": kind,
            "status": "True" if state else "False",
            "reason": "Sandbox",
            "message": "",
            "lastHeartbeatTime": time,
            "lastTransitionTime": time,
        }
        for kind, state in states.items()
    ]
    return {
        "capacity": _CAPACITY,
        "allocatable": _CAPACITY,
        "conditions": conditions,
        "addresses": [
            {"type": "InternalIP", "address": "127.0.0.1"},
            {"type": "Hostname", "address": name},
        ],
    }

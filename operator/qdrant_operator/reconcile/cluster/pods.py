"""The pods of a cluster's StatefulSet as values."""

from __future__ import annotations

from collections.abc import Iterable

from qdrant_operator.domain.cluster.observed import PodState
from qdrant_operator.domain.common import names
from qdrant_operator.reconcile import access
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind, Manifest

STARTING = frozenset({"ContainerCreating", "PodInitializing", ""})
"""Reasons of a container that is starting."""


def read_pods(context: Context, namespace: str, cluster: str, zone_key: str | None) -> tuple[PodState, ...]:
    """The pods of the cluster's StatefulSet, by ordinal."""
    return _in_order(context.kubernetes.cached(Kind.POD, namespace, names.peer_selector(cluster)), zone_key)


async def live_pods(context: Context, namespace: str, cluster: str) -> tuple[PodState, ...]:
    """The same, read live and without their zones."""
    return _in_order(await context.kubernetes.list(Kind.POD, namespace, names.peer_selector(cluster)), None)


def _in_order(pods: Iterable[Manifest], zone_key: str | None) -> tuple[PodState, ...]:
    named = (pod for pod in pods if pod["metadata"]["name"].rsplit("-", 1)[-1].isdigit())
    return tuple(sorted((pod_state(pod, zone_key) for pod in named), key=lambda pod: pod.ordinal))


def pod_state(pod: Manifest, zone_key: str | None) -> PodState:
    """A pod as a value."""
    meta = pod["metadata"]
    labels = meta.get("labels") or {}
    waiting, message = _waiting(pod)
    return PodState(
        name=meta["name"],
        ordinal=access.ordinal(pod),
        uid=meta["uid"],
        address=access.address(pod),
        ready=access.is_ready(pod),
        serving=labels.get(names.LABEL_SERVING) == "true",
        terminating="deletionTimestamp" in meta,
        template_hash=(meta.get("annotations") or {}).get(names.ANNOTATION_TEMPLATE, ""),
        waiting=waiting,
        message=message,
        created=meta.get("creationTimestamp") or "",
        zone=labels.get(zone_key, "") if zone_key else "",
        life=_life(pod),
        node=(pod.get("spec") or {}).get("nodeName") or "",
        deleted=meta.get("deletionTimestamp") or "",
        started=_has_started(pod),
        resource_version=meta.get("resourceVersion") or "",
        down_since=_down_since(pod),
    )


def _life(pod: Manifest) -> str:
    """Restarts of its containers, and when its readiness last changed."""
    status = pod.get("status") or {}
    starts = [str(container.get("restartCount", 0)) for container in status.get("containerStatuses") or ()]
    turns = [c.get("lastTransitionTime") for c in status.get("conditions") or () if c.get("type") == "Ready"]
    return " ".join((*starts, *(str(turn) for turn in turns if turn)))


def _down_since(pod: Manifest) -> str:
    """When the first condition that a pod needs became False: to be scheduled, then to be ready."""
    conditions = {item["type"]: item for item in (pod.get("status") or {}).get("conditions") or ()}
    for kind in ("PodScheduled", "Ready"):
        condition = conditions.get(kind) or {}
        if condition.get("status") == "False":
            return str(condition.get("lastTransitionTime") or "")
    return ""


def _has_started(pod: Manifest) -> bool:
    containers = (pod.get("status") or {}).get("containerStatuses") or ()
    return any("waiting" not in (container.get("state") or {"waiting": {}}) for container in containers)


def _waiting(pod: Manifest) -> tuple[str, str]:
    """Why the pod cannot be scheduled or its container does not run, and the last message about that."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("reason") or "Unschedulable"), str(condition.get("message") or "")
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason", "") not in STARTING:
            ended = (container.get("lastState") or {}).get("terminated") or {}
            text = ended.get("message") or waiting.get("message") or ""
            return str(waiting["reason"]), " ".join(str(text).split())[-400:]
    return "", ""

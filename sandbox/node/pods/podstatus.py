"""A pod's status from its containers, by kubelet's rules. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.node.kube import Manifest
from sandbox.node.pods.container import Container, Phase, now

_OURS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


@dataclass(frozen=True, slots=True)
class Situation:
    """What a status is made of."""

    manifest: Manifest
    address: str
    started_at: str
    init: Sequence[Container]
    main: Sequence[Container]
    initialized: bool
    finished: bool
    """No container will start again."""


def build_status(now_is: Situation) -> Manifest:
    """Return the whole status, with others' conditions kept."""
    phase = _phase(now_is)
    return {
        "phase": phase,
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "podIP": now_is.address,
        "podIPs": [{"ip": now_is.address}],
        "startTime": now_is.started_at,
        "qosClass": now_is.manifest.get("status", {}).get("qosClass", "BestEffort"),
        "conditions": _conditions(now_is, phase),
        "initContainerStatuses": [_container_status(container) for container in now_is.init],
        "containerStatuses": [_container_status(container) for container in now_is.main],
    }


def _phase(now_is: Situation) -> str:
    codes = [container.exit_code for container in now_is.main]
    if now_is.finished:
        failed = not now_is.initialized or any(code != 0 for code in codes)
        return "Failed" if failed else "Succeeded"
    alive = any(c.state.phase is not Phase.WAITING or c.last is not None for c in now_is.main)
    return "Running" if now_is.initialized and alive else "Pending"


def _container_status(container: Container) -> Manifest:
    image = container.spec["image"]
    return {
        "name": container.name,
        "image": image,
        "imageID": ""
        if container.state.phase is Phase.WAITING and container.last is None
        else f"sandbox://{image}",
        "containerID": f"sandbox://{container.process.pid}" if container.process else "",
        "state": container.state.manifest(),
        "lastState": container.last.manifest() if container.last else {},
        "restartCount": container.restarts,
        "ready": container.exit_code == 0 if container.init else container.ready,
        "started": container.started,
    }


def _conditions(now_is: Situation, phase: str) -> list[Manifest]:
    before = {item["type"]: item for item in now_is.manifest.get("status", {}).get("conditions") or ()}
    unready = [container.name for container in now_is.main if not container.ready]
    gates = [gate["conditionType"] for gate in now_is.manifest["spec"].get("readinessGates", ())]
    closed = [gate for gate in gates if before.get(gate, {}).get("status") != "True"]
    why = ("PodCompleted", "") if phase == "Succeeded" else ("PodFailed", "") if phase == "Failed" else None
    not_ready = why or ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    ready = not_ready if unready else ("ReadinessGatesNotReady", ", ".join(closed)) if closed else None
    found = {
        "PodReadyToStartContainers": None,
        "Initialized": None if now_is.initialized else ("ContainersNotInitialized", ""),
        "Ready": ready,
        "ContainersReady": not_ready if unready else None,
        "PodScheduled": None,
    }
    mine = [_condition(before.get(kind), kind, reason) for kind, reason in found.items()]
    return [*mine, *(item for kind, item in before.items() if kind not in _OURS)]


def _condition(before: Manifest | None, kind: str, problem: tuple[str, str] | None) -> Manifest:
    status = "True" if problem is None else "False"
    same = before is not None and before.get("status") == status
    changed = before["lastTransitionTime"] if before is not None and same else now()
    condition: Manifest = {"type": kind, "status": status, "lastTransitionTime": changed}
    if problem is not None:
        condition |= {"reason": problem[0], "message": problem[1]}
    return condition

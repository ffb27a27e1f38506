"""Plain Services: which pod a client of one reaches. The sandbox has no proxy, so one ready pod stands for all."""

from __future__ import annotations

from sandbox.node.kube import KubeClient, Manifest


async def ready_address(kube: KubeClient, namespace: str, name: str) -> str | None:
    """Address of the first ready pod that a Service selects, None without a Service or such a pod."""
    service = await kube.find(f"/api/v1/namespaces/{namespace}/services/{name}")
    selector = (service or {}).get("spec", {}).get("selector")
    if not selector:
        return None
    labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    pods = await kube.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=labels)
    ready = sorted(
        (pod["metadata"]["name"], pod["status"]["podIP"]) for pod in pods["items"] if is_ready(pod)
    )
    return ready[0][1] if ready else None


def is_ready(pod: Manifest) -> bool:
    """Whether a pod's Ready condition is true and it is not on its way out."""
    conditions = pod.get("status", {}).get("conditions", ())
    states = {condition["type"]: condition["status"] for condition in conditions}
    return states.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]

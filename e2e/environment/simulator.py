"""The pod in which simulated peers live, for runs without a Qdrant: containers of the peers connect to it."""

from __future__ import annotations

from e2e.environment.images import QDRANT
from e2e.environment.installing import restricted
from e2e.environment.kubectl import Kubectl
from e2e.environment.namespaces import SIMULATOR
from qdrant_operator.domain.common.kinds import Manifest

NAME = "simulator"
_USER = 1000


def install(kubectl: Kubectl) -> None:
    """Apply it, and wait until it takes connections."""
    home = kubectl.within(SIMULATOR)
    kubectl.apply(restricted(SIMULATOR))
    home.apply(_service(), _deployment())
    home("rollout", "status", f"deployment/{NAME}", "--timeout=60s", timeout=70)


def _service() -> Manifest:
    """Without an address of its own: containers connect to ports that nobody knows before."""
    spec = {"clusterIP": "None", "selector": {"app": NAME}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": spec}


def _deployment() -> Manifest:
    labels = {"app": NAME}
    template = {"metadata": {"labels": labels}, "spec": _pod()}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}, "spec": spec}


def _pod() -> Manifest:
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": NAME,
                "image": QDRANT,
                "command": ["python", "-m", "sandbox.qdrant_sim.remote"],
                "readinessProbe": {"tcpSocket": {"port": 7000}, "periodSeconds": 1},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }

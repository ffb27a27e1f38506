"""Pods that ask: who reaches which port of a peer, and whether this cluster enforces NetworkPolicies at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from e2e.environment.images import OPERATOR
from e2e.environment.installing import restricted
from e2e.environment.kubectl import NAME, Kubectl
from e2e.shell import CommandFailed, eventually
from qdrant_operator.domain.common.kinds import Manifest

PORTS = (6333, 6334, 6335)
"""REST, gRPC, and what peers say to each other."""
ENFORCED_SECONDS = 30.0
"""Until the network plugin has taken over a changed policy."""
_CLOSED: Manifest = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "closed"},
    "spec": {"podSelector": {"matchLabels": {"app": "server"}}, "policyTypes": ["Ingress"]},
}


def sleeper(name: str, labels: dict[str, str] | None = None) -> Manifest:
    """A pod that does nothing, and may: restricted security, no token."""
    container = {
        "name": "sleep",
        "image": OPERATOR,
        "command": ["python", "-c", "import signal; signal.pause()"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec,
    }


@contextmanager
def elsewhere(home: Kubectl) -> Iterator[Kubectl]:
    """Another namespace, for pods of strangers."""
    name = f"{home.namespace}-elsewhere"
    home.apply(restricted(name))
    try:
        yield home.within(name)
    finally:
        home("delete", "namespace", name, "--wait=false")


def reach(place: Kubectl, pod: str, home: Kubectl) -> set[int]:
    """The ports of a peer in `home` that a pod in `place` reaches."""
    host = f"{NAME}-0.{NAME}-peers.{home.namespace}.svc"
    return {port for port in PORTS if connects(place, pod, host, port)}


def connects(place: Kubectl, pod: str, host: str, port: int) -> bool:
    """Whether a TCP connection from a pod is taken within two seconds."""
    code = f"import socket; socket.create_connection(({host!r}, {port}), timeout=2)"
    try:
        place("exec", pod, "--", "python", "-c", code)
    except CommandFailed as error:
        if "create_connection" in error.stderr and "gaierror" not in error.stderr:
            return False
        raise
    return True


def enforces(home: Kubectl) -> bool:
    """Whether a policy that lets nobody in keeps anybody out here."""
    server = sleeper("server", {"app": "server"})
    server["spec"]["containers"][0]["command"] = ["python", "-m", "http.server", "6333"]
    home.apply(server, sleeper("asking"))
    home.ready("pod", "server", 60)
    home.ready("pod", "asking", 60)
    address = str((home.get("pod", "server") or {})["status"]["podIP"])
    eventually(lambda: connects(home, "asking", address, 6333), 30)
    home.apply(_CLOSED)
    try:
        return eventually(lambda: not connects(home, "asking", address, 6333), ENFORCED_SECONDS)
    except AssertionError:
        return False
    finally:
        home("delete", "pod", "server", "asking", "--wait=false")

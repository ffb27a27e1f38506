"""The operator in a cluster, by kubectl and Helm as its README says."""

from __future__ import annotations

from collections.abc import Mapping

from e2e.environment import namespaces
from e2e.environment.images import OPERATOR
from e2e.environment.kubectl import Kubectl
from e2e.shell import ROOT, run
from qdrant_operator.domain.common.kinds import Manifest
from sandbox.helm import find_helm

RELEASE = "qdrant-operator"
CHART = ROOT / "charts" / "qdrant-operator"
CRDS = ROOT / "crds"
REPLICAS = 2
OURS = "dev.qdrantoperator.e2e"
"""Label of every namespace that a run makes."""


def restricted(name: str) -> Manifest:
    """A namespace that takes only pods of the restricted Pod Security Standard."""
    return namespace(name, {"pod-security.kubernetes.io/enforce": "restricted"})


def namespace(name: str, labels: Mapping[str, str] | None = None) -> Manifest:
    """A namespace that a run makes."""
    metadata = {"name": name, "labels": {OURS: "run", **(labels or {})}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def install(kubectl: Kubectl) -> None:
    """CRDs with client-side `kubectl apply`, and the chart without them on top: as GitOps tools do it."""
    kubectl.apply(CRDS)
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s", timeout=70)
    kubectl.apply(restricted(namespaces.OPERATOR))
    upgrade(kubectl)


def upgrade(kubectl: Kubectl, *values: str) -> None:
    """`helm upgrade --install` with these values (`name=value`) on top of the suite's own, until all pods are Ready."""
    repository, tag = OPERATOR.split(":")
    digest = run("docker", "image", "inspect", "--format", "{{.Id}}", OPERATOR).strip()
    own = (
        f"image.repository={repository}",
        f"image.tag={tag}",
        f"podAnnotations.built={digest}",  # a cluster that was kept gets the image that was just built
        "crds.enabled=false",
        f"replicas={REPLICAS}",
    )
    settings = [part for value in (*own, *values) for part in ("--set", value)]
    run(
        str(find_helm()), "--kubeconfig", str(kubectl.kubeconfig), "--namespace", namespaces.OPERATOR,
        "upgrade", "--install", RELEASE, str(CHART), *settings, "--wait", "--timeout", "180s", timeout=200,
    )  # fmt: skip
    rollout = ("rollout", "status", f"deployment/{RELEASE}", "--timeout=180s")
    kubectl.within(namespaces.OPERATOR)(*rollout, timeout=190)  # Helm is content with one pod of two

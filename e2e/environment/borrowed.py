"""A Kubernetes that is not the suite's own: refused where it would change others' things, left as it was found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.environment import installing, namespaces
from e2e.environment.kubectl import Kubectl
from e2e.shell import Missing, run
from sandbox.helm import find_helm

GONE_SECONDS = 180
"""An API server may take more than a minute to delete a kind that it has known for a moment only."""


@contextmanager
def borrowed(kubectl: Kubectl) -> Iterator[None]:
    """Use it; afterwards whatever the suite made is gone (not with KEEP=1).

    Raises:
        Missing: somebody else's operator, or namespaces, have the names that the suite uses.
    """
    if others := _of_others(kubectl):
        raise Missing(
            f"this Kubernetes has {', '.join(others)} from somebody else, which a run would change and delete: "
            "name one without the operator in E2E_CONTEXT"
        )
    try:
        yield
    finally:
        if not os.environ.get("KEEP"):
            give_back(kubectl)


def _of_others(kubectl: Kubectl) -> list[str]:
    ours = _namespaces(kubectl, installing.OURS)
    spaces = _namespaces(kubectl) & set(namespaces.TAKEN) - ours
    found = [f"the namespace {name}" for name in sorted(spaces)]
    return found if namespaces.OPERATOR in ours else found + _kinds(kubectl)


def _namespaces(kubectl: Kubectl, selector: str = "") -> set[str]:
    return {one["metadata"]["name"] for one in kubectl.all("namespaces", selector)}


def _kinds(kubectl: Kubectl) -> list[str]:
    """Our kinds that it knows."""
    known = kubectl("get", "--ignore-not-found", "--output=name", "--filename", str(installing.CRDS))
    return known.split()


def give_back(kubectl: Kubectl) -> None:
    """Delete what runs made: scenarios while the operator can still clean up, then the operator, then its kinds.

    Raises:
        AssertionError: objects of these kinds are left that no run made: they and their kinds stay.
        CommandFailed: something was not gone in time.
    """
    last = {namespaces.OPERATOR, namespaces.SIMULATOR}
    _delete(kubectl, _namespaces(kubectl, installing.OURS) - last)
    left = kubectl("get", "qdrant", "--all-namespaces", "--output=name").split() if _kinds(kubectl) else []
    assert not left, f"the operator and its kinds stay for {', '.join(left)}: no run made these"
    uninstall = ("uninstall", installing.RELEASE, "--ignore-not-found", "--wait")
    where = ("--kubeconfig", str(kubectl.kubeconfig), "--namespace", namespaces.OPERATOR)
    run(str(find_helm()), *where, *uninstall, timeout=GONE_SECONDS)
    kubectl("delete", "--ignore-not-found", "--filename", str(installing.CRDS), timeout=GONE_SECONDS)
    _delete(kubectl, _namespaces(kubectl, installing.OURS))


def _delete(kubectl: Kubectl, names: set[str]) -> None:
    if names:
        wait = ("--ignore-not-found", f"--timeout={GONE_SECONDS}s")
        kubectl("delete", "namespace", *sorted(names), *wait, timeout=GONE_SECONDS + 20)

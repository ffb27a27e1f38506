"""Kubernetes as a user sees it: kubectl, and waiting for what it shows."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import yaml

from e2e.shell import CommandFailed, eventually, run
from qdrant_operator.domain.common.kinds import Manifest
from sandbox.kubectl import find_kubectl

NAME = "vectors"
"""The QdrantCluster of most scenarios."""


class Kubectl:
    """One kubeconfig's administrator, in one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str = "default") -> None:
        self.kubeconfig, self.namespace = kubeconfig, namespace

    def within(self, namespace: str) -> Kubectl:
        """The same in another namespace."""
        return Kubectl(self.kubeconfig, namespace)

    def __call__(self, *args: str, stdin: str | None = None, timeout: float = 60) -> str:
        """Run `kubectl ARGS`; what it printed.

        Raises:
            CommandFailed: kubectl says no, or nothing for `timeout` seconds.
        """
        where = ("--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace)
        return run(_kubectl(), *where, *args, stdin=stdin, timeout=timeout)

    def refused(self, *args: str, stdin: str | None = None) -> str:
        """What kubectl says about a command that must fail."""
        try:
            printed = self(*args, stdin=stdin)
        except CommandFailed as error:
            return error.stderr
        raise AssertionError(f"kubectl {' '.join(args)} was not refused: {printed}")

    def apply(self, *manifests: Manifest | Path) -> None:
        """Client-side `kubectl apply`, of files (or folders) and of objects."""
        files = [argument for one in manifests if isinstance(one, Path) for argument in ("-f", str(one))]
        objects = [one for one in manifests if not isinstance(one, Path)]
        text = yaml.safe_dump_all(objects) if objects else None
        self("apply", *files, *(("-f", "-") if objects else ()), stdin=text)

    def patch(self, kind: str, name: str, **spec: object) -> None:
        """Change fields of an object's spec (merge patch)."""
        self("patch", kind, name, "--type=merge", "--patch", json.dumps({"spec": spec}))

    def get(self, kind: str, name: str) -> Manifest | None:
        """One object, None when there is none."""
        text = self("get", kind, name, "--ignore-not-found", "--output=json")
        return dict(json.loads(text)) if text.strip() else None

    def all(self, kind: str, selector: str = "") -> list[Manifest]:
        """Objects of this namespace; several kinds may be named, with commas."""
        text = self("get", kind, f"--selector={selector}", "--output=json")
        return list(json.loads(text)["items"])

    def ready(self, kind: str, name: str, seconds: float) -> None:
        """Wait with `kubectl wait` for the condition Ready; a failure shows the object."""
        try:
            wait = ("wait", "--for=condition=Ready", f"{kind}/{name}", f"--timeout={seconds:.0f}s")
            self(*wait, timeout=seconds + 20)
        except CommandFailed as error:
            raise AssertionError(f"{error}\n{self.tell(kind, name)}") from error

    def tell(self, kind: str, name: str) -> str:
        """The object's status as text, for a failed assertion."""
        found = self.get(kind, name)
        return yaml.safe_dump((found or {}).get("status") or {"nothing": f"no status of {kind} {name}"})

    def settled(self, name: str = NAME, *, replicas: int, seconds: float = 180) -> Manifest:
        """Wait until so many peers hold every replica, level, and nothing is left to do; the status."""
        return eventually(
            lambda: self._settled(name, replicas), seconds, lambda: self.tell("qdrantcluster", name)
        )

    def _settled(self, name: str, replicas: int) -> Manifest | None:
        found = self.get("qdrantcluster", name)
        if found is None or not is_true(found, "Ready"):
            return None
        status: Manifest = found["status"]
        shards = status.get("shards") or {}
        quiet = not status.get("plan") and not status.get("blocked") and "leaving" not in status
        level = (shards.get("imbalance") or 0) <= 1 and not shards.get("transfers")
        whole = shards.get("sound") == shards.get("wanted") and not shards.get("dead")
        if not (quiet and level and whole and len(status["peers"]) == replicas):
            return None
        kinds = [one["kind"] for one in self.all("pods,pvc", peers_of(name))]
        return status if sorted(kinds) == ["PersistentVolumeClaim"] * replicas + ["Pod"] * replicas else None


def peers_of(name: str = NAME) -> str:
    """Selector of a cluster's pods and claims."""
    return f"app.kubernetes.io/instance={name}"


def is_true(found: Manifest, condition: str) -> bool:
    """Whether a condition is True for the generation that the spec has now."""
    generation = found["metadata"].get("generation")
    return any(
        one["type"] == condition
        and one["status"] == "True"
        and one.get("observedGeneration", generation) == generation
        for one in (found.get("status") or {}).get("conditions") or ()
    )


@cache
def _kubectl() -> str:
    return str(find_kubectl())

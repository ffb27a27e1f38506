"""What the cluster does around us: the StatefulSet controller and the kubelet, as far as peers need them.

Nothing happens by itself: a test calls `StatefulSets.sync()` and the kubelet's methods, in the order it likes.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from qdrant_operator.domain.wire import Kind, Manifest
from sandbox.fakes.apiserver import IN_USE, FakeApiServer

REVISION: Final = "controller-revision-hash"
_CONTROLLER: Final = "statefulset-controller"


def revision_of(statefulset: Manifest) -> str:
    """Name of the revision that the template stands for."""
    text = json.dumps(statefulset["spec"]["template"], sort_keys=True)
    return f"{statefulset['metadata']['name']}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


class StatefulSets:
    """The controller for `podManagementPolicy: Parallel` and `updateStrategy: OnDelete`."""

    def __init__(self, server: FakeApiServer) -> None:
        """Work on `server`."""
        self._server = server

    def sync(self) -> None:
        """One pass over every StatefulSet: make and remove pods and claims, write status."""
        for statefulset in self._server.all(Kind.STATEFUL_SET):
            if "deletionTimestamp" not in statefulset["metadata"]:
                self._make_missing(statefulset)
                self._own_claims(statefulset)
                self._remove_surplus(statefulset)
            self._write_status(statefulset)

    def pods(self, statefulset: Manifest) -> list[Manifest]:
        """The set's pods by ordinal."""
        meta = statefulset["metadata"]
        mine = [pod for pod in self._server.all(Kind.POD, meta["namespace"]) if _owned_by(pod, statefulset)]
        return sorted(mine, key=_ordinal)

    def _make_missing(self, statefulset: Manifest) -> None:
        meta = statefulset["metadata"]
        for ordinal in range(_wanted(statefulset)):
            for claim in _claims(statefulset, ordinal):
                if self._server.get(Kind.CLAIM, meta["namespace"], claim["metadata"]["name"]) is None:
                    self._server.create(claim, _CONTROLLER)
            if self._server.get(Kind.POD, meta["namespace"], f"{meta['name']}-{ordinal}") is None:
                self._server.create(_pod(statefulset, ordinal), _CONTROLLER)

    def _remove_surplus(self, statefulset: Manifest) -> None:
        for pod in self.pods(statefulset):
            if _ordinal(pod) >= _wanted(statefulset) and "deletionTimestamp" not in pod["metadata"]:
                self._server.delete(Kind.POD, pod["metadata"]["namespace"], pod["metadata"]["name"])

    def _own_claims(self, statefulset: Manifest) -> None:
        """Owner references by the retention policy: the set (whenDeleted) or the condemned pod (whenScaled)."""
        policy = statefulset["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
        pods = {_ordinal(pod): pod for pod in self.pods(statefulset)}
        for claim in self._claims_of(statefulset):
            ordinal = _ordinal(claim)
            owners: list[Manifest] = []
            if policy.get("whenDeleted") == "Delete":
                owners.append(_reference(statefulset))
            if ordinal >= _wanted(statefulset) and policy.get("whenScaled") == "Delete":
                # A claim whose condemned pod is gone keeps the reference to it, and so is collected.
                pod = pods.get(ordinal)
                owners = [_reference(pod)] if pod else claim["metadata"].get("ownerReferences") or []
            body = {"metadata": {"ownerReferences": owners or None}}
            meta = claim["metadata"]
            self._server.patch(Kind.CLAIM, meta["namespace"], meta["name"], body, _CONTROLLER)

    def _claims_of(self, statefulset: Manifest) -> list[Manifest]:
        meta = statefulset["metadata"]
        prefixes = [
            f"{template['metadata']['name']}-{meta['name']}-"
            for template in statefulset["spec"].get("volumeClaimTemplates") or ()
        ]
        return [
            claim
            for claim in self._server.all(Kind.CLAIM, meta["namespace"])
            if any(_is_ordinal_of(claim["metadata"]["name"], prefix) for prefix in prefixes)
        ]

    def _write_status(self, statefulset: Manifest) -> None:
        meta = statefulset["metadata"]
        pods = self.pods(statefulset)
        update = revision_of(statefulset)
        fresh = [pod for pod in pods if pod["metadata"]["labels"][REVISION] == update]
        previous = (statefulset.get("status") or {}).get("currentRevision", update)
        status = {
            "observedGeneration": meta["generation"],
            "replicas": len(pods),
            "readyReplicas": sum(is_ready(pod) for pod in pods),
            "availableReplicas": sum(is_ready(pod) for pod in pods),
            "updatedReplicas": len(fresh),
            "currentRevision": update if len(fresh) == len(pods) else previous,
            "updateRevision": update,
        }
        self._server.put_status(Kind.STATEFUL_SET, meta["namespace"], meta["name"], status)


class Kubelet:
    """Pods' lives, one call each."""

    def __init__(self, server: FakeApiServer) -> None:
        """Work on `server`."""
        self._server = server
        self._addresses = 0

    def start(self, pod: Manifest, *, node: str = "node-1", ready: bool = True) -> Manifest:
        """Bind a pending pod to a node and run it under a new address."""
        self._addresses += 1
        high, low = divmod(self._addresses, 250)
        body = {"spec": {"nodeName": node}}
        self._server.patch(*_key(pod), body, "scheduler")
        return self._status(pod, "Running", ready, podIP=f"10.0.{high}.{low + 1}")

    def start_all(self) -> None:
        """Start every pod that is pending, Ready at once."""
        for pod in self._server.all(Kind.POD):
            if not (pod.get("status") or {}).get("phase") and "deletionTimestamp" not in pod["metadata"]:
                self.start(pod)

    def ready(self, pod: Manifest, ready: bool) -> Manifest:
        """Change what the readiness probe says."""
        return self._status(pod, "Running", ready)

    def end(self, pod: Manifest, phase: str) -> Manifest:
        """End a pod that does not restart: phase Succeeded or Failed."""
        return self._status(pod, phase, ready=False)

    def finish_deletions(self) -> None:
        """Stop the containers of every pod that is being deleted."""
        for pod in self._server.all(Kind.POD):
            if "deletionTimestamp" in pod["metadata"]:
                self._server.finish(*_key(pod))

    def _status(self, pod: Manifest, phase: str, ready: bool, **facts: Any) -> Manifest:
        current = self._server.get(*_key(pod)) or pod
        status = {
            **(current.get("status") or {}),
            **facts,
            "phase": phase,
            "conditions": [{"type": "Ready", "status": str(ready)}],
        }
        return self._server.put_status(*_key(pod), status)


def is_ready(pod: Manifest) -> bool:
    """Whether the pod's Ready condition is true."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _pod(statefulset: Manifest, ordinal: int) -> Manifest:
    meta = statefulset["metadata"]
    template = statefulset["spec"]["template"]
    name = f"{meta['name']}-{ordinal}"
    own_labels = {
        REVISION: revision_of(statefulset),
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(ordinal),
    }
    claims = [
        {
            "name": t["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": f"{t['metadata']['name']}-{name}"},
        }
        for t in statefulset["spec"].get("volumeClaimTemplates") or ()
    ]
    spec = template["spec"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **(template.get("metadata") or {}),
            "name": name,
            "namespace": meta["namespace"],
            "labels": {**((template.get("metadata") or {}).get("labels") or {}), **own_labels},
            "ownerReferences": [_reference(statefulset)],
        },
        "spec": {
            **spec,
            "hostname": name,
            "subdomain": statefulset["spec"].get("serviceName", ""),
            "volumes": [*(spec.get("volumes") or ()), *claims],
        },
    }


def _claims(statefulset: Manifest, ordinal: int) -> list[Manifest]:
    meta = statefulset["metadata"]
    selected = statefulset["spec"]["selector"]["matchLabels"]
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                **template["metadata"],
                "name": f"{template['metadata']['name']}-{meta['name']}-{ordinal}",
                "namespace": meta["namespace"],
                "labels": {**(template["metadata"].get("labels") or {}), **selected},
                "finalizers": [IN_USE],
            },
            "spec": template["spec"],
        }
        for template in statefulset["spec"].get("volumeClaimTemplates") or ()
    ]


def _reference(owner: Manifest) -> Manifest:
    meta = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _owned_by(manifest: Manifest, owner: Manifest) -> bool:
    uid = owner["metadata"]["uid"]
    return any(ref["uid"] == uid for ref in manifest["metadata"].get("ownerReferences") or ())


def _wanted(statefulset: Manifest) -> int:
    return int(statefulset["spec"].get("replicas", 1))


def _ordinal(manifest: Manifest) -> int:
    return int(manifest["metadata"]["name"].rsplit("-", 1)[1])


def _is_ordinal_of(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and name[len(prefix) :].isdigit()


def _key(pod: Manifest) -> tuple[Kind, str, str]:
    return Kind.POD, pod["metadata"]["namespace"], pod["metadata"]["name"]

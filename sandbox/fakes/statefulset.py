"""What the cluster does around us: the StatefulSet controller and the kubelet, as far as peers need them.

Nothing happens by itself: a test calls `StatefulSets.sync()` and the kubelet's methods, in the order it likes.
After a failure the controller waits twice as long as before, as client-go's `DefaultTypedControllerRateLimiter` has it.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any, Final

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.apiserver import IN_USE, FakeApiServer, claims_of

REVISION: Final = "controller-revision-hash"
_CONTROLLER: Final = "statefulset-controller"
FIRST_RETRY_SECONDS: Final = 0.005
LAST_RETRY_SECONDS: Final = 1000.0


def revision_of(statefulset: Manifest) -> str:
    """Name of the revision that the template stands for."""
    text = json.dumps(statefulset["spec"]["template"], sort_keys=True)
    return f"{statefulset['metadata']['name']}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


class StatefulSets:
    """The controller for `podManagementPolicy: Parallel` and `updateStrategy: OnDelete`."""

    def __init__(self, server: FakeApiServer) -> None:
        """Work on `server`."""
        self._server = server
        self._failures: dict[str, int] = {}
        self._tries_again: dict[str, tuple[datetime, object]] = {}
        """By uid of the StatefulSet: when, if nothing that it hears of changes before."""

    def sync(self) -> None:
        """One pass over every StatefulSet: make and remove pods and claims, write status."""
        found = self._server.all(Kind.STATEFUL_SET)
        self._forget_all_but({statefulset["metadata"]["uid"] for statefulset in found})
        for statefulset in found:
            if "deletionTimestamp" not in statefulset["metadata"] and not self._waits(statefulset):
                self._make_missing(statefulset)
                self._own_claims(statefulset)
                self._remove_surplus(statefulset)
            self._write_status(statefulset)

    def is_due(self) -> bool:
        """Whether it is time to try again what failed, although nothing changed."""
        return any(until <= self._server.now() for until, _ in self._tries_again.values())

    def pods(self, statefulset: Manifest) -> list[Manifest]:
        """The set's pods by ordinal."""
        meta = statefulset["metadata"]
        mine = [pod for pod in self._server.all(Kind.POD, meta["namespace"]) if _owned_by(pod, statefulset)]
        return sorted(mine, key=_ordinal)

    def _forget_all_but(self, uids: set[str]) -> None:
        for known in (self._failures, self._tries_again):
            for uid in [uid for uid in known if uid not in uids]:
                del known[uid]

    def _waits(self, statefulset: Manifest) -> bool:
        """After a failure it looks again when it is time, or when it hears of its StatefulSet or of a pod of it."""
        until, heard = self._tries_again.get(statefulset["metadata"]["uid"], (None, None))
        return until is not None and self._server.now() < until and heard == self._hears(statefulset)

    def _hears(self, statefulset: Manifest) -> object:
        pods = [pod["metadata"]["resourceVersion"] for pod in self.pods(statefulset)]
        return statefulset["metadata"]["resourceVersion"], *pods

    def _failed(self, statefulset: Manifest) -> None:
        uid = statefulset["metadata"]["uid"]
        failures = self._failures[uid] = self._failures.get(uid, 0) + 1
        pause = min(FIRST_RETRY_SECONDS * 2.0 ** min(failures, 20), LAST_RETRY_SECONDS)
        self._tries_again[uid] = (self._server.now() + timedelta(seconds=pause), self._hears(statefulset))

    def _make_missing(self, statefulset: Manifest) -> None:
        meta, refused = statefulset["metadata"], False
        for ordinal in range(_wanted(statefulset)):
            for claim in _claims(statefulset, ordinal):
                if self._server.get(Kind.CLAIM, meta["namespace"], claim["metadata"]["name"]) is None:
                    self._server.create(claim, _CONTROLLER)
            pod = self._server.get(Kind.POD, meta["namespace"], f"{meta['name']}-{ordinal}")
            if pod is None:
                self._server.create(_pod(statefulset, ordinal), _CONTROLLER)
            refused = refused or (pod is not None and not _owned_by(pod, statefulset))
        if refused:
            self._failed(statefulset)
        else:
            self._failures.pop(meta["uid"], None)
            self._tries_again.pop(meta["uid"], None)

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
            present = claim["metadata"].get("ownerReferences") or []
            others = [one for one in present if one["kind"] not in ("StatefulSet", "Pod")]
            owners: list[Manifest] = list(others)
            if policy.get("whenDeleted") == "Delete":
                owners.append(_reference(statefulset))
            if ordinal >= _wanted(statefulset) and policy.get("whenScaled") == "Delete":
                # A claim whose condemned pod is gone keeps the reference to it, and so is collected.
                pod = pods.get(ordinal)
                owners = [*others, _reference(pod)] if pod else present
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
        self._bind(pod)
        return self._status(pod, "Running", ready, podIP=f"10.0.{high}.{low + 1}")

    def _bind(self, pod: Manifest) -> None:
        """A volume for each claim of the pod, as a provisioner that waits for the first consumer makes it."""
        for name in claims_of(pod):
            key = (Kind.CLAIM, pod["metadata"]["namespace"], name)
            claim = self._server.get(*key)
            if claim is not None and "volumeName" not in claim["spec"]:
                body = {"spec": {"volumeName": f"pvc-{claim['metadata']['uid']}"}}
                self._server.patch(*key, body, "persistentvolume-binder")
                self._server.put_status(*key, {"phase": "Bound"})

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
        turned = self._server.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        if current.get("status") and is_ready(current) == ready:
            turned = current["status"]["conditions"][0]["lastTransitionTime"]
        status = {
            **(current.get("status") or {}),
            **facts,
            "phase": phase,
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": turned}],
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

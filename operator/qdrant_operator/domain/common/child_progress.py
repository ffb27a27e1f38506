"""Why a child of ours (a StatefulSet, a Job, a pod) makes no progress, in the words of Kubernetes, with the remedy.

Pure: manifests and Events in, a `Hindrance` out. A child without pods says nothing itself; its controller's Events
do. A pod says most in its status; what the kubelet cannot mount or start is in the pod's Events only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Manifest = Mapping[str, Any]

STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Waiting reasons of a start that goes well."""
_REMEDIES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("failed quota", "must specify"), "set the resources that it names in {resources}"),
    (("exceeded quota",), "raise the ResourceQuota, or delete what uses it up and is not needed"),
    (
        ("usage per Container", "usage per Pod", "limit to request ratio"),
        "set {resources} within the LimitRange",
    ),
    (
        ("looking up service account",),
        "create the ServiceAccount, or correct spec.podTemplate.spec.serviceAccountName",
    ),
    (
        ("PriorityClass",),
        "create the PriorityClass, or correct spec.podTemplate.spec.priorityClassName",
    ),
    (
        ("violates PodSecurity",),
        "use a namespace whose pod-security.kubernetes.io/enforce level admits the pod",
    ),
    (
        ("security context constraint",),
        "grant the pod's ServiceAccount a SecurityContextConstraint that allows the user ids it names",
    ),
    (("admission webhook",), "change what the webhook asks for, or exempt the namespace from the webhook"),
)
"""Parts of a message, in any case, and the remedy; the first that fits counts."""
_REMEDY_OF_REASON: Mapping[str, str] = {
    "ErrImagePull": "check the image's name, the registry, and that {pull_secrets} or the pod's ServiceAccount names a"
    " pull secret for it",
    "ErrImageNeverPull": "load the image onto the node, or change the pull policy",
    "InvalidImageName": "correct the image's name",
    "CreateContainerConfigError": "create the Secret or key that it names",
    "Unschedulable": "free or add nodes that fit the pod's resources, node selector, tolerations and volumes",
    "SchedulingGated": "have the controller that set the pod's scheduling gate remove it",
    "FailedMount": "make the volume, Secret or ConfigMap that it names available",
    "FailedAttachVolume": "free the volume that it names from the node that still has it",
}
_ALIASES: Mapping[str, str] = {"ImagePullBackOff": "ErrImagePull", "FailedScheduling": "Unschedulable"}


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What prevents a child's pods from running."""

    by: str
    """Who says so: the scheduler, the kubelet, a controller's name."""
    reason: str
    """Their word, for example FailedCreate or ImagePullBackOff."""
    message: str
    """Their sentence, on one line."""

    @property
    def words(self) -> str:
        """Who says what."""
        said = f": {self.message}" if self.message else ""
        return f"{self.by} says {self.reason}{said}"

    @property
    def has_remedy(self) -> bool:
        """Whether its words are known."""
        return self._known is not None

    @property
    def _known(self) -> str | None:
        text = self.message.lower()
        found = next((how for parts, how in _REMEDIES if _any_in(parts, text)), None)
        return found or _REMEDY_OF_REASON.get(_ALIASES.get(self.reason, self.reason))

    def remedy(self, *, resources: str, pull_secrets: str) -> str:
        """What to do; the arguments are the fields that set the pods' resources and their pull secrets."""
        return (self._known or "see kubectl describe of the object").format(
            resources=resources, pull_secrets=pull_secrets
        )


def _any_in(parts: Iterable[str], text: str) -> bool:
    return any(part.lower() in text for part in parts)


def refusal(events: Iterable[Manifest]) -> Hindrance | None:
    """Why a controller could not create a child's pods or claims: its newest `FailedCreate`; None without one."""
    found = [event for event in events if event.get("reason") == "FailedCreate"]
    return _reported(max(found, key=event_time)) if found else None


def pod_hindrance(pod: Manifest, events: Iterable[Manifest] = ()) -> Hindrance | None:
    """Why a pod's containers do not run: its status, then the newest warning of its Events; None when nothing is known.

    A pod whose containers run, or have ended, has none.
    """
    status = pod.get("status") or {}
    if status.get("phase") not in (None, "", "Pending"):
        return _waiting(status)
    return _unscheduled(status) or _waiting(status) or _warned(events)


def event_time(event: Manifest) -> str:
    """When an Event was last observed, as text that sorts by time to the second."""
    series = event.get("series") or {}
    times = (
        series.get("lastObservedTime"),
        event.get("deprecatedLastTimestamp"),
        event.get("eventTime"),
        (event.get("metadata") or {}).get("creationTimestamp"),
    )
    return str(next((time for time in times if time), ""))[:19]


def _unscheduled(status: Manifest) -> Hindrance | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            reason = str(condition.get("reason") or "Unschedulable")
            return Hindrance("the scheduler", reason, _line(condition.get("message")))
    return None


def _waiting(status: Manifest) -> Hindrance | None:
    containers = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason", "") not in STARTING:
            ended = (container.get("lastState") or {}).get("terminated") or {}
            words = ended.get("message") or waiting.get("message")
            return Hindrance("the kubelet", str(waiting["reason"]), _line(words))
    return None


def _warned(events: Iterable[Manifest]) -> Hindrance | None:
    warnings = [event for event in events if event.get("type") == "Warning"]
    return _reported(max(warnings, key=event_time)) if warnings else None


def _reported(event: Manifest) -> Hindrance:
    source = (event.get("deprecatedSource") or {}).get("component")
    by = event.get("reportingController") or source or "its controller"
    return Hindrance(f"the {by}", str(event.get("reason")), _line(event.get("note")))


def _line(text: Any) -> str:
    """On one line, and short enough for a condition: the end of a long message says what is wrong."""
    line = " ".join(str(text or "").split())
    return line if len(line) <= 600 else f"…{line[-600:]}"

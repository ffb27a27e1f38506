"""Why a child makes no progress: the words of Kubernetes as it writes them, and a remedy for each."""

from __future__ import annotations

from typing import Any

import pytest

from qdrant_operator.domain.common.child_progress import Hindrance, pod_hindrance, refusal

Manifest = dict[str, Any]
QUOTA = (
    'Error creating: pods "first-62f058b916-zqw6t" is forbidden: failed quota: team: must specify limits.cpu for:'
    " snapshot"
)


def event(reason: str, note: str, at: str, kind: str = "Warning") -> Manifest:
    """As kube-controller-manager's recorder leaves it: no eventTime, its times in the deprecated fields."""
    return {
        "type": kind,
        "reason": reason,
        "note": note,
        "deprecatedLastTimestamp": at,
        "deprecatedSource": {"component": "job-controller"},
        "metadata": {"creationTimestamp": "2026-11-21T11:00:00Z"},
    }


def pod(**status: Any) -> Manifest:
    """A pod that has not started."""
    return {"metadata": {"name": "one", "namespace": "default"}, "status": {"phase": "Pending", **status}}


def waiting(reason: str, message: str = "") -> list[Manifest]:
    """One container that waits."""
    return [{"name": "snapshot", "state": {"waiting": {"reason": reason, "message": message}}}]


def test_refused_creation_is_the_newest_in_the_controllers_words() -> None:
    """Of several refusals the newest counts, whatever else was told later."""
    told = refusal(
        [
            event("FailedCreate", "an older one", "2026-11-21T12:00:00Z"),
            event("FailedCreate", QUOTA, "2026-11-21T12:05:00Z"),
            event("SuccessfulDelete", "another matter", "2026-11-21T12:09:00Z", "Normal"),
        ]
    )
    assert told == Hindrance("the job-controller", "FailedCreate", QUOTA)
    assert told.words.startswith("the job-controller says FailedCreate: Error creating")
    assert refusal([event("SuccessfulCreate", "made", "2026-11-21T12:00:00Z", "Normal")]) is None


def test_series_of_the_newer_events_are_read_too() -> None:
    """An Event of events.k8s.io/v1 carries its last time in its series."""
    newer = {
        "reason": "FailedCreate",
        "note": "newer",
        "eventTime": "2026-11-21T12:00:00.000001Z",
        "series": {"count": 9, "lastObservedTime": "2026-11-21T12:30:00.000001Z"},
        "reportingController": "statefulset-controller",
    }
    told = refusal([event("FailedCreate", "older", "2026-11-21T12:10:00Z"), newer])
    assert told is not None
    assert (told.by, told.message) == ("the statefulset-controller", "newer")


def test_pod_that_cannot_be_scheduled_has_the_schedulers_words() -> None:
    """They are in the pod's condition."""
    message = "0/3 nodes are available: 3 Insufficient memory."
    unfit = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    assert pod_hindrance(pod(conditions=[unfit])) == Hindrance("the scheduler", "Unschedulable", message)


@pytest.mark.parametrize("statuses", ["containerStatuses", "initContainerStatuses"])
def test_container_that_waits_has_the_kubelets_words(statuses: str) -> None:
    """Also a sidecar's, which runs before our own container."""
    told = pod_hindrance(pod(**{statuses: waiting("ImagePullBackOff", 'Back-off pulling image "op:1"')}))
    assert told == Hindrance("the kubelet", "ImagePullBackOff", 'Back-off pulling image "op:1"')


def test_start_that_goes_well_is_no_hindrance() -> None:
    """Pulling and mounting take their time; warnings of a pod whose containers run are history."""
    assert pod_hindrance(pod(containerStatuses=waiting("ContainerCreating"))) is None
    late = [event("FailedMount", "secret not found", "2026-11-21T12:00:00Z")]
    assert pod_hindrance(pod(phase="Running", containerStatuses=[{"state": {"running": {}}}]), late) is None


def test_what_only_events_say_is_read_from_them() -> None:
    """A volume that cannot be mounted leaves the container in ContainerCreating."""
    late = [event("FailedMount", 'MountVolume.SetUp failed: secret "x" not found', "2026-11-21T12:00:00Z")]
    told = pod_hindrance(pod(containerStatuses=waiting("ContainerCreating")), late)
    assert told is not None
    assert told.reason == "FailedMount"


REMEDIES = [
    ("FailedCreate", QUOTA, "spec.job.resources"),
    ("FailedCreate", "exceeded quota: team, requested: pods=1, used: pods=5", "ResourceQuota"),
    ("FailedCreate", "minimum cpu usage per Container is 1, but request is 100m", "LimitRange"),
    ("FailedCreate", 'error looking up service account a/b: serviceaccount "b" not found', "ServiceAccount"),
    ("FailedCreate", "no PriorityClass with name db-critical was found", "PriorityClass"),
    ("FailedCreate", 'violates PodSecurity "restricted:latest": privileged', "pod-security"),
    (
        "FailedCreate",
        "unable to validate against any security context constraint",
        "SecurityContextConstraint",
    ),
    ("FailedCreate", 'admission webhook "x" denied the request: no', "webhook"),
    ("ImagePullBackOff", "Back-off pulling image", "spec.image.pullSecrets"),
    ("CreateContainerConfigError", 'secret "keys" not found', "Secret"),
    ("Unschedulable", "0/3 nodes are available", "nodes"),
    ("FailedScheduling", "0/3 nodes are available", "nodes"),
    ("SomethingNew", "never seen", "kubectl describe"),
]


@pytest.mark.parametrize(("reason", "message", "names"), REMEDIES)
def test_every_hindrance_has_a_remedy(reason: str, message: str, names: str) -> None:
    """What is said names what has to change."""
    told = Hindrance("somebody", reason, message)
    assert names in told.remedy(resources="spec.job.resources", pull_secrets="spec.image.pullSecrets")

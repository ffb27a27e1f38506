"""What the operator may do in a cluster, said once: the chart is compared with it and the tests run under it.

Pure data, no I/O. Least privilege: a verb stands here only when some code sends it; each rule says which.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

GROUP: Final = "qdrantoperator.dev"
_WATCHED: Final = ("get", "list", "watch")
_KEPT: Final = ("get", "list", "watch", "create", "patch")
"""Made and put back, never deleted by us: Kubernetes removes them with their owner."""
_KINDS: Final = ("qdrantclusters", "qdrantcollections", "qdrantsnapshots", "qdrantsnapshotschedules")


@dataclass(frozen=True, slots=True)
class Rule:
    """One RBAC rule: these verbs on these resources of one API group."""

    group: str
    """API group; empty: the core group."""
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    """What sends these requests."""
    names: tuple[str, ...] = ()
    """Only objects with these names; empty: all."""

    def manifest(self) -> dict[str, Any]:
        """As it stands under `rules:`."""
        named = {"resourceNames": list(self.names)} if self.names else {}
        return {
            "apiGroups": [self.group],
            "resources": list(self.resources),
            **named,
            "verbs": list(self.verbs),
        }


WORK: Final = (
    Rule(GROUP, _KINDS, _WATCHED, "kopf watches what users write"),
    Rule(
        GROUP,
        tuple(f"{kind}/status" for kind in _KINDS),
        ("patch",),
        "status is all we write on users' objects",
    ),
    Rule(
        GROUP, ("qdrantcollections", "qdrantsnapshots"), ("patch",), "a finalizer where a deletion cleans up"
    ),
    Rule(
        GROUP, ("qdrantsnapshots",), ("create", "delete"), "schedules make snapshots, retention removes them"
    ),
    Rule(
        GROUP,
        tuple(f"{kind}/finalizers" for kind in _KINDS),
        ("update",),
        "owner references that block the owner's deletion, where the API server checks that right (OpenShift)",
    ),
    Rule("", ("configmaps", "secrets", "serviceaccounts", "services"), _KEPT, "parts of a QdrantCluster"),
    Rule("", ("namespaces",), ("get",), "a namespace that is being deleted takes no backups along"),
    Rule("", ("pods",), (*_WATCHED, "patch", "delete"), "in and out of the Service; restarts in a roll"),
    Rule(
        "",
        ("persistentvolumeclaims",),
        (*_WATCHED, "patch", "delete"),
        "a volume that exists forbids a second formation, and is marked; the volume of a removed peer goes",
    ),
    Rule("apps", ("statefulsets",), _KEPT, "runs the peers; made, put back, and lowered by one pod"),
    Rule(
        "batch",
        ("jobs",),
        (*_WATCHED, "create", "delete"),
        "runs a snapshot, never changed; stopped when it does not start or end, or its snapshot is deleted",
    ),
    Rule("policy", ("poddisruptionbudgets",), _KEPT, "one voluntary disruption at a time"),
    Rule(
        "networking.k8s.io",
        ("networkpolicies",),
        (*_KEPT, "delete"),
        "who may reach the peers; deleted when spec.networkPolicy.enabled turns false",
    ),
    Rule("discovery.k8s.io", ("endpointslices",), ("list",), "a pod has left the Service before it stops"),
    Rule(
        "events.k8s.io",
        ("events",),
        ("create", "list", "patch"),
        "what happened, in words; why a controller cannot create the pods of a StatefulSet or Job",
    ),
)
"""Rights wherever the operator serves: everywhere, or in each namespace that it is given."""

EVERYWHERE: Final = (
    Rule(
        "apiextensions.k8s.io", ("customresourcedefinitions",), ("list", "watch"), "kopf waits for our kinds"
    ),
)
"""Further rights of an operator that serves all namespaces."""


def lease_rules(lease: str) -> tuple[Rule, ...]:
    """Rights in the operator's own namespace: to hold its one Lease."""
    group, resource = "coordination.k8s.io", ("leases",)
    return (
        Rule(
            group, resource, ("create",), "the first replica makes the Lease (a name cannot bound a create)"
        ),
        Rule(group, resource, ("get", "update"), "renewal by the holder", (lease,)),
    )


def cluster_role(name: str = "qdrant-operator") -> dict[str, Any]:
    """ClusterRole of an operator that serves all namespaces (its Lease needs `lease_role` beside it)."""
    return _role("ClusterRole", {"name": name}, (*WORK, *EVERYWHERE))


def role(name: str, namespace: str) -> dict[str, Any]:
    """Role in one served namespace, for an operator that serves a list of them."""
    return _role("Role", {"name": name, "namespace": namespace}, WORK)


def lease_role(name: str, namespace: str, lease: str) -> dict[str, Any]:
    """Role in the operator's own namespace for its Lease."""
    return _role("Role", {"name": name, "namespace": namespace}, lease_rules(lease))


def bound(role: dict[str, Any], account: str, namespace: str) -> dict[str, Any]:
    """Binding of a role made here to a service account; same name and namespace as the role."""
    return {
        "apiVersion": role["apiVersion"],
        "kind": f"{role['kind']}Binding",
        "metadata": dict(role["metadata"]),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": role["kind"],
            "name": role["metadata"]["name"],
        },
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }


def _role(kind: str, metadata: dict[str, str], rules: Iterable[Rule]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "rules": [rule.manifest() for rule in rules],
    }

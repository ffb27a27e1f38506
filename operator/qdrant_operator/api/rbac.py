"""Permissions of the operator. The chart's rules are compared with them, and the tests run with them.

Pure data, no I/O. Least privilege: each verb is used by a request of the operator, and each rule has its reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

GROUP: Final = "qdrantoperator.dev"
_WATCHED: Final = ("get", "list", "watch")
_KEPT: Final = ("get", "list", "watch", "create", "patch")
"""Created and restored, never deleted by the operator: Kubernetes deletes them with their owner."""
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
        """The rule as an entry of `rules:`."""
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
        "of users' objects the operator writes only the status",
    ),
    Rule(
        GROUP,
        ("qdrantcollections", "qdrantsnapshots"),
        ("patch",),
        "a finalizer, if a deletion requires clean-up",
    ),
    Rule(
        GROUP,
        ("qdrantsnapshots",),
        ("create", "delete"),
        "schedules create snapshots, retention deletes them",
    ),
    Rule(
        GROUP,
        tuple(f"{kind}/finalizers" for kind in _KINDS),
        ("update",),
        "owner references that block the owner's deletion, where the API server checks that right (OpenShift)",
    ),
    Rule("", ("configmaps", "secrets", "serviceaccounts", "services"), _KEPT, "parts of a QdrantCluster"),
    Rule("", ("namespaces",), ("get",), "the deletion of a namespace deletes no backups"),
    Rule(
        "",
        ("pods",),
        (*_WATCHED, "patch", "delete"),
        "labels that put a pod into the Service or take it out; rolling restarts",
    ),
    Rule(
        "",
        ("persistentvolumeclaims",),
        (*_WATCHED, "patch", "delete"),
        "an existing volume prevents a second formation, and is marked; the volume of a removed peer is deleted",
    ),
    Rule("apps", ("statefulsets",), _KEPT, "runs the peers; created, restored, and scaled"),
    Rule(
        "batch",
        ("jobs",),
        (*_WATCHED, "create", "delete"),
        "runs a snapshot; deleted if it does not start or end, or if its snapshot is deleted",
    ),
    Rule("policy", ("poddisruptionbudgets",), _KEPT, "one voluntary disruption at a time"),
    Rule(
        "networking.k8s.io",
        ("networkpolicies",),
        (*_KEPT, "delete"),
        "which clients reach the peers; deleted when spec.networkPolicy.enabled is set to false",
    ),
    Rule(
        "discovery.k8s.io",
        ("endpointslices",),
        ("list",),
        "whether the Service still lists a pod that is to be stopped",
    ),
    Rule(
        "events.k8s.io",
        ("events",),
        ("create", "list", "patch"),
        "Events of the operator; why a controller cannot create the pods of a StatefulSet or Job",
    ),
)
"""Permissions in all namespaces, or in each of the watched namespaces."""

EVERYWHERE: Final = (
    Rule(
        "apiextensions.k8s.io",
        ("customresourcedefinitions",),
        ("list", "watch"),
        "kopf waits for the operator's kinds",
    ),
)
"""Additional permissions of an operator that watches all namespaces."""


def lease_rules(lease: str) -> tuple[Rule, ...]:
    """Permissions in the operator's own namespace, for its Lease."""
    group, resource = "coordination.k8s.io", ("leases",)
    return (
        Rule(
            group,
            resource,
            ("create",),
            "the first replica creates the Lease (create cannot be limited to a name)",
        ),
        Rule(group, resource, ("get", "update"), "renewal by the holder", (lease,)),
    )


def cluster_role(name: str = "qdrant-operator") -> dict[str, Any]:
    """ClusterRole of an operator that watches all namespaces (its Lease requires `lease_role` in addition)."""
    return _role("ClusterRole", {"name": name}, (*WORK, *EVERYWHERE))


def role(name: str, namespace: str) -> dict[str, Any]:
    """Role in one watched namespace, for an operator that watches a list of namespaces."""
    return _role("Role", {"name": name, "namespace": namespace}, WORK)


def lease_role(name: str, namespace: str, lease: str) -> dict[str, Any]:
    """Role in the operator's own namespace for its Lease."""
    return _role("Role", {"name": name, "namespace": namespace}, lease_rules(lease))


def bound(role: dict[str, Any], account: str, namespace: str) -> dict[str, Any]:
    """Binding of one of these roles to a ServiceAccount; it has the role's name and namespace."""
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

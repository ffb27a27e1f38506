"""The operator's rights: the chart grants exactly what `qdrant_operator.api.rbac` lists, to its own account."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest

from qdrant_operator.adapters.kubernetes.store import OWNED
from qdrant_operator.api import rbac
from qdrant_operator.api.kinds import KINDS
from tests.chart.helm import of_kind, only, render

Right = tuple[str, str, str, str]
"""Group, resource, verb, name."""


def rights(rules: Iterable[dict[str, Any]]) -> set[Right]:
    """Every single right that the rules grant."""
    return {
        right
        for rule in rules
        for right in product(
            rule["apiGroups"], rule["resources"], rule["verbs"], rule.get("resourceNames", [""])
        )
    }


def test_cluster_role_is_the_list() -> None:
    """A cluster-wide install grants the listed rights and not one more."""
    rendered = only(render({"rbac": {"aggregate": False}}), "ClusterRole")
    assert rights(rendered["rules"]) == rights(rbac.cluster_role()["rules"])


@pytest.mark.parametrize("namespace", ["a", "b"])
def test_role_in_each_namespace_is_the_list(namespace: str) -> None:
    """A namespaced install grants the listed rights in each namespace it serves."""
    found = [
        one
        for one in of_kind(render({"watchNamespaces": ["a", "b"]}), "Role")
        if one["metadata"]["namespace"] == namespace
    ]
    assert [rights(one["rules"]) for one in found] == [rights(rbac.role("x", namespace)["rules"])]


@pytest.mark.parametrize("name", ["", "other"])
def test_lease_rights_are_for_one_lease(name: str) -> None:
    """The Lease's rights are in the operator's own namespace, and all but its creation name that one Lease."""
    objects = render({"leaderElection": {"leaseName": name}})
    lease = name or "operator-qdrant-operator"
    found = next(one for one in of_kind(objects, "Role") if one["metadata"]["name"].endswith("-lease"))
    assert found["metadata"]["namespace"] == "ops"
    assert rights(found["rules"]) == rights(rbac.lease_role("x", "ops", lease)["rules"])


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["a"]}], ids=str)
def test_every_role_is_bound_to_the_operator(values: dict[str, Any]) -> None:
    """Each role has a binding, and only the service account of the pods is bound."""
    objects = render(values)
    account = only(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    for kind in ("Role", "ClusterRole"):
        for role in (one for one in of_kind(objects, kind) if not aggregated_to(one)):
            wanted = rbac.bound(role, account, "ops")
            bindings = of_kind(objects, f"{kind}Binding")
            assert any(
                (one["roleRef"], one["subjects"], one["metadata"].get("namespace"))
                == (wanted["roleRef"], wanted["subjects"], wanted["metadata"].get("namespace"))
                for one in bindings
            ), role["metadata"]


def aggregated_to(role: dict[str, Any]) -> set[str]:
    """Kubernetes' own roles that take this one in."""
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    return {key.removeprefix(prefix) for key in role["metadata"]["labels"] if key.startswith(prefix)}


def test_users_get_our_kinds_and_no_records() -> None:
    """View reads, edit and admin write too; none of them writes status or finalizers, and nothing else is granted."""
    roles = [one for one in of_kind(render(), "ClusterRole") if aggregated_to(one)]
    granted = {frozenset(aggregated_to(one)): rights(one["rules"]) for one in roles}
    plurals = {kind.plural for kind in KINDS}
    reads, writes = {"get", "list", "watch"}, {"create", "update", "patch", "delete", "deletecollection"}
    assert granted == {
        frozenset({"view", "edit", "admin"}): set(product(["qdrantoperator.dev"], plurals, reads, [""])),
        frozenset({"edit", "admin"}): set(product(["qdrantoperator.dev"], plurals, writes, [""])),
    }


def test_nothing_by_wildcard_and_nothing_that_gives_rights() -> None:
    """No wildcard, no right to change roles, to impersonate, to run commands in pods or to read their logs."""
    granted = rights(rbac.cluster_role()["rules"])
    assert not [right for right in granted if "*" in right]
    assert not [right for right in granted if right[0] == "rbac.authorization.k8s.io"]
    assert not [
        right for right in granted if right[2] in ("impersonate", "escalate", "bind", "deletecollection")
    ]
    assert not [right for right in granted if right[1].startswith("pods/")]


def test_data_cannot_be_deleted() -> None:
    """No right to delete StatefulSets, Secrets or users' clusters; claims only of peers that were removed."""
    deletes = {resource for _, resource, verb, _ in rights(rbac.cluster_role()["rules"]) if verb == "delete"}
    assert deletes == {"pods", "jobs", "qdrantsnapshots", "persistentvolumeclaims", "networkpolicies"}


def test_users_specs_cannot_be_written() -> None:
    """On QdrantClusters and schedules only status is writable: their specs belong to users."""
    granted = rights(rbac.cluster_role()["rules"])
    for plural in ("qdrantclusters", "qdrantsnapshotschedules"):
        verbs = {verb for _, resource, verb, _ in granted if resource == plural}
        assert verbs == {"get", "list", "watch"}


def test_everything_watched_may_be_watched() -> None:
    """Each kind that informers or kopf watch may be listed and watched, and each of our kinds' status patched."""
    granted = {(resource, verb) for _, resource, verb, _ in rights(rbac.cluster_role()["rules"])}
    watched = [kind.plural for kind in OWNED] + [kind.plural for kind in KINDS]
    assert {(plural, verb) for plural in watched for verb in ("list", "watch")} <= granted
    assert {(f"{kind.plural}/status", "patch") for kind in KINDS} <= granted

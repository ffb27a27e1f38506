"""What the chart grants and refuses, asked of a real API server: its roles, and its opt-in admission policies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sandbox.kubectl import kubectl
from tests.chart.helm import Manifest, of_kind, render
from tests.integration.support.kube import eventually

WORKS = "works"
"""Namespace in which the policies hold."""
ELSEWHERE = "elsewhere"
"""Another one."""
OPERATOR = "system:serviceaccount:ops:operator-qdrant-operator"
REPOSITORY = "registry.example.com/qdrant"
KEY = {"auth": {"apiKey": {"secretRef": {"name": "own", "key": "api-key"}}}}
FOREIGN = {"auth": {"apiKey": {"secretRef": {"name": "foreign", "key": "api-key"}}}}
CLUSTERS: dict[str, tuple[Manifest, str]] = {
    "an API key": (FOREIGN, "spec.auth.apiKey.secretRef"),
    "a read-only key": (
        {"auth": {"readOnlyApiKey": {"secretRef": {"name": "foreign", "key": "k"}}}},
        "spec.auth.readOnlyApiKey.secretRef",
    ),
    "the last of many pull secrets": (
        {"image": {"repository": REPOSITORY, "pullSecrets": [{"name": "own"}] * 15 + [{"name": "foreign"}]}},
        "spec.image.pullSecrets",
    ),
    "a ServiceAccount": (
        {"podTemplate": {"spec": {"serviceAccountName": "foreign"}}},
        "spec.podTemplate.spec.serviceAccountName",
    ),
    "annotations": (
        {"podTemplate": {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "admin"}}}},
        "spec.podTemplate:",
    ),
    "tolerations": (
        {"podTemplate": {"spec": {"tolerations": [{"operator": "Exists"}]}}},
        "spec.podTemplate:",
    ),
    "an image": ({"image": {"repository": "evil.example.com/qdrant"}}, "spec.image.repository"),
}
"""What alice may not use, and the field that the refusal names."""
RULES = [
    {
        "apiGroups": ["qdrantoperator.dev"],
        "resources": ["qdrantclusters", "qdrantsnapshots", "qdrantsnapshotschedules"],
        "verbs": ["get", "create", "update", "patch"],
    },
    {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["own"], "verbs": ["get"]},
    {
        "apiGroups": [""],
        "resources": ["serviceaccounts"],
        "resourceNames": ["own"],
        "verbs": ["impersonate"],
    },
]
"""What alice may."""
STATUS_READER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "kubectl", "namespace": WORKS},
    "rules": [
        {"apiGroups": ["qdrantoperator.dev"], "resources": ["qdrantsnapshots/status"], "verbs": ["get"]},
    ],
}
"""kubectl reads a status before it patches it; the operator does not, so the chart does not grant it."""


@pytest.fixture(scope="module")
def server(with_our_kinds: Path) -> Iterator[Path]:
    """A server with our kinds, the chart's roles, and its policies in one namespace."""
    values = {
        "watchNamespaces": [WORKS],
        "admissionPolicy": {"enabled": True, "imageRepositories": [REPOSITORY, "docker.io/"]},
    }
    guarded = render(values)
    objects = [
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": one}} for one in (WORKS, ELSEWHERE)),
        *of_kind(render(), "ClusterRole"),
        *of_kind(guarded, "ValidatingAdmissionPolicy"),
        *of_kind(guarded, "ValidatingAdmissionPolicyBinding"),
        *(alices_role(namespace) for namespace in (WORKS, ELSEWHERE)),
        *(bound("alice", {"kind": "Role", "name": "alice"}, namespace=one) for one in (WORKS, ELSEWHERE)),
        bound("olive", {"kind": "ClusterRole", "name": "operator-qdrant-operator"}, OPERATOR),
        STATUS_READER,
        bound("kubectl", {"kind": "Role", "name": "kubectl"}, OPERATOR),
        bound("edith", {"kind": "ClusterRole", "name": "edit"}),
        bound("vera", {"kind": "ClusterRole", "name": "view"}),
        bound("adam", {"kind": "ClusterRole", "name": "admin"}),
    ]
    text = yaml.safe_dump_all(objects)
    kubectl(with_our_kinds, "apply", "--server-side", "-f", "-", stdin=text)
    eventually(lambda: "spec.auth.apiKey" in refused(with_our_kinds, cluster(FOREIGN)), 60)
    yield with_our_kinds
    kubectl(with_our_kinds, "delete", "--wait=false", "-f", "-", stdin=text)


def named(name: str) -> Manifest:
    """Metadata in the namespace of the test."""
    return {"name": name, "namespace": WORKS}


def alices_role(namespace: str) -> Manifest:
    """What alice may."""
    meta = {"name": "alice", "namespace": namespace}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta, "rules": RULES}


def bound(name: str, role: Manifest, user: str = "", namespace: str = WORKS) -> Manifest:
    """A RoleBinding."""
    subject = {"kind": "User", "name": user or name, "apiGroup": "rbac.authorization.k8s.io"}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", **role},
        "subjects": [subject],
    }


def cluster(spec: Manifest, name: str = "vectors") -> Manifest:
    """A QdrantCluster."""
    return of("QdrantCluster", {"version": "v1.19.0", **spec}, name)


def of(kind: str, spec: Manifest, name: str = "vectors") -> Manifest:
    """An object of ours."""
    return {
        "apiVersion": "qdrantoperator.dev/v1alpha1",
        "kind": kind,
        "metadata": named(name),
        "spec": spec,
    }


def snapshot(secret: str) -> Manifest:
    """Spec of a QdrantSnapshot with the keys of its bucket in a Secret."""
    s3 = {"bucket": "backups", "credentials": {"secretRef": {"name": secret}}}
    return {"clusterRef": {"name": "vectors"}, "storage": {"s3": s3}}


def apply(server: Path, body: Manifest, *args: str, user: str = "alice") -> str:
    """Apply an object as a user, without keeping it."""
    return kubectl(
        server, "--as", user, "create", "--dry-run=server", "-f", "-", *args, stdin=yaml.safe_dump(body)
    )


def refused(server: Path, body: Manifest, user: str = "alice") -> str:
    """Why an object is refused; empty when it is not."""
    try:
        apply(server, body, user=user)
    except RuntimeError as error:
        return str(error)
    return ""


def can(server: Path, user: str, verb: str, what: str) -> bool:
    """Whether a user has a right in the namespace."""
    resource, _, part = what.partition("/")  # to kubectl a slash would mean the object of that name
    asked = (resource, f"--subresource={part}") if part else (resource,)
    try:
        return kubectl(server, "--as", user, "-n", WORKS, "auth", "can-i", verb, *asked).strip() == "yes"
    except RuntimeError:  # kubectl's exit code for no
        return False


@pytest.mark.parametrize("case", CLUSTERS)
def test_a_cluster_cannot_use_what_its_author_may_not(server: Path, case: str) -> None:
    """The refusal names the field; an administrator may."""
    spec, field = CLUSTERS[case]
    assert field in refused(server, cluster(spec))
    if field != "spec.image.repository":
        assert refused(server, cluster(spec), user="") == ""


def test_a_cluster_may_use_what_its_author_may(server: Path) -> None:
    """Its own Secrets and ServiceAccount, sixteen pull secrets, and an image of the list."""
    spec = {
        **KEY,
        "image": {"repository": REPOSITORY, "pullSecrets": [{"name": "own"}] * 16},
        "podTemplate": {"spec": {"serviceAccountName": "own"}, "metadata": {"labels": {"team": "search"}}},
    }
    assert refused(server, cluster(spec)) == ""
    assert refused(server, cluster({})) == ""


@pytest.mark.parametrize("kind", ["QdrantSnapshot", "QdrantSnapshotSchedule"])
def test_a_snapshot_cannot_use_a_foreign_account(server: Path, kind: str) -> None:
    """The keys of a bucket are a Secret like any other."""
    more = {"schedule": "@daily"} if kind == "QdrantSnapshotSchedule" else {}
    assert "spec.storage.s3.credentials.secretRef" in refused(
        server, of(kind, {**snapshot("foreign"), **more})
    )
    assert refused(server, of(kind, {**snapshot("own"), **more})) == ""


def test_the_operator_is_never_held_up(server: Path) -> None:
    """Its writes to status and finalizers pass, on objects that their authors may not have written."""
    body = of("QdrantSnapshot", snapshot("foreign"), "held")
    kubectl(server, "create", "-f", "-", stdin=yaml.safe_dump(body))
    ours = ("--as", OPERATOR, "-n", WORKS, "patch", "qdrantsnapshot", "held", "--type=merge", "-p")
    kubectl(server, *ours, '{"metadata": {"finalizers": ["qdrantoperator.dev/finalizer"]}}')
    kubectl(server, *ours, '{"status": {"phase": "Running"}}', "--subresource=status")
    kubectl(server, *ours, '{"metadata": {"finalizers": null}}')
    kubectl(server, "-n", WORKS, "delete", "qdrantsnapshot", "held")


def test_a_label_is_not_a_new_spec(server: Path) -> None:
    """What leaves the spec as it was is not looked at; what changes it is, with all that was there."""
    kubectl(server, "create", "-f", "-", stdin=yaml.safe_dump(cluster(FOREIGN, "kept")))
    alices = ("--as", "alice", "-n", WORKS, "patch", "qdrantcluster", "kept", "--type=merge", "-p")
    kubectl(server, *alices, '{"metadata": {"labels": {"team": "search"}}}')
    with pytest.raises(RuntimeError, match=r"spec\.auth\.apiKey"):
        kubectl(server, *alices, '{"spec": {"replicas": 5}}')
    kubectl(server, "-n", WORKS, "delete", "qdrantcluster", "kept")


GRANTS: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "vera": (("list", "qdrantclusters", True), ("create", "qdrantclusters", False)),
    "edith": (
        ("create", "qdrantclusters", True),
        ("delete", "qdrantsnapshots", True),
        ("patch", "qdrantclusters/status", False),
        ("update", "qdrantclusters/finalizers", False),
    ),
    "adam": (
        ("list", "qdrantsnapshotschedules", True),
        ("patch", "qdrantcollections", True),
        ("update", "qdrantsnapshots/status", False),
    ),
}


@pytest.mark.parametrize("user", GRANTS)
def test_kubernetes_own_roles_know_our_kinds(server: Path, user: str) -> None:
    """View reads, edit and admin write; nobody writes the operator's records in status."""
    verb, what, _ = GRANTS[user][0]
    eventually(lambda: can(server, user, verb, f"{what}.qdrantoperator.dev"), 30)
    for verb, what, allowed in GRANTS[user]:
        plural, _, subresource = what.partition("/")
        full = f"{plural}.qdrantoperator.dev" + (f"/{subresource}" if subresource else "")
        assert can(server, user, verb, full) is allowed, f"{verb} {what}"


def test_a_list_of_namespaces_bounds_the_policies(server: Path) -> None:
    """Elsewhere another install decides."""
    body = cluster(FOREIGN)
    body["metadata"]["namespace"] = ELSEWHERE
    assert refused(server, body) == ""

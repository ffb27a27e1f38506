"""The CRDs on a real API server: what is accepted, what is refused and in which words, what kubectl shows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qdrant_operator.api.kinds import KINDS, CustomKind
from sandbox.cluster import Sandbox
from sandbox.kubectl import kubectl
from tests.api.manifests import FULL, LEAST, STATUS, least, manifest
from tests.api.rule_changes import BOUNDS
from tests.api.rules import Case, cases
from tests.contract.api_client import ApiClient

ROOT = Path(__file__).parents[3]
PLURALS = {kind.kind: kind.plural for kind in KINDS}
BY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
CASES = tuple(cases())


@pytest.fixture(scope="module")
def crds(sandbox: Sandbox) -> Sandbox:
    """The sandbox with our CRDs, applied as a user would."""
    kubectl(sandbox.kubeconfig, "apply", "-f", str(ROOT / "crds"))
    for plural in PLURALS.values():
        crd = f"crd/{plural}.qdrantoperator.dev"
        kubectl(sandbox.kubeconfig, "wait", "--for=condition=Established", crd, "--timeout=30s")
    return sandbox


@pytest.fixture(scope="module")
def room(crds: Sandbox) -> Iterator[str]:
    """One namespace for the whole module: making one for each case would take most of the time."""
    name = f"test-{secrets.token_hex(4)}"
    kubectl(crds.kubeconfig, "create", "namespace", name)
    yield name
    kubectl(crds.kubeconfig, "delete", "namespace", name, "--wait=false")


@pytest.fixture
def api(crds: Sandbox, room: str) -> Iterator[ApiClient]:
    """A client for the module's namespace that leaves it empty."""
    client = ApiClient(crds.kubeconfig, room)
    yield client
    client.clean()


def _answer(api: ApiClient, case: Case) -> tuple[int, dict[str, Any]]:
    plural = PLURALS[case.kind]
    if case.before is None:
        return api.create(plural, case.manifest, dry_run=True)
    code, stood = api.create(plural, case.before)
    assert code == 201, stood
    meta = {**case.manifest["metadata"], "resourceVersion": stood["metadata"]["resourceVersion"]}
    return api.replace(plural, {**case.manifest, "metadata": meta}, dry_run=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule[:50]}-{case.accepted}")
def test_rules_accept_and_refuse(api: ApiClient, case: Case) -> None:
    """Each rule lets its good manifests pass, and refuses the bad ones with its own message."""
    code, body = _answer(api, case)
    if case.refused is None:
        assert code in {200, 201}, body["message"]
    else:
        assert code == 422
        assert case.refused in body["message"]


@pytest.mark.parametrize(
    ("field", "beyond"), BOUNDS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_bounds_name_the_field(api: ApiClient, field: str, beyond: dict[str, Any]) -> None:
    """What a schema bound refuses is answered with the path of the field."""
    code, body = api.create(PLURALS[beyond["kind"]], beyond, dry_run=True)
    assert code == 422
    assert field in body["message"]


@BY_KIND
def test_unknown_fields_are_refused(api: ApiClient, kind: CustomKind) -> None:
    """A misspelt field is told by its path, as kubectl asks for by default."""
    code, body = api.create(kind.plural, least(kind.kind, replicsa=3), dry_run=True)
    assert code == 400
    assert 'unknown field "spec.replicsa"' in body["message"]


@BY_KIND
def test_nothing_that_is_declared_gets_lost(api: ApiClient, kind: CustomKind) -> None:
    """A manifest that sets every field is stored as it is."""
    for spec in FULL[kind.kind]:
        code, stored = api.create(kind.plural, manifest(kind.kind, spec), dry_run=True)
        assert code == 201, stored["message"]
        assert _without_filled(stored["spec"], spec) == spec


@BY_KIND
def test_the_server_fills_in_what_the_model_assumes(api: ApiClient, kind: CustomKind) -> None:
    """The stored least manifest reads as the written one."""
    _, stored = api.create(kind.plural, least(kind.kind), dry_run=True)
    assert kind.spec.model_validate(stored["spec"]) == kind.spec.model_validate(LEAST[kind.kind])


@BY_KIND
def test_a_status_is_stored_as_it_was_reported(api: ApiClient, kind: CustomKind) -> None:
    """The server neither drops nor adds anything in a status, so comparing it with the last one is right."""
    _, stored = api.create(kind.plural, least(kind.kind))
    code, reported = api.replace(kind.plural, {**stored, "status": STATUS[kind.kind]}, subresource="/status")
    assert code == 200, reported["message"]
    assert reported["status"] == STATUS[kind.kind]


def _without_filled(stored: Any, written: Any) -> Any:
    """Stored fields without those that the server filled in."""
    if isinstance(stored, dict) and isinstance(written, dict):
        return {key: _without_filled(value, written[key]) for key, value in stored.items() if key in written}
    return stored


COLUMNS = {
    "qdc": ["NAME", "VERSION", "PEERS", "SHARDS", "STATUS", "AGE"],
    "qcol": ["NAME", "CLUSTER", "POINTS", "SHARDS", "STATUS", "AGE"],
    "qss": ["NAME", "CLUSTER", "SCHEDULE", "SUSPEND", "LAST", "NEXT", "AGE"],
    "qsnap": ["NAME", "CLUSTER", "STATUS", "PROGRESS", "POINTS", "AGE"],
}


@BY_KIND
def test_kubectl_shows_columns_by_short_name(
    crds: Sandbox, room: str, api: ApiClient, kind: CustomKind
) -> None:
    """`kubectl get` knows the short name and shows the columns a user looks for."""
    api.create(kind.plural, least(kind.kind))
    shown = kubectl(crds.kubeconfig, "get", kind.short, "--namespace", room)
    assert shown.splitlines()[0].split() == COLUMNS[kind.short]


def test_kubectl_shows_all_kinds_by_category(crds: Sandbox, room: str, api: ApiClient) -> None:
    """`kubectl get qdrant` lists the objects of every kind."""
    for kind in KINDS:
        api.create(kind.plural, least(kind.kind))
    listed = json.loads(kubectl(crds.kubeconfig, "get", "qdrant", "--namespace", room, "-o", "json"))
    assert {item["kind"] for item in listed["items"]} == set(PLURALS)


def test_kubectl_explains_a_field(crds: Sandbox) -> None:
    """`kubectl explain` gives a field's sentence, its words and its default."""
    told = kubectl(crds.kubeconfig, "explain", "qdc.spec.persistence.whenDeleted")
    assert "Whether the volumes are deleted with the QdrantCluster." in told
    assert "Retain" in told


def test_the_quickstart_is_accepted(crds: Sandbox, room: str) -> None:
    """The command kubectl applies the quickstart, strictly, into any namespace."""
    folder = ROOT / "examples" / "quickstart"
    args = ("apply", "--dry-run=server", "--validate=strict", "--namespace", room, "-f", str(folder))
    told = kubectl(crds.kubeconfig, *args)
    assert told.count("created (server dry run)") == 4


def test_the_example_of_shard_keys_is_accepted(crds: Sandbox, room: str) -> None:
    """The command kubectl applies it, strictly: every CEL rule holds."""
    folder = ROOT / "examples" / "shard-keys"
    args = ("apply", "--dry-run=server", "--validate=strict", "--namespace", room, "-f", str(folder))
    assert "created (server dry run)" in kubectl(crds.kubeconfig, *args)

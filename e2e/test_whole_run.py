"""The whole run, judged by the API server's audit log: rights, pods, users' fields, and what Argo CD makes of statuses.

These go after all the others. What needs every scenario is skipped after a part of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from e2e.environment import namespaces
from e2e.environment.installing import RELEASE
from e2e.environment.kind import Nodes
from e2e.scenario.statuses import Statuses
from e2e.shell import BUILD
from qdrant_operator.api.kinds import GROUP, KINDS
from tests.integration.support.audit import OPERATOR, READS, UNSEEN, events, granted, refused, used

pytestmark = pytest.mark.usefixtures("chart")
ENFORCED = "pod-security.kubernetes.io/enforce-policy"
VIOLATED = "pod-security.kubernetes.io/audit-violations"
"""Annotations of the audit log."""


@pytest.fixture(scope="module")
def whole_run(nodes: Nodes) -> Path:
    """The audit log up to now."""
    return nodes.audit_log()


@pytest.fixture
def of_every_scenario(request: pytest.FixtureRequest) -> None:
    """Skip after a part of the scenarios."""
    option, there = request.config.option, {one.name for one in Path(__file__).parent.glob("test_*.py")}
    if option.keyword or option.markexpr or {item.path.name for item in request.session.items} != there:
        pytest.skip("judges a run of every scenario: `make e2e`")


def test_rights_are_used_and_enough(whole_run: Path, of_every_scenario: None) -> None:
    """Granted minus used is empty, and nothing that was asked for was refused."""
    assert sorted(granted(RELEASE) - used(whole_run) - UNSEEN.keys()) == []
    assert refused(whole_run) == []


def test_every_pod_was_restricted(whole_run: Path) -> None:
    """Each pod in a namespace of a scenario, or of the operator, was let in by the restricted standard."""
    notes = [event.get("annotations") or {} for event in events(whole_run) if _is_new_pod(event)]
    assert len(notes) > 5
    assert {note.get(ENFORCED) for note in notes} == {"restricted:latest"}
    assert [note[VIOLATED] for note in notes if VIOLATED in note] == []


def test_users_fields_were_never_written(whole_run: Path) -> None:
    """On objects that users write the operator wrote status and its finalizer, and nothing else."""
    wrong = [text for event in events(whole_run) if (text := _trespass(event))]
    assert wrong == []
    writes = [event for event in events(whole_run) if _is_own_write(event)]
    assert any(event["objectRef"].get("subresource") == "status" for event in writes)


def test_argo_cd_can_judge_every_status(whole_run: Path) -> None:
    """Argo CD's checks have a word and a sentence for every status of this run; one of each kind is saved."""
    statuses = Statuses(BUILD / "statuses")
    judged = [statuses.see(event["responseObject"]) for event in events(whole_run) if _is_status(event)]
    assert {one.status for one in judged} >= {"Healthy", "Progressing"}
    assert all(one.message for one in judged)
    print(f"{len(judged)} statuses, of {len(statuses.saved)} sorts, in {statuses.folder}")


def _is_new_pod(event: dict[str, Any]) -> bool:
    """A pod that was made in a namespace of a scenario, or of the operator."""
    about = event.get("objectRef") or {}
    made = event["verb"] == "create" and (event.get("responseStatus") or {}).get("code") == 201
    pod = about.get("resource") == "pods" and "subresource" not in about
    ours = (
        str(about.get("namespace", "")).startswith(("home-", "shop"))
        or about.get("namespace") == namespaces.OPERATOR
    )
    return made and pod and ours and "dryRun" not in event["requestURI"]


def _is_own_write(event: dict[str, Any]) -> bool:
    about = event.get("objectRef") or {}
    done = (event.get("responseStatus") or {}).get("code", 500) < 300
    own = event["user"].get("username") == OPERATOR and about.get("apiGroup") == GROUP
    return own and done and event["verb"] not in READS


def _trespass(event: dict[str, Any]) -> str:
    """What the operator wrote on a user's object and must not; empty where it wrote what it may."""
    if not _is_own_write(event):
        return ""
    about, body = event["objectRef"], event.get("requestObject") or {}
    makes = about["resource"] == "qdrantsnapshots" and event["verb"] in ("create", "delete")
    meta = set(body.get("metadata") or ()) - {"resourceVersion"}
    status = about.get("subresource") == "status" and set(body) <= {"metadata", "status"} and not meta
    finalizer = "subresource" not in about and set(body) == {"metadata"} and meta == {"finalizers"}
    patched = event["verb"] == "patch" and (status or finalizer)
    return "" if makes or patched else f"{event['verb']} {event['requestURI']}: {json.dumps(body)[:400]}"


def _is_status(event: dict[str, Any]) -> bool:
    """A status of one of our objects, as the API server stored it."""
    about = event.get("objectRef") or {}
    plurals = {kind.plural for kind in KINDS}
    return _is_own_write(event) and about["resource"] in plurals and about.get("subresource") == "status"

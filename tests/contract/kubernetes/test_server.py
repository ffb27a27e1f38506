"""Facts that only the real API server can show: schemas, permissions, Events, credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from qdrant_operator.adapters.kubernetes.client import HttpKubernetes, list_all
from qdrant_operator.adapters.kubernetes.credentials import load_api_server, open_session
from qdrant_operator.adapters.kubernetes.events import Events
from qdrant_operator.adapters.kubernetes.store import Store
from qdrant_operator.adapters.kubernetes.transport import Transport
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.cluster import Sandbox
from sandbox.kubectl import kubectl
from tests.contract.kubernetes.worlds import config_map


@pytest.fixture
async def transport(sandbox: Sandbox) -> AsyncIterator[Transport]:
    """A way to the real API server, with every right."""
    server = await load_api_server(str(sandbox.kubeconfig))
    async with open_session(server) as session:
        yield Transport(session, server.url)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"date": {"b": "2"}}, r"\.date: field not declared in schema"),
        ({"data": ["a list"]}, r"\.data: expected map"),
        ({"data": {"a b": "2"}}, "a valid config key must consist of"),
    ],
    ids=["unknown field", "wrong type", "invalid value"],
)
async def test_a_wrong_field_is_refused_by_name(
    transport: Transport, namespace: str, change: Manifest, says: str
) -> None:
    """A mistake in what we apply is an error that names the field, never dropped in silence, never retried."""
    wanted = {**config_map(namespace, "settings", {"a": "1"}), **change}
    kubernetes = HttpKubernetes(transport, Store())
    with pytest.raises(Refused, match=says) as refused:
        await kubernetes.apply(wanted)

    assert refused.value.reason == "Invalid"
    assert await kubernetes.read(Kind.CONFIG_MAP, namespace, "settings") is None


async def test_a_missing_permission_says_which(sandbox: Sandbox, namespace: str) -> None:
    """An account without rights reads in the refusal what it lacks, and where."""
    kubectl(sandbox.kubeconfig, "create", "serviceaccount", "nobody", "--namespace", namespace)
    server = await load_api_server(str(sandbox.kubeconfig_for(namespace, "nobody")))
    async with open_session(server) as session:
        kubernetes = HttpKubernetes(Transport(session, server.url), Store())
        with pytest.raises(Refused) as refused:
            await kubernetes.apply(config_map(namespace, "settings", {}))

    assert refused.value.reason == "Forbidden"
    assert "not allowed to patch configmaps" in refused.value.message
    assert f"system:serviceaccount:{namespace}:nobody" in refused.value.message


async def test_apply_into_a_namespace_that_is_going_away_says_so(
    sandbox: Sandbox, transport: Transport, namespace: str
) -> None:
    """Creating there is refused with a reason of its own: nobody has to grant anything."""
    kubernetes = HttpKubernetes(transport, Store())
    held = config_map(namespace, "held", {})
    held["metadata"]["finalizers"] = ["qdrantoperator.dev/test"]
    await kubernetes.apply(held)
    kubectl(sandbox.kubeconfig, "delete", "namespace", namespace, "--wait=false")
    try:
        with pytest.raises(Refused) as refused:
            await kubernetes.apply(config_map(namespace, "settings", {}))
        assert refused.value.reason == "NamespaceTerminating"
    finally:
        await kubernetes.patch(Kind.CONFIG_MAP, namespace, "held", {"metadata": {"finalizers": None}})


async def test_the_server_pages_a_long_list(transport: Transport, namespace: str) -> None:
    """Seven objects in pages of three are seven objects."""
    kubernetes = HttpKubernetes(transport, Store())
    for number in range(7):
        await kubernetes.create(config_map(namespace, f"settings-{number}", {}, page="yes"))
    items, taken_at = await list_all(
        transport, Kind.CONFIG_MAP, namespace, {"labelSelector": "page=yes"}, page=3
    )

    assert [item["metadata"]["name"] for item in items] == [f"settings-{n}" for n in range(7)]
    assert taken_at >= max(int(item["metadata"]["resourceVersion"]) for item in items)


class _Clock:
    moment = datetime.now(UTC)

    def now(self) -> datetime:
        return self.moment


async def test_events_are_accepted_and_counted(
    sandbox: Sandbox, transport: Transport, namespace: str
) -> None:
    """The server takes our Event and its series, and kubectl shows it at the object."""
    about = await HttpKubernetes(transport, Store()).create(config_map(namespace, "settings", {}))
    clock = _Clock()
    events = Events(transport, clock, "operator-0")
    for _ in range(2):
        await events.emit(about, kind="Warning", reason="BucketUnreachable", message="no bucket 'backups'")
        clock.moment += timedelta(seconds=31)

    items, _ = await list_all(transport, Kind.EVENT, namespace, {})
    (event,) = [item for item in items if item["reason"] == "BucketUnreachable"]
    assert event["series"]["count"] == 2
    described = kubectl(sandbox.kubeconfig, "describe", "configmap", "settings", "-n", namespace)
    assert "BucketUnreachable" in described
    assert "no bucket 'backups'" in described


async def test_a_token_that_the_server_refuses_is_read_again(
    sandbox: Sandbox, namespace: str, tmp_path: Path
) -> None:
    """After a 401 the next request carries what the token file holds by then."""
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    token = config["users"][0]["user"].pop("token")
    (tmp_path / "token").write_text("long-expired")
    config["users"][0]["user"]["tokenFile"] = str(tmp_path / "token")
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    server = await load_api_server(str(tmp_path / "kubeconfig"))
    async with open_session(server) as session:
        kubernetes = HttpKubernetes(Transport(session, server.url), Store())
        with pytest.raises(Retryable, match="Unauthorized"):
            await kubernetes.apply(config_map(namespace, "settings", {}))
        (tmp_path / "token").write_text(f"{token}\n")
        made = await kubernetes.apply(config_map(namespace, "settings", {}))

    assert made["metadata"]["uid"]


async def test_events_about_one_object_are_found_by_its_uid(transport: Transport, namespace: str) -> None:
    """The server selects by uid, also Events that were written through the older API, as controllers do."""
    kubernetes = HttpKubernetes(transport, Store())
    about = await kubernetes.create(config_map(namespace, "settings", {}))
    await kubernetes.create(config_map(namespace, "other", {}))
    legacy = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "settings.1", "namespace": namespace},
        "involvedObject": {
            "kind": "ConfigMap",
            "namespace": namespace,
            "name": "settings",
            "uid": about["metadata"]["uid"],
        },
        "reason": "FailedCreate",
        "message": "exceeded quota: team",
        "type": "Warning",
        "source": {"component": "job-controller"},
        "lastTimestamp": "2026-11-21T12:00:00Z",
    }
    await transport.write("POST", Kind.EVENT, f"/api/v1/namespaces/{namespace}/events", body=legacy)

    found = await kubernetes.events(namespace, about["metadata"]["uid"])
    assert [(event["reason"], event["note"]) for event in found] == [("FailedCreate", "exceeded quota: team")]
    assert await kubernetes.events(namespace, "no-such-uid") == ()

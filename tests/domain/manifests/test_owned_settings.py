"""No spelling of an owned setting gets past the operator, and no spec costs the thread that serves everybody."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.manifests.config import OWN
from qdrant_operator.domain.manifests.owned_settings import (
    CONFIG_BYTES,
    OWNED,
    check_config,
    check_environment,
    check_size,
    owned_environment,
)
from qdrant_operator.domain.manifests.start_script import START_SCRIPT
from qdrant_operator.domain.manifests.stateful_set import stateful_set
from tests.domain.clusters import desired


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"cluster": {"enabled": False}}, "cluster.enabled"),
        ({"cluster.enabled": False}, "cluster.enabled"),
        ({"cluster.p2p": {"port": 1}}, "cluster.p2p.port"),
        ({"cluster": {"p2p.port": 1}}, "cluster.p2p.port"),
        ({"service.api_key": ""}, "service.api_key"),
        ({"Service": {"Api_Key": "x"}}, "Service.Api_Key"),
        ({"service": {"host": "127.0.0.1"}}, "service.host"),
        ({"storage": {"snapshots_config": {"s3_config": {"secret_key": "x"}}}}, "storage.snapshots_config"),
        ({"storage.snapshots_config.s3_config": {"secret_key": "x"}}, "storage.snapshots_config.s3_config"),
        ({"tls.cert": "x"}, "tls.cert"),
        ({"storage[0]": {}}, "storage[0]"),
    ],
)
def test_an_owned_setting_is_refused_however_it_is_written(config: dict[str, Any], field: str) -> None:
    """Qdrant reads dotted keys as paths; the sentence names what the user wrote."""
    with pytest.raises(Refused) as refused:
        check_config(config)
    assert refused.value.reason == "InvalidConfig"
    assert refused.value.message.startswith(f"spec.config.{field}")


def test_settings_of_users_are_taken() -> None:
    """Also such that begin as an owned one does."""
    check_config(
        {
            "log_level": "DEBUG",
            "service": {"max_request_size_mb": 64, "http_keep_alive_timeout_sec": 10, "enable_cors": False},
            "storage.performance.max_search_threads": 2,
            "storage": {"optimizers": {"default_segment_number": 0}, "wal": {"wal_capacity_mb": 32}},
            "cluster": {"consensus": {"tick_period_ms": 50}},
        }
    )


@pytest.mark.parametrize(
    "name",
    [
        "qdrant__service__api_key",
        "QDRANT__SERVICE__API_KEY",
        "Qdrant__cluster__enabled",
        "QDRANT__SERVICE.API_KEY",
        "POD_IPS",
        "QDRANT_FIRST_POD",
    ],
)
def test_a_variable_that_qdrant_or_the_start_script_reads_is_refused(name: str) -> None:
    """Qdrant lower-cases variables: with `qdrant__service__api_key` empty the server would run open."""
    with pytest.raises(Refused, match=f"env: {name} ") as refused:
        check_environment(["RUST_LOG", name])
    assert refused.value.reason == "InvalidSpec"


def test_every_owned_setting_that_has_a_value_is_in_the_environment_after_what_users_set() -> None:
    """Of all sources of a setting the environment counts last, and of the environment its last entry."""
    cluster = desired(podTemplate={"spec": {"env": [{"name": "RUST_LOG", "value": "debug"}]}})
    (container,) = stateful_set(cluster)["spec"]["template"]["spec"]["containers"]
    names = [one["name"] for one in container["env"]]
    values = {one["name"]: one.get("value") for one in container["env"]}
    owned = dict(owned_environment(OWN))
    assert owned == {name: values[name] for name in owned}
    assert min(names.index(name) for name in owned) > names.index("RUST_LOG")
    assert owned["QDRANT__CLUSTER__ENABLED"] == "true"
    assert owned["QDRANT__STORAGE__SNAPSHOTS_CONFIG__SNAPSHOTS_STORAGE"] == "local"
    paths = {name.removeprefix("QDRANT__").lower().replace("__", ".") for name in owned}
    assert {
        path for path in paths if not any(path == one or path.startswith(f"{one}.") for one in OWNED)
    } == set()


def nested(levels: int) -> dict[str, Any]:
    """A mapping in a mapping, so many times."""
    tree: dict[str, Any] = {}
    for _ in range(levels):
        tree = {"a": tree}
    return tree


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"a": "x" * CONFIG_BYTES}, "more than 64 KiB"),
        ({f"key{n}": n for n in range(5000)}, "more than 64 KiB"),
        ({"a": [[]] * 40_000}, "more than 64 KiB"),
        ({"x" * 70_000: 1}, "more than 64 KiB"),
        (nested(100_000), "more than 16 levels"),
        (nested(20), "more than 16 levels"),
    ],
)
def test_a_configuration_that_is_too_large_is_refused_at_once(config: dict[str, Any], why: str) -> None:
    """1.4 MB took 3 s of the one thread in every pass; to refuse it costs no more than the limit does."""
    with pytest.raises(Refused, match=why) as refused:
        check_config(config)
    assert refused.value.reason == "InvalidConfig"


def test_what_the_check_costs_is_bounded_by_the_limit_and_not_by_the_spec() -> None:
    """Ten times as much is refused as fast: the walk ends at the limit."""

    def seconds(entries: int) -> float:
        tree = {"a": [{"b": "c" * 50} for _ in range(entries)]}
        began = time.perf_counter()
        with pytest.raises(Refused):
            check_size(tree, "spec.config", "InvalidConfig", CONFIG_BYTES, "shorten it")
        return time.perf_counter() - began

    assert min(seconds(200_000) for _ in range(5)) < 20 * min(seconds(2_000) for _ in range(5))


STUB = """#!/bin/sh
printf '%s\\n' "$QDRANT__SERVICE__HOST" "$@"
"""


def started(tmp_path: Path, **environment: str) -> list[str]:
    """What the start script runs: the address Qdrant listens on, then its arguments."""
    root = tmp_path / "qdrant"
    (root / "operator").mkdir(parents=True)
    (root / "init").mkdir()
    (root / "qdrant").write_text(STUB)
    (root / "qdrant").chmod(0o755)
    (root / "operator" / "members").write_text("http://v-0:6335\nhttp://v-1:6335\n")
    env = {"PATH": "/usr/bin:/bin", "POD_NAME": "v-1", "QDRANT_PEER_URI": "http://v-1:6335", **environment}
    script = START_SCRIPT.replace("/qdrant/", f"{root}/").replace("cd /qdrant\n", f"cd {root}\n")
    return subprocess.run(
        ["/bin/sh", "-c", script], env=env, capture_output=True, text=True, check=True, timeout=20
    ).stdout.splitlines()


@pytest.mark.parametrize(
    ("addresses", "host"),
    [
        ("10.244.0.7", "0.0.0.0"),
        ("fd00:10:244::5", "::"),
        ("10.244.0.7,fd00:10:244::5", "::"),
        ("fd00:10:244::5,10.244.0.7", "::"),
    ],
)
def test_a_peer_listens_on_both_families_where_its_pod_has_an_address_of_ipv6(
    tmp_path: Path, addresses: str, host: str
) -> None:
    """Qdrant's default is 0.0.0.0: on a network of IPv6 nobody would reach it, the kubelet's probe included."""
    assert started(tmp_path, POD_IPS=addresses)[0] == host

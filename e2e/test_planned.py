"""What users do on purpose, beside applications that repeat nothing: not one request fails."""

from __future__ import annotations

import time

import pytest
import yaml

from e2e.conftest import Form, Sheet
from e2e.environment import installing, namespaces
from e2e.environment.kubectl import NAME, Kubectl
from e2e.load import under_load
from e2e.scenario.peers import COLLECTION, at_factor, pods, restarts
from e2e.shell import eventually


@pytest.mark.smoke
def test_three_to_five_to_three(home: Kubectl, form: Form, sheet: Sheet) -> None:
    """New peers get their share, leaving ones give theirs back, and applications see neither."""
    form(home)
    for replicas, words in ((5, "scale out: 3 → 5 peers"), (3, "scale in: 5 → 3 peers")):
        with under_load(home) as load:
            began = time.monotonic()
            home.patch("qdrantcluster", NAME, replicas=replicas)
            home.settled(replicas=replicas, seconds=240)
            took = time.monotonic() - began
            at_factor(home, load, 2)
        load.no_failed()
        sheet.row(words, took, load)


def test_replication_factor_one_to_three(home: Kubectl, form: Form, sheet: Sheet) -> None:
    """Each shard gets two more replicas while it is written to and read from."""
    form(home, factor=1)
    with under_load(home) as load:
        began = time.monotonic()
        home.patch("qdrantcollection", COLLECTION, replicationFactor=3)
        eventually(lambda: _wanted(home) == 18, 60, lambda: home.tell("qdrantcluster", NAME))
        home.settled(replicas=3)
        took = time.monotonic() - began
        at_factor(home, load, 3)
    load.no_failed()
    sheet.row("replication factor 1 → 3", took, load)


@pytest.mark.smoke
def test_config_roll(home: Kubectl, form: Form, sheet: Sheet) -> None:
    """A changed spec.config reaches every peer by restarts that nobody notices."""
    form(home)
    before = pods(home)
    with under_load(home) as load:
        began = time.monotonic()
        home.patch("qdrantcluster", NAME, config={"log_level": "WARN"})
        eventually(
            lambda: not set(before.values()) & set(pods(home).values()),
            240,
            lambda: home.tell("qdrantcluster", NAME),
        )
        home.settled(replicas=3)
        took = time.monotonic() - began
        at_factor(home, load, 2)
    load.no_failed()
    for pod in pods(home):
        config = yaml.safe_load(home("exec", pod, "--", "cat", "/qdrant/operator/config.yaml"))
        assert config["log_level"] == "WARN"
    sheet.row("config roll: every peer restarted, one after another", took, load)


@pytest.mark.smoke
def test_chart_upgrade(home: Kubectl, form: Form, sheet: Sheet) -> None:
    """`helm upgrade` replaces the operators; the peers' pods stay as they are, and the new operators act."""
    form(home)
    before = pods(home), restarts(home)
    operators = _operators(home)
    with under_load(home) as load:
        began = time.monotonic()
        installing.upgrade(home, "logLevel=DEBUG", "resources.requests.cpu=60m")
        assert not operators & _operators(home)
        home.patch("qdrantcollection", COLLECTION, replicationFactor=3)
        eventually(lambda: _wanted(home) == 18, 60, lambda: home.tell("qdrantcluster", NAME))
        home.settled(replicas=3)
        took = time.monotonic() - began
        installing.upgrade(home)
    load.no_failed()
    assert (pods(home), restarts(home)) == before
    sheet.row("chart upgrade: operators replaced, then replication factor 2 → 3", took, load)


def _wanted(home: Kubectl) -> int:
    """How many replicas the operator wants."""
    found = home.get("qdrantcluster", NAME) or {}
    return int(found["status"]["shards"]["wanted"])


def _operators(home: Kubectl) -> set[str]:
    found = home.within(namespaces.OPERATOR).all("pods", "app.kubernetes.io/name=qdrant-operator")
    return {pod["metadata"]["uid"] for pod in found if "deletionTimestamp" not in pod["metadata"]}

"""Operators that are killed, frozen, robbed of their Lease or cut off, and an API server that is away.

Data pods need neither: applications notice nothing of any of these, except where a peer is cut off as well.
"""

from __future__ import annotations

import time

import pytest

from e2e.environment.kind import Nodes
from e2e.environment.kubectl import NAME, Kubectl, is_true
from e2e.load import under_load
from e2e.scenario.faults import (
    OPERATOR,
    OPERATORS_SECONDS,
    Record,
    both_ready,
    containers,
    hold,
    holder,
    holdings,
    operator_pods,
    repairs,
    signal_operator,
    true_within,
)
from e2e.scenario.forming import Form
from e2e.sheet import Sheet
from e2e.shell import eventually

KILL_SECONDS = 20.0
AWAY_SECONDS = 30.0
"""How long the API server is away: longer than an operator believes in a Lease that it cannot renew."""


@pytest.fixture(autouse=True)
def leader(chart: None, kubectl: Kubectl) -> str:
    """The acting one of two operators that are ready."""
    return eventually(
        lambda: both_ready(kubectl), OPERATORS_SECONDS, lambda: kubectl.within(OPERATOR)("get", "pods,lease")
    )


def test_drain_while_operators_die(home: Kubectl, form: Form, nodes: Nodes, sheet: Sheet) -> None:
    """Five peers become three while the acting operator is killed every 20 s: no request fails, no two act."""
    form(home, replicas=5)
    record = Record.begin(nodes)
    with under_load(home) as load:
        began = time.monotonic()
        home.patch("qdrantcluster", NAME, replicas=3)
        kills = _kill(home)
        while not true_within(KILL_SECONDS, lambda: _has_shrunk(home, 3)):
            kills += _kill(home)
            assert time.monotonic() - began < 600, home.tell("qdrantcluster", NAME)
        home.settled(replicas=3)
        took = time.monotonic() - began
    load.no_failed()
    assert kills > 1, "the drain was over before the second kill: nothing was shown"
    assert record.out_of_turn() == []
    sheet.row(
        f"operator killed {kills} times, every {KILL_SECONDS:.0f} s, while 5 peers become 3", took, load
    )


def test_frozen_operator(home: Kubectl, form: Form, nodes: Nodes, sheet: Sheet, leader: str) -> None:
    """An operator that stands still is replaced within 30 s; when it goes on it writes nothing and ends itself."""
    form(home)
    frozen, before, record = operator_pods(home)[leader], containers(home), Record.begin(nodes)
    with under_load(home) as load:
        signal_operator(frozen, "STOP")
        took = repairs(home)
        signal_operator(frozen, "CONT")
        eventually(
            lambda: _ended_itself(home, leader), 30, lambda: str(operator_pods(home)[leader]["status"])
        )
        eventually(lambda: both_ready(home), OPERATORS_SECONDS)
        home.settled(replicas=3)
    load.no_failed()
    assert record.out_of_turn() == []
    assert containers(home) == before
    sheet.row("acting operator frozen, and resumed after another one acts", took, load)


def test_stolen_lease(home: Kubectl, form: Form, nodes: Nodes, sheet: Sheet, leader: str) -> None:
    """An operator whose Lease somebody took ends itself; an operator acts again within 30 s, and only one."""
    form(home)
    before, record = containers(home), Record.begin(nodes)
    with under_load(home) as load:
        stolen = '{"spec": {"holderIdentity": "a-stranger"}}'
        home.within(OPERATOR)("patch", "lease", OPERATOR, "--type=merge", "--patch", stolen)
        took = repairs(home)
        eventually(
            lambda: _ended_itself(home, leader), 30, lambda: str(operator_pods(home)[leader]["status"])
        )
        eventually(lambda: both_ready(home), OPERATORS_SECONDS)
        home.settled(replicas=3)
    load.no_failed()
    assert record.out_of_turn() == []
    assert containers(home) == before
    sheet.row("the operators' Lease stolen", took, load)


def test_operator_cut_off(home: Kubectl, form: Form, nodes: Nodes, sheet: Sheet, leader: str) -> None:
    """The acting operator is cut off with its worker: another one acts within 30 s, and only one of them at a time."""
    form(home)
    before, record = holdings(home), Record.begin(nodes)
    worker = operator_pods(home)[leader]["spec"]["nodeName"]
    with under_load(home) as load:
        nodes.cut(worker)
        repairs(home)
        nodes.mend(worker)
        mended = time.monotonic()
        home.settled(replicas=3, seconds=240)
        took = time.monotonic() - mended
        eventually(lambda: both_ready(home), OPERATORS_SECONDS)
    assert record.out_of_turn() == []
    assert record.deleted(home.namespace) == []
    assert holdings(home) == before
    sheet.row("worker with the acting operator cut off until another one acts", took, load)


def test_api_server_killed(home: Kubectl, form: Form, nodes: Nodes, sheet: Sheet) -> None:
    """The API server is away for 30 s: no request of an application fails, and then an operator acts again."""
    form(home)
    before, record = containers(home), Record.begin(nodes)
    with under_load(home) as load:
        nodes.stop_api_server()
        hold(AWAY_SECONDS)
        nodes.start_api_server()
        began = time.monotonic()
        repairs(home, 90)
        home.settled(replicas=3)
        took = time.monotonic() - began
        eventually(lambda: both_ready(home), OPERATORS_SECONDS)
    load.no_failed()
    assert record.out_of_turn() == []
    assert containers(home) == before
    sheet.row(f"API server away for {AWAY_SECONDS:.0f} s", took, load)


def _kill(home: Kubectl) -> int:
    """Kill the operator that holds the Lease, if it lives; how many that were."""
    who = holder(home)
    if who not in operator_pods(home):
        return 0
    home.within(OPERATOR)("delete", "pod", who, "--grace-period=0", "--force", "--wait=false")
    return 1


def _has_shrunk(home: Kubectl, replicas: int) -> bool:
    found = home.get("qdrantcluster", NAME) or {}
    peers = (found.get("status") or {}).get("peers") or ()
    return len(peers) == replicas and "leaving" not in found["status"] and is_true(found, "Ready")


def _ended_itself(home: Kubectl, pod: str) -> bool:
    """Exit code 3 is that of an operator that lost the Lease."""
    containers = operator_pods(home)[pod]["status"]["containerStatuses"]
    return any((one.get("lastState") or {}).get("terminated", {}).get("exitCode") == 3 for one in containers)

"""Workers that stand still, stop, or are cut off: nothing is given up, and what comes back is what there was."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from e2e.environment.kind import Nodes
from e2e.environment.kubectl import Kubectl
from e2e.load import under_load
from e2e.scenario.faults import (
    OPERATORS_SECONDS,
    Record,
    both_ready,
    goes_on,
    holdings,
    is_ready,
    peer_to_hurt,
    taken_away,
    untruths,
)
from e2e.scenario.forming import Form
from e2e.sheet import Sheet
from e2e.shell import eventually

Act = Callable[[str], None]
KNOWN_SECONDS = 120.0
"""Until Kubernetes calls the pods of a silent node not ready: about 50 s by its defaults; a busy machine is slower."""
SAID_SECONDS = 30.0
"""Until status says so: the acting operator may have been on that node, and its Lease must run out first."""
HANGING_SECONDS = 40.0
"""Requests that were under way when the node became known to be gone end within this: the load waits 30 s for them."""
BACK_SECONDS = 300.0
"""Until all is well after the node's return: containers start, replicas recover, a pod's back-off may run."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A cluster of three peers on three workers."""

    home: Kubectl
    nodes: Nodes
    sheet: Sheet

    def survive(self, fault: str, begin: Act, end: Act) -> None:
        """Let a fault befall the worker of one peer, until Kubernetes and status know of it, and end it."""
        pod, worker = peer_to_hurt(self.home)
        before, record = holdings(self.home), Record.begin(self.nodes)
        with under_load(self.home) as load:
            begin(worker)
            self._is_known(pod)
            self._is_said(pod)
            goes_on(load, HANGING_SECONDS)
            assert record.deleted(self.home.namespace) == []
            assert taken_away(self.home) == []
            assert holdings(self.home) == before
            ended = time.monotonic()
            end(worker)
            self.home.settled(replicas=3, seconds=BACK_SECONDS)
            took = time.monotonic() - ended
        assert holdings(self.home) == before
        assert record.out_of_turn() == []
        self.sheet.row(fault, took, load)

    def _is_known(self, pod: str) -> None:
        """Kubernetes calls the pod not ready, so the Service sends it nothing any more."""
        eventually(
            lambda: not is_ready(self.home.get("pod", pod)), KNOWN_SECONDS, lambda: self.home("get", "pods")
        )

    def _is_said(self, pod: str) -> None:
        """Status names the pod, and goes on telling the truth."""
        eventually(lambda: not untruths(self.home, pod), SAID_SECONDS, lambda: untruths(self.home, pod))


@pytest.fixture
def ground(chart: None, kubectl: Kubectl, home: Kubectl, nodes: Nodes, form: Form, sheet: Sheet) -> Ground:
    """The cluster, and two operators that are ready."""
    eventually(lambda: both_ready(kubectl), OPERATORS_SECONDS)
    form(home)
    return Ground(home, nodes, sheet)


def test_worker_paused(ground: Ground) -> None:
    """A worker stands still for a minute and more: requests go on, nothing is given up, all of it comes back."""
    ground.survive("worker paused", ground.nodes.pause, ground.nodes.resume)


def test_worker_stopped(ground: Ground) -> None:
    """A worker loses its power and gets it back: requests go on, nothing is given up, all of it comes back."""
    ground.survive("worker stopped", ground.nodes.stop, ground.nodes.start)


def test_worker_cut_off(ground: Ground) -> None:
    """No packet reaches or leaves a worker: requests go on, nothing is given up, all of it comes back."""
    ground.survive("worker cut off", ground.nodes.cut, ground.nodes.mend)


def test_worker_deaf(ground: Ground) -> None:
    """A worker sends and hears nothing: requests go on, nothing is given up, all of it comes back."""
    deaf = partial(ground.nodes.cut, outgoing=False)
    ground.survive("worker cut off, incoming only", deaf, ground.nodes.mend)


def test_worker_mute(ground: Ground) -> None:
    """A worker hears and is not heard: requests go on, nothing is given up, all of it comes back."""
    mute = partial(ground.nodes.cut, incoming=False)
    ground.survive("worker cut off, outgoing only", mute, ground.nodes.mend)


def test_all_workers_restarted(ground: Ground) -> None:
    """All workers lose their power at once: the same peers are one cluster again, on the same volumes."""
    home, before, record = ground.home, holdings(ground.home), Record.begin(ground.nodes)
    with under_load(home) as load:
        began = time.monotonic()
        ground.nodes.restart_all_workers()
        home.settled(replicas=3, seconds=BACK_SECONDS)
        took = time.monotonic() - began
    assert holdings(home) == before
    assert record.deleted(home.namespace) == []
    assert record.out_of_turn() == []
    ground.sheet.row("all workers restarted at once", took, load)

"""The in-memory Kubernetes does to its user what production may do: lose answers, lag, crash."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.apiserver import FakeApiServer, epoch
from sandbox.fakes.kubernetes import Crash, FakeKubernetes, Write
from sandbox.fakes.statefulset import Kubelet, StatefulSets
from tests.contract.kubernetes.worlds import config_map, statefulset

SETTINGS = config_map("here", "settings", {"a": "1"})


async def test_a_failed_call_has_no_effect() -> None:
    """A fault before the call: nothing is written, and only the calls asked for fail."""
    kubernetes = FakeKubernetes()
    kubernetes.fail_next(Retryable("away"), operation="apply", times=2)
    for _ in range(2):
        with pytest.raises(Retryable, match="away"):
            await kubernetes.apply(SETTINGS)
    assert kubernetes.server.all(Kind.CONFIG_MAP) == []
    await kubernetes.apply(SETTINGS)

    assert kubernetes.writes == [Write("apply", Kind.CONFIG_MAP, "here", "settings")]


async def test_a_lost_answer_has_its_effect_and_the_watch_tells() -> None:
    """A fault after the call: the object is there, though the caller heard nothing."""
    kubernetes = FakeKubernetes()
    kubernetes.fail_next(Unreachable("no answer"), kind=Kind.CONFIG_MAP, after=True)
    with pytest.raises(Unreachable):
        await kubernetes.apply(SETTINGS)

    assert kubernetes.cached_one(Kind.CONFIG_MAP, "here", "settings") is not None


async def test_a_crash_passes_through_error_handling() -> None:
    """Code that handles every error does not survive a crash of its process."""
    kubernetes = FakeKubernetes()

    def die(write: Write, after: bool) -> None:
        if after:
            raise Crash(str(write))

    kubernetes.on_write = die
    with pytest.raises(Crash):
        await _carefully(kubernetes)

    assert kubernetes.server.get(Kind.CONFIG_MAP, "here", "settings") is not None


async def test_a_lagging_cache_is_stale_but_for_own_writes() -> None:
    """Strangers' changes wait, own writes show; catching up never goes back behind own writes."""
    kubernetes = FakeKubernetes()
    await kubernetes.apply(SETTINGS)
    await kubernetes.apply(config_map("here", "other", {"a": "1"}))
    kubernetes.lag()
    kubernetes.server.patch(Kind.CONFIG_MAP, "here", "settings", {"data": {"theirs": "x"}}, "somebody")
    kubernetes.server.delete(Kind.CONFIG_MAP, "here", "other")
    assert _data(kubernetes, "settings") == {"a": "1"}
    assert _data(kubernetes, "other") == {"a": "1"}
    await kubernetes.apply(config_map("here", "settings", {"a": "2"}))
    assert _data(kubernetes, "settings") == {"a": "2", "theirs": "x"}
    kubernetes.catch_up()

    assert _data(kubernetes, "settings") == {"a": "2", "theirs": "x"}
    assert kubernetes.cached_one(Kind.CONFIG_MAP, "here", "other") is None


async def test_a_restarted_operator_sees_what_is() -> None:
    """A new view on the same server lists first, then watches; the dead one hears nothing more."""
    server = FakeApiServer()
    before = FakeKubernetes(server)
    await before.apply(SETTINGS)
    before.disconnect()
    after = FakeKubernetes(server)
    assert _data(after, "settings") == {"a": "1"}
    await after.apply(config_map("here", "settings", {"a": "2"}))

    assert _data(after, "settings") == {"a": "2"}
    assert _data(before, "settings") == {"a": "1"}


async def test_listeners_hear_every_change() -> None:
    """Own writes and strangers' wake whoever listens, with the object before and after."""
    kubernetes = FakeKubernetes()
    heard: list[tuple[bool, bool]] = []
    kubernetes.listen(lambda _kind, old, new: heard.append((old is not None, new is not None)))
    made = await kubernetes.apply(SETTINGS)
    kubernetes.server.patch(Kind.CONFIG_MAP, "here", "settings", {"data": {"a": "2"}}, "somebody")
    await kubernetes.delete(Kind.CONFIG_MAP, "here", "settings", uid=made["metadata"]["uid"])

    assert heard == [(False, True), (True, True), (True, False)]


async def test_peers_run_restart_and_leave_as_a_test_tells_them_to() -> None:
    """Pods start Ready under new addresses, end with grace, come back, and vanish with their set."""
    kubernetes = FakeKubernetes()
    controller, kubelet = StatefulSets(kubernetes.server), Kubelet(kubernetes.server)
    made = await kubernetes.apply(statefulset("here", "vectors", 3, deleted="Delete"))
    controller.sync()
    kubelet.start_all()
    controller.sync()
    assert _status(kubernetes)["readyReplicas"] == 3
    first = _pods(kubernetes)
    assert len({pod["status"]["podIP"] for pod in first}) == 3

    uid = first[1]["metadata"]["uid"]
    await kubernetes.delete(Kind.POD, "here", "vectors-1", uid=uid)
    controller.sync()
    assert _pods(kubernetes)[1]["metadata"]["uid"] == uid, "its grace has not passed"
    kubelet.finish_deletions()
    assert [pod["metadata"]["name"] for pod in _pods(kubernetes)] == ["vectors-0", "vectors-2"]
    controller.sync()
    kubelet.start_all()
    controller.sync()
    assert _status(kubernetes)["readyReplicas"] == 3
    assert _pods(kubernetes)[1]["status"]["podIP"] != first[1]["status"]["podIP"]

    await kubernetes.delete(Kind.STATEFUL_SET, "here", "vectors", uid=made["metadata"]["uid"])
    kubernetes.server.collect_garbage()
    kubelet.finish_deletions()
    kubernetes.server.collect_garbage()
    assert kubernetes.server.objects == {}


async def test_a_controller_that_failed_looks_again_late_or_when_it_is_told() -> None:
    """A pod of an earlier StatefulSet is in the way: its end wakes nobody, a write to the StatefulSet does."""
    moment = [epoch()]
    kubernetes = FakeKubernetes(now=lambda: moment[0])
    controller, kubelet = StatefulSets(kubernetes.server), Kubelet(kubernetes.server)
    made = await kubernetes.apply(statefulset("here", "vectors", 1))
    controller.sync()
    kubelet.start_all()
    await kubernetes.delete(Kind.STATEFUL_SET, "here", "vectors", uid=made["metadata"]["uid"])
    kubernetes.server.collect_garbage()
    await kubernetes.apply(statefulset("here", "vectors", 1))
    for seconds in (0.0, 0.01, 1.0):
        moment[0] += timedelta(seconds=seconds)
        controller.sync()
    kubelet.finish_deletions()
    controller.sync()
    assert _pods(kubernetes) == (), "it was tried a moment ago"
    told = {"metadata": {"annotations": {"told": "yes"}}}
    await kubernetes.patch(Kind.STATEFUL_SET, "here", "vectors", told)
    controller.sync()
    assert [pod["metadata"]["name"] for pod in _pods(kubernetes)] == ["vectors-0"]


async def _carefully(kubernetes: FakeKubernetes) -> None:
    with contextlib.suppress(Exception):
        await kubernetes.apply(SETTINGS)


def _data(kubernetes: FakeKubernetes, name: str) -> object:
    known = kubernetes.cached_one(Kind.CONFIG_MAP, "here", name)
    assert known is not None
    return known["data"]


def _pods(kubernetes: FakeKubernetes) -> tuple[Manifest, ...]:
    return kubernetes.cached(Kind.POD, "here", names.peer_selector("vectors"))


def _status(kubernetes: FakeKubernetes) -> Manifest:
    known = kubernetes.cached_one(Kind.STATEFUL_SET, "here", "vectors")
    assert known is not None
    status: Manifest = known["status"]
    return status

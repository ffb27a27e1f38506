"""What Prometheus reads: right numbers, and no series of what is gone."""

from __future__ import annotations

import aiohttp
import pytest

from qdrant_operator.adapters.health import HttpServer, LoopLag
from qdrant_operator.adapters.metrics import Metrics
from qdrant_operator.domain.common.kinds import Kind


def _lines(metrics: Metrics, prefix: str) -> list[str]:
    page = metrics.page().decode().splitlines()
    return sorted(line.removeprefix("qdrant_operator_") for line in page if line.startswith(prefix))


def test_passes_are_counted_by_kind_and_result() -> None:
    """A pass adds to its result's count and to its kind's duration."""
    metrics = Metrics()
    metrics.reconciled("QdrantCluster", "ok", 0.2)
    metrics.reconciled("QdrantCluster", "ok", 0.3)
    metrics.reconciled("QdrantCluster", "retry", 0.5)

    assert _lines(metrics, "qdrant_operator_reconcile_total") == [
        'reconcile_total{kind="QdrantCluster",result="ok"} 2.0',
        'reconcile_total{kind="QdrantCluster",result="retry"} 1.0',
    ]
    assert _lines(metrics, "qdrant_operator_reconcile_duration_seconds_sum") == [
        'reconcile_duration_seconds_sum{kind="QdrantCluster"} 1.0'
    ]
    assert 'reconcile_duration_seconds_bucket{kind="QdrantCluster",le="0.25"} 1.0' in _lines(
        metrics, "qdrant_operator_reconcile_duration_seconds_bucket"
    )


def test_steps_and_calls_are_counted_by_name_and_outcome() -> None:
    """Steps by kind, name and outcome; calls to peers by operation and outcome."""
    metrics = Metrics()
    metrics.step("QdrantCluster", "roll", "done")
    metrics.called("observe", "ok", 0.004)

    assert _lines(metrics, "qdrant_operator_steps_total") == [
        'steps_total{kind="QdrantCluster",outcome="done",step="roll"} 1.0'
    ]
    assert _lines(metrics, "qdrant_operator_qdrant_call_duration_seconds_count") == [
        'qdrant_call_duration_seconds_count{operation="observe",outcome="ok"} 1.0'
    ]


def test_a_guard_that_lets_go_leaves_no_series() -> None:
    """Only the guards of the latest look are shown, and each object has its own."""
    metrics = Metrics()
    metrics.blocked("QdrantCluster", "here", "vectors", ("PeerHoldsShards", "NoQuorum"))
    metrics.blocked("QdrantCluster", "here", "other", ("NoQuorum",))
    metrics.blocked("QdrantCluster", "here", "vectors", ("NoQuorum",))
    assert _lines(metrics, "qdrant_operator_blocked{") == [
        'blocked{guard="NoQuorum",kind="QdrantCluster",name="other",namespace="here"} 1.0',
        'blocked{guard="NoQuorum",kind="QdrantCluster",name="vectors",namespace="here"} 1.0',
    ]
    metrics.blocked("QdrantCluster", "here", "vectors", ())
    metrics.blocked("QdrantCluster", "here", "other", ())

    assert _lines(metrics, "qdrant_operator_blocked{") == []


def test_what_tells_of_a_cluster_ends_with_it() -> None:
    """A forgotten cluster holds nothing back."""
    metrics = Metrics()
    metrics.blocked("QdrantCluster", "here", "other", ("NoQuorum",))
    metrics.on_change(Kind.POD, {"metadata": {"namespace": "here", "name": "other"}}, None)
    assert len(_lines(metrics, "qdrant_operator_blocked{")) == 1
    metrics.on_change(Kind.CLUSTER, {"metadata": {"namespace": "here", "name": "other"}}, None)

    assert _lines(metrics, "qdrant_operator_blocked{") == []


def test_leadership_and_watch_ages_are_as_they_are_now() -> None:
    """The ages are asked for at each scrape."""
    metrics = Metrics()
    ages = {("Pod", "here"): 3.0}
    metrics.watch_ages(lambda: ages)
    metrics.leading(True)
    assert _lines(metrics, "qdrant_operator_watch_age_seconds{") == [
        'watch_age_seconds{kind="Pod",namespace="here"} 3.0'
    ]
    ages["Pod", "here"] = 4.0
    metrics.leading(False)

    assert _lines(metrics, "qdrant_operator_watch_age_seconds{")[0].endswith(" 4.0")
    assert _lines(metrics, "qdrant_operator_leader") == ["leader 0.0"]


def test_two_operators_in_one_process_do_not_mix() -> None:
    """No registry is global."""
    first, second = Metrics(), Metrics()
    first.step("QdrantCluster", "roll", "done")

    assert _lines(second, "qdrant_operator_steps_total") == []


@pytest.mark.parametrize(("path", "problem"), [("/healthz", "stuck"), ("/readyz", "no pods listed yet")])
async def test_probes_say_what_is_wrong(path: str, problem: str) -> None:
    """503 with the sentence while something is wrong, 200 else; the other probe is not concerned."""
    state: dict[str, str | None] = {"/healthz": None, "/readyz": None}
    server = HttpServer(
        healthy=lambda: state["/healthz"], ready=lambda: state["/readyz"], metrics=lambda: b"up 1\n"
    )
    port = await server.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            assert await _answer(session, path) == (200, "ok")
            state[path] = problem
            assert await _answer(session, path) == (503, problem)
            other = next(key for key in state if key != path)
            assert await _answer(session, other) == (200, "ok")
            assert await _answer(session, "/metrics") == (200, "up 1\n")
    finally:
        await server.close()


async def _answer(session: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with session.get(path) as response:
        return response.status, await response.text()


def test_a_late_event_loop_is_a_problem() -> None:
    """Timers more than thirty seconds late mean a stuck process."""
    now = 0.0
    lag = LoopLag(monotonic=lambda: now)
    assert lag.problem() is None
    now = 29.0
    assert lag.problem() is None
    now = 31.0

    assert lag.problem() == "the event loop is 31 s late"

"""Which transfers go first: those that others would wait for at the end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.placement.moves import Transfer, makespan
from qdrant_operator.domain.placement.model import Policy
from qdrant_operator.domain.placement.schedule.local_search import Limits, PlannedTransfer, improve_order
from qdrant_operator.domain.placement.schedule.queues import FEW
from qdrant_operator.domain.qdrant.views import PeerId, ShardId
from tests.domain.layouts import layout, peer, shard, steps


def planned(number: int, source: int, target: int, size: int, after: int = 0) -> PlannedTransfer:
    """A transfer of shard docs/<number>."""
    return PlannedTransfer(("docs", ShardId(number)), after, PeerId(source), PeerId(target), size)


def span(transfers: list[PlannedTransfer], limits: Limits) -> int:
    """When the last of these ends, by the benchmark's own schedule."""
    moved = [Transfer(move.shard, move.source or PeerId(0), move.target, move.size) for move in transfers]
    return makespan(moved, Policy(per_cluster=limits.per_cluster, per_peer=limits.per_peer))


def test_the_longest_goes_first() -> None:
    """Two at a time: the one that is as long as both others begins, so that nothing is alone at the end."""
    transfers = [planned(0, 0, 10, 5), planned(1, 1, 11, 5), planned(2, 2, 12, 10)]
    limits = Limits((), per_cluster=2, per_peer=1)
    assert span(transfers, limits) == 15
    assert span(improve_order(transfers, limits), limits) == 10


def test_a_shard_that_moves_twice_goes_first() -> None:
    """Its second transfer starts after its first: started last, the second would run alone."""
    transfers = [
        planned(0, 0, 10, 6),
        planned(1, 1, 11, 6),
        planned(2, 2, 12, 6),
        planned(2, 3, 13, 6, after=1),
    ]
    assert transfers[2] in improve_order(transfers, Limits((), per_cluster=2, per_peer=1))[:2]


def test_running_transfers_count() -> None:
    """A peer that still receives starts later: long transfers between other peers do not wait for it."""
    transfers = [planned(0, 0, 10, 4), planned(1, 1, 11, 2), planned(2, 1, 12, 6)]
    alone, while_running = (
        Limits(running, per_cluster=2, per_peer=1) for running in ((), (planned(9, 8, 10, 9),))
    )
    assert improve_order(transfers, alone)[0] == transfers[0]
    assert span(improve_order(transfers, while_running), alone) == 8


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(4, 7), st.integers(1, 9)), max_size=9),
    st.integers(1, 3),
    st.integers(1, 2),
)
def test_an_improved_order_never_ends_later(
    moves: list[tuple[int, int, int]], per_cluster: int, per_peer: int
) -> None:
    """By the benchmark's own schedule, which shares no code with the local search."""
    transfers = [planned(number, *move) for number, move in enumerate(moves)]
    limits = Limits((), per_cluster, per_peer)
    order = improve_order(transfers, limits)
    assert sorted(order, key=str) == sorted(transfers, key=str)
    assert span(order, limits) <= span(transfers, limits)


def test_two_replicas_that_leave_keep_both_senders_busy() -> None:
    """docs/0 leaves both peers, docs/1 only the first: docs/0 begins with the second, so both send at once."""
    peers = [peer(0, leaving=True), peer(1, leaving=True), peer(2), peer(3), peer(4)]
    us, eu = frozenset({PeerId(2), PeerId(3)}), frozenset({PeerId(4)})
    both = shard("docs/0", [0, 1], bytes=100, key="us", allowed=us)
    before = layout(peers, both, shard("docs/1", [0], bytes=110, key="eu", allowed=eu))
    sent = [step.split(" to ")[0] for step in steps(before, Policy(per_cluster=2))]
    assert sorted(sent) == ["move docs/0 from vectors-1", "move docs/1 from vectors-0"]


def test_of_many_a_shard_that_moves_twice_goes_first() -> None:
    """With too many for the local search: among equal shards the one that needs two moves starts first."""
    peers = [peer(0, leaving=True), peer(1, leaving=True), *(peer(number) for number in range(2, 8))]
    many = [shard(f"docs/{number}", [number % 2]) for number in range(FEW + 2)]
    before = layout(peers, *many, shard("docs/99", [0, 1]))
    assert steps(before, Policy(per_cluster=1))[0].startswith("move docs/99 ")


def test_of_many_a_shard_begins_where_there_is_room() -> None:
    """Its first pair of peers is busy: it begins with the other, whichever replica that moves."""
    peers = [peer(0, leaving=True), peer(1, leaving=True), *(peer(number) for number in range(2, 6))]
    many = [shard(f"docs/{number}", [0], bytes=900) for number in range(FEW + 2)]
    before = layout(peers, *many, shard("docs/99", [0, 1], bytes=1))
    assert [step.split(" to ")[0] for step in steps(before, Policy(per_cluster=9))][1:] == [
        "move docs/99 from vectors-1"
    ]

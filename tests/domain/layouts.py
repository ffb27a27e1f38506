"""Layouts for placement's tests: whole generated clusters, and what may happen to them between two passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.placement.forecast import apply
from qdrant_operator.domain.placement.model import Layout, Peer, Policy, Replica, RunningTransfer, Shard
from qdrant_operator.domain.placement.planner import plan_placement
from qdrant_operator.domain.placement.steps import (
    AbortTransfer,
    DropReplica,
    MoveShard,
    PlacementStep,
    ReplicateShard,
)
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, ShardId

UNSOUND = (
    ReplicaState.DEAD,
    ReplicaState.PARTIAL,
    ReplicaState.RECOVERY,
    ReplicaState.INITIALIZING,
    ReplicaState.ACTIVE,
    ReplicaState.MANUAL_RECOVERY,
)
"""Active too: a dummy, or a replica whose views contradict each other."""


def peer(number: int, **changes: object) -> Peer:
    """A healthy peer; its pod is vectors-<number>."""
    return replace(Peer(PeerId(number), f"vectors-{number}"), **changes)  # type: ignore[arg-type]


def shard(name: str, holders: Mapping[int, ReplicaState] | Iterable[int], **changes: object) -> Shard:
    """A shard, `docs/0`; holders given by number alone are sound, of factor as many as there are."""
    collection, _, number = name.partition("/")
    states = dict(holders) if isinstance(holders, Mapping) else dict.fromkeys(holders, ReplicaState.ACTIVE)
    replicas = tuple(
        Replica(PeerId(p), state, state is ReplicaState.ACTIVE) for p, state in sorted(states.items())
    )
    plain = Shard((collection, ShardId(int(number))), len(replicas), replicas, bytes=100)
    return replace(plain, **changes)  # type: ignore[arg-type]


def layout(peers: Iterable[Peer] | int, *shards: Shard, **changes: object) -> Layout:
    """A layout of these shards."""
    peers = tuple(peer(number) for number in range(peers)) if isinstance(peers, int) else tuple(peers)
    return replace(Layout(peers, shards), **changes)  # type: ignore[arg-type]


@st.composite
def healthy(draw: st.DrawFn, zones: int = 3, most_shards: int = 8) -> Layout:
    """Every peer answers and every replica is sound; peers may be leaving, factors above or below what is there."""
    count = draw(st.integers(2, 6))
    zone = st.sampled_from([f"zone-{number}" for number in range(draw(st.integers(1, zones)))])
    peers = [peer(number, zone=draw(zone)) for number in range(count)]
    leaving = draw(st.sets(st.integers(0, count - 1), max_size=count - 1)) if draw(st.booleans()) else set()
    peers = [replace(peer, leaving=peer.id in leaving) for peer in peers]
    names = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=most_shards))
    held = st.sets(st.integers(0, count - 1), min_size=1, max_size=min(3, count))
    shards = [
        shard(f"{name}/{number}", draw(held), factor=draw(st.integers(1, 3)), bytes=draw(st.integers(0, 9)))
        for number, name in enumerate(sorted(names))
    ]
    return layout(peers, *shards)


@st.composite
def clusters(draw: st.DrawFn) -> Layout:
    """Anything at all: silent, lost, leaving and full peers, every replica state, transfers, shard keys."""
    plain = draw(healthy(most_shards=6))
    if draw(st.booleans()):
        return plain
    peers = tuple(_hurt_peer(draw, peer) for peer in plain.peers)
    up = {peer.id for peer in peers if peer.answers and not peer.lost}
    shards = tuple(_hurt_shard(draw, shard, up, len(peers)) for shard in plain.shards)
    hurt = replace(plain, peers=peers, shards=shards)
    for shard in shards:
        if draw(st.integers(0, 4)) == 0:
            hurt = _with_transfer(draw, hurt, shard)
    return hurt


def _hurt_peer(draw: st.DrawFn, peer: Peer) -> Peer:
    fate = draw(st.sampled_from(["fine", "fine", "fine", "fine", "silent", "lost", "full"]))
    if fate == "full":
        return replace(peer, free_bytes=draw(st.integers(0, 40)))
    return replace(peer, answers=fate not in ("silent", "lost"), lost=fate == "lost")


def _hurt_shard(draw: st.DrawFn, shard: Shard, up: set[PeerId], peers: int) -> Shard:
    replicas = []
    for held in shard.replicas:
        well = held.peer in up and draw(st.integers(0, 4)) > 0
        state = ReplicaState.ACTIVE if well else draw(st.sampled_from(UNSOUND))
        stale = not well and held.peer in up and draw(st.booleans())
        replicas.append(Replica(held.peer, state, sound=well, stale=stale))
    disputed = "vectors-0 and vectors-1 name different holders" if draw(st.integers(0, 9)) == 0 else ""
    hurt = replace(shard, replicas=tuple(replicas), disputed=disputed)
    if shard.ref[0] != "c":
        return hurt
    allowed = frozenset(PeerId(number) for number in range(peers) if number != 1)
    return replace(hurt, key=shard.ref[1] % 2, allowed=allowed if shard.ref[1] % 2 else None)


def _with_transfer(draw: st.DrawFn, before: Layout, shard: Shard) -> Layout:
    free = [peer.id for peer in before.peers if peer.id not in shard.holders]
    if not free or not shard.sound:
        return before
    source = draw(st.sampled_from(sorted(shard.sound)))
    return begun(before, shard.ref, source, draw(st.sampled_from(free)), keeps_source=draw(st.booleans()))


def begun(before: Layout, ref: ShardRef, source: PeerId, target: PeerId, *, keeps_source: bool) -> Layout:
    """The layout while a transfer runs: its target holds a replica that is not sound."""
    arriving = Replica(target, ReplicaState.RECOVERY, sound=False)
    shards = tuple(
        replace(s, replicas=tuple(sorted((*s.replicas, arriving), key=lambda r: r.peer)))
        if s.ref == ref
        else s
        for s in before.shards
    )
    running = RunningTransfer(ref[0], ref[1], source, target, keeps_source)
    return replace(before, shards=shards, transfers=(*before.transfers, running))


def start(before: Layout, step: PlacementStep) -> Layout:
    """The layout a moment after the step was sent: transfers run, the rest is done."""
    if isinstance(step, DropReplica | AbortTransfer):
        return apply(before, step)
    keeps = isinstance(step, ReplicateShard)
    return begun(before, step.shard, step.source, step.target, keeps_source=keeps)


def finish(before: Layout, running: RunningTransfer) -> Layout:
    """The layout after the transfer arrived."""
    rest = tuple(transfer for transfer in before.transfers if transfer != running)
    kind = ReplicateShard if running.keeps_source else MoveShard
    step = kind(running.ref, running.source, running.target, "snapshot", ("", ""), 0, "")
    return apply(replace(before, transfers=rest), step)


def fail(before: Layout, running: RunningTransfer) -> Layout:
    """The layout after the transfer was aborted: a replication leaves a Dead replica that Qdrant does not heal."""
    step = AbortTransfer(running.ref, running.source, running.target, ("", ""), "")
    after = apply(before, step)
    return replace(
        after,
        shards=tuple(_stale(shard, running) if shard.ref == running.ref else shard for shard in after.shards),
    )


def _stale(shard: Shard, running: RunningTransfer) -> Shard:
    replicas = (replace(r, stale=not r.sound) if r.peer == running.target else r for r in shard.replicas)
    return replace(shard, replicas=tuple(replicas))


def of(before: Layout, ref: ShardRef) -> Shard:
    """One shard of the layout."""
    return next(shard for shard in before.shards if shard.ref == ref)


def holders(before: Layout) -> dict[ShardRef, frozenset[PeerId]]:
    """Who holds what."""
    return {shard.ref: shard.holders for shard in before.shards}


def steps_of(steps: Sequence[object]) -> list[PlacementStep]:
    """Placement's steps of a plan, typed."""
    return [step for step in steps if isinstance(step, PlacementStep)]


def steps(before: Layout, policy: Policy | None = None) -> list[str]:
    """Sentences of the steps that may start now."""
    return [str(step) for step in plan_placement(before, policy or Policy()).steps]


def only_block(before: Layout, policy: Policy | None = None) -> Blocked:
    """The one thing that waits, where nothing may start."""
    plan = plan_placement(before, policy or Policy())
    assert plan.steps == ()
    assert len(plan.blocked) == 1, plan.blocked
    return plan.blocked[0]


def silent(number: int) -> Layout:
    """Three peers, docs/0 on the first two, one of them silent."""
    peers = [peer(n, answers=n != number) for n in range(3)]
    docs = shard("docs/0", [0, 1])
    return layout(
        peers, replace(docs, replicas=tuple(replace(r, sound=r.peer != number) for r in docs.replicas))
    )

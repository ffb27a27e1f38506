"""Each guard of placement, with the message that users read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.placement.model import Mode, Policy, RunningTransfer
from qdrant_operator.domain.placement.planner import plan_placement
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, ShardId
from tests.domain.layouts import begun, layout, only_block, peer, shard, silent, steps

ACTIVE, DEAD = ReplicaState.ACTIVE, ReplicaState.DEAD


def test_guard_consensus_unsettled() -> None:
    """Without agreement nothing is planned, however much is wanted."""
    before = layout(3, shard("docs/0", [0], factor=2), unsettled="the peers do not agree on one leader")
    expected = Blocked(
        "place shards", ClusterGuard.CONSENSUS_UNSETTLED, "the peers do not agree on one leader: waiting"
    )
    assert only_block(before) == expected


def test_guard_views_disagree() -> None:
    """No step is planned for a disputed shard, even where it has a surplus replica."""
    before = layout(3, shard("docs/0", [0, 1], factor=1, disputed="vectors-2 names other holders"))
    expected = Blocked(
        "place docs/0",
        ClusterGuard.VIEWS_DISAGREE,
        "docs/0: vectors-2 names other holders; no step is planned for it until this is over",
    )
    assert only_block(before) == expected


def test_guard_no_sound_source() -> None:
    """A shard without a sound replica is listed and never touched, not even on a leaving peer."""
    before = layout([peer(0, leaving=True), peer(1), peer(2)], shard("docs/0", {0: DEAD, 1: DEAD}))
    message = "docs/0 has no sound replica (vectors-0: Dead, vectors-1: Dead): bring a peer back, or restore a snapshot"
    assert only_block(before) == Blocked("repair docs/0", ClusterGuard.NO_SOUND_SOURCE, message)


def test_guard_peers_unreachable() -> None:
    """A peer that does not answer may return: its replica is not replaced meanwhile."""
    message = "vectors-1 does not answer; waiting for its replica of docs/0"
    assert only_block(silent(1)) == Blocked("repair docs/0", ClusterGuard.PEERS_UNREACHABLE, message)


def test_guard_peers_unreachable_as_targets() -> None:
    """A peer that does not answer is not a target, and the message names it."""
    before = layout([peer(0), peer(1, answers=False)], shard("docs/0", [0], factor=2))
    expected = Blocked(
        "replicate docs/0",
        ClusterGuard.PEERS_UNREACHABLE,
        "vectors-1 could hold docs/0 but cannot be reached: waiting",
    )
    assert only_block(before) == expected


def test_guard_replica_not_sound() -> None:
    """A Dead replica heals by itself: no third one is made meanwhile."""
    before = layout(3, shard("docs/0", {0: ACTIVE, 1: DEAD}))
    message = "docs/0 on vectors-1 is Dead: Qdrant heals it from a sound replica"
    assert only_block(before) == Blocked("repair docs/0", ClusterGuard.REPLICA_NOT_SOUND, message)


def test_guard_replica_not_sound_that_consensus_calls_active() -> None:
    """Consensus calls it Active, so Qdrant does not heal it: the message does not say that it will."""
    docs = shard("docs/0", [0, 1])
    unloaded = replace(docs, replicas=(docs.replicas[0], replace(docs.replicas[1], sound=False)))
    start = "docs/0 on vectors-1 is Active and not sound: it is not loaded (recovery mode, or a failed load)"
    assert only_block(layout(3, unloaded)).message.startswith(start)


def test_guard_replica_not_sound_while_draining() -> None:
    """A sound replica on a leaving peer stays until the one that heals elsewhere is sound."""
    before = layout(
        [peer(0), peer(1), peer(2, leaving=True)], shard("docs/0", {0: ACTIVE, 1: DEAD, 2: ACTIVE}, factor=2)
    )
    plan = plan_placement(before, Policy())
    assert plan.steps == ()
    message = "waiting for another sound replica of docs/0: it has 1 of 2 without vectors-2"
    assert plan.blocked[1] == Blocked("drain docs/0 on vectors-2", ClusterGuard.REPLICA_NOT_SOUND, message)


def test_guard_transfer_running() -> None:
    """A shard has one transfer at a time."""
    before = layout(3, shard("docs/0", [0], factor=3))
    running = begun(before, ("docs", ShardId(0)), PeerId(0), PeerId(1), keeps_source=True)
    expected = Blocked(
        "place docs/0",
        ClusterGuard.TRANSFER_RUNNING,
        "transfer of docs/0 from vectors-0 to vectors-1 is running",
    )
    assert only_block(running) == expected


def test_guard_too_few_peers() -> None:
    """Three replicas do not fit on two peers, and the message has the numbers."""
    before = layout(2, shard("docs/0", [0, 1], factor=3))
    message = "docs/0 needs 3 replicas, but only 2 peers remain: add peers"
    assert only_block(before) == Blocked("replicate docs/0", ClusterGuard.TOO_FEW_PEERS, message)


def test_guard_too_few_peers_to_drain() -> None:
    """Where too few peers would remain nothing is drained."""
    before = layout([peer(0), peer(1, leaving=True)], shard("docs/0", [0, 1]))
    message = "docs/0 needs 2 replicas, but only 1 peer remains: add peers"
    assert only_block(before) == Blocked("drain docs/0", ClusterGuard.TOO_FEW_PEERS, message)


def test_guard_not_enough_disk() -> None:
    """A target needs room for the snapshot beside the shard."""
    before = layout([peer(0), peer(1, free_bytes=150)], shard("docs/0", [0], factor=2, bytes=100))
    message = (
        "too little free disk on vectors-1: docs/0 needs more than 150 bytes, 1.5 times its size; "
        "add peers, or reduce its collection"
    )
    assert only_block(before) == Blocked("replicate docs/0", ClusterGuard.NOT_ENOUGH_DISK, message)
    assert steps(replace(before, peers=(peer(0), peer(1, free_bytes=151))))


def test_guard_not_enough_disk_beside_running_transfers() -> None:
    """Space that running transfers will use is not free."""
    shards = [shard(f"docs/{n}", [0], factor=2, bytes=100) for n in range(2)]
    before = layout([peer(0), peer(1, free_bytes=250)], *shards)
    plan = plan_placement(before, Policy(per_peer=2))
    assert len(plan.steps) == 1
    message = (
        "vectors-1 has 100 bytes free beside running transfers, docs/1 needs more than 150: "
        "waiting for these transfers, or add peers"
    )
    assert [(b.guard, b.message) for b in plan.blocked] == [(ClusterGuard.NOT_ENOUGH_DISK, message)]


def test_guard_last_transfer_aborted() -> None:
    """Where no other peer can hold it, the same target is retried after a while."""
    before = layout(2, shard("docs/0", [0], factor=2), waits=frozenset({(("docs", ShardId(0)), PeerId(1))}))
    message = "the last transfer of docs/0 to vectors-1 was aborted: waiting before it is retried"
    assert only_block(before) == Blocked("replicate docs/0", ClusterGuard.LAST_TRANSFER_ABORTED, message)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (
            Policy(per_cluster=1, per_peer=9),
            "1 of 1 transfers run in the cluster (spec.shards.transfers.perCluster)",
        ),
        (
            Policy(per_cluster=9, per_peer=1),
            "vectors-1 already receives 1 of 1 transfers (spec.shards.transfers.perPeer)",
        ),
    ],
)
def test_guard_transfer_budget(policy: Policy, message: str) -> None:
    """One transfer starts, the other waits for the budget that is used up."""
    before = layout(2, shard("docs/0", [0], factor=2), shard("docs/1", [0], factor=2))
    plan = plan_placement(before, policy)
    assert [str(step).split(" (")[0] for step in plan.steps] == [
        "replicate docs/0 from vectors-0 to vectors-1"
    ]
    assert [(b.guard, b.message) for b in plan.blocked] == [(ClusterGuard.TRANSFER_BUDGET, message)]


def test_guard_transfer_budget_of_the_source() -> None:
    """A peer sends no more than its budget, running transfers included."""
    elsewhere = RunningTransfer("other", ShardId(0), PeerId(0), PeerId(2), keeps_source=True)
    before = layout(3, shard("docs/0", [0], factor=2), transfers=(elsewhere,))
    assert (
        only_block(before).message
        == "vectors-0 already sends 1 of 1 transfers (spec.shards.transfers.perPeer)"
    )


def test_guard_manual_placement() -> None:
    """With placement Manual even repairs are only listed."""
    before = layout(2, shard("docs/0", [0], factor=2))
    step = "replicate docs/0 from vectors-0 to vectors-1 (1 of 2 replicas are sound)"
    message = "spec.shards.placement is Manual: set it to Auto, or do this with Qdrant's API"
    assert only_block(before, Policy(Mode.MANUAL)) == Blocked(step, ClusterGuard.MANUAL_PLACEMENT, message)


def test_manual_placement_says_what_there_is_no_room_for() -> None:
    """Of two replicas one would be made and the other finds no room: both are named."""
    shards = [shard(f"docs/{n}", [0], factor=2, bytes=100) for n in range(2)]
    before = layout([peer(0), peer(1, free_bytes=250)], *shards)
    blocked = plan_placement(before, Policy(Mode.MANUAL)).blocked
    assert [wait.guard for wait in blocked] == [ClusterGuard.MANUAL_PLACEMENT, ClusterGuard.NOT_ENOUGH_DISK]


def test_guard_outside_window() -> None:
    """Balancing waits for its window, and lists what it will do."""
    before = layout(2, shard("docs/0", [0]), shard("docs/1", [0]))
    message = "balancing waits for the maintenance window (spec.shards.window)"
    blocked = only_block(before, Policy(may_balance=False))
    assert blocked == Blocked(
        "move docs/0 from vectors-0 to vectors-1 (balancing)", ClusterGuard.OUTSIDE_WINDOW, message
    )

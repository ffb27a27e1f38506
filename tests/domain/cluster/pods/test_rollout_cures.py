"""A restart is never blocked by a fault that only it repairs; a fault of another pod still blocks it."""

from __future__ import annotations

from dataclasses import replace

from qdrant_operator.domain.cluster.observed import Observed, PeerRecord
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.steps import RestartPod
from qdrant_operator.domain.common.guards import ClusterGuard, Guard
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.domain.manifests.rival_writers import Contested
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, View
from tests.domain.clusters import collection, desired, pod, seen, settled, silence, view

NEW = desired(config={"log_level": "DEBUG"})
RING = {0: (0, 1), 1: (1, 2), 2: (2, 0)}
Spots = tuple[tuple[int, int], ...]


def unloaded(
    *spots: tuple[int, int], factor: int = 2, ring: dict[int, tuple[int, ...]] | None = None
) -> Observed:
    """Three pods; these replicas (shard, ordinal) could not be loaded, as in recovery mode."""
    points: dict[tuple[int, int], int | None] = dict.fromkeys(spots)
    views: dict[str, View] = {
        f"vectors-{n}": view(n, collections=(collection(n, ring or RING, points=points, factor=factor),))
        for n in range(3)
    }
    return seen(settled().pods, views, stateful_set_replicas=3)


def restarted(observed: Observed) -> list[str]:
    """Pods that the plan restarts."""
    return [step.pod for step in plan(NEW, observed).steps if isinstance(step, RestartPod)]


def only_guard(observed: Observed) -> Guard:
    """Why nothing is restarted."""
    assert restarted(observed) == []
    (wait,) = [wait for wait in plan(NEW, observed).blocked if wait.step.startswith("restart")]
    return wait.guard


def test_recovery_mode_that_is_taken_back_leaves_the_pod_that_has_it() -> None:
    """Each shard of vectors-2 has a sound replica elsewhere: its restart loses nothing, and repairs it."""
    assert restarted(unloaded((1, 2), (2, 2))) == ["vectors-2"]


def test_a_dead_replica_holds_back_other_pods_and_not_its_own() -> None:
    """A replica on vectors-1 that does not heal: vectors-1 may restart, vectors-2 must wait for it."""
    states = {(0, 1): ReplicaState.DEAD}
    views: dict[str, View] = {
        f"vectors-{n}": view(n, collections=(collection(n, RING, states=states),)) for n in range(3)
    }
    ill = seen(settled().pods, views, stateful_set_replicas=3)
    assert only_guard(ill) is ClusterGuard.REPLICA_NOT_SOUND
    assert restarted(replace(ill, pods=(pod(0, NEW), pod(1), pod(2, NEW)))) == ["vectors-1"]


def test_the_roll_still_stops_after_the_first_pod_of_a_bad_template() -> None:
    """Recovery mode is switched on: vectors-2 has it, and vectors-1 keeps the sound replicas."""
    ill = replace(unloaded((1, 2), (2, 2)), pods=(pod(0), pod(1), pod(2, NEW)))
    assert only_guard(ill) is ClusterGuard.REPLICA_NOT_SOUND


def test_a_readable_replica_is_kept_while_the_other_one_is_not_sound() -> None:
    """docs/1 is sound on vectors-2 alone, whatever else is wrong on it."""
    assert only_guard(unloaded((1, 1), (2, 2))) is ClusterGuard.REPLICA_NOT_SOUND


def test_all_pods_in_recovery_mode_leave_it_one_after_another() -> None:
    """No replica can be read anywhere, of a factor of 1 or 2: a pod that serves nothing has nothing to lose."""
    every: Spots = tuple((shard, ordinal) for shard, holders in RING.items() for ordinal in holders)
    assert restarted(unloaded(*every)) == ["vectors-2"]
    single: dict[int, tuple[int, ...]] = {0: (0,), 1: (1,), 2: (2,)}
    assert restarted(unloaded((0, 0), (1, 1), (2, 2), factor=1, ring=single)) == ["vectors-2"]


def test_a_peer_that_hangs_is_reached_by_the_next_template() -> None:
    """It runs, is not ready and does not answer; the others hold a sound replica of each of its shards."""
    hanging = replace(settled(), pods=(pod(0), pod(1, ready=False), pod(2)), records=known())
    assert restarted(silence(hanging, "vectors-1")) == ["vectors-1"]


def test_a_peer_that_hangs_and_alone_holds_a_shard_is_left_alone() -> None:
    """It is unknown what the peer does with it."""
    views: dict[str, View] = {
        f"vectors-{n}": view(n, collections=(collection(n, {0: (0,), 1: (1,), 2: (2,)}, factor=1),))
        for n in range(3)
    }
    alone = seen((pod(0), pod(1, ready=False), pod(2)), views, stateful_set_replicas=3, records=known())
    assert only_guard(silence(alone, "vectors-1")) is ClusterGuard.REPLICA_NOT_SOUND


def test_a_ready_peer_that_does_not_answer_the_operator_is_left_alone() -> None:
    """The kubelet reaches it: it is the operator that does not."""
    observed = replace(settled(), records=known())
    assert only_guard(silence(observed, "vectors-2")) is ClusterGuard.PEERS_UNREACHABLE


def test_a_stopped_consensus_thread_holds_back_other_pods_and_not_its_own() -> None:
    """Only a new process begins to take part again; while it has stopped, no other voter may go."""
    stopped = replace(settled().peers["vectors-2"], consensus_working=False, term=0, leader=None)
    views = {**settled().views, "vectors-2": stopped}
    observed = replace(settled(), views=views)
    assert restarted(observed) == ["vectors-2"]
    assert (
        only_guard(replace(observed, pods=(pod(0), pod(1), pod(2, NEW)))) is ClusterGuard.CONSENSUS_UNSETTLED
    )


def known() -> tuple[PeerRecord, ...]:
    """The records of three members."""
    return tuple(PeerRecord(f"vectors-{n}", PeerId(100 + n), f"claim-{n}") for n in range(3))


def test_a_pod_is_not_restarted_while_the_statefulset_has_another_template() -> None:
    """It would come back as it was, again and again; a contested image alone blocks nothing."""
    hash_of = "spec.template.metadata.annotations.qdrantoperator.dev/template-hash"
    template = Contested(Kind.STATEFUL_SET, "vectors", (hash_of,), ("argocd",))
    image = Contested(Kind.STATEFUL_SET, "vectors", ("spec.template.spec.containers[qdrant].image",))
    assert only_guard(replace(settled(), contested=(template,))) is ClusterGuard.FIELD_CONTESTED
    assert restarted(replace(settled(), contested=(image,))) == ["vectors-2"]

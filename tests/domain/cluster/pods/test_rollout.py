"""Pods follow their template one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from qdrant_operator.domain.cluster.decision import Changes
from qdrant_operator.domain.cluster.layout import unsettled
from qdrant_operator.domain.cluster.observed import Drift, Observed
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.pods.rollout import plan_rollout
from qdrant_operator.domain.cluster.steps import ApplyObject, PutInService, RestartPod, TakeOutOfService
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.domain.placement.steps import MoveShard, ReplicateShard
from qdrant_operator.domain.qdrant.views import PeerId, ShardId, Transfer
from tests.domain.clusters import collection, desired, pod, seen, settled, silence, view
from tests.domain.guards.cluster_worlds import peers

NEW = desired(config={"log_level": "DEBUG"})


def test_a_settled_cluster_plans_nothing() -> None:
    """Idle means idle."""
    assert plan(desired(), settled()).steps == ()
    assert plan(desired(), settled()).blocked == ()


def test_a_follower_goes_first_and_leaves_the_service_before_it_stops() -> None:
    """The highest follower: first out of the Service, then restarted; the leader is vectors-0."""
    steps = plan(NEW, settled()).steps
    assert [type(step) for step in steps] == [TakeOutOfService, RestartPod]
    assert [step.pod for step in steps if isinstance(step, RestartPod)] == ["vectors-2"]


def test_the_leader_goes_last() -> None:
    """Every follower already has the new template; the leader is vectors-0."""
    pods = (pod(0), pod(1, NEW), pod(2, NEW))
    steps = plan(NEW, replace(settled(), pods=pods)).steps
    assert [step.pod for step in steps if isinstance(step, RestartPod)] == ["vectors-0"]


def test_a_pod_that_the_service_still_lists_is_not_restarted() -> None:
    """Requests still reach it."""
    pods = (pod(0), pod(1), pod(2, serving=False))
    listed = replace(settled(), pods=pods, listed=frozenset({"10.0.0.2"}))
    assert [wait.guard for wait in plan(NEW, listed).blocked] == [ClusterGuard.STILL_IN_SERVICE]
    assert plan(NEW, replace(listed, listed=frozenset())).steps == (
        RestartPod("vectors-2", "pod-2", "its template changed"),
    )


def test_a_reverted_change_puts_the_pod_back_into_service() -> None:
    """The spec was changed back after the pod had left the Service and before it stopped."""
    pods = (pod(0), pod(1), pod(2, serving=False))
    assert plan(desired(), replace(settled(), pods=pods)).steps == (PutInService("vectors-2"),)


def test_a_pod_that_does_not_answer_stays_out_of_service() -> None:
    """One lost answer must not send requests to a pod that was taken out because it runs a cluster of its own."""
    pods = (pod(0), pod(1), pod(2, serving=False))
    unknown = plan(desired(), silence(replace(settled(), pods=pods), "vectors-2"))
    assert not [step for step in unknown.steps if isinstance(step, PutInService)]
    (wait,) = [wait for wait in unknown.blocked if wait.step == str(PutInService("vectors-2"))]
    assert wait.guard is ClusterGuard.PEERS_UNREACHABLE
    assert "no answer in 3 s" in wait.message


def test_a_stranger_leaves_the_service_before_any_object_is_written() -> None:
    """Each write may take seconds while Kubernetes is slow, and requests reach it in the meantime."""
    alone = replace(view(2), peer=PeerId(7), peers={PeerId(7): ""}, leader=PeerId(7))
    split = replace(settled(), views={**settled().views, "vectors-2": alone})
    changes = Changes((Drift(Kind.CONFIG_MAP, "vectors-config", (), {}),))
    steps = plan(desired(), split, changes).steps
    assert steps[0] == TakeOutOfService("vectors-2", "its peer is not in the cluster")
    assert isinstance(steps[1], ApplyObject)


def test_a_pod_that_is_down_is_repaired_first_and_without_gates() -> None:
    """A bad configuration stopped one pod; the next template may reach it although a peer is silent."""
    broken = pod(1, waiting="CrashLoopBackOff", ready=False)
    observed = silence(replace(settled(), pods=(pod(0), broken, pod(2))), "vectors-1")
    assert plan(NEW, observed).steps == (RestartPod("vectors-1", "pod-1", "its template changed"),)


def _transfer(observed: Observed) -> Observed:
    moving = replace(
        collection(0, {0: (0, 1)}), transfers=(Transfer(ShardId(0), PeerId(100), PeerId(102), "snapshot"),)
    )
    return replace(observed, views={**observed.views, "vectors-0": view(0, collections=(moving,))})


def _dead_copy(observed: Observed) -> Observed:
    placement = {0: (0, 1)}
    views = {f"vectors-{n}": view(n, collections=(collection(n, placement),)) for n in range(3)}
    views["vectors-1"] = view(1, collections=(collection(1, placement, points={(0, 1): None}),))
    return seen(observed.pods, dict(views), stateful_set_replicas=3)


def _no_voters(observed: Observed) -> Observed:
    views = {**observed.views, "vectors-1": replace(observed.peers["vectors-1"], voter=False)}
    return replace(observed, views=views)


def _unsettled(observed: Observed) -> Observed:
    views = {**observed.views, "vectors-1": replace(observed.peers["vectors-1"], term=7, leader=PeerId(101))}
    return replace(observed, views=views)


GUARDED: dict[ClusterGuard, Callable[[Observed], Observed]] = {
    ClusterGuard.ONE_AT_A_TIME: lambda seen: replace(seen, pods=(pod(0, NEW, ready=False), pod(1), pod(2))),
    ClusterGuard.PEERS_UNREACHABLE: lambda seen: silence(seen, "vectors-1"),
    ClusterGuard.CONSENSUS_UNSETTLED: _unsettled,
    ClusterGuard.TRANSFER_RUNNING: _transfer,
    ClusterGuard.REPLICA_NOT_SOUND: _dead_copy,
    ClusterGuard.QUORUM_AT_RISK: _no_voters,
    ClusterGuard.BACKUP_RUNNING: lambda seen: replace(seen, backups=("nightly",)),
}


@pytest.mark.parametrize("guard", GUARDED)
def test_each_guard_holds_the_restart_back_and_says_so(guard: ClusterGuard) -> None:
    """Nothing is restarted, nothing leaves the Service, and one sentence says why."""
    result = plan(NEW, GUARDED[guard](settled()))
    assert not [step for step in result.steps if isinstance(step, RestartPod | TakeOutOfService)]
    (wait,) = [wait for wait in result.blocked if wait.step.startswith("restart")]
    assert wait.guard is guard
    assert 0 < len(wait.message) <= 1024


def test_a_backup_holds_back_neither_repair_nor_what_has_begun() -> None:
    """A pod that is down, and one that clients have left already, are restarted although a backup runs."""
    broken = pod(1, waiting="CrashLoopBackOff", ready=False)
    down = silence(replace(settled(), pods=(pod(0), broken, pod(2)), backups=("nightly",)), "vectors-1")
    assert plan(NEW, down).steps == (RestartPod("vectors-1", "pod-1", "its template changed"),)
    left = replace(settled(), pods=(pod(0), pod(1), pod(2, serving=False)), backups=("nightly",))
    assert plan(NEW, left).steps == (RestartPod("vectors-2", "pod-2", "its template changed"),)


def test_a_backup_holds_back_moves_and_no_repair() -> None:
    """A new peer's share waits, by name; a shard that lost a replica gets another one at once."""
    wanted, level = desired(4), peers(4)
    moves = [step for step in plan(wanted, level).steps if isinstance(step, MoveShard)]
    assert moves
    held = plan(wanted, replace(level, backups=("nightly",)))
    assert not [step for step in held.steps if isinstance(step, MoveShard)]
    assert {str(moves[0])} <= {
        wait.step for wait in held.blocked if wait.guard is ClusterGuard.BACKUP_RUNNING
    }
    thin = peers(4, {0: (0,), 1: (1, 2), 2: (0, 2)})
    held = plan(wanted, replace(thin, backups=("nightly",)))
    assert [step for step in held.steps if isinstance(step, ReplicateShard)]


def _lagging(by: int) -> Observed:
    """The peer of vectors-1 has applied fewer consensus entries than the others."""
    views = settled().peers
    ahead = {pod: replace(view, commit=100) for pod, view in views.items()}
    return replace(settled(), views={**ahead, "vectors-1": replace(views["vectors-1"], commit=100 - by)})


def test_a_peer_whose_consensus_lags_is_named_and_waited_for() -> None:
    """Raft sends entries in batches: 16 are nothing, 17 hold a restart and every move back, and say on which pod."""
    assert [step.pod for step in plan(NEW, _lagging(16)).steps if isinstance(step, RestartPod)] == [
        "vectors-2"
    ]
    assert unsettled(_lagging(16)) == ""
    (wait,) = [wait for wait in plan(NEW, _lagging(17)).blocked if wait.step.startswith("restart")]
    assert wait.guard is ClusterGuard.CONSENSUS_UNSETTLED
    assert wait.message == "vectors-1 is 17 consensus entries behind: waiting"
    assert unsettled(_lagging(17)) == "vectors-1 is 17 consensus entries behind"


def test_a_pod_that_came_back_is_waited_for_while_its_replicas_can_still_be_called_dead() -> None:
    """A write that did not reach it fails seconds later; another pod that is down by then would be one too many."""
    result = plan(NEW, replace(settled(), just_back=frozenset({"vectors-1"})))
    assert not [step for step in result.steps if isinstance(step, RestartPod | TakeOutOfService)]
    (wait,) = result.blocked
    assert wait.guard is ClusterGuard.ONE_AT_A_TIME
    assert wait.message.startswith("vectors-1 must be ready for 10 s first: until then requests")


def test_a_pod_that_came_back_is_not_waited_for_where_nothing_can_be_called_dead() -> None:
    """It is the one that restarts, or it holds no shard that is anywhere else."""
    itself = replace(settled(), just_back=frozenset({"vectors-2"}))
    assert [step.pod for step in plan(NEW, itself).steps if isinstance(step, RestartPod)] == ["vectors-2"]
    single = {f"vectors-{n}": view(n, collections=(collection(n, {0: (1,)}, factor=1),)) for n in range(3)}
    back = seen(settled().pods, dict(single), stateful_set_replicas=3, just_back=frozenset({"vectors-1"}))
    assert [step.pod for step in plan(NEW, back).steps if isinstance(step, RestartPod)] == ["vectors-2"]


def test_a_peer_that_formed_its_own_cluster_leaves_the_service() -> None:
    """Split brain: it must not answer applications, and no pod is restarted in the meantime."""
    detached = replace(view(1), peers={PeerId(101): ""}, leader=PeerId(101))
    observed = replace(settled(), views={**settled().views, "vectors-1": detached})
    steps = plan(NEW, observed).steps
    assert steps == (TakeOutOfService("vectors-1", "its peer is not in the cluster"),)


def test_of_two_pods_that_are_out_of_service_the_leaving_one_stays_out() -> None:
    """A late write took the second one out; each would wait for the other to be in service."""
    pods = (pod(0), pod(1, serving=False), pod(2, serving=False))
    observed = replace(settled(), pods=pods)
    roll = plan_rollout("another template", 3, observed, frozenset({"vectors-2"}))
    assert roll.steps == (PutInService("vectors-1"),)

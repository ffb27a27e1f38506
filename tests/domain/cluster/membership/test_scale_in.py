"""One peer at a time is removed, and a removed one never comes back with its old volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qdrant_operator.domain.cluster.membership.identity import find_removed_pod
from qdrant_operator.domain.cluster.membership.scale_out import pods_wanted
from qdrant_operator.domain.cluster.observed import Leaving, LeavingPhase, Observed, PeerRecord, PodState
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.steps import (
    DeleteClaim,
    PutInService,
    RecordLeaving,
    RemovePeer,
    ScaleInStatefulSet,
    TakeOutOfService,
)
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.placement.steps import MoveShard
from qdrant_operator.domain.qdrant.views import PeerId, Silent, View
from tests.domain.clusters import desired, pod, seen, silence, view
from tests.domain.membership_worlds import (
    CREATED,
    NOW,
    REMOVED,
    REMOVING,
    TOP,
    first,
    four,
    guards,
    out,
    records,
    three,
    volumes,
    without_top,
)


def test_an_empty_peer_leaves_the_service_then_is_recorded_then_removed_without_force() -> None:
    """Each step needs the one before to be seen: out of service, gone from the Service, recorded, removed."""
    assert plan(three(), four()).steps == (TakeOutOfService("vectors-3", "fewer peers are wanted"),)
    listed = out(four(), listed=frozenset({"10.0.0.3"}))
    assert plan(three(), listed).steps == ()
    assert guards(plan(three(), listed)) == {ClusterGuard.STILL_IN_SERVICE}
    just_left = out(four(), just_left=frozenset({"vectors-3"}))
    assert plan(three(), just_left).steps == ()
    assert guards(plan(three(), just_left)) == {ClusterGuard.STILL_IN_SERVICE}
    assert plan(three(), out(four())).steps == (RecordLeaving(REMOVING, "vectors-3"),)
    recorded = out(four(), leaving=REMOVING)
    assert plan(three(), recorded).steps == (
        RemovePeer(TOP, "vectors-3", force=False, why="fewer peers are wanted"),
    )


def test_a_peer_that_holds_something_is_drained_and_not_removed() -> None:
    """One view that puts a shard on it is enough; the shard is moved, and status says what is there."""
    holding = four({0: (0, 1), 1: (1, 2), 2: (0, 3)})
    result = plan(three(), holding)
    assert isinstance(first(result), MoveShard)
    assert not [s for s in result.steps if isinstance(s, TakeOutOfService | RecordLeaving | RemovePeer)]
    (wait,) = [wait for wait in result.blocked if wait.guard is ClusterGuard.PEER_HOLDS_SHARDS]
    assert "docs/2" in wait.message


def test_a_shard_that_appears_on_it_after_the_record_holds_the_removal() -> None:
    """A new collection was placed there in the meantime: it is drained again first."""
    holding = out(four({0: (0, 1), 1: (1, 2), 2: (0, 3)}), leaving=REMOVING)
    assert not [step for step in plan(three(), holding).steps if isinstance(step, RemovePeer)]
    assert isinstance(first(plan(three(), holding)), MoveShard)


def test_after_the_removal_pod_then_volume_then_record() -> None:
    """Removed in every view: recorded; then one replica fewer; then exactly that claim; then the record goes."""
    gone = without_top(out(four(), leaving=REMOVING))
    assert plan(three(), gone).steps == (RecordLeaving(REMOVED, "vectors-3"),)
    removed = replace(gone, leaving=REMOVED, records=records(3))
    assert plan(three(), removed).steps == (ScaleInStatefulSet("vectors-3", 3),)
    lowered = replace(removed, stateful_set_replicas=3)
    assert plan(three(3), lowered).steps == (), "its pod is still there"
    podless = replace(lowered, removed_pod=None)
    assert plan(three(3), podless).steps == (DeleteClaim("storage-vectors-3", "claim-3"),)
    empty = replace(podless, volumes=volumes(3))
    assert plan(three(3), empty).steps == (RecordLeaving(None, "vectors-3"),)


def test_the_pod_of_a_removed_peer_stays_while_the_leader_is_silent() -> None:
    """Another peer may have joined from it on a new volume, and only the leader would know."""
    removed = without_top(out(four(), leaving=REMOVED))
    assert isinstance(first(plan(three(), removed)), ScaleInStatefulSet)
    silent = silence(removed, "vectors-0")
    assert plan(three(), silent).steps == ()
    assert ClusterGuard.CONSENSUS_UNSETTLED in guards(plan(three(), silent))


def test_a_pod_that_is_being_made_is_no_proof_that_nobody_joined_from_it() -> None:
    """Another peer joined on the pod's new volume, then the pod was deleted: only the leader would know."""
    removed = replace(without_top(out(four(), leaving=REMOVED)), removed_pod=None)
    assert isinstance(first(plan(three(), removed)), ScaleInStatefulSet)
    silent = silence(removed, "vectors-0")
    assert plan(three(), silent).steps == ()
    assert ClusterGuard.CONSENSUS_UNSETTLED in guards(plan(three(), silent))
    waiting = replace(silent, stateful_set_replicas=3)
    assert plan(three(3), waiting).steps == (), "its volume waits, and it may be a member's"
    lowered = replace(silent, stateful_set_replicas=3, volumes=volumes(3))
    assert plan(three(3), lowered).steps == (RecordLeaving(None, "vectors-3"),), "no peer can join from it"


def test_a_removal_is_believed_only_when_every_survivor_says_so() -> None:
    """One survivor is silent: it may still know the peer."""
    gone = silence(without_top(out(four(), leaving=REMOVING)), "vectors-1")
    assert plan(three(), gone).steps == ()
    assert ClusterGuard.CONSENSUS_UNSETTLED in guards(plan(three(), gone))


def unaware(*changes: tuple[str, View]) -> Mapping[str, View]:
    """The survivors know vectors-3 no more, which has not heard of that and asks for votes."""
    before = out(four(), leaving=REMOVING)
    own = replace(before.peers["vectors-3"], leader=None, term=9)
    return {**without_top(before).views, "vectors-3": own, **dict(changes)}


def test_a_removed_peer_that_never_heard_of_it_is_gone_by_what_the_others_say() -> None:
    """Raft sends it nothing any more; its view would block its own removal without a limit."""
    pods = out(four()).pods
    assert find_removed_pod(REMOVING, pods, unaware()) == pods[3]
    assert find_removed_pod(None, pods, unaware()) is None, "it is not deleted"
    late = four().views["vectors-1"]
    assert find_removed_pod(REMOVING, pods, unaware(("vectors-1", late))) is None, (
        "one of the others still knows it"
    )
    dumb = Silent("no answer in 3 s")
    assert find_removed_pod(REMOVING, pods, unaware(("vectors-1", dumb))) == pods[3], "a majority says so"
    alone = unaware(("vectors-0", dumb), ("vectors-1", dumb))
    assert find_removed_pod(REMOVING, pods, alone) is None, "one of three is no majority"
    successor = replace(four().peers["vectors-3"], peer=PeerId(203))
    assert find_removed_pod(REMOVING, pods, unaware(("vectors-3", successor))) is None, (
        "another peer joined from it"
    )


def test_nobody_is_removed_while_another_member_is_silent() -> None:
    """Its view may name a shard on the leaving peer."""
    waiting = silence(out(four()), "vectors-1")
    assert not [s for s in plan(three(), waiting).steps if isinstance(s, RecordLeaving | RemovePeer)]
    assert ClusterGuard.PEERS_UNREACHABLE in guards(plan(three(), waiting))


def test_the_only_member_is_not_removed_though_its_pod_is_the_topmost() -> None:
    """The other peer's volume was lost and it was removed by force; until it has joined again it is the only peer."""
    members = {PeerId(101): "http://vectors-1.vectors-peers:6335/"}
    only = replace(view(1, leader=1), peers=members)
    views: dict[str, View] = {"vectors-0": Silent("connection refused"), "vectors-1": only}
    pods = (pod(0, created=CREATED, ready=False), pod(1, created=CREATED))
    observed = seen(pods, views, stateful_set_replicas=2, volumes=volumes(2), records=records(2), now=NOW)
    result = plan(replace(desired(1), pod_count=2), observed)
    assert result.steps == ()
    (wait,) = [wait for wait in result.blocked if wait.step.startswith("remove peer 101")]
    assert (wait.guard, wait.message) == (ClusterGuard.QUORUM_AT_RISK, "peer 101 is the only peer")


def test_a_retained_volume_stays_and_holds_the_next_scale_out() -> None:
    """With Retain only the record goes; a pod is never made where that volume waits."""
    keep = three(3, persistence={"whenScaled": "Retain"})
    podless = replace(
        without_top(four(leaving=REMOVED)), removed_pod=None, stateful_set_replicas=3, records=records(3)
    )
    assert plan(keep, podless).steps == (RecordLeaving(None, "vectors-3"),)
    count, held = pods_wanted("vectors", 4, replace(podless, leaving=None))
    assert count == 3
    assert [wait.guard for wait in held] == [ClusterGuard.REMOVED_VOLUME_PRESENT]
    assert "kubectl delete pvc storage-vectors-3" in held[0].message
    free = replace(podless, leaving=None, volumes=volumes(3))
    assert pods_wanted("vectors", 4, free) == (4, ())


def test_the_volume_of_a_member_that_was_never_recorded_is_started() -> None:
    """It joined in the last moment of its pod: no message says to delete the volume of a member."""
    podless = replace(without_top(four()), removed_pod=None, stateful_set_replicas=3, records=records(3))
    assert [wait.guard for wait in pods_wanted("vectors", 4, podless)[1]] == [
        ClusterGuard.REMOVED_VOLUME_PRESENT
    ]
    told = {name: replace(one, peers=view(0, 4).peers) for name, one in podless.peers.items()}
    assert pods_wanted("vectors", 4, replace(podless, views=told)) == (4, ())
    assert pods_wanted("vectors", 3, replace(podless, views=told)) == (4, ()), "the others may be no majority"
    one_doubts = {**told, "vectors-1": podless.peers["vectors-1"]}
    assert pods_wanted("vectors", 3, replace(podless, views=one_doubts)) == (3, ()), (
        "it may have been removed"
    )


def test_no_volume_is_called_old_while_most_members_are_silent() -> None:
    """The peers that do not answer may list the one that lives on it: no message says to delete it."""
    podless = replace(without_top(four()), removed_pod=None, stateful_set_replicas=3, records=records(3))
    for silent in (("vectors-0", "vectors-1"), ("vectors-0", "vectors-1", "vectors-2")):
        count, (wait,) = pods_wanted("vectors", 4, silence(podless, *silent))
        assert (count, wait.guard) == (3, ClusterGuard.PEERS_UNREACHABLE)
        assert "kubectl delete" not in wait.message


def test_a_new_mind_after_the_record_takes_the_removal_to_its_end() -> None:
    """Five are wanted again, but the removal may have happened: pod and claim go before anything grows."""
    more = replace(desired(5), pod_count=4)
    assert plan(more, out(four(), leaving=REMOVING)).steps[:1] == (
        RemovePeer(TOP, "vectors-3", force=False, why="fewer peers are wanted"),
    )
    removed = replace(without_top(four(leaving=REMOVED)), records=records(3))
    assert pods_wanted("vectors", 5, removed) == (4, ())
    assert plan(more, removed).steps == (ScaleInStatefulSet("vectors-3", 3),)


def test_a_new_mind_before_the_record_puts_the_peer_back_into_service() -> None:
    """Four are wanted again while the peer is out of the Service and not yet recorded."""
    assert first(plan(desired(4), out(four()))) == PutInService("vectors-3")


def test_too_few_peers_for_the_largest_factor_moves_nothing() -> None:
    """Every replica needs a peer of its own: the refusal names the collection and both remedies."""
    placed = {0: (0, 1), 1: (1, 2), 2: (0, 3)}
    result = plan(replace(desired(1), pod_count=4), four(placed))
    assert result.steps == ()
    (wait,) = [wait for wait in result.blocked if wait.guard is ClusterGuard.TOO_FEW_PEERS]
    assert "collection docs has replication factor 2" in wait.message


def test_a_removal_is_not_asked_for_again_while_the_news_travels() -> None:
    """The leader knows the peer no more and another survivor still lists it: it waits for the next observation."""
    before = out(four(), leaving=REMOVING)
    after = without_top(before)
    news = {name: after.peers[name] for name in ("vectors-0", "vectors-2")}
    late = replace(before, views={**before.views, **news})
    assert late.leader == PeerId(100)
    assert not [step for step in plan(three(), late).steps if isinstance(step, RemovePeer)]
    (wait,) = [wait for wait in plan(three(), late).blocked if wait.guard is ClusterGuard.CONSENSUS_UNSETTLED]
    assert "not every peer knows yet" in wait.message


def test_a_lost_peer_is_not_removed_again_while_the_news_travels() -> None:
    """The same by force."""
    records_lost = (*records(3), PeerRecord("vectors-3", TOP, "claim-lost", NOW))
    wanted = three(shards={"replaceLostPeers": [int(TOP)]})
    lost = replace(silence(four(), "vectors-3"), records=records_lost)
    assert [step for step in plan(wanted, lost).steps if isinstance(step, RemovePeer)]
    after = without_top(lost)
    late = replace(lost, views={**lost.views, "vectors-0": after.peers["vectors-0"]})
    assert not [step for step in plan(wanted, late).steps if isinstance(step, RemovePeer)]


def test_a_pod_that_is_joining_is_waited_for() -> None:
    """Its process runs and may become a member at any moment: a member's pod is not simply deleted."""
    result = plan(three(), _not_joined(pod(3, created=CREATED)))
    assert result.steps == ()
    assert ClusterGuard.PEER_NOT_JOINED in guards(result)


def test_a_pod_that_never_joined_just_goes() -> None:
    """The scale-out was taken back and its process does not run: nothing is removed from consensus."""
    fresh = _not_joined(pod(3, created=CREATED, waiting="CrashLoopBackOff", ready=False))
    assert plan(three(), fresh).steps == (
        RecordLeaving(Leaving("vectors-3", None, "claim-3", LeavingPhase.REMOVED), "vectors-3"),
    )


def _not_joined(last: PodState) -> Observed:
    observed = four()
    views: dict[str, View] = {
        name: replace(found, peers=dict(list(found.peers.items())[:3]))
        for name, found in list(observed.peers.items())[:3]
    }
    return replace(
        observed,
        pods=(*observed.pods[:3], last),
        views={**views, "vectors-3": Silent("refused")},
        records=records(3),
    )

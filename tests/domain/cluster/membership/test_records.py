"""Which peer lives on which volume: detached peers, lost volumes, and who is still in the cluster."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from qdrant_operator.domain.cluster.membership.identity import detached
from qdrant_operator.domain.cluster.membership.lost_evidence import STILL_IN_CLUSTER
from qdrant_operator.domain.cluster.membership.records import update_records
from qdrant_operator.domain.cluster.membership.scale_out import pods_wanted
from qdrant_operator.domain.cluster.observed import Observed, PeerRecord, Volume
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.steps import RemovePeer, TakeOutOfService
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.qdrant.soundness import shard_health
from qdrant_operator.domain.qdrant.views import PeerId, Silent, View
from tests.domain.clusters import collection, desired, silence, view
from tests.domain.membership_worlds import (
    CREATED,
    NOW,
    REMOVING,
    TOP,
    first,
    four,
    out,
    records,
    three,
    volumes,
)


def test_members_volumes_are_all_started_again() -> None:
    """A user lowered the StatefulSet by hand: peers whose volumes are there come back."""
    lowered = replace(four(), stateful_set_replicas=2)
    assert pods_wanted("vectors", 2, lowered) == (4, ())


def test_nothing_grows_while_a_pod_is_alone_in_a_cluster_of_its_own() -> None:
    """A new peer could ask it for admission, and would be lost to the others."""
    alone = replace(four().peers["vectors-3"], peers={TOP: "http://vectors-3:6335"}, leader=TOP)
    split = four(records=records(3))
    split = replace(split, views={**split.views, "vectors-3": alone})
    count, (wait,) = pods_wanted("vectors", 6, split)
    assert (count, wait.guard) == (4, ClusterGuard.PEER_NOT_JOINED)
    assert wait.message.startswith("vectors-3 is out of service and not known to be in the cluster")
    assert pods_wanted("vectors", 4, split) == (4, ())
    silent = silence(out(four(records=records(3))), "vectors-3")
    assert pods_wanted("vectors", 6, silent)[0] == 4, "it was alone when it was taken out of service"


def test_a_stranger_that_alone_answers_changes_no_record() -> None:
    """All members are silent: the peer that formed its own cluster is none of them, and nothing is decided."""
    observed = four()
    alone = replace(observed.peers["vectors-3"], peer=PeerId(7), peers={PeerId(7): ""}, leader=PeerId(7))
    silent: dict[str, View] = {f"vectors-{n}": Silent("refused") for n in range(3)}
    split = replace(observed, views={**silent, "vectors-3": alone}, shards=())
    known = update_records(records(4), "vectors", split)
    assert [(member.pod, member.peer) for member in known] == [(m.pod, m.peer) for m in records(4)]
    result = plan(three(), split)
    assert result.steps == (TakeOutOfService("vectors-3", "its peer is not in the cluster"),)


def test_a_peer_that_was_removed_makes_nobody_forgotten() -> None:
    """The survivor's pod is recreated, and the removed peer, which knows itself only, is all that answers."""
    observed = out(four(), leaving=REMOVING)
    alone = replace(observed.peers["vectors-3"], peers={TOP: "http://vectors-3:6335"}, leader=TOP)
    last = tuple(pod for pod in observed.pods if pod.name == "vectors-3")
    between = replace(observed, pods=last, views={"vectors-3": alone}, shards=())
    assert update_records(records(4), "vectors", between) == records(4)


def test_a_claim_younger_than_its_pod_is_not_recorded() -> None:
    """The view is of the old pod, the claim already the next one's: the record keeps the old volume."""
    young = {**volumes(4), "storage-vectors-3": Volume("claim-new", "2026-11-21T11:30:00Z")}
    kept = update_records(records(4), "vectors", replace(four(), volumes=young))
    assert kept == records(4)


def lost(**changes: Any) -> Observed:
    """vectors-3 has a new, empty volume since ten minutes, and its peer does not answer and is in the cluster."""
    observed = silence(four({0: (0, 1), 1: (1, 2), 2: (0, 3)}, **changes), "vectors-3")
    fresh = {**volumes(4), "storage-vectors-3": Volume("claim-new", CREATED)}
    dated = (*records(3), replace(records(4)[3], lost_since=NOW - timedelta(minutes=10)))
    return replace(observed, volumes=fresh, records=dated)


def test_a_lost_volume_is_dated_once() -> None:
    """The first look that finds another claim under a silent member dates it; a slow start dates nothing."""
    fresh = replace(lost(), records=records(4))
    (found,) = [m for m in update_records(records(4), "vectors", fresh) if m.lost_since]
    assert (found.pod, found.peer, found.claim_uid, found.lost_since) == ("vectors-3", TOP, "claim-3", NOW)
    later = replace(fresh, now=NOW + timedelta(hours=1))
    again = update_records((*records(3), found), "vectors", later)
    assert again[3].lost_since == NOW
    slow = silence(four(), "vectors-3")
    assert not [m for m in update_records(records(4), "vectors", slow) if m.lost_since]


WORDS = (
    f"peer URI http://vectors-3 already used by peer 103 which {STILL_IN_CLUSTER}, remove its shards first"
)


def wiped(**pod: Any) -> Observed:
    """The disk of vectors-3 is empty under the same claim, and its pod is refused for its member's sake."""
    waits = {"ready": False, "waiting": "CrashLoopBackOff", "message": WORDS, **pod}
    found = replace(lost(), volumes=volumes(4), records=records(4))
    return replace(found, pods=(*found.pods[:3], replace(found.pods[3], **waits)))


def dated(previous: tuple[PeerRecord, ...], observed: Observed) -> Observed:
    """The same look with the records that follow from it."""
    return replace(observed, records=update_records(previous, "vectors", observed))


def test_a_disk_that_was_wiped_under_its_claim_is_dated_once() -> None:
    """The refusal is the evidence; between two tries of the kubelet nothing is known, and the date stays."""
    first_look = dated(records(4), wiped())
    assert first_look.records[3] == replace(records(4)[3], lost_since=NOW)
    for unknown in (
        {"waiting": "", "message": ""},
        {"message": "Failed to initialize Consensus: failed to connect to bootstrap peer"},
    ):
        later = replace(wiped(**unknown), now=NOW + timedelta(minutes=1))
        assert dated(first_look.records, later).records == first_look.records
    back = replace(four(), records=first_look.records)
    assert dated(first_look.records, back).records == records(4)


@pytest.mark.parametrize(
    "unknown",
    [
        {"waiting": "", "message": ""},
        {"waiting": "ImagePullBackOff"},
        {"message": "Out of memory"},
        {"waiting": "", "message": WORDS},
    ],
    ids=["starting", "another wait", "other words", "words without the wait"],
)
def test_a_member_that_is_only_silent_is_not_dated(unknown: dict[str, Any]) -> None:
    """What is unknown is not lost."""
    assert dated(records(4), wiped(**unknown)).records == records(4)


def test_a_date_does_not_pass_to_the_next_pod() -> None:
    """A pod is recreated when an old volume is brought back: its own refusal alone counts."""
    previous = dated(records(4), wiped()).records
    after = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert dated(previous, wiped(waiting="", message="", created=after)).records == records(4)


def test_a_wiped_member_is_replaced_after_its_time_and_only_while_the_evidence_stands() -> None:
    """While its container starts, the old volume may be back: nothing is forced in that moment."""
    known = (*records(3), replace(records(4)[3], lost_since=NOW - timedelta(minutes=10)))
    force = RemovePeer(TOP, "vectors-3", force=True, why="its volume is gone")
    soon, late = desired(4, shards={"replaceLostPeerAfter": "10m"}), {"replaceLostPeerAfter": "11m"}
    assert first(plan(soon, replace(wiped(), records=known))) == force
    waits = plan(desired(4, shards=late), replace(wiped(), records=known))
    assert force not in waits.steps
    assert ClusterGuard.CONSENT_NEEDED in {wait.guard for wait in waits.blocked}
    starting = replace(wiped(waiting="", message=""), records=known)
    assert force not in plan(soon, starting).steps
    named = desired(4, shards={"replaceLostPeers": [103]})
    assert force not in plan(named, starting).steps
    assert first(plan(named, replace(wiped(), records=known))) == force


def test_wiped_disks_of_half_the_peers_leave_no_majority() -> None:
    """No peer can be removed then, with whatever consent."""
    observed = wiped()
    refused = replace(observed.pods[2], ready=False, waiting="CrashLoopBackOff", message=WORDS)
    silent = silence(replace(observed, pods=(*observed.pods[:2], refused, observed.pods[3])), "vectors-2")
    (wait,) = [w for w in plan(desired(4), silent).blocked if w.guard is ClusterGuard.VOLUME_LOST]
    assert wait.step == "elect a leader"


def test_a_volume_that_was_lost_before_its_peer_was_recorded_is_told_by_qdrants_words() -> None:
    """The new peer was silent until its volume went; its pod starts empty under the name of a member with shards."""
    waits = replace(lost().pods[3], ready=False, waiting="CrashLoopBackOff", message=WORDS)
    refused = replace(lost(), pods=(*lost().pods[:3], waits), records=())
    found = update_records(records(3), "vectors", refused)
    assert found[3] == PeerRecord("vectors-3", TOP, "", NOW)
    assert first(plan(desired(4, shards={"replaceLostPeers": [103]}), replace(refused, records=found))) == (
        RemovePeer(TOP, "vectors-3", force=True, why="its volume is gone")
    )
    other = replace(refused, pods=(*lost().pods[:3], replace(waits, message="Out of memory")))
    assert update_records(records(3), "vectors", other) == records(3)


def test_a_lost_peer_is_replaced_only_with_consent() -> None:
    """Without it the sentence says what to write; with the id, or after the time, it goes by force."""
    force = RemovePeer(TOP, "vectors-3", force=True, why="its volume is gone")
    refused = plan(desired(4), lost())
    assert force not in refused.steps
    (wait,) = [wait for wait in refused.blocked if wait.guard is ClusterGuard.CONSENT_NEEDED]
    assert "add 103 to spec.shards.replaceLostPeers" in wait.message
    assert first(plan(desired(4, shards={"replaceLostPeers": [103]}), lost())) == force
    assert first(plan(desired(4, shards={"replaceLostPeerAfter": "10m"}), lost())) == force
    assert force not in plan(desired(4, shards={"replaceLostPeerAfter": "11m"}), lost()).steps


def test_consent_does_not_cover_an_only_replica() -> None:
    """What would be lost is named by collection and shard, and waits."""
    views: dict[str, View] = {
        f"vectors-{n}": view(n, 4, collections=(collection(n, {0: (0,), 1: (3,)}, factor=1),))
        for n in range(3)
    }
    only = replace(
        lost(), views={**views, "vectors-3": Silent("gone")}, shards=shard_health(tuple(views.values()))
    )
    result = plan(desired(4, shards={"replaceLostPeers": [103]}), only)
    assert not [step for step in result.steps if isinstance(step, RemovePeer)]
    assert "docs/1" in next(wait.message for wait in result.blocked if wait.guard is ClusterGuard.VOLUME_LOST)


def test_a_removed_peer_is_told_from_the_rest_even_when_one_remains() -> None:
    """Of two peers that each know only themselves, the one whose consensus has stopped is outside."""
    alone = replace(view(0, 1), peers={PeerId(100): ""})
    stopped = replace(view(1, 1), peer=PeerId(101), peers={PeerId(101): ""}, consensus_working=False)
    assert detached({"vectors-0": alone, "vectors-1": stopped}) == {"vectors-1"}
    assert detached({"vectors-0": alone}) == frozenset()

"""What a node drain may evict: nothing that a healing replica needs, and never nothing permanently."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qdrant_operator.domain.cluster.observed import (
    Bootstrap,
    BootstrapPhase,
    Disruptions,
    Leaving,
    LeavingPhase,
    Observed,
    PeerRecord,
)
from qdrant_operator.domain.cluster.pods.disruptions import STEADY, plan_disruptions
from qdrant_operator.domain.manifests.diff import differences
from qdrant_operator.domain.manifests.services import disruption_budget, read_disruptions
from qdrant_operator.domain.qdrant.soundness import shard_health
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, ShardId, Transfer
from tests.domain.clusters import collection, desired, seen, settled, silence, view

PLACEMENT = {0: (0, 1), 1: (1, 2), 2: (2, 0)}
SOUND = Disruptions(1)
NONE = Disruptions(0)


def with_states(states: dict[tuple[int, int], ReplicaState]) -> Observed:
    """Three ready pods whose peers agree on these states of replicas."""
    views = {
        f"vectors-{n}": view(n, collections=(collection(n, PLACEMENT, states=states),)) for n in range(3)
    }
    return replace(settled(), views=views, shards=shard_health(tuple(views.values())))


def moving_a_shard() -> Observed:
    """All sound, while a replica is copied to a peer that does not hold it yet."""
    transfer = Transfer(ShardId(0), PeerId(100), PeerId(102), None)
    views = {
        f"vectors-{n}": view(n, collections=(replace(collection(n, PLACEMENT), transfers=(transfer,)),))
        for n in range(3)
    }
    return replace(settled(), views=views, shards=shard_health(tuple(views.values())))


OBSERVED = {
    SOUND: settled(),
    NONE: moving_a_shard(),
    Disruptions(0, "vectors-1"): with_states({(0, 1): ReplicaState.PARTIAL}),
}
"""A cluster for each thing that may be safe."""


def test_a_sound_cluster_loses_one_pod_at_a_time() -> None:
    """As before."""
    assert plan_disruptions(settled()) == SOUND


def test_the_sound_replica_stays_while_the_other_heals() -> None:
    """All pods are ready, one replica heals: only the pod that holds it may go."""
    healing = with_states({(0, 1): ReplicaState.PARTIAL})
    assert plan_disruptions(healing) == Disruptions(0, "vectors-1")


def test_nothing_goes_while_two_pods_heal() -> None:
    """Either may hold what the other one needs."""
    healing = with_states({(0, 1): ReplicaState.PARTIAL, (1, 2): ReplicaState.DEAD})
    assert plan_disruptions(healing) == NONE


@pytest.mark.parametrize(
    "observed",
    [
        moving_a_shard(),
        settled(leaving=Leaving("vectors-2", PeerId(102), "claim", LeavingPhase.REMOVING)),
        seen(settled().pods, {f"vectors-{n}": view(n, leader=n) for n in range(3)}),
    ],
    ids=["a transfer", "a scale-in", "an election"],
)
def test_nothing_goes_while_anything_moves(observed: Observed) -> None:
    """What moves would be moved again, or is counted twice."""
    assert plan_disruptions(observed) == NONE


def test_a_silent_peer_may_go_and_no_other() -> None:
    """A pod that is ready and whose peer does not answer blocks the drain of no node but the others'."""
    records = tuple(PeerRecord(f"vectors-{n}", PeerId(100 + n), f"claim-{n}") for n in range(3))
    known = settled(records=records)
    assert plan_disruptions(silence(known, "vectors-2")) == Disruptions(0, "vectors-2")
    assert plan_disruptions(silence(known, "vectors-1", "vectors-2")) == NONE


def test_requests_that_missed_a_pod_may_still_fail() -> None:
    """For a moment after a pod came back its replicas may turn Dead (docs/design/0007)."""
    assert plan_disruptions(settled(just_back=frozenset({"vectors-1"}))) == Disruptions(0, "vectors-1")


def test_a_lost_volume_holds_every_other_pod() -> None:
    """Its pod runs another peer; the records of members tell whose replicas are unsound."""
    lost = with_states({(0, 1): ReplicaState.DEAD})
    views = {pod: found for pod, found in lost.views.items() if pod != "vectors-1"}
    member = PeerRecord("vectors-1", PeerId(101), "claim")
    shards = shard_health(tuple(views.values()))
    known = replace(lost, views=views, shards=shards, records=(member,))
    assert plan_disruptions(known) == Disruptions(0, "vectors-1")
    assert plan_disruptions(replace(known, records=())) == NONE


@pytest.mark.parametrize("bootstrap", [None, Bootstrap(BootstrapPhase.FORMED, "vectors-0")])
def test_a_cluster_that_never_formed_blocks_no_drain(bootstrap: Bootstrap | None) -> None:
    """It holds nothing yet, and may never form."""
    assert plan_disruptions(replace(silence(settled(), "vectors-1"), bootstrap=bootstrap)) == SOUND


def test_a_single_peer_can_always_be_drained() -> None:
    """Alone it is the only unsound one, whatever it says."""
    one = desired(1)
    assert plan_disruptions(settled(one)) == SOUND
    silent = silence(replace(settled(one), views={"vectors-0": view(0, 1)}), "vectors-0")
    assert plan_disruptions(silent) == Disruptions(0, "vectors-0")


def test_the_budget_leaves_out_the_exempt_pod() -> None:
    """By the label that every pod of a StatefulSet has; unready pods can always be evicted."""
    spec = disruption_budget(replace(desired(), disruptions=Disruptions(0, "vectors-1")))["spec"]
    assert spec["maxUnavailable"] == 0
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert spec["selector"]["matchExpressions"] == [
        {"key": "statefulset.kubernetes.io/pod-name", "operator": "NotIn", "values": ["vectors-1"]}
    ]
    assert "matchExpressions" not in disruption_budget(desired())["spec"]["selector"]


@pytest.mark.parametrize(
    ("before", "safe", "until_steady"),
    [
        (NONE, SOUND, NONE),
        (SOUND, NONE, NONE),
        (SOUND, Disruptions(0, "vectors-1"), Disruptions(0, "vectors-1")),
        (Disruptions(0, "vectors-1"), SOUND, Disruptions(0, "vectors-1")),
        (Disruptions(0, "vectors-1"), NONE, NONE),
        (Disruptions(0, "vectors-0"), Disruptions(0, "vectors-1"), NONE),
        (NONE, Disruptions(0, "vectors-1"), NONE),
    ],
)
def test_a_budget_becomes_stricter_at_once_and_allows_more_later(
    before: Disruptions, safe: Disruptions, until_steady: Disruptions
) -> None:
    """Between two transfers nothing moves for a moment: a drain must not use that one, and it is not written."""
    observed = replace(OBSERVED[safe], disruptions=before)
    assert plan_disruptions(observed) == until_steady
    assert plan_disruptions(replace(observed, steady=STEADY)) == safe


@pytest.mark.parametrize("one", [SOUND, NONE, Disruptions(0, "vectors-1")])
def test_a_budget_is_read_as_it_was_written(one: Disruptions) -> None:
    """One that another writer wrote in another way counts as none."""
    budget = disruption_budget(replace(desired(), disruptions=one))
    assert read_disruptions(budget) == one
    assert read_disruptions({**budget, "spec": {"maxUnavailable": "50%"}}) is None
    assert read_disruptions(None) is None


@pytest.mark.parametrize(("before", "after"), [(SOUND, NONE), (NONE, SOUND), (Disruptions(0, "a"), SOUND)])
def test_a_budget_that_is_out_of_date_is_seen(before: Disruptions, after: Disruptions) -> None:
    """Each change is written, an equal budget is not."""
    live, wanted = (disruption_budget(replace(desired(), disruptions=one)) for one in (before, after))
    assert differences(wanted, live)
    assert not differences(live, live)

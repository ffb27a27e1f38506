"""What a QdrantCluster's conditions say of peers that answer and do not reach each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from qdrant_operator.domain.cluster.conditions import Reason, conditions
from qdrant_operator.domain.cluster.observed import Drift, Leaving, LeavingPhase, Observed
from qdrant_operator.domain.common.conditions import Condition
from qdrant_operator.domain.common.kinds import Kind
from tests.domain.clusters import decided, settled, silence, view


def degraded(observed: Observed) -> Condition:
    """The condition Degraded of this look."""
    return next(one for one in conditions(decided(observed)) if one.type == "Degraded")


def failing(observed: Observed, pod: str, ordinal: int) -> Observed:
    """The same look where a pod's peer cannot send to another one."""
    found = observed.peers[pod]
    uri = view(ordinal).peers[view(ordinal).peer]
    views = {**observed.views, pod: replace(found, send_failures={uri: "transport error"})}
    return replace(observed, views=views)


def test_a_network_that_parts_two_answering_peers_is_named() -> None:
    """Both answer the operator, so neither is down: the way between them is what a user has to look at."""
    said = degraded(failing(settled(), "vectors-0", 2))
    assert (said.status, said.reason) == (True, Reason.PEERS_APART)
    assert said.message == "vectors-0 cannot send to vectors-2: transport error"


def test_a_silent_peer_is_down_and_not_cut_off() -> None:
    """Who does not answer the operator either is called down, whatever others say of it."""
    said = degraded(silence(failing(settled(), "vectors-0", 2), "vectors-2"))
    assert said.reason == Reason.PEERS_DOWN


def test_an_error_that_is_over_is_no_alarm() -> None:
    """A follower has no messages for another one after an election: what it remembers of a restart says nothing."""
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    seen = replace(failing(settled(), "vectors-0", 2), now=now)
    found = seen.peers["vectors-0"]
    for ago, lasts in ((timedelta(seconds=59), True), (timedelta(minutes=1), False)):
        then = replace(found, send_failed_at=dict.fromkeys(found.send_failures, now - ago))
        said = degraded(replace(seen, views={**seen.views, "vectors-0": then}))
        assert said.status is lasts, ago


def stopped(observed: Observed, pod: str, error: str = "") -> Observed:
    """The same look where a peer's consensus thread has ended."""
    found = replace(observed.peers[pod], consensus_working=False, consensus_error=error)
    return replace(observed, views={**observed.views, pod: found})


def test_a_cluster_is_not_ready_when_the_consensus_of_a_peer_has_stopped() -> None:
    """All peers answer, follow one leader and hold sound replicas: no change reaches the one that has stopped."""
    ended = stopped(settled(), "vectors-1", "File name too long (os error 36)")
    ready, _, broken, _ = conditions(decided(ended))
    assert (ready.status, ready.reason) == (False, Reason.CONSENSUS_STOPPED)
    assert (broken.status, broken.reason) == (True, Reason.CONSENSUS_STOPPED)
    assert "consensus has stopped on vectors-1: File name too long (os error 36)" in ready.message
    assert ready.message == broken.message


def test_a_budget_that_follows_the_health_does_not_make_a_cluster_unready() -> None:
    """It is written whenever a transfer begins or ends; objects that peers and clients use do."""
    for kind, is_ready in ((Kind.DISRUPTION_BUDGET, True), (Kind.CONFIG_MAP, False)):
        drift = Drift(kind, "vectors", ("spec.maxUnavailable",), {})
        assert conditions(decided(settled(), drift=(drift,)))[0].status is is_ready, kind


def test_a_peer_that_is_being_removed_may_stop() -> None:
    """It is no peer of the cluster any more, and its thread ends rightly."""
    leaving = Leaving("vectors-2", view(2).peer, "claim-2", LeavingPhase.REMOVING)
    ended = replace(stopped(settled(), "vectors-2"), leaving=leaving)
    assert degraded(ended).status is False

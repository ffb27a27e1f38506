"""What a QdrantCollection's status says of what was seen and planned."""

from __future__ import annotations

from typing import Any

import pytest

from qdrant_operator.api import CollectionPhase
from qdrant_operator.domain.collection.conditions import conditions
from qdrant_operator.domain.collection.observed import Desired, Observed
from qdrant_operator.domain.collection.planner import plan
from qdrant_operator.domain.collection.status import facts
from qdrant_operator.domain.common.conditions import Condition
from qdrant_operator.domain.qdrant.soundness import ShardHealth
from qdrant_operator.domain.qdrant.views import PeerId, ShardId, Silent
from tests.domain.collection_model import desired, live, observed

ONE, TWO = PeerId(1), PeerId(2)
SOUND = ShardHealth("docs", ShardId(0), 2, frozenset({ONE, TWO}), frozenset({ONE, TWO}), frozenset())
HURT = ShardHealth("docs", ShardId(1), 2, frozenset({ONE, TWO}), frozenset({ONE}), frozenset())


def said(wanted: Desired, seen: Observed) -> dict[str, Condition]:
    """Conditions by type."""
    return {one.type: one for one in conditions(wanted, seen, plan(wanted, seen))}


def told(wanted: Desired, seen: Observed, *, owned_before: bool = False) -> dict[str, Any]:
    """Facts."""
    return facts(wanted, seen, plan(wanted, seen), owned_before=owned_before).facts()


def test_a_settled_sound_collection_is_ready() -> None:
    """All conditions are True, and the facts are Qdrant's."""
    seen = observed(live(points=12, indexed_vectors=10, segments=3), shards=(SOUND,))
    assert {type_: one.status for type_, one in said(desired(), seen).items()} == {
        "Ready": True,
        "Synced": True,
        "Replicated": True,
        "Indexed": True,
    }
    assert told(desired(), seen) == {
        "phase": "Ready",
        "activeName": "docs",
        "owned": True,
        "points": 12,
        "indexedVectors": 10,
        "segments": 3,
        "optimizer": "ok",
        "shards": {"wanted": 2, "sound": 2},
        "shardsSound": "2/2",
        "plan": [],
        "blocked": [],
        "drift": [],
        "aliases": [],
        "shardKeys": [],
    }


def test_a_replica_that_is_not_sound_makes_it_not_ready() -> None:
    """The configuration is in line, yet the collection is not Ready, and the shard is named."""
    seen = observed(live(), shards=(SOUND, HURT))
    ready = said(desired(), seen)["Ready"]
    assert (ready.status, ready.reason) == (False, "ReplicasNotSound")
    assert "3/4" in ready.message
    assert "docs/1" in ready.message
    assert told(desired(), seen)["phase"] == CollectionPhase.DEGRADED


def test_a_pending_step_makes_it_not_ready() -> None:
    """Ready says what comes next."""
    wanted, seen = desired({"hnsw": {"m": 32}}), observed(live(), shards=(SOUND,))
    ready = said(wanted, seen)["Ready"]
    assert (ready.status, ready.reason) == (False, "StepsPending")
    assert "hnsw.m" in ready.message
    status = told(wanted, seen)
    assert status["phase"] == CollectionPhase.UPDATING
    assert status["plan"] == ["change hnsw.m of collection docs"]
    assert status["drift"] == [
        {"field": "hnsw.m", "wanted": "32", "actual": "16", "why": "it is being changed"}
    ]


def test_an_immutable_change_is_said_in_synced_and_ready() -> None:
    """The reason is the guard's word, the message names field, values and remedy."""
    wanted = desired({"vectors": {"size": 8, "distance": "Dot"}})
    seen = observed(live(), shards=(SOUND,))
    for type_ in ("Ready", "Synced"):
        condition = said(wanted, seen)[type_]
        assert (condition.status, condition.reason) == (False, "ImmutableFieldChanged")
        assert "vectors.size is 4, wanted 8" in condition.message
    status = told(wanted, seen)
    assert status["phase"] == CollectionPhase.BLOCKED
    assert status["blocked"][0]["step"] == "change vectors.size from 4 to 8"


def test_silence_is_unknown_and_keeps_what_is_ours() -> None:
    """Nothing is called False or counted zero because nobody answered."""
    wanted = desired(granted=frozenset({"live"}))
    seen = observed(Silent("0 of 0 read operations failed"))
    assert {one.status for one in said(wanted, seen).values()} == {None}
    status = told(wanted, seen, owned_before=True)
    assert status["phase"] == CollectionPhase.UNKNOWN
    assert status["owned"] is True
    assert status["aliases"] == ["live"]
    assert "points" not in status


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "yellow"}, "Optimizing"),
        ({"status": "grey"}, "OptimizationsPending"),
        ({"optimizer": "disk is full"}, "OptimizerFailed"),
    ],
)
def test_indexed_waits_for_the_optimizer(change: dict[str, Any], reason: str) -> None:
    """Indexed is True only when the optimizer is idle and well."""
    seen = observed(live(**change), shards=(SOUND,))
    indexed = said(desired(), seen)["Indexed"]
    assert (indexed.status, indexed.reason) == (False, reason)


def test_a_running_optimizer_does_not_make_it_unready_but_a_failed_one_does() -> None:
    """Applications may use a collection that is being optimised."""
    assert said(desired(), observed(live(status="yellow"), shards=(SOUND,)))["Ready"].status is True
    failed = said(desired(), observed(live(optimizer="disk is full"), shards=(SOUND,)))["Ready"]
    assert (failed.status, failed.reason) == (False, "OptimizerFailed")


def test_an_index_that_is_not_built_makes_indexed_false() -> None:
    """The message names the field."""
    wanted = desired({"payloadIndexes": [{"field": "t", "type": "keyword"}]})
    indexed = said(wanted, observed(live(), shards=(SOUND,), building=frozenset({"t"})))["Indexed"]
    assert (indexed.status, indexed.reason) == (False, "IndexMissing")
    assert "t" in indexed.message


def test_writes_that_need_every_replica_get_advice() -> None:
    """A write consistency factor as high as the replication factor makes each restart an outage for writers."""
    body = {"replication_factor": 2, "write_consistency_factor": 2}
    ready = said(desired(), observed(live(body), shards=(SOUND,)))["Ready"]
    assert ready.status is True
    assert "writeConsistencyFactor 2 with replicationFactor 2" in ready.message
    body = {"replication_factor": 2, "write_consistency_factor": 1}
    assert "Advice" not in said(desired(), observed(live(body), shards=(SOUND,)))["Ready"].message


def test_aliases_are_recorded_before_they_are_made() -> None:
    """A crash between the status and the call loses no alias."""
    wanted = desired({"aliases": ["live", "next"]})
    seen = observed(live(), aliases={"live": "docs", "theirs": "docs"})
    assert told(wanted, seen)["aliases"] == ["live", "next"]


def test_the_first_phase_is_creating_and_a_refused_creation_is_blocked() -> None:
    """The words people see while nothing is there yet."""
    assert told(desired(), observed())["phase"] == CollectionPhase.CREATING
    assert told(desired(), observed(answering=2))["phase"] == CollectionPhase.PENDING
    assert told(desired({"replicationFactor": 4}), observed())["phase"] == CollectionPhase.BLOCKED
    assert (
        told(desired(deleting=True, has_finalizer=True), observed(live()))["phase"]
        == CollectionPhase.DELETING
    )

"""The collection loop against simulated peers over HTTP and an API server in memory: the world after each story."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Kind
from tests.reconcile.collection_world import CLUSTER, NAMESPACE, WHOLE, Town, emptied

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_declared_collection_is_made_indexed_aliased_and_ready(place: Town) -> None:
    """From one manifest to a collection that every peer knows, with Ready True."""
    place.declare(**WHOLE)
    await place.settle()
    assert place.condition("Ready")[0] == "True"
    assert place.condition("Synced")[:2] == ("True", "AsDeclared")
    assert place.condition("Indexed")[0] == "True"
    status = place.status()
    assert (status["phase"], status["owned"], status["shardsSound"]) == ("Ready", True, "6/6")
    assert status["aliases"] == ["live"]
    told = await place.told_by(2, lambda told: "tenant" in told["payload_schema"])
    assert told["config"]["hnsw_config"]["m"] == 24
    assert told["config"]["params"]["read_fan_out_factor"] == 1
    assert told["payload_schema"]["tenant"]["params"]["is_tenant"] is True
    assert await place.qdrant.aliases(place.endpoint(2)) == {"live": "docs"}


async def test_each_step_is_told_once(place: Town) -> None:
    """Events name the steps, in order, and steps are counted."""
    place.declare(**WHOLE)
    await place.settle()
    assert [reason for _, reason, _ in place.told.events] == [
        "CollectionCreated",
        "CollectionUpdated",
        "PayloadIndexCreated",
        "AliasesMoved",
    ]
    assert {outcome for _, outcome in place.told.steps} == {"done"}
    assert place.told.guards["docs"] == ()


async def test_a_settled_collection_costs_no_write(place: Town) -> None:
    """Passes over a collection that is as declared write nothing to Kubernetes and nothing to Qdrant."""
    place.declare(**WHOLE)
    await place.settle()
    writes, changes = len(place.kubernetes.writes), len(place.qdrant.changes)
    for _ in range(3):
        place.clock.pass_by(60)
        assert await place.once() == place.world.options.watch_seconds
    assert (len(place.kubernetes.writes), len(place.qdrant.changes)) == (writes, changes)


async def test_an_operator_that_dies_after_every_pass_comes_to_the_same_end(place: Town) -> None:
    """No memory is needed to finish: one collection, one creation, Ready."""
    place.declare(**{**WHOLE, "payloadIndexes": []})
    await place.settle(restarting=True)
    assert place.condition("Ready")[0] == "True"
    assert place.qdrant.changes == ["create_collection", "update_collection", "update_aliases"]


@pytest.mark.parametrize("method", ["create_collection", "update_collection", "update_aliases"])
async def test_a_lost_answer_is_neither_done_nor_failed(place: Town, method: str) -> None:
    """After a time-out the loop looks again, and finds its work done."""
    place.declare(**WHOLE)
    place.qdrant.lose_answer_of[method] = Unreachable("time-out of consensus")
    with pytest.raises(Unreachable):
        await place.settle()
    await place.agreed()
    await place.settle()
    assert place.condition("Ready")[0] == "True"
    assert place.qdrant.changes.count(method) == 1


async def test_an_index_is_asked_for_once_while_it_is_built(place: Town) -> None:
    """Qdrant shows an index only when it is built; until then the loop waits."""
    place.declare(payloadIndexes=[{"field": "tenant", "type": "keyword"}])
    await place.settle()
    assert place.qdrant.changes.count("put_payload_index") == 1


async def test_an_edit_is_carried_out(place: Town) -> None:
    """Mutable settings, indexes and aliases follow the spec; what the spec drops and we made goes."""
    place.declare(**WHOLE)
    await place.settle()
    place.edit(hnsw={"m": 32}, aliases=["next"], payloadIndexes=[{"field": "tenant", "type": "integer"}])
    await place.settle()
    assert place.condition("Ready")[0] == "True"
    told = await place.told_by(0, lambda told: told["payload_schema"]["tenant"]["data_type"] == "integer")
    assert told["config"]["hnsw_config"]["m"] == 32
    assert await place.qdrant.aliases(place.endpoint()) == {"next": "docs"}


async def test_an_immutable_change_is_refused_and_the_rest_is_kept_in_line(place: Town) -> None:
    """The condition names field, values and remedy; the running collection keeps its vectors."""
    place.declare(**WHOLE)
    await place.settle()
    place.edit(vectors={"size": 8, "distance": "Dot"}, aliases=["next"])
    await place.settle()
    status, reason, message = place.condition("Synced")
    assert (status, reason) == ("False", "ImmutableFieldChanged")
    assert "vectors.size is 4, wanted 8; Qdrant cannot change it" in message
    assert place.condition("Ready")[0] == "False"
    assert place.status()["drift"][0]["field"] == "vectors.size"
    told = await place.qdrant.collection(place.endpoint(), "docs")
    assert told["config"]["params"]["vectors"]["size"] == 4
    assert await place.qdrant.aliases(place.endpoint()) == {"next": "docs"}
    warnings = [reason for kind, reason, _ in place.told.events if kind == "Warning"]
    assert warnings == ["ImmutableFieldChanged"]
    place.edit(vectors={"size": 4, "distance": "Dot"})
    await place.settle()
    assert place.condition("Ready")[0] == "True"


async def test_more_replicas_than_peers_are_refused_and_nothing_is_made(place: Town) -> None:
    """The condition has both numbers."""
    place.declare(replicationFactor=4)
    await place.settle()
    status, reason, message = place.condition("Ready")
    assert (status, reason) == ("False", "TooFewPeers")
    assert "replicationFactor is 4, the cluster has 3 peers" in message
    assert await place.known() == ()


async def test_an_unknown_cluster_is_said_and_waited_for(place: Town) -> None:
    """The condition names the cluster; nothing else happens."""
    place.declare(clusterRef={"name": "elsewhere"})
    await place.settle()
    status, reason, message = place.condition("Ready")
    assert (status, reason) == ("False", "ClusterNotFound")
    assert "elsewhere" in message
    assert place.qdrant.changes == []


async def test_nothing_is_made_while_a_peer_is_down(place: Town) -> None:
    """Creation waits for every peer, and goes on by itself when it is back."""
    place.cluster.peers[2].pause()
    place.declare()
    await place.once()
    status, reason, _ = place.condition("Ready")
    assert (status, reason) == ("False", "PeersUnreachable")
    assert place.qdrant.changes == []
    place.cluster.peers[2].resume()
    await place.settle()
    assert place.condition("Ready")[0] == "True"


async def test_a_lost_peer_makes_it_not_ready(fragile: Town) -> None:
    """A killed peer's replicas still stand as Active in every view; Ready is False all the same."""
    fragile.declare(**WHOLE)
    await fragile.settle()
    await fragile.agreed()
    await fragile.cluster.peers[2].stop(graceful=False)
    await fragile.once()
    status, reason, _ = fragile.condition("Ready")
    assert (status, reason) == ("False", "ReplicasNotSound")
    assert fragile.status()["phase"] == "Degraded"


async def test_a_silent_cluster_is_unknown_and_keeps_what_is_ours(fragile: Town) -> None:
    """Nobody answers: conditions are Unknown, and the collection is still this object's."""
    fragile.declare(**WHOLE)
    await fragile.settle()
    for peer in fragile.cluster.peers:
        await peer.stop(graceful=False)
    await fragile.once()
    assert fragile.condition("Ready")[:2] == ("Unknown", "ClusterNotReady")
    assert fragile.status()["owned"] is True
    assert fragile.status()["aliases"] == ["live"]


async def test_a_refused_step_is_said_and_holds_up_nothing_else(place: Town) -> None:
    """Qdrant's words stand in status; aliases are moved; the step is tried again later, and then it is quiet."""
    place.qdrant.refuse["put_payload_index"] = Refused("BadRequest", "too many payload indexes")
    place.declare(payloadIndexes=[{"field": "tenant", "type": "keyword"}], aliases=["live"])
    await place.settle()
    status, reason, message = place.condition("Synced")
    assert (status, reason) == ("False", "QdrantRefused")
    assert "too many payload indexes" in message
    assert await place.qdrant.aliases(place.endpoint()) == {"live": "docs"}
    writes = len(place.kubernetes.writes)
    place.clock.pass_by(31)
    await place.settle()
    assert len(place.kubernetes.writes) == writes
    del place.qdrant.refuse["put_payload_index"]
    place.clock.pass_by(31)
    await place.settle()
    assert place.condition("Ready")[0] == "True"
    warnings = [reason for kind, reason, _ in place.told.events if kind == "Warning"]
    assert warnings == ["QdrantRefused"]


async def test_a_refused_creation_stops_there(place: Town) -> None:
    """Nothing that needs the collection is tried without it."""
    place.qdrant.refuse["create_collection"] = Refused("BadRequest", "max collections limit reached")
    place.declare(**WHOLE)
    await place.settle()
    assert place.condition("Synced")[:2] == ("False", "QdrantRefused")
    assert place.qdrant.changes == []


async def test_a_paused_cluster_is_only_observed(place: Town) -> None:
    """While the QdrantCluster is paused the plan is shown as held back, and nothing changes in Qdrant."""
    place.declare()
    await place.settle()
    place.kubernetes.server.patch(Kind.CLUSTER, NAMESPACE, CLUSTER, {"spec": {"paused": True}}, "kubectl")
    place.edit(hnsw={"m": 32})
    changes = len(place.qdrant.changes)
    await place.settle()
    assert place.condition("Synced")[:2] == ("False", "ClusterPaused")
    assert len(place.qdrant.changes) == changes
    place.kubernetes.server.patch(Kind.CLUSTER, NAMESPACE, CLUSTER, {"spec": {"paused": False}}, "kubectl")
    await place.settle()
    assert place.condition("Ready")[0] == "True"


async def test_a_collection_removed_behind_our_back_is_made_again(place: Town) -> None:
    """Declared is declared: the loop does not stay at odds with the spec."""
    place.declare()
    await place.settle()
    await emptied(place.cluster)
    await place.settle()
    assert place.condition("Ready")[0] == "True"
    assert await place.known() == ("docs",)


async def test_a_spec_that_no_schema_checked_is_refused_in_words(place: Town) -> None:
    """An object from before a stricter schema gets a condition that names the field."""
    place.declare(vectors={"size": 0, "distance": "Dot"})
    await place.settle()
    status, reason, message = place.condition("Ready")
    assert (status, reason) == ("False", "InvalidSpec")
    assert "vectors.size" in message


async def test_a_cluster_that_forms_is_waited_for(place: Town) -> None:
    """Before its cluster has formed the object says so, and asks nobody."""
    forming = {"bootstrap": {"phase": "Started"}}
    place.kubernetes.server.put_status(Kind.CLUSTER, NAMESPACE, CLUSTER, forming)
    place.declare()
    assert await place.once() == place.world.options.busy_seconds
    assert place.condition("Ready")[:2] == ("Unknown", "ClusterNotReady")
    assert place.status()["phase"] == "Pending"


async def test_a_conflict_is_left_to_the_next_pass(place: Town) -> None:
    """A status written by others in the meantime ends the pass; the next one goes on."""
    place.declare()
    place.kubernetes.fail_next(Retryable("409"), operation="patch_status", kind=Kind.COLLECTION)
    with pytest.raises(Retryable):
        await place.once()
    assert place.qdrant.changes == []
    await place.settle()
    assert place.condition("Ready")[0] == "True"

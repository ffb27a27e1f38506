"""A collection that Qdrant places on an id which is no member, as it does while it replaces an empty peer."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from sandbox.qdrant_sim.core.api.answers import Call
from sandbox.qdrant_sim.core.choices import Choices
from tests.simulation.calm import Calm, play

GONE = 4711
"""The id of a peer that was replaced."""


class Late(Choices):
    """A peer that has not heard yet of the replacement: it places the last replica of each shard on the old id."""

    def place(self, name: str, shards: int, factor: int, peers: Sequence[int]) -> list[tuple[int, ...]]:
        """As Qdrant does, but for that."""
        placed = super().place(name, shards, factor, peers)
        return [(*peers_of[:-1], GONE) for peers_of in placed]


def is_placed_on_it(calm: Calm) -> bool:
    """Whether any shard is on the id that is no member."""
    state = calm.cluster.state()
    return state is not None and state.holds_shards(GONE)


async def replicas_elsewhere(calm: Calm) -> None:
    """Each shard has one replica on a member, and one on the id."""
    await calm.eventually(lambda: len(calm.peer_ids()) == 3)
    calm.choose_with(Late(Random(1)))
    calm.user.declare("docs", 3, 2)
    await calm.eventually(lambda: is_placed_on_it(calm))
    await calm.eventually(lambda: calm.is_at_factor(2) and not is_placed_on_it(calm))


async def nothing_elsewhere(calm: Calm) -> None:
    """Each shard is on the id alone; the user does what the sentence says."""
    await calm.eventually(lambda: len(calm.peer_ids()) == 3)
    calm.choose_with(Late(Random(1)))
    calm.user.declare("docs", 3, 1)
    await calm.eventually(lambda: bool(calm.waits("OrphanedReplica")))
    (wait,) = [one for one in calm.status["blocked"] if one["guard"] == "OrphanedReplica"]
    assert "docs/0, docs/1, docs/2 is on no other peer" in wait["message"]
    await calm.until(calm.clock.seconds() + 60.0)
    assert is_placed_on_it(calm), "nothing is cleared that somebody might still want"
    calm.choose_with(Choices(Random(1)))
    leader = calm.cluster.leader()
    assert leader is not None
    assert "(DELETE /collections/docs on any peer)" in wait["message"]
    await calm.peers.respond(leader, Call("DELETE", ("collections", "docs")))
    await calm.eventually(lambda: calm.is_at_factor(1) and not is_placed_on_it(calm))
    await calm.eventually(lambda: not calm.waits("OrphanedReplica"))


def test_the_id_is_cleared_and_the_replicas_are_made_anew() -> None:
    """Nobody's consent is needed: each shard has a sound replica on a member."""
    play(replicas_elsewhere)


def test_a_shard_that_is_nowhere_else_waits_for_the_user_whose_deletion_cures_it() -> None:
    """The operator says which collection to delete; its QdrantCollection makes it anew."""
    play(nothing_elsewhere)

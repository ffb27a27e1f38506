"""What the operator must never do with shards: judged when it asks, and when consensus carries it out."""

from __future__ import annotations

from typing import Any, NamedTuple

from sandbox.qdrant_sim.core.api.answers import Call
from sandbox.qdrant_sim.core.consensus.shard_ops import DropReplica, Start
from sandbox.qdrant_sim.core.consensus.state import ACTIVE, Move, State
from sandbox.simulation.clients.writer import Writer
from sandbox.simulation.laws.facts import NOTICED, Facts
from sandbox.simulation.laws.known_spec import KnownSpec
from sandbox.simulation.laws.violations import Violations
from sandbox.simulation.world.simulated import SimulatedWorld

PER_CLUSTER = 2
"""Transfers at a time that a spec allows which says nothing."""
DROPPED_WITHIN = 20.0
"""Seconds after which a drop that was asked for has been carried out or is lost."""
Replica = tuple[str, int, int]
"""Collection, shard, peer."""


class Asked(NamedTuple):
    """A transfer as it is asked for."""

    verb: str
    collection: str
    shard: int
    source: int
    target: int
    method: str | None


class ShardLaws:
    """Watches transfers and drops of one simulation."""

    def __init__(
        self,
        world: SimulatedWorld,
        writer: Writer,
        facts: Facts,
        spec: KnownSpec,
        leaving: set[int],
        violations: Violations,
    ) -> None:
        """Nothing was requested; `leaving`: peers whose removal was recorded, kept up to date by the caller."""
        self._clock, self._log, self._cluster = world.clock, world.log, world.cluster
        self._writer, self._facts, self._spec, self._leaving = writer, facts, spec, leaving
        self._violations = violations
        self._asked: set[Asked] = set()
        self._onto_holders: set[Asked] = set()
        """Asked for when their target had the shard already: others may arrive after it got it."""
        self._dropped: dict[Replica, float] = {}
        self._asked_at: dict[Replica, float] = {}

    def on_call(self, call: Call) -> None:
        """The operator sends an operation on a shard."""
        verb, body = next(iter(call.body.items()))
        name, number = call.segments[1], body["shard_id"]
        if self._spec.is_manual():
            self._violations.add(f"placement is Manual: {verb} {name}/{number}")
        if verb == "drop_replica":
            self._on_asked_to_drop((name, number, body["peer_id"]))
        else:
            self._on_asked_for_transfer(verb, name, body)

    def on_start(self, op: Start, state: State) -> None:
        """A transfer begins; `state` is what was before."""
        asked = _asked_for(op.name, op.move)
        if asked not in self._asked:
            return
        where = f"{op.name}/{asked.shard}: peer {asked.source} to {asked.target}"
        self._log.add(f"transfer begins, {asked.verb} {where}")
        if asked in self._onto_holders:
            self._check_target(op, state, f"{asked.verb} {where}")
        self._check_budget(state, where)

    def on_drop(self, op: DropReplica, state: State) -> None:
        """A replica goes; `state` is what was before."""
        self._log.add(f"dropped: {op.name}/{op.shard} on peer {op.peer}")
        self._dropped[op.name, op.shard, op.peer] = self._clock.seconds()
        silent = {int(fact[1]) for fact in self._facts.old("missing")}
        good = self._writer.good(state, op.name, op.shard) - silent
        good |= self._facts.just_spoilt(op.name, op.shard) | self._just_lost(op, state)
        wanted = self._spec.replicas_of(op.name, state)
        if len(good - {op.peer}) < min(wanted, len(good)):
            self._violations.add(
                f"{op.name}/{op.shard}: {len(good)} good replicas, {wanted} wanted, and one is dropped"
            )

    # -- transfers ----------------------------------------------------------------------------------------

    def _on_asked_for_transfer(self, verb: str, name: str, body: dict[str, Any]) -> None:
        ends = (body.get("from_peer_id", 0), body.get("to_peer_id", 0))
        asked = Asked(verb, name, body["shard_id"], *ends, body.get("method"))
        self._asked.add(asked)
        if verb != "abort_transfer":
            self._check_ends(asked)
        state = self._cluster.state()
        collection = state.collections.get(name) if state else None
        shard = collection.shards.get(asked.shard) if collection else None
        if shard is not None and asked.target in shard.replicas:
            self._onto_holders.add(asked)

    def _check_ends(self, asked: Asked) -> None:
        """Judged when it is asked for: consensus may begin it much later, when the user wants something else."""
        where = f"{asked.verb} {asked.collection}/{asked.shard}: peer {asked.source} to {asked.target}"
        drained = asked.verb == "move_shard" and asked.source not in self._leaving
        if drained and self._spec.is_unwanted(asked.source) and self._spec.has_no_room():
            self._violations.add(f"a peer is drained that cannot go, too few would stay: {where}")
        if self._spec.is_unwanted(asked.target) and self._spec.has_room():
            self._violations.add(f"a peer that shall go is filled: {where}")

    def _check_target(self, op: Start, state: State, what: str) -> None:
        replicas = state.collections[op.name].shards[op.move.shard].replicas
        if not op.move.keep_source and op.move.target in replicas:
            self._violations.add(f"two replicas collapse into one: {what}")
        if replicas.get(op.move.target) == ACTIVE:
            self._violations.add(f"a second replica on one peer: {what}")

    def _check_budget(self, state: State, where: str) -> None:
        """The budget of a spec that says nothing: two transfers at a time."""
        moves = [_asked_for(one.name, move) for one in state.collections.values() for move in one.moves]
        running = [asked for asked in moves if asked in self._asked]
        if len(running) >= PER_CLUSTER:
            self._violations.add(f"{len(running)} transfers run already: {where}")

    # -- drops --------------------------------------------------------------------------------------------

    def _on_asked_to_drop(self, replica: Replica) -> None:
        self._asked_at[replica] = self._clock.seconds()
        for fact in self._facts.old("transfer"):
            if fact[1:3] == (replica[0], str(replica[1])):
                self._violations.add(
                    f"{replica[0]}/{replica[1]}: a drop is asked for while a transfer of it runs"
                )
        gone, state = self._dropped.get(replica), self._cluster.state()
        collection = state.collections.get(replica[0]) if state else None
        if collection is None or replica[2] in collection.shards[replica[1]].replicas:
            return
        if gone is not None and self._clock.seconds() - gone > NOTICED:
            self._violations.add(f"{replica[0]}/{replica[1]}: a drop is asked for that was done long ago")

    def is_being_dropped(self, name: str, number: int) -> bool:
        """Whether a drop of one of its replicas may be on its way."""
        now = self._clock.seconds()
        asked = (when for replica, when in self._asked_at.items() if replica[:2] == (name, number))
        return any(now - when < DROPPED_WITHIN for when in asked)

    def _just_lost(self, op: DropReplica, state: State) -> set[int]:
        """Holders whose volume went too late to be missed when the drop was asked for."""
        asked = self._asked_at.get((op.name, op.shard, op.peer), self._clock.seconds())
        active = state.collections[op.name].shards[op.shard].active()
        return self._facts.just_lost(asked) & set(active)


def _asked_for(name: str, move: Move) -> Asked:
    verb = "replicate_shard" if move.keep_source else "move_shard"
    return Asked(verb, name, move.shard, move.source, move.target, move.method)

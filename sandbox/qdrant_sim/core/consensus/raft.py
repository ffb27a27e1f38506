"""Consensus without its messages: one log per cluster, and who may write to it.

What is kept of Raft is what can be seen from outside: a leader needs a majority that it reaches; members apply
what is committed a little later, or when they are reachable again; a leader that has lost its majority goes on
saying that it leads; an election takes some 2.5 s; a call that ran out of time may still be carried out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from sandbox.qdrant_sim.core.api.answers import Fault, internal
from sandbox.qdrant_sim.core.consensus.op import Halfway, Op
from sandbox.qdrant_sim.core.consensus.ops import Join, Promote, Remove
from sandbox.qdrant_sim.core.consensus.ports import Network, P
from sandbox.qdrant_sim.core.consensus.unaware_removed import UnawareRemoved

LEADER, FOLLOWER, CANDIDATE = "Leader", "Follower", "Candidate"
Done = Callable[[Fault | None], None]


class Proposal(Generic[P]):
    """Something a peer wants committed."""

    def __init__(self, origin: P, op: Op, done: Done) -> None:
        """`done` is told once: None when `origin` has applied it, else why not."""
        self.origin, self.op, self._done = origin, op, done
        self.told = False
        self.under_way = False

    def tell(self, fault: Fault | None) -> None:
        """Tell the caller; only the first word counts."""
        if not self.told:
            self.told = True
            self._done(fault)


class Group(Generic[P]):
    """One Raft cluster."""

    def __init__(self, network: Network[P]) -> None:
        """A group without peers."""
        self._network = network
        self.log: list[Op] = []
        self.live: dict[int, P] = {}
        """Running members by id."""
        self._unaware = UnawareRemoved(network, self.live, self.settle)
        self._waiting: list[Proposal[P]] = []
        self._electing = False
        self._settling = False

    # -- who leads ------------------------------------------------------------------------------------------

    def leader(self) -> P | None:
        """The member that leads with a majority behind it."""
        leaders = [p for p in self._aware() if p.role == LEADER and self._has_majority(p)]
        return max(leaders, key=lambda peer: peer.disk.term, default=None)

    def _aware(self) -> list[P]:
        return [peer for peer in self.live.values() if peer not in self._unaware]

    def _has_majority(self, peer: P) -> bool:
        voters = peer.disk.state.voters
        if peer.disk.removed or peer.disk.peer not in voters:
            return False
        reached = [
            voter for voter in voters if voter in self.live and self._network.linked(peer, self.live[voter])
        ]
        return len(reached) > len(voters) // 2

    def changed(self) -> None:
        """Somebody came, went, or was cut off: settle soon, and elect when nobody leads by then."""
        pace = self._network.pace
        self._unaware.ask_soon()
        if not self._settling:
            self._settling = True
            self._network.timeline.after(pace.contact, self._settle_once)
        if not self._electing:
            self._electing = True
            alone = all(len(peer.disk.state.voters) <= 1 for peer in self.live.values())
            self._network.timeline.after(pace.contact if alone else self._network.election(), self._elect)

    def _settle_once(self) -> None:
        self._settling = False
        self.settle()

    def settle(self) -> None:
        """The leader reaches whom it can: they follow, catch up, and what waited is tried again."""
        leader = self.leader()
        if leader is None:
            return
        followers = [p for p in self.live.values() if p is not leader and self._network.linked(leader, p)]
        if any(peer.disk.term > leader.disk.term and not peer.disk.removed for peer in followers):
            leader.step_down()
            self.changed()
            return
        for peer in followers:
            if peer not in self._unaware:
                peer.follow(leader.disk.peer, leader.disk.term)
            self.deliver(peer)
        leader.heal_soon(self._network.pace.heal)
        for member in leader.disk.state.peers:
            if member not in leader.disk.state.voters and member in self.live:
                self.promote_later(member)
        for proposal in list(self._waiting):
            self._try(proposal)

    def _elect(self) -> None:
        self._electing = False
        leader = self.leader()
        if leader is not None:
            self._campaign_apart(leader)
            return
        able = [p for p in self._aware() if self._has_majority(p) and not p.disk.behind]
        if not able:
            for peer in self.live.values():
                peer.campaign()
            return
        chosen = self.live[self._network.choices.winner(sorted(peer.disk.peer for peer in able))]
        chosen.lead(1 + max(peer.disk.term for peer in self.live.values()))
        self._catch_up(chosen)
        self.settle()

    def _campaign_apart(self, leader: P) -> None:
        """Voters that hear nothing of the leader ask each other for votes, in vain."""
        for peer in self.live.values():
            apart = not peer.paused and not self._network.linked(leader, peer)
            if apart and peer.disk.peer in peer.disk.state.voters:
                peer.campaign()

    # -- the log --------------------------------------------------------------------------------------------

    def propose(self, origin: P, op: Op, timeout: float, done: Done) -> None:
        """Commit `op` on behalf of `origin`; `done` hears of it when `origin` has applied it, or in time."""
        proposal = Proposal(origin, op, done)
        self._waiting.append(proposal)
        self._network.timeline.after(timeout, lambda: self._expire(proposal, timeout))
        self._try(proposal)

    def quietly(self, origin: P, op: Op) -> None:
        """Propose on a peer's own behalf: nobody waits, and a refusal is nobody's concern."""
        self.propose(origin, op, 60.0, lambda _: None)

    def _try(self, proposal: Proposal[P]) -> None:
        leader = self.leader()
        if proposal.under_way or leader is None or not self._can_send(proposal.origin, leader):
            return
        proposal.under_way = True
        self._network.timeline.after(self._network.pace.commit, lambda: self._commit(proposal))

    def _can_send(self, origin: P, leader: P) -> bool:
        return origin.disk.peer in leader.disk.state.peers and (
            origin is leader or (origin.running and self._network.linked(origin, leader))
        )

    def _commit(self, proposal: Proposal[P]) -> None:
        proposal.under_way = False
        leader = self.leader()
        if proposal not in self._waiting or leader is None or not self._can_send(proposal.origin, leader):
            return
        self._waiting.remove(proposal)
        self._catch_up(leader)
        try:
            proposal.op.check(leader.disk.state)
        except Halfway as fault:
            self._append(leader, proposal, fault.done, fault)
        except Fault as fault:
            self.deliver(proposal.origin)
            proposal.tell(fault)
        else:
            self._append(leader, proposal, proposal.op, None)

    def _append(self, leader: P, proposal: Proposal[P], op: Op, fault: Fault | None) -> None:
        self._network.on_commit(op, leader.disk.state)
        self.log.append(op)
        if isinstance(op, Remove):
            self._unaware.removed(leader, op.peer)
        if isinstance(op, Join):
            self._unaware.joined(op.peer)
        if isinstance(op, Remove) and op.peer == leader.disk.peer:
            self._tell_all(leader)
        self._catch_up(leader)
        self._spread(proposal, fault)

    def _tell_all(self, leader: P) -> None:
        """A leader that goes has told the others what is committed before it applies that itself."""
        for peer in self._aware():
            if peer is not leader and self._network.linked(leader, peer):
                self._catch_up(peer)

    def _spread(self, proposal: Proposal[P], fault: Fault | None) -> None:
        pace = self._network.pace
        for peer in sorted(self.live.values(), key=lambda one: one.disk.peer):
            if peer is not self.leader():
                delay = self._network.random.uniform(*pace.apply) + self._network.lag.get(peer.address, 0.0)
                self._network.timeline.after(delay, lambda peer=peer: self.deliver(peer))  # type: ignore[misc]
        wait = 0.0 if proposal.origin is self.leader() else pace.apply[1]
        self._network.timeline.after(wait, lambda: self._told(proposal, fault))

    def _told(self, proposal: Proposal[P], fault: Fault | None) -> None:
        self.deliver(proposal.origin)
        proposal.tell(fault)

    def _expire(self, proposal: Proposal[P], timeout: float) -> None:
        if proposal.told:
            return
        if proposal.origin.leader is None or proposal.origin.disk.removed:
            if proposal in self._waiting:
                self._waiting.remove(proposal)
            proposal.tell(internal("Failed to propose operation: leader is not established within 10s"))
            return
        said = f"{timeout:g}"
        proposal.tell(
            internal(f"Waiting for consensus operation commit failed. Timeout set at: {said} seconds")
        )

    def deliver(self, peer: P) -> None:
        """Let a peer apply what it has not, when the leader reaches it."""
        leader = self.leader()
        if leader is None or peer.disk.removed or self.live.get(peer.disk.peer) is not peer:
            return
        if peer in self._unaware:
            return
        if peer is not leader and not self._network.linked(leader, peer):
            return
        if peer.disk.behind:
            state = leader.disk.state
            peer.disk.state.peers, peer.disk.state.voters = dict(state.peers), set(state.voters)
            peer.learned()
            return
        self._catch_up(peer)

    def _catch_up(self, peer: P) -> None:
        if peer.disk.behind:
            return
        while peer.disk.applied < len(self.log) and not peer.disk.removed:
            op = self.log[peer.disk.applied]
            peer.disk.applied += 1
            peer.before(op)
            op.apply(peer.disk.state)
            peer.after(op)

    # -- membership -----------------------------------------------------------------------------------------

    def send_snapshot(self, peer: P) -> None:
        """Give a new member the leader's state; one that was killed before it came asks again when it is back."""
        if peer.exit_code is not None:
            return
        leader = self.leader()
        if leader is None or not self._network.linked(leader, peer):
            self._network.timeline.after(self._network.pace.snapshot, lambda: self.send_snapshot(peer))
            return
        peer.disk.state = leader.disk.state.copy()
        peer.disk.applied = leader.disk.applied
        peer.disk.behind = False
        peer.after_snapshot()

    def promote_later(self, member: int) -> None:
        """Give a member its vote once it has caught up."""
        self._network.timeline.after(self._network.pace.promote, lambda: self._promote(member))

    def _promote(self, member: int) -> None:
        leader, peer = self.leader(), self.live.get(member)
        if leader is None or peer is None or member in leader.disk.state.voters:
            return
        if self._network.linked(leader, peer):
            self.quietly(leader, Promote(member))

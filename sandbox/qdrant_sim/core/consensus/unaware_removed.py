"""Members that were removed while the leader could not reach them: Raft sends nothing to who is no member any more.

As Qdrant 1.19.0 does it: such a peer keeps its old view for ever and asks for votes again and again. The others follow
its higher term, lose their leader, and elect anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.qdrant_sim.core.consensus.raft import Group
    from sandbox.qdrant_sim.core.peer import Peer


class Unheard:
    """Those of one group."""

    def __init__(self, group: Group) -> None:
        """Nobody."""
        self._group = group
        self._members: set[int] = set()
        self._asking = False

    def __contains__(self, peer: Peer) -> bool:
        return peer.disk.peer in self._members

    def removed(self, leader: Peer, member: int) -> None:
        """The removal of a member is committed: who is not reached now never hears of it."""
        peer = self._group.live.get(member)
        if peer is None or not self._group.universe.linked(leader, peer):
            self._members.add(member)
            self.ask_soon()

    def joined(self, member: int) -> None:
        """A member whose id was taken out comes in again, as when it was killed while it joined."""
        self._members.discard(member)

    def ask_soon(self) -> None:
        """Each asks for votes when it has heard nothing for the time of two elections: one is held in between."""
        if not self._asking and any(self._running()):
            self._asking = True
            universe = self._group.universe
            universe.timeline.after(universe.election() + universe.election(), self._ask)

    def _ask(self) -> None:
        self._asking = False
        terms = [peer.disk.term for peer in self._group.live.values()]
        for peer in self._running():
            if not (peer.paused or peer.role == "Leader"):
                peer.disk.term = max(terms)
                peer.campaign()
        self._group.settle()
        self.ask_soon()

    def _running(self) -> Iterator[Peer]:
        return (peer for peer in self._group.live.values() if peer in self)

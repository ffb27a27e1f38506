"""Peers that were removed while the leader could not reach them: Raft sends nothing to a peer that is no voter.

As in Qdrant 1.19.0: such a peer keeps its old view for ever and asks for votes again and again. The others follow
its higher term, lose their leader, and elect again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic

from sandbox.qdrant_sim.core.consensus.ports import Network, P


class UnawareRemoved(Generic[P]):
    """Removed peers of one group that do not know of their removal."""

    def __init__(self, network: Network[P], live: dict[int, P], settle: Callable[[], None]) -> None:
        """None yet. `live`: running peers by id, kept up to date by the group; `settle` lets the group settle."""
        self._network, self._live, self._settle = network, live, settle
        self._ids: set[int] = set()
        self._asking = False

    def __contains__(self, peer: P) -> bool:
        return peer.disk.peer in self._ids

    def removed(self, leader: P, peer_id: int) -> None:
        """The removal of a peer is committed: one that the leader does not reach now never learns of it."""
        peer = self._live.get(peer_id)
        if peer is None or not self._network.linked(leader, peer):
            self._ids.add(peer_id)
            self.ask_soon()

    def joined(self, peer_id: int) -> None:
        """A peer whose id was removed joins again, as when it was killed while it joined."""
        self._ids.discard(peer_id)

    def ask_soon(self) -> None:
        """Each asks for votes when it has received nothing for the time of two elections: one is held in between."""
        if not self._asking and any(self._running()):
            self._asking = True
            seconds = self._network.election() + self._network.election()
            self._network.timeline.after(seconds, self._ask)

    def _ask(self) -> None:
        self._asking = False
        terms = [peer.disk.term for peer in self._live.values()]
        for peer in self._running():
            if not (peer.paused or peer.role == "Leader"):
                peer.disk.term = max(terms)
                peer.campaign()
        self._settle()
        self.ask_soon()

    def _running(self) -> Iterator[P]:
        return (peer for peer in self._live.values() if peer in self)

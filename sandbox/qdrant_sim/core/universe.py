"""All simulated peers of a process: their addresses, the network between them, their clusters.

No asyncio, no sockets, no clock, no randomness of its own: time is `timeline`, chance is `random`, and the few
choices that a recording fixes (peer ids, placement) are `choices`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from sandbox.qdrant_sim.core.api.answers import Fault
from sandbox.qdrant_sim.core.choices import Choices
from sandbox.qdrant_sim.core.consensus.op import Op
from sandbox.qdrant_sim.core.consensus.ops import Join, Remove
from sandbox.qdrant_sim.core.consensus.raft import Group
from sandbox.qdrant_sim.core.consensus.state import State
from sandbox.qdrant_sim.core.consensus.timeline import Timeline
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.qdrant_sim.core.pace import Pace
from sandbox.qdrant_sim.core.peer import Fetch, Peer
from sandbox.qdrant_sim.core.settings import Settings, host_of

PANIC = 101
"""Exit code of a peer that cannot join."""


class Universe:
    """Every peer there is."""

    def __init__(self, timeline: Timeline, random: Random, choices: Choices | None = None) -> None:
        """Nothing runs yet."""
        self.timeline, self.random = timeline, random
        self.choices = choices or Choices(random)
        self.pace = Pace()
        self.peers: dict[str, Peer] = {}
        """Processes by address, from their start to their end."""
        self._cuts: list[tuple[frozenset[str], frozenset[str]]] = []
        self.on_running: Callable[[Peer], None] = lambda _: None
        self.on_exit: Callable[[Peer], None] = lambda _: None
        self.on_commit: Callable[[Op, State], None] = lambda _op, _state: None
        """Told of every entry of a log and of the state before it, as the leader commits it."""
        self.lag: dict[str, float] = {}
        """Seconds by which the peer at an address hears later of what is committed."""
        self.fetch: Fetch = _no_network

    def election(self) -> float:
        """How long an election takes."""
        return self.random.uniform(*self.pace.election)

    # -- network --------------------------------------------------------------------------------------------

    def linked(self, one: Peer, other: Peer) -> bool:
        """Whether two processes can talk to each other now."""
        if one is other:
            return one.running
        if not (one.running and other.running) or one.paused or other.paused:
            return False
        pair = (one.address, other.address)
        return not any(
            (pair[0] in a and pair[1] in b) or (pair[1] in a and pair[0] in b) for a, b in self._cuts
        )

    def reach(self, origin: Peer, member: int) -> Peer | None:
        """The running process of a member, if `origin` knows it and can talk to it."""
        if member == origin.id:
            return origin
        found = origin.group.live.get(member)
        known = member in origin.disk.state.peers
        return found if found is not None and known and self.linked(origin, found) else None

    def patience(self, origin: Peer, members: Iterable[int]) -> float:
        """How long it takes to notice which of these members do not answer; 0 when all do."""
        missing = [member for member in members if self.reach(origin, member) is None]
        hanging = any(member in origin.group.live for member in missing)
        return self.pace.unanswered if hanging else self.pace.refused if missing else 0.0

    def at_uri(self, uri: str) -> Peer | None:
        """The running process that answers at a p2p URI: by its address, or by the name it announces."""
        host = host_of(uri)
        direct = self.peers.get(host)
        if direct is not None:
            return direct if direct.running else None
        named = [p for p in self.peers.values() if p.running and host_of(p.disk.uri) == host]
        return named[0] if named else None

    def partition(self, one: set[str], other: set[str]) -> None:
        """No p2p messages between the two sets of addresses."""
        self._cuts.append((frozenset(one), frozenset(other)))
        self.changed()

    def heal(self) -> None:
        """Every partition ends."""
        self._cuts.clear()
        self.changed()

    def changed(self) -> None:
        """Let every cluster look who is reachable."""
        for group in {id(p.disk.group): p.disk.group for p in self.peers.values()}.values():
            if group is not None:
                group.changed()

    # -- processes ------------------------------------------------------------------------------------------

    def start(self, address: str, disk: Disk, settings: Settings) -> Peer:
        """Start a process; `on_running` or `on_exit` tells how it went."""
        peer = Peer(self, address, disk, settings)
        self.peers[address] = peer
        wait = self.pace.start if disk.fresh else self.pace.restart
        self.timeline.after(wait, lambda: self._begin(peer))
        return peer

    def stop(self, peer: Peer, code: int) -> None:
        """End a process: its disk stays as it is."""
        if peer.exit_code is not None:
            return
        peer.running, peer.exit_code = False, code
        group = peer.disk.group
        if group is not None and group.live.get(peer.id) is peer:
            del group.live[peer.id]
            group.changed()
        if self.peers.get(peer.address) is peer:
            del self.peers[peer.address]
        self.on_exit(peer)

    def pause(self, peer: Peer, paused: bool) -> None:
        """Freeze a process, or let it go on."""
        peer.paused = paused
        if peer.disk.group is not None:
            peer.disk.group.changed()

    def _panic(self, peer: Peer, message: str) -> None:
        peer.log.append(f"Panic occurred: {message}")
        self.stop(peer, PANIC)

    def _begin(self, peer: Peer) -> None:
        if peer.exit_code is not None:
            return
        settings, disk = peer.settings, peer.disk
        if settings.clustered and disk.fresh and settings.uri is None and settings.bootstrap is None:
            self._panic(peer, "First peer should specify its uri")
        elif disk.fresh and settings.clustered and settings.bootstrap not in (None, settings.uri):
            self._join(peer)
        elif disk.fresh:
            self._found(peer)
        else:
            self._resume(peer)

    def _found(self, peer: Peer) -> None:
        """Become the first peer of a new cluster."""
        disk = peer.disk
        disk.peer, disk.group = self.choices.peer_id(peer.address), Group(self)
        disk.uri = peer.settings.uri or f"http://{peer.address}:6335"
        disk.state.peers[disk.peer] = disk.uri
        disk.state.voters.add(disk.peer)
        self._open(peer)
        peer.lead(1)

    def _resume(self, peer: Peer) -> None:
        """Start on a volume that knows its cluster."""
        disk, settings = peer.disk, peer.settings
        if settings.reinit:
            self._reinit(peer)
            return
        if disk.removed:
            peer.role = None
        new_uri = settings.uri if settings.uri not in (None, disk.uri) else None
        if new_uri and not disk.removed and not self._others(peer):
            self._panic(peer, f"Failed to recover: no known peer answers to learn the new URI {new_uri}")
            return
        self._open(peer)
        if disk.behind and peer.running:
            peer.group.send_snapshot(peer)
        if new_uri:
            disk.uri = new_uri
            peer.quietly(Join(disk.peer, new_uri))
        peer.transfers.cancel_own()

    def _others(self, peer: Peer) -> list[Peer]:
        group = peer.group
        return [
            other for member, other in group.live.items() if member in peer.disk.state.peers and other.running
        ]

    def _reinit(self, peer: Peer) -> None:
        """The only voter of a cluster of its own, with the data it has; or a joiner with its old id."""
        disk = peer.disk
        term = disk.term + 1
        disk.group = Group(self)
        disk.removed, disk.applied = False, 0
        disk.state.peers, disk.state.voters = {disk.peer: disk.uri}, {disk.peer}
        if peer.settings.bootstrap not in (None, peer.settings.uri):
            self._join(peer)
            return
        self._open(peer)
        peer.lead(term)

    def _open(self, peer: Peer) -> None:
        peer.running = True
        if not peer.disk.removed:
            peer.group.live[peer.id] = peer
            peer.group.changed()
        self.on_running(peer)

    # -- joining --------------------------------------------------------------------------------------------

    def _join(self, peer: Peer) -> None:
        """Ask the bootstrap peer to be added; exit 101 when that fails, for the restart policy to try again."""
        bootstrap = peer.settings.bootstrap or ""
        uri = peer.settings.uri or f"http://{peer.address}:6335"
        door = self.at_uri(bootstrap)
        if door is None or door.disk.removed or door.paused or not door.settings.clustered:
            self._panic(
                peer, f"Failed to initialize Consensus: failed to connect to bootstrap peer {bootstrap}"
            )
            return
        state = door.disk.state
        own = peer.disk.peer  # of a start that ended while it joined: the same id may join again
        old = [member for member, known in state.peers.items() if known == uri and member != own]
        for member in old:
            if state.holds_shards(member):
                self._panic(
                    peer,
                    f"peer URI {uri} already used by peer {member} which still has shards,"
                    " remove its shards first or use a different URI",
                )
                return
        disk = peer.disk
        disk.peer = disk.peer or self.choices.peer_id(peer.address)
        disk.uri = uri
        for member in old:
            door.group.quietly(door, Remove(member))
        door.group.propose(door, Join(disk.peer, uri), 15.0, lambda fault: self._joined(peer, door, fault))

    def _joined(self, peer: Peer, door: Peer, fault: Fault | None) -> None:
        if peer.exit_code is not None:
            return
        if fault is not None:
            self._panic(peer, f"Failed to initialize Consensus: {fault.message}")
            return
        disk, group = peer.disk, door.group
        disk.group, disk.behind, disk.term = group, True, door.disk.term
        disk.state.peers = dict(door.disk.state.peers)
        disk.state.voters = set(door.disk.state.voters)
        peer.joined = True
        self._open(peer)
        peer.leader = door.leader
        self.timeline.after(self.pace.snapshot, lambda: group.send_snapshot(peer))
        group.promote_later(disk.peer)


def _no_network(url: str, key: str | None, tell: Callable[[bytes | str], None]) -> None:
    del key
    tell(f"no network to fetch {url}")

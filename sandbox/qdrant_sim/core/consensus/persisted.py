"""What Raft keeps on a peer's volume."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.qdrant_sim.core.consensus.state import State


@dataclass(slots=True)
class Persisted:
    """Identity, term and state of one peer; survives a kill."""

    peer: int = 0
    """Its id; 0 before it has one."""
    uri: str = ""
    state: State = field(default_factory=State)
    applied: int = 0
    """Entries of the group's log that are in `state`."""
    behind: bool = False
    """The peer has just joined and waits for the leader's snapshot."""
    removed: bool = False
    """The peer knows that it was removed."""
    term: int = 0

"""Calls that consensus must agree on, as replies that come later."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.qdrant_sim.core.api.answers import Answer, Call, Fault, Later, ok
from sandbox.qdrant_sim.core.consensus.op import Op
from sandbox.qdrant_sim.core.peer import Peer


def commit(peer: Peer, call: Call, op: Op, then: Callable[[Later], None] | None = None) -> Later:
    """Commit and answer true; `then` may wait for something more before it answers."""
    later = Later()

    def done(fault: Fault | None) -> None:
        if fault is not None:
            later.resolve(fault.answer)
        elif then is None:
            later.resolve(ok(True))
        else:
            then(later)

    peer.group.propose(peer, op, call.timeout, done)
    return later


def committed(peer: Peer, call: Call, op: Op, answer: Answer) -> Later:
    """Commit and give this answer."""
    return commit(peer, call, op, lambda later: later.resolve(answer))

"""REST: the service itself, the cluster and its metadata."""

from __future__ import annotations

from sandbox.qdrant_sim.core.api import views
from sandbox.qdrant_sim.core.api.answers import Answer, Call, Later, Reply, bad_request, ok, plain
from sandbox.qdrant_sim.core.api.metrics import prometheus
from sandbox.qdrant_sim.core.consensus.ops import PutKey, Remove
from sandbox.qdrant_sim.core.consensus.proposing import commit
from sandbox.qdrant_sim.core.peer import Peer


def root(peer: Peer, call: Call) -> Reply:
    """Name and version."""
    del call
    return Answer(200, views.root(peer))


def healthz(peer: Peer, call: Call) -> Reply:
    """The server answers; nothing else is looked at."""
    del peer, call
    return plain("healthz check passed")


def readyz(peer: Peer, call: Call) -> Reply:
    """Blocks for up to half a second while shards are not ready."""
    del call
    if peer.look_ready():
        return plain("all shards are ready")
    later = Later()

    def look_again() -> None:
        ready = peer.ready
        later.resolve(
            plain("all shards are ready" if ready else "some shards are not ready", 200 if ready else 503)
        )

    peer.universe.timeline.after(peer.universe.pace.ready, look_again)
    return later


def metrics(peer: Peer, call: Call) -> Reply:
    """Prometheus text."""
    del call
    return plain(prometheus(peer))


def telemetry(peer: Peer, call: Call) -> Reply:
    """The peer's own telemetry."""
    return ok(views.telemetry(peer, int(call.query.get("details_level") or 0)))


def cluster(peer: Peer, call: Call) -> Reply:
    """The peer's view of the cluster."""
    del call
    return ok(views.cluster(peer))


def cluster_telemetry(peer: Peer, call: Call) -> Reply:
    """Asks every member; a member that is gone costs as long as a refused connection."""
    answer = ok(views.cluster_telemetry(peer, int(call.query.get("details_level") or 2)))
    patience = peer.universe.patience(peer, peer.disk.state.peers)
    if not patience:
        return answer
    later = Later()
    peer.universe.timeline.after(patience, lambda: later.resolve(answer))
    return later


def keys(peer: Peer, call: Call) -> Reply:
    """Names of metadata keys."""
    del call
    return ok(sorted(peer.disk.state.keys))


def key(peer: Peer, call: Call) -> Reply:
    """One metadata value, null when absent."""
    return ok(peer.disk.state.keys.get(call.segments[3]))


def put_key(peer: Peer, call: Call) -> Reply:
    """Set a metadata value; without `wait` the answer comes before anybody has it."""
    return _set_key(peer, call, PutKey(call.segments[3], call.body))


def delete_key(peer: Peer, call: Call) -> Reply:
    """Delete a metadata value."""
    return _set_key(peer, call, PutKey(call.segments[3], None))


def _set_key(peer: Peer, call: Call, op: PutKey) -> Reply:
    if call.wait:
        return commit(peer, call, op)
    peer.quietly(op)
    return ok(True)


def remove_peer(peer: Peer, call: Call) -> Reply:
    """Remove a member; by force even when it holds the last replica of a shard."""
    member = int(call.segments[2])
    if call.query.get("force") != "true" and peer.disk.state.holds_shards(member):
        raise bad_request(f"Cannot remove peer {member} as there are shards on it")
    return commit(peer, call, Remove(member))


def recover(peer: Peer, call: Call) -> Reply:
    """Ask the leader for a snapshot; true at once."""
    del call
    peer.group.changed()
    return ok(True)

"""`GET /metrics`, in Prometheus' text format."""

from __future__ import annotations

from sandbox.qdrant_sim.core.consensus.state import ACTIVE
from sandbox.qdrant_sim.core.peer import Peer


def prometheus(peer: Peer) -> str:
    """`GET /metrics`, the lines that alerts are made of."""
    collections = peer.disk.state.collections.values()
    replicas = [shard.replicas for one in collections for shard in one.shards.values()]
    active = [sum(state == ACTIVE for state in some.values()) for some in replicas]
    gauges = {
        f'app_info{{name="qdrant",version="{peer.settings.version}"}}': 1,
        "app_status_recovery_mode": 0,
        "collections_total": len(collections),
        "collection_active_replicas_min": min(active, default=0),
        "collection_active_replicas_max": max(active, default=0),
        "collection_dead_replicas": sum(any(s != ACTIVE for s in some.values()) for some in replicas),
        "cluster_enabled": int(peer.settings.clustered),
        "cluster_peers_total": len(peer.disk.state.peers),
        "cluster_term": peer.disk.term,
        "cluster_pending_operations_total": 0,
        "cluster_voter": int(peer.id in peer.disk.state.voters),
    }
    return "".join(_gauge(name, value) for name, value in gauges.items())


def _gauge(name: str, value: int) -> str:
    return f"# TYPE {name.split('{', maxsplit=1)[0]} gauge\n{name} {value}\n"

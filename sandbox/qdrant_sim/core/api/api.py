"""REST: which call goes where. The one entrance to the core for requests."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.qdrant_sim.core.api import auth
from sandbox.qdrant_sim.core.api import cluster as api_cluster
from sandbox.qdrant_sim.core.api import collections as api_collections
from sandbox.qdrant_sim.core.api import points as api_points
from sandbox.qdrant_sim.core.api import snapshots as api_snapshots
from sandbox.qdrant_sim.core.api.answers import (
    Answer,
    Call,
    Fault,
    Later,
    Reply,
    internal,
    invalid,
    malformed,
)
from sandbox.qdrant_sim.core.peer import Peer

Handler = Callable[[Peer, Call], Reply]
ROUTES: dict[str, Handler] = {
    "GET": api_cluster.root,
    "GET healthz": api_cluster.healthz,
    "GET livez": api_cluster.healthz,
    "GET readyz": api_cluster.readyz,
    "GET metrics": api_cluster.metrics,
    "GET telemetry": api_cluster.telemetry,
    "GET cluster": api_cluster.cluster,
    "GET cluster telemetry": api_cluster.cluster_telemetry,
    "GET cluster metadata keys": api_cluster.keys,
    "GET cluster metadata keys *": api_cluster.key,
    "PUT cluster metadata keys *": api_cluster.put_key,
    "DELETE cluster metadata keys *": api_cluster.delete_key,
    "DELETE cluster peer *": api_cluster.remove_peer,
    "POST cluster recover": api_cluster.recover,
    "GET collections": api_collections.names,
    "POST collections aliases": api_collections.change_aliases,
    "GET aliases": api_collections.aliases,
    "GET collections *": api_collections.info,
    "PUT collections *": api_collections.create,
    "PATCH collections *": api_collections.update,
    "DELETE collections *": api_collections.delete,
    "GET collections * exists": api_collections.exists,
    "GET collections * aliases": api_collections.aliases,
    "GET collections * cluster": api_collections.layout,
    "POST collections * cluster": api_collections.redistribute,
    "PUT collections * index": api_collections.put_index,
    "DELETE collections * index *": api_collections.drop_index,
    "GET collections * shards": api_collections.shard_keys,
    "PUT collections * shards": api_collections.create_key,
    "POST collections * shards delete": api_collections.drop_key,
    "PUT collections * points": api_points.upsert,
    "POST collections * points": api_points.retrieve,
    "POST collections * points delete": api_points.delete,
    "POST collections * points payload": api_points.set_payload,
    "POST collections * points count": api_points.count,
    "POST collections * points scroll": api_points.scroll,
    "POST collections * points query": api_points.query,
    "POST collections * points query batch": api_points.query_batch,
    "GET collections * points *": api_points.one,
    "POST collections * shards * snapshots": api_snapshots.create_shard,
    "GET collections * shards * snapshots": api_snapshots.list_files,
    "GET collections * shards * snapshots *": api_snapshots.download,
    "DELETE collections * shards * snapshots *": api_snapshots.delete,
    "PUT collections * shards * snapshots recover": api_snapshots.recover_shard,
    "POST collections * shards * snapshots upload": api_snapshots.upload_shard,
    "POST collections * snapshots": api_snapshots.create_collection,
    "GET collections * snapshots": api_snapshots.list_files,
    "GET collections * snapshots *": api_snapshots.download,
    "DELETE collections * snapshots *": api_snapshots.delete,
    "POST snapshots": api_snapshots.create_full,
    "GET snapshots": api_snapshots.list_files,
    "GET snapshots *": api_snapshots.download,
    "DELETE snapshots *": api_snapshots.delete,
}
PATTERNS: dict[tuple[str, int], list[tuple[tuple[str, ...], Handler]]] = {}
"""By method and number of segments."""
for _pattern, _handler in ROUTES.items():
    _method, *_segments = _pattern.split()
    PATTERNS.setdefault((_method, len(_segments)), []).append((tuple(_segments), _handler))


def handle(peer: Peer, call: Call) -> Reply:
    """Answer a request that has reached a running peer."""
    refused = auth.refusal(peer.settings, call)
    if refused is not None:
        return refused
    try:
        _in_cluster_mode(peer, call)
        return _route(call)(peer, call)
    except Fault as fault:
        return _late(peer, fault) if fault.after else fault.answer
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return malformed(f"missing or wrong field: {error}", len(call.raw)).answer


def _in_cluster_mode(peer: Peer, call: Call) -> None:
    """Cluster calls need a cluster; timeouts need at least a second."""
    if call.query.get("timeout") == "0":
        raise invalid("query parameters", "timeout: value 0 invalid, must be 1 or larger")
    if peer.settings.clustered or call.segments[:1] != ("cluster",) or len(call.segments) == 1:
        return
    if call.segments == ("cluster", "telemetry"):
        raise internal("Could not get telemetry from cluster")
    raise Fault(405, "Qdrant is running in standalone mode")


def _route(call: Call) -> Handler:
    for pattern, handler in PATTERNS.get((call.method, len(call.segments)), ()):
        if _fits(pattern, call.segments):
            return handler
    return _nothing_there


def _nothing_there(peer: Peer, call: Call) -> Reply:
    del peer, call
    return Answer(404, text="")


def _fits(pattern: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    return all(wanted in ("*", got) for wanted, got in zip(pattern, segments, strict=True))


def _late(peer: Peer, fault: Fault) -> Later:
    later = Later()
    peer.universe.timeline.after(fault.after, lambda: later.resolve(fault.answer))
    return later

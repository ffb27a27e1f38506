"""What a peer says of itself and of the cluster, in Qdrant's JSON."""

from __future__ import annotations

from sandbox.qdrant_sim.core.api.answers import Json
from sandbox.qdrant_sim.core.consensus.state import Collection, Move, Shard
from sandbox.qdrant_sim.core.disk import Local
from sandbox.qdrant_sim.core.peer import Peer

COMMIT = "74f3e85b9473c62560006c043e13737ce6b48412"
VECTOR_BYTES = 4
SHOWN_PARAMS: dict[str, Json] = {
    "integer": {"lookup": None, "range": None, "is_principal": None},
    "float": {"is_principal": None},
    "datetime": {"is_principal": None},
    "text": {"tokenizer": "word"},
}
"""Parameters of payload indexes that Qdrant shows even when nobody gave them."""


def root(peer: Peer) -> Json:
    """`GET /`."""
    return {
        "title": "qdrant - vector search engine",
        "version": peer.settings.version,
        "commit": COMMIT,
    }


def cluster(peer: Peer) -> Json:
    """`GET /cluster`: a local view."""
    if not peer.settings.clustered:
        return {"status": "disabled"}
    disk = peer.disk
    return {
        "status": "enabled",
        "peer_id": peer.id,
        "peers": {str(member): {"uri": f"{uri}/"} for member, uri in disk.state.peers.items()},
        "raft_info": {
            "term": disk.term,
            "commit": disk.applied + 1,
            "pending_operations": 1 if disk.removed else 0,
            "leader": peer.leader,
            "role": peer.role,
            "is_voter": peer.id in disk.state.voters and not disk.removed,
        },
        "consensus_thread_status": thread(peer),
        "message_send_failures": _send_failures(peer),
    }


def thread(peer: Peer) -> Json:
    """Whether the peer takes part in consensus."""
    if peer.disk.removed:
        return {"consensus_thread_status": "stopped"}
    return {"consensus_thread_status": "working", "last_update": peer.universe.timeline.stamp()}


def _send_failures(peer: Peer) -> Json:
    """A leader notices whom it cannot reach, and so does whoever asks for votes."""
    failures = {}
    for member, uri in peer.disk.state.peers.items():
        if peer.disk.removed or peer.role == "Follower" or peer.reach(member) is not None:
            peer.silent_since.pop(member, None)
            continue
        now = peer.universe.timeline.now
        since = peer.silent_since.setdefault(member, now)
        error = f'Failed to connect to {uri}/, error: transport error"'
        failures[f"{uri}/"] = {
            "count": 1 + int((now - since) * 5),
            "latest_error": "Error in closure supplied to transport channel pool: "
            f"code: 'The service is currently unavailable', message: \"{error}",
            "latest_error_timestamp": peer.universe.timeline.stamp(),
        }
    return failures


def cluster_telemetry(peer: Peer, level: int) -> Json:
    """`GET /cluster/telemetry`: the only view that asks every member."""
    peers = {str(member): _member(peer, member) for member in peer.disk.state.peers}
    return {
        "collections": {c.name: _spread(peer, c, level) for c in peer.disk.state.collections.values()},
        "cluster": {
            "enabled": peer.settings.clustered,
            "number_of_peers": len(peer.disk.state.peers),
            "peers": peers,
        },
    }


def _member(peer: Peer, member: int) -> Json:
    found = peer.reach(member)
    described = {"uri": f"{peer.disk.state.peers[member]}/", "responsive": found is not None, "details": None}
    if found is None:
        return described
    return described | {
        "details": {
            "version": found.settings.version,
            "role": found.role,
            "is_voter": member in found.disk.state.voters,
            "term": found.disk.term,
            "commit": found.disk.applied + 1,
            "num_pending_operations": 0,
            "consensus_thread_status": thread(found),
        }
    }


def _spread(peer: Peer, collection: Collection, level: int) -> Json:
    if level < 3:
        return {"id": collection.name}
    shards = [
        {"id": shard.id, "replicas": [_replica(peer, collection, shard, one) for one in shard.replicas]}
        for shard in sorted(collection.shards.values(), key=lambda shard: shard.id)
    ]
    described: Json = {"id": collection.name, "shards": shards}
    if collection.moves:
        described["shard_transfers"] = [_move(move) for move in collection.moves]
    return described


def _replica(peer: Peer, collection: Collection, shard: Shard, member: int) -> Json:
    described = {"peer_id": member, "state": shard.replicas[member]}
    found = peer.reach(member)
    local = found.disk.locals.get((collection.name, shard.id)) if found else None
    return described if local is None else described | _sizes(collection, local)


def collection_cluster(peer: Peer, collection: Collection) -> Json:
    """`GET /collections/{name}/cluster`: a local view."""
    mine, others = [], []
    for shard in sorted(collection.shards.values(), key=lambda one: one.id):
        key = {} if shard.key is None else {"shard_key": shard.key}
        for member, state in shard.replicas.items():
            if member == peer.id:
                local = peer.disk.locals.get((collection.name, shard.id))
                points = 0 if local is None or local.dummy else len(local.points)
                mine.append({"shard_id": shard.id, **key, "points_count": points, "state": state})
            else:
                others.append({"shard_id": shard.id, **key, "peer_id": member, "state": state})
    return {
        "peer_id": peer.id,
        "shard_count": len(collection.shards),
        "local_shards": mine,
        "remote_shards": others,
        "shard_transfers": [_move(move) for move in collection.moves],
    }


def _move(move: Move) -> Json:
    return {
        "shard_id": move.shard,
        "from": move.source,
        "to": move.target,
        "sync": move.keep_source,
        "method": move.method,
        "comment": "",
    }


def collection_info(collection: Collection, schema: Json, locals_: list[Local]) -> Json:
    """`GET /collections/{name}` over one replica of each shard."""
    points = sum(len(local.points) for local in locals_)
    return {
        "status": "green",
        "optimizer_status": "ok",
        "indexed_vectors_count": 0,
        "points_count": points,
        "segments_count": 2 * len(collection.shards),
        "config": collection.config,
        "payload_schema": {f: _index(f, s, locals_) for f, s in schema.items()},
        "update_queue": {"length": 0},
    }


def _index(name: str, schema: Json, locals_: list[Local]) -> Json:
    if isinstance(schema, str):
        return {"data_type": schema, "points": _indexed(name, schema, locals_)}
    kind = schema["type"]
    params = {"type": kind} | SHOWN_PARAMS.get(kind, {}) | schema
    return {"data_type": kind, "params": params, "points": _indexed(name, kind, locals_)}


def _indexed(name: str, kind: str, locals_: list[Local]) -> int:
    """Points whose payload has a value that the index takes."""
    takes: dict[str, type | tuple[type, ...]] = {
        "integer": int,
        "float": (int, float),
        "bool": bool,
        "geo": dict,
    }
    wanted = takes.get(kind, str)
    return sum(
        1
        for local in locals_
        for point in local.points.values()
        if point.payload and isinstance(point.payload.get(name), wanted)
    )


def telemetry(peer: Peer, level: int) -> Json:
    """`GET /telemetry`."""
    state = peer.disk.state
    known: Json = {"number_of_collections": len(state.collections)}
    if level >= 2:
        known["collections"] = [_detailed(peer, one, level) for one in state.collections.values()]
    return {
        "id": "simulated",
        "app": {
            "name": "qdrant",
            "version": peer.settings.version,
            "startup": peer.universe.timeline.stamp(),
        },
        "collections": known,
        "cluster": _own_cluster(peer, level) if peer.settings.clustered else {"enabled": False},
    }


def _own_cluster(peer: Peer, level: int) -> Json:
    state = peer.disk.state
    info = cluster(peer)
    raft = {key: value for key, value in info["raft_info"].items() if key != "leader"}
    status = {"number_of_peers": len(state.peers), **raft, "peer_id": peer.id}
    described: Json = {
        "enabled": True,
        "status": status | {"consensus_thread_status": thread(peer)},
        "peers": info["peers"],
        "metadata": dict(state.keys),
        "resharding_enabled": False,
    }
    if level >= 3:
        version = peer.settings.version
        described["peer_metadata"] = {str(member): {"version": version} for member in state.peers}
    return described


def _detailed(peer: Peer, collection: Collection, level: int) -> Json:
    described: Json = {
        "id": collection.name,
        "init_time_ms": 1,
        "config": collection.config | {"uuid": collection.uuid},
        "transfers": [_move(move) for move in collection.moves],
        "resharding": [],
    }
    if level >= 3:
        shards = sorted(collection.shards.values(), key=lambda one: one.id)
        described["shards"] = [_shard(peer, collection, shard) for shard in shards]
    return described


def _shard(peer: Peer, collection: Collection, shard: Shard) -> Json:
    local = peer.disk.locals.get((collection.name, shard.id)) if peer.id in shard.replicas else None
    return {
        "id": shard.id,
        "key": shard.key,
        "local": None if local is None else _local(collection, local),
        "remote": [{"shard_id": shard.id, "peer_id": one} for one in shard.replicas if one != peer.id],
        "replicate_states": {str(member): state for member, state in shard.replicas.items()},
    }


def _local(collection: Collection, local: Local) -> Json:
    kind = "dummy shard" if local.dummy else "local shard"
    return {"variant_name": kind, "status": "green"} | _sizes(collection, local)


def _sizes(collection: Collection, local: Local) -> Json:
    if local.dummy:
        return {"status": "green"}
    count, dimensions = len(local.points), _dimensions(collection)
    return {
        "status": "green",
        "total_optimized_points": 0,
        "vectors_size_bytes": count * dimensions * VECTOR_BYTES,
        "payloads_size_bytes": count * 128,
        "num_points": count,
        "num_vectors": count,
    }


def _dimensions(collection: Collection) -> int:
    vectors = collection.params.get("vectors") or {}
    return int(vectors["size"]) if "size" in vectors else sum(int(v["size"]) for v in vectors.values())

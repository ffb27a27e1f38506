"""REST: snapshots of a shard, of a peer's part of a collection, of a whole peer; and recovery of a shard."""

from __future__ import annotations

import hashlib
from urllib.parse import unquote, urlsplit

from sandbox.qdrant_sim.core import snapshots
from sandbox.qdrant_sim.core.api.answers import (
    Answer,
    Call,
    Fault,
    Json,
    Later,
    Reply,
    not_found,
    ok,
    plain,
    wrong_input,
)
from sandbox.qdrant_sim.core.consensus.shard_ops import SetReplica
from sandbox.qdrant_sim.core.consensus.state import ACTIVE, DEAD
from sandbox.qdrant_sim.core.disk import Local, SnapshotFile
from sandbox.qdrant_sim.core.peer import Peer

Where = tuple[str, ...]


def create_shard(peer: Peer, call: Call) -> Reply:
    """A snapshot of a shard that this peer holds."""
    name, shard = _shard_of(peer, call)
    local = peer.disk.locals.get((name, shard))
    if local is None:
        raise wrong_input(f"Shard {shard} is not a local or queue proxy shard")
    if local.dummy:
        raise Fault(500, f"Service internal error: Shard {shard} could not be loaded")
    return ok(_made(peer, (name, str(shard)), f"{name}-shard-{shard}", {shard: local}))


def create_collection(peer: Peer, call: Call) -> Reply:
    """A snapshot of this peer's part of a collection."""
    name = peer.disk.state.collection(call.segments[1]).name
    mine = {number: local for (one, number), local in peer.disk.locals.items() if one == name}
    return ok(_made(peer, (name,), f"{name}-{peer.id}", mine))


def create_full(peer: Peer, call: Call) -> Reply:
    """A snapshot of everything on this peer."""
    del call
    mine = dict(enumerate(peer.disk.locals.values()))
    return ok(_made(peer, (), "full-snapshot", mine))


def list_files(peer: Peer, call: Call) -> Reply:
    """Files of a shard, a collection or the peer."""
    return ok([snapshots.described(file) for file in _files(peer, call).values()])


def download(peer: Peer, call: Call) -> Reply:
    """A file's bytes; an error is plain text here."""
    try:
        file = _file(peer, call)
    except Fault as fault:
        return plain(fault.message, fault.status)
    return Answer(200, stream=file.chunks, length=file.size)


def delete(peer: Peer, call: Call) -> Reply:
    """Delete a file."""
    del _files(peer, call)[_file(peer, call).name]
    return ok(True)


def recover_shard(peer: Peer, call: Call) -> Reply:
    """Put a snapshot from an HTTP location into a shard of this peer."""
    name, shard = _shard_of(peer, call)
    location, later = str(call.body["location"]), Later()
    if urlsplit(location).scheme not in ("http", "https"):
        raise wrong_input(
            f"Invalid snapshot URL {location}: URLs with {urlsplit(location).scheme} scheme are not supported"
        )

    def fetched(content: bytes | str) -> None:
        later.resolve(_recovered(peer, name, shard, call.body, content))

    inside = _inside(peer, location)
    if inside is not None:
        fetched(inside)
    else:
        peer.universe.fetch(location, call.body.get("api_key"), fetched)
    return later


def upload_shard(peer: Peer, call: Call) -> Reply:
    """Put an uploaded snapshot into a shard of this peer."""
    name, shard = _shard_of(peer, call)
    wanted = {"priority": call.query.get("priority"), "checksum": call.query.get("checksum")}
    return _recovered(peer, name, shard, wanted, call.raw)


def _recovered(peer: Peer, name: str, shard: int, body: Json, content: bytes | str) -> Answer:
    try:
        if isinstance(content, str):
            raise wrong_input(f"Failed to download tar from {body['location']}: {content}")
        _compare(body.get("checksum"), content)
        _restore(peer, name, shard, body.get("priority"), content)
    except Fault as fault:
        return fault.answer
    return ok(True)


def _compare(wanted: str | None, content: bytes) -> None:
    got = hashlib.sha256(content).hexdigest()
    if wanted and wanted != got:
        raise wrong_input(f"Snapshot checksum mismatch: expected {wanted}, got {got}")


def _restore(peer: Peer, name: str, shard: int, priority: str | None, content: bytes) -> None:
    """Priority `snapshot` (the default): this replica counts, other Active ones must copy from it."""
    shards = snapshots.read(content)
    points = shards.get(shard) or next(iter(shards.values()), {})
    collection = peer.disk.state.collections[name]
    peer.disk.locals[name, shard] = Local(collection.uuid, dict(points))
    others = [one for one in collection.shards[shard].active() if one != peer.id]
    if priority == "replica" and others:
        peer.quietly(SetReplica(name, shard, peer.id, DEAD, forced=True))
        return
    peer.quietly(SetReplica(name, shard, peer.id, ACTIVE, forced=True))
    for other in others if priority != "no_sync" else ():
        peer.quietly(SetReplica(name, shard, other, DEAD))


def _inside(peer: Peer, location: str) -> bytes | str | None:
    """What another simulated peer answers at this location; None when it is none of ours."""
    parts = urlsplit(location)
    other = peer.universe.peers.get(parts.hostname or "")
    if other is None or not other.running or parts.port != other.settings.http_port:
        return None
    segments = tuple(unquote(one) for one in parts.path.strip("/").split("/"))
    try:
        return b"".join(_file(other, Call("GET", segments)).chunks())
    except Fault:
        return "status - 404 Not Found"


def _made(peer: Peer, where: Where, prefix: str, shards: dict[int, Local]) -> Json:
    now = peer.universe.timeline.wall()
    name = f"{prefix}-{now:%Y-%m-%d-%H-%M-%S}.snapshot"
    file = snapshots.take(name, f"{now:%Y-%m-%dT%H:%M:%S}", shards, peer.ballast)
    peer.disk.snapshots.setdefault(where, {})[name] = file
    return snapshots.described(file)


def _shard_of(peer: Peer, call: Call) -> tuple[str, int]:
    collection = peer.disk.state.collection(call.segments[1])
    shard = int(call.segments[3])
    if shard not in collection.shards:
        raise not_found(f"shard {shard} not found")
    return collection.name, shard


def _files(peer: Peer, call: Call) -> dict[str, SnapshotFile]:
    where: Where = ()
    if call.segments[0] == "collections":
        name = peer.disk.state.collection(call.segments[1]).name
        where = (name, call.segments[3]) if call.segments[2] == "shards" else (name,)
    return peer.disk.snapshots.setdefault(where, {})


def _file(peer: Peer, call: Call) -> SnapshotFile:
    file = _files(peer, call).get(call.segments[-1])
    if file is None:
        raise not_found(f"Snapshot {call.segments[-1]} not found")
    return file

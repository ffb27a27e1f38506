"""REST: collections, aliases, payload indexes, shard keys and the distribution of shards."""

from __future__ import annotations

from sandbox.qdrant_sim.core import config
from sandbox.qdrant_sim.core.api import answers, routing, views
from sandbox.qdrant_sim.core.api.answers import Answer, Call, Json, Later, Reply, ok
from sandbox.qdrant_sim.core.consensus.ops import Aliases, Create, Delete, DropIndex, PutIndex, Update
from sandbox.qdrant_sim.core.consensus.proposing import commit, committed
from sandbox.qdrant_sim.core.consensus.shard_ops import Abort, CreateKey, DropKey, DropReplica, Start, shown
from sandbox.qdrant_sim.core.consensus.state import INITIALIZING, Collection, Move, Shard
from sandbox.qdrant_sim.core.peer import Peer

TO_ITSELF = (
    '{}.to_peer_id: cannot transfer shard to itself, "to_peer_id" must be different than {} in "from_peer_id"'
)
INDEX_TYPES = ("keyword", "integer", "float", "geo", "text", "bool", "datetime", "uuid")


def names(peer: Peer, call: Call) -> Reply:
    """All collections."""
    del call
    return ok({"collections": [{"name": name} for name in peer.disk.state.collections]})


def exists(peer: Peer, call: Call) -> Reply:
    """Whether a collection, or an alias, of that name exists."""
    state = peer.disk.state
    return ok({"exists": call.segments[1] in state.collections or call.segments[1] in state.aliases})


def info(peer: Peer, call: Call) -> Reply:
    """Asks every shard: 500 when one has no replica in reach.

    Configuration and indexes are those that one of the asked peers knows by now: just after a change the
    answer may still be the old one.
    """
    collection = peer.disk.state.collection(call.segments[1])
    locals_ = routing.read(peer, collection, collection.shards.values())
    teller = routing.teller(peer, collection)
    known = teller.disk.state.collections.get(collection.name, collection)
    schema = teller.indexes_built(known)
    return ok(views.collection_info(known, schema, locals_))


def layout(peer: Peer, call: Call) -> Reply:
    """The local view of shards, replicas and transfers."""
    return ok(views.collection_cluster(peer, peer.disk.state.collection(call.segments[1])))


def create(peer: Peer, call: Call) -> Reply:
    """Create, then wait for every replica to be Active, or for the time to be up: both are a success."""
    name, state = call.segments[1], peer.disk.state
    if "/" in name:
        message = 'collection_name: collection name cannot contain "/" char'
        raise answers.invalid("path parameters", message)
    settings = config.new_config(call.body, call.raw, len(state.peers))
    collection = Collection(name, peer.universe.choices.uuid(), settings, {})
    if not collection.custom:
        number, factor = settings["params"]["shard_number"], settings["params"]["replication_factor"]
        placed = peer.universe.choices.place(name, number, factor, tuple(state.peers))
        collection.shards = {
            i: Shard(i, None, dict.fromkeys(peers, INITIALIZING)) for i, peers in enumerate(placed)
        }
    return commit(peer, call, Create(collection), lambda later: _when_active(peer, call, name, later))


def _when_active(peer: Peer, call: Call, name: str, later: Later) -> None:
    def active() -> bool:
        found = peer.disk.state.collections.get(name)
        shards = found.shards.values() if found else ()
        return all(state != INITIALIZING for shard in shards for state in shard.replicas.values())

    peer.when(active, lambda: later.resolve(ok(True)), call.timeout)


def update(peer: Peer, call: Call) -> Reply:
    """Change configuration; a new replication factor moves nothing."""
    config.check_patch(call.body, call.raw)
    name = peer.disk.state.collection(call.segments[1]).name
    return commit(peer, call, Update(name, call.body))


def delete(peer: Peer, call: Call) -> Reply:
    """Delete; a name that does not exist answers false."""
    name = call.segments[1]
    existed = name in peer.disk.state.collections
    return committed(peer, call, Delete(name), ok(existed))


def aliases(peer: Peer, call: Call) -> Reply:
    """All aliases, or those of one collection."""
    of = call.segments[1] if call.segments[0] == "collections" else None
    pairs = peer.disk.state.aliases.items()
    shown = [{"alias_name": a, "collection_name": c} for a, c in pairs if of in (None, c)]
    return ok({"aliases": shown})


def change_aliases(peer: Peer, call: Call) -> Reply:
    """Several changes at once."""
    return commit(peer, call, Aliases(tuple(call.body["actions"])))


def put_index(peer: Peer, call: Call) -> Reply:
    """Declare a payload index."""
    schema = call.body.get("field_schema")
    kind = schema.get("type") if isinstance(schema, dict) else schema
    if kind not in INDEX_TYPES:
        raise answers.malformed(
            "data did not match any variant of untagged enum PayloadFieldSchema", len(call.raw)
        )
    name = peer.disk.state.collection(call.segments[1]).name
    return _index(peer, call, PutIndex(name, call.body["field_name"], schema))


def drop_index(peer: Peer, call: Call) -> Reply:
    """Drop a payload index."""
    name = peer.disk.state.collection(call.segments[1]).name
    return _index(peer, call, DropIndex(name, call.segments[3]))


def _index(peer: Peer, call: Call, op: PutIndex | DropIndex) -> Reply:
    """With `wait` the answer comes when the index is built, else when consensus has it."""
    answer, build = _operation(peer, call), peer.universe.pace.index if call.wait else 0.0
    after = peer.universe.timeline.after
    return commit(peer, call, op, lambda later: after(build, lambda: later.resolve(answer)))


def _operation(peer: Peer, call: Call) -> Answer:
    peer.disk.operations += 2
    status = "completed" if call.wait else "acknowledged"
    return ok({"operation_id": peer.disk.operations, "status": status})


def shard_keys(peer: Peer, call: Call) -> Reply:
    """Shard keys of a collection."""
    collection = peer.disk.state.collection(call.segments[1])
    listed = [{"key": key} for key in sorted(collection.keys, key=str)]
    return ok({"shard_keys": listed} if collection.custom else {})


def create_key(peer: Peer, call: Call) -> Reply:
    """Create a shard key and its shards."""
    return _create_key(peer, call, call.body)


def _create_key(peer: Peer, call: Call, body: Json) -> Reply:
    state, key = peer.disk.state, body["shard_key"]
    collection = state.collection(call.segments[1])
    _keyed(call, collection, key)
    if body.get("placement") == []:
        raise answers.bad_request(
            f"Sharding key {shown(key)} placement cannot be empty. If you want to use random placement, do not"
            " specify placement"
        )
    among = tuple(dict.fromkeys(body.get("placement") or state.peers))
    for member in among:
        _known(peer, member)
    CreateKey(collection.name, key, ()).check(state)
    number = body.get("shards_number") or collection.params["shard_number"]
    factor = body.get("replication_factor") or collection.params["replication_factor"]
    placed = peer.universe.choices.place(collection.name, number, factor, among)
    op = CreateKey(collection.name, key, tuple(placed))
    return commit(peer, call, op, lambda later: _when_active(peer, call, collection.name, later))


def drop_key(peer: Peer, call: Call) -> Reply:
    """Drop a shard key and its data."""
    collection = peer.disk.state.collection(call.segments[1])
    _keyed(call, collection, call.body["shard_key"])
    op = DropKey(collection.name, call.body["shard_key"])
    op.check(peer.disk.state)
    return commit(peer, call, op)


def _keyed(call: Call, collection: Collection, key: Json) -> None:
    """Qdrant has these words for both, creating and deleting."""
    if not collection.custom:
        raise answers.bad_request("Shard Key cannot be created with Auto sharding method")
    if not (isinstance(key, str) or (type(key) is int and key >= 0)):
        message = "data did not match any variant of untagged enum ShardKey"
        raise answers.malformed(message, len(call.raw))


def redistribute(peer: Peer, call: Call) -> Reply:
    """One operation on the distribution of shards; answers when consensus has accepted it."""
    collection = peer.disk.state.collection(call.segments[1])
    operation, body = next(iter((call.body or {"": None}).items()))
    if operation in ("move_shard", "replicate_shard"):
        return _start(peer, call, collection, operation, body)
    if operation == "abort_transfer":
        return commit(peer, call, Abort(collection.name, _running(collection, body)))
    if operation == "drop_replica":
        _shard_exists(collection, body["shard_id"])
        _known(peer, body["peer_id"])
        return commit(peer, call, DropReplica(collection.name, body["shard_id"], body["peer_id"]))
    if operation == "create_sharding_key":
        return _create_key(peer, call, body)
    if operation == "drop_sharding_key":
        return commit(peer, call, DropKey(collection.name, body["shard_key"]))
    raise answers.malformed(
        "data did not match any variant of untagged enum ClusterOperations", len(call.raw)
    )


def _start(peer: Peer, call: Call, collection: Collection, operation: str, body: Json) -> Reply:
    source, target = body["from_peer_id"], body["to_peer_id"]
    if source == target:
        raise answers.invalid("JSON body", f"{TO_ITSELF.format(operation, source)}")
    _shard_exists(collection, body["shard_id"])
    _known(peer, target)
    _known(peer, source)
    keep_source, method = operation == "replicate_shard", body.get("method") or "snapshot"
    move = Move(body["shard_id"], source, target, keep_source, method)
    return commit(peer, call, Start(collection.name, move))


def _running(collection: Collection, body: Json) -> Move:
    ends = (body["shard_id"], body["from_peer_id"], body["to_peer_id"])
    for move in collection.moves:
        if (move.shard, move.source, move.target) == ends:
            return move
    raise answers.not_found(
        f"Shard transfer {ends[1]} -> {ends[2]} for collection {collection.name}:{ends[0]} does not exist"
    )


def _known(peer: Peer, member: int) -> None:
    if member not in peer.disk.state.peers:
        raise answers.bad_request(f"Peer {member} does not exist")


def _shard_exists(collection: Collection, number: int) -> None:
    if number not in collection.shards:
        raise answers.bad_request(f"Shard {number} of {collection.name} does not exist")

"""REST: points; enough for qdrant-client to write, count, scroll, retrieve and query, by brute force."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from sandbox.qdrant_sim.core.api import filters, routing
from sandbox.qdrant_sim.core.api.answers import (
    Answer,
    Call,
    Fault,
    Json,
    Reply,
    malformed,
    not_found,
    ok,
    wrong_input,
)
from sandbox.qdrant_sim.core.api.routing import Change
from sandbox.qdrant_sim.core.config import vector_params
from sandbox.qdrant_sim.core.consensus.state import Collection
from sandbox.qdrant_sim.core.disk import Local, Point, PointId
from sandbox.qdrant_sim.core.peer import Peer


def upsert(peer: Peer, call: Call) -> Reply:
    """Insert or replace points."""
    collection = peer.disk.state.collection(call.segments[1])
    points = [_point(collection, one) for one in _rows(call.body)]
    return _write(peer, call, collection, {point.id: _put(point) for point in points})


def delete(peer: Peer, call: Call) -> Reply:
    """Delete points by ids or by a filter."""
    collection = peer.disk.state.collection(call.segments[1])
    if (ids := call.body.get("points")) is not None:
        return _write(peer, call, collection, {one: _drop(one) for one in ids})
    return _everywhere(peer, call, collection, _drop_matching(call.body.get("filter")))


def set_payload(peer: Peer, call: Call) -> Reply:
    """Merge a payload into points by ids."""
    collection = peer.disk.state.collection(call.segments[1])
    ids = call.body.get("points") or []
    return _write(peer, call, collection, {one: _merge_payload(one, call.body["payload"]) for one in ids})


def retrieve(peer: Peer, call: Call) -> Reply:
    """Points by ids; those that do not exist are left out."""
    collection = peer.disk.state.collection(call.segments[1])
    found = {point.id: point for point in _all(peer, collection, call.body)}
    wanted = [found[one] for one in call.body["ids"] if one in found]
    return ok([_record(point, call.body) for point in wanted])


def one(peer: Peer, call: Call) -> Reply:
    """One point by its id."""
    collection = peer.disk.state.collection(call.segments[1])
    wanted: PointId = int(call.segments[3]) if call.segments[3].isdigit() else call.segments[3]
    for point in _all(peer, collection, None):
        if point.id == wanted:
            return ok(_record(point, {"with_vector": True}, payload=True))
    raise not_found(f"Point with id {wanted} does not exists!")


def count(peer: Peer, call: Call) -> Reply:
    """How many points pass the filter. A shard without any replica makes the server drop the connection."""
    collection = peer.disk.state.collection(call.segments[1])
    body = call.body or {}
    shards = routing.shards_of(collection, body.get("shard_key"))
    if any(not shard.replicas for shard in shards):
        return Answer(0, dropped=True)
    locals_ = routing.read(peer, collection, shards)
    if not body.get("filter"):
        return ok({"count": sum(len(local.points) for local in locals_)})
    return ok({"count": sum(1 for _ in _matching(locals_, body["filter"]))})


def scroll(peer: Peer, call: Call) -> Reply:
    """Points in the order of their ids, a page at a time."""
    collection = peer.disk.state.collection(call.segments[1])
    body = call.body or {}
    limit, offset = body.get("limit") or 10, body.get("offset")
    points = _matching(_read(peer, collection, body), body.get("filter"))
    later = (p for p in points if offset is None or _order(p.id) >= _order(offset))
    page = heapq.nsmallest(limit + 1, later, key=lambda point: _order(point.id))
    following = page[limit].id if len(page) > limit else None
    records = [_record(point, body, payload=True) for point in page[:limit]]
    return ok({"points": records, "next_page_offset": following})


def query(peer: Peer, call: Call) -> Reply:
    """The nearest points, exactly."""
    collection = peer.disk.state.collection(call.segments[1])
    return ok({"points": _query(peer, collection, call.body or {})})


def query_batch(peer: Peer, call: Call) -> Reply:
    """Several queries."""
    collection = peer.disk.state.collection(call.segments[1])
    return ok([{"points": _query(peer, collection, one)} for one in call.body["searches"]])


def _query(peer: Peer, collection: Collection, body: Json) -> list[Json]:
    points = list(_matching(_read(peer, collection, body), body.get("filter")))
    limit, offset = body.get("limit") or 10, body.get("offset") or 0
    wanted, using = _wanted(points, body)
    if wanted is None:
        page = heapq.nsmallest(limit + offset, points, key=lambda point: _order(point.id))
        return [_record(point, body) | {"version": 0, "score": 1.0} for point in page[offset:]]
    distance = _distance(collection, using, wanted)
    wanted = filters.normalized(wanted) if distance == "Cosine" else wanted
    scored = _scored(points, using, distance, wanted, body.get("score_threshold"))
    best = heapq.nsmallest if filters.nearest_is_smallest(distance) else heapq.nlargest
    page_scored = best(limit + offset, scored, key=lambda pair: pair[0])[offset:]
    return [_record(point, body) | {"version": point.version, "score": value} for value, point in page_scored]


def _scored(
    points: list[Point], using: str, distance: str, wanted: list[float], threshold: float | None
) -> Iterator[tuple[float, Point]]:
    smallest = filters.nearest_is_smallest(distance)
    for point in points:
        vector = _dense(point, using)
        if vector is None:
            continue
        value = filters.score(distance, wanted, vector)
        if threshold is None or (value <= threshold if smallest else value >= threshold):
            yield value, point


def _wanted(points: list[Point], body: Json) -> tuple[list[float] | None, str]:
    asked, using = body.get("query"), body.get("using") or ""
    if isinstance(asked, dict):
        if "nearest" not in asked:
            raise malformed("the simulator knows nearest queries only", 1)
        asked = asked["nearest"]
    if isinstance(asked, int | str):
        like = next((point for point in points if point.id == asked), None)
        if like is None:
            raise not_found(f"No point with id {asked} found")
        asked = _dense(like, using)
    return asked, using


def _distance(collection: Collection, using: str, wanted: list[float]) -> str:
    params = vector_params(collection.config).get(using)
    if params is None:
        raise wrong_input(f"Not existing vector name error: {using}")
    if len(wanted) != params["size"]:
        raise _dimension(params["size"], len(wanted))
    return str(params["distance"])


def _dense(point: Point, using: str) -> list[float] | None:
    vector = point.vector.get(using) if isinstance(point.vector, dict) else point.vector
    return vector if isinstance(vector, list) else None


def _all(peer: Peer, collection: Collection, body: Json) -> Iterator[Point]:
    return _matching(_read(peer, collection, body or {}), None)


def _read(peer: Peer, collection: Collection, body: Json) -> list[Local]:
    return routing.read(peer, collection, routing.shards_of(collection, body.get("shard_key")))


def _matching(locals_: list[Local], condition: Json) -> Iterator[Point]:
    for local in locals_:
        for point in list(local.points.values()):
            if filters.matches(point, condition):
                yield point


def _order(point: PointId) -> tuple[bool, PointId]:
    """Numbers before UUIDs."""
    return isinstance(point, str), point


def _record(point: Point, body: Json, *, payload: bool = False) -> Json:
    shown: Json = {"id": point.id}
    if (body or {}).get("with_payload", payload):
        shown["payload"] = point.payload or {}
    wanted = (body or {}).get("with_vector")
    if wanted:
        vector = point.vector
        shown["vector"] = {n: vector[n] for n in wanted} if isinstance(wanted, list) else vector
    return shown


def _rows(body: Json) -> list[Json]:
    if "points" in body:
        rows: list[Json] = body["points"]
        return rows
    batch = body["batch"]
    vectors, payloads = batch["vectors"], batch.get("payloads") or [None] * len(batch["ids"])
    if isinstance(vectors, dict):
        vectors = [{name: some[i] for name, some in vectors.items()} for i in range(len(batch["ids"]))]
    return [
        {"id": i, "vector": v, "payload": p} for i, v, p in zip(batch["ids"], vectors, payloads, strict=True)
    ]


def _point(collection: Collection, row: Json) -> Point:
    if not isinstance(row.get("id"), int | str) or "vector" not in row:
        raise malformed("data did not match any variant of untagged enum PointInsertOperations", 1)
    params, given = vector_params(collection.config), row["vector"]
    if isinstance(given, dict):
        vector: Json = {name: _stored(params, name, one) for name, one in given.items()}
    else:
        vector = _stored(params, "", given)
    return Point(row["id"], vector, row.get("payload"), 1)


def _stored(params: dict[str, Json], name: str, vector: Json) -> Json:
    about = params.get(name)
    if (
        about is None
        or not vector
        or not isinstance(vector[0] if isinstance(vector, list) else None, int | float)
    ):
        if about is None and isinstance(vector, list):
            raise wrong_input(f"Not existing vector name error: {name}")
        return vector
    if len(vector) != about["size"]:
        raise _dimension(about["size"], len(vector))
    return filters.normalized(vector) if about["distance"] == "Cosine" else vector


def _dimension(wanted: int, got: int) -> Fault:
    return wrong_input(f"Vector dimension error: expected dim: {wanted}, got {got}")


def _put(point: Point) -> Change:
    return lambda local: local.points.__setitem__(point.id, point)


def _drop(point: PointId) -> Change:
    def change(local: Local) -> None:
        local.points.pop(point, None)

    return change


def _drop_matching(condition: Json) -> Change:
    def change(local: Local) -> None:
        for point in [p.id for p in local.points.values() if filters.matches(p, condition)]:
            del local.points[point]

    return change


def _merge_payload(point: PointId, payload: Json) -> Change:
    def change(local: Local) -> None:
        old = local.points.get(point)
        if old is not None:
            local.points[point] = Point(old.id, old.vector, (old.payload or {}) | payload, old.version + 1)

    return change


def _write(peer: Peer, call: Call, collection: Collection, changes: dict[PointId, Change]) -> Reply:
    shards = routing.write_shards(collection, call.body.get("shard_key"))
    by_shard: dict[int, list[Change]] = {}
    for point, change in changes.items():
        by_shard.setdefault(routing.pick(shards, point).id, []).append(change)
    return routing.write(peer, collection, by_shard, call.wait)


def _everywhere(peer: Peer, call: Call, collection: Collection, change: Change) -> Reply:
    shards = routing.shards_of(collection, call.body.get("shard_key"))
    return routing.write(peer, collection, {shard.id: [change] for shard in shards}, call.wait)

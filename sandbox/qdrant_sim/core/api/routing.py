"""Where points live: the shard of each id, and the replicas that answer for a shard."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sandbox.qdrant_sim.core.api.answers import (
    Answer,
    Fault,
    Json,
    Later,
    Reply,
    bad_request,
    internal,
    wrong_input,
)
from sandbox.qdrant_sim.core.consensus.shard_ops import SetReplica, shown
from sandbox.qdrant_sim.core.consensus.state import (
    ACTIVE,
    DEAD,
    INITIALIZING,
    TAKES_WRITES,
    Collection,
    Shard,
)
from sandbox.qdrant_sim.core.disk import Local, PointId
from sandbox.qdrant_sim.core.peer import Peer

DEACTIVATION_SECONDS = 30.0
"""How long a write waits for consensus to mark a replica Dead that it could not reach."""
Change = Callable[[Local], None]


def shards_of(collection: Collection, key: Json) -> list[Shard]:
    """Shards that a request with this shard key (None: none named; a list: several) is about.

    Raises:
        Fault: a key that does not exist.
    """
    if key is None:
        return list(collection.shards.values())
    wanted = key if isinstance(key, list) else [key]
    for one in wanted:
        if one not in collection.keys:
            raise bad_request(f"Shard key {shown(one)} not found")
    return [shard for shard in collection.shards.values() if shard.key in wanted]


def write_shards(collection: Collection, key: Json) -> list[Shard]:
    """Shards among which the ids of a write are spread."""
    if collection.custom and key is None:
        raise wrong_input("Shard key not specified")
    if collection.custom and key not in collection.keys:
        raise wrong_input(f"Shard key {shown(key)} not found")
    return sorted(shards_of(collection, key), key=lambda shard: shard.id)


def pick(shards: Sequence[Shard], point: PointId) -> Shard:
    """The shard of an id."""
    digest = hashlib.md5(str(point).encode(), usedforsecurity=False).digest()
    return shards[int.from_bytes(digest[:8], "big") % len(shards)]


def read(origin: Peer, collection: Collection, shards: Iterable[Shard]) -> list[Local]:
    """The data of one good replica of each shard.

    Raises:
        Fault: 500 when no Active replica of a shard can be reached.
    """
    return [_one_replica(origin, collection.name, shard) for shard in shards]


def teller(origin: Peer, collection: Collection) -> Peer:
    """The peer whose answer for its shard gives a collection's configuration."""
    if not collection.shards:
        return origin
    shard = origin.universe.choices.telling_shard(collection.name, sorted(collection.shards))
    active = sorted(collection.shards[shard].active(), key=lambda peer: peer != origin.id)
    found = (origin.reach(peer) for peer in active)
    return next((peer for peer in found if peer is not None), origin)


def _one_replica(origin: Peer, name: str, shard: Shard) -> Local:
    active = sorted(shard.active(), key=lambda peer: peer != origin.id)
    for peer in active:
        for found in _holders(origin, name, shard.id, peer):
            if not found.dummy:
                return found
    reasons = "".join(f"\n  Service internal error: {why_not(origin, peer)}" for peer in active)
    colon = ":" if reasons else ""
    after = origin.universe.patience(origin, active)
    raise internal(f"{len(active)} of {len(active)} read operations failed{colon}{reasons}", after)


def _holders(origin: Peer, name: str, shard: int, peer: int) -> list[Local]:
    """The data that answers for a replica: its own, or where it has just been moved to."""
    found = origin.reach(peer)
    if found is None:
        return []
    own = found.disk.locals.get((name, shard))
    if own is not None:
        return [own]
    moved = _passed(found, name, shard)
    return [moved] if moved is not None else []


def _passed(source: Peer, name: str, shard: int) -> Local | None:
    """The data of the peer to which `source` passes on what it is sent for a shard."""
    target = source.transfers.passed_to(name, shard)
    found = source.universe.reach(source, target) if target is not None else None
    return found.disk.locals.get((name, shard)) if found is not None else None


def why_not(origin: Peer, peer: int) -> str:
    """Why a member did not answer, in Qdrant's words."""
    uri = origin.disk.state.peers.get(peer)
    if uri is None:
        return f"Tonic status error: no address found for peer {peer}"
    return (
        "Tonic status error: code: 'The service is currently unavailable', "
        f'message: "Failed to connect to {uri}/, error: transport error"'
    )


def write(origin: Peer, collection: Collection, changes: dict[int, list[Change]], wait: bool) -> Reply:
    """Apply changes to every replica that takes writes; replicas that fail become Dead when enough did not.

    One shard that refuses does not keep the others from being written, nor from being waited for.

    Raises:
        Fault: 500 when fewer replicas than the write consistency factor took it; what was written stays.
    """
    failed: list[tuple[int, int]] = []
    fault: Fault | None = None
    for number, some in changes.items():
        try:
            shard = collection.shards[number]
            failed += [(number, peer) for peer in _write_shard(origin, collection, shard, some)]
        except Fault as one:
            fault = fault or one
    origin.disk.operations += 1
    if failed and wait:
        answer = fault.answer if fault else _written(origin.disk.operations, wait)
        return _deactivate(origin, collection, failed, answer)
    for number, peer in failed:
        origin.quietly(SetReplica(collection.name, number, peer, DEAD))
    if fault is not None:
        raise fault
    return _written(origin.disk.operations, wait)


def _write_shard(origin: Peer, collection: Collection, shard: Shard, changes: list[Change]) -> list[int]:
    known = [peer for peer, state in shard.replicas.items() if state in TAKES_WRITES]
    takers = [peer for peer in known if (collection.name, shard.id, peer) not in origin.shunned]
    failed = [peer for peer in takers if not _write_replica(origin, collection.name, shard.id, peer, changes)]
    needed = min(collection.params["write_consistency_factor"], len(shard.replicas))
    done = len(takers) - len(failed)
    after = origin.universe.patience(origin, takers)
    if not shard.active():
        raise internal(f"The replica set for shard {shard.id} on peer {origin.id} has no active replica", 0.0)
    if done < max(needed, 1):
        reason = why_not(origin, failed[0]) if failed else "not enough replicas take writes"
        raise internal(
            f"{len(failed)} out of {len(takers)} shards failed to apply operation. {reason}", after
        )
    origin.shunned.update((collection.name, shard.id, peer) for peer in failed)
    done_by = [peer for peer in takers if peer not in failed]
    return [peer for peer in failed if shard.replicas.get(peer) in (ACTIVE, INITIALIZING)] + _missed(
        origin, collection.name, shard.id, done_by
    )


def _missed(origin: Peer, name: str, shard: int, done_by: list[int]) -> list[int]:
    """Targets of a transfer that have their copy already, but could not be given this write."""
    sources = [found for peer in done_by if (found := origin.reach(peer)) is not None]
    passing = [(source, source.transfers.passed_to(name, shard)) for source in sources]
    return [
        target for source, target in passing if target is not None and _passed(source, name, shard) is None
    ]


def _write_replica(origin: Peer, name: str, shard: int, peer: int, changes: list[Change]) -> bool:
    locals_ = _holders(origin, name, shard, peer)
    if not locals_ or locals_[0].dummy:
        return False
    found = origin.reach(peer)
    also = _passed(found, name, shard) if found is not None else None
    for local in {id(one): one for one in [*locals_, also] if one is not None}.values():
        for change in changes:
            change(local)
        local.changes += 1
    return True


def _deactivate(origin: Peer, collection: Collection, failed: list[tuple[int, int]], answer: Answer) -> Later:
    """Wait until consensus has every failed replica Dead, or without it, then let the write be a success.

    A replica that moved away meanwhile is neither: its new place may have missed the write, so it is an error.
    """
    later, left = Later(), len(failed)
    moving = {(move.shard, move.source) for move in collection.moves}

    def one_done(number: int, peer: int, fault: Fault | None) -> None:
        nonlocal left
        left -= 1
        moved = (number, peer) in moving
        if fault is not None and not _is_deactivated(origin, collection.name, number, peer, moved):
            later.resolve(_not_deactivated(fault).answer)
        elif left == 0:
            later.resolve(answer)

    def propose() -> None:
        for number, peer in failed:
            change = SetReplica(collection.name, number, peer, DEAD)
            origin.group.propose(origin, change, DEACTIVATION_SECONDS, partial(one_done, number, peer))

    patience = origin.universe.patience(origin, (peer for _, peer in failed))
    origin.universe.timeline.after(patience / 2, propose)
    return later


def _is_deactivated(origin: Peer, name: str, number: int, peer: int, moved: bool) -> bool:
    """Whether a replica takes no writes, though our own report of it was refused: somebody else was quicker.

    It is Dead, or dropped, or its peer was removed; but one that moved away lives on elsewhere.
    """
    collection = origin.disk.state.collections.get(name)
    shard = collection.shards.get(number) if collection is not None else None
    state = shard.replicas.get(peer) if shard is not None else None
    return state == DEAD or (state is None and not moved)


def _not_deactivated(fault: Fault) -> Fault:
    reason = fault.message if fault.status == 400 else f"timed out after {DEACTIVATION_SECONDS:g} seconds"
    return internal(
        f"Failed to apply operation: deactivation {reason}."
        " Consistency of this update is not guaranteed. Please retry."
    )


def _written(number: int, wait: bool) -> Answer:
    status = "completed" if wait else "acknowledged"
    return Answer(200, {"result": {"operation_id": number, "status": status}, "status": "ok", "time": 0.0})

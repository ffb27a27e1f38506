"""What a backup takes, from where, and which backups stay: pure decisions.

A backup is one snapshot per shard, each from one sound replica. It is complete or it is none: a shard without a
sound replica refuses the whole, by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

from qdrant_operator.domain.errors import Refused
from qdrant_operator.domain.soundness import answering, sound_replicas
from qdrant_operator.domain.values import CollectionView, PeerId, PeerView, ShardId, ShardKey, View

KEEP_FAILED = 3
"""Failed snapshots of a schedule that stay to be read. They hold no data, so this is no setting."""
LEFTOVER_WINDOW = timedelta(minutes=2)
"""How far a peer's clock may be from ours when a leftover file is recognised by the time in its name."""
MIB = 2**20
PART_BYTES = 8 * MIB
"""Size of one part of an upload. S3 allows 5 MiB at least."""
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
PARTS = 9_500
"""Parts of one upload. S3 allows 10,000; the margin is for files that grew since they were measured."""


class Phase(StrEnum):
    """How far a snapshot is; `Complete`, `Verified` and `Failed` never change again."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETE = "Complete"
    VERIFIED = "Verified"
    FAILED = "Failed"

    @property
    def good(self) -> bool:
        """A restore may be made from it."""
        return self in (Phase.COMPLETE, Phase.VERIFIED)

    @property
    def over(self) -> bool:
        """Nothing more will happen."""
        return self.good or self is Phase.FAILED


@dataclass(frozen=True, slots=True)
class Source:
    """One shard to be saved, and the peer to take it from."""

    collection: str
    shard: ShardId
    key: ShardKey | None
    peer: PeerId
    points: int
    bytes: int
    """Vectors and payloads; the file will be of another size."""

    @property
    def label(self) -> str:
        """The shard as users read it: collection/shard."""
        return f"{self.collection}/{self.shard}"


def chosen_collections(existing: Iterable[str], globs: Sequence[str]) -> tuple[str, ...]:
    """Collections that a snapshot takes: those that match a glob; all when no glob is given.

    Raises:
        Refused: `NothingToSnapshot`.
    """
    names = sorted(set(existing))
    chosen = tuple(n for n in names if not globs or any(fnmatchcase(n, glob) for glob in globs))
    if chosen:
        return chosen
    known = ", ".join(names[:10]) or "none"
    raise Refused(
        "NothingToSnapshot",
        f"no collection matches {list(globs) or ['*']}; the cluster's collections: {known}",
    )


def plan_sources(views: Sequence[View], collections: Iterable[str]) -> tuple[Source, ...]:
    """For every shard one sound replica, spread so that each peer gives about the same number of bytes.

    Large shards are given out first, each to the least burdened of its sound holders. The result is ordered by
    collection and shard, and depends on nothing but its arguments.

    Raises:
        Refused: `ShardNotSound`, naming every shard that has no sound replica that can be read now.
    """
    wanted, sound = frozenset(collections), sound_replicas(views)
    peers = sorted(answering(views), key=lambda view: view.peer)
    offers = [
        (*ref, _offer([view for view in peers if view.peer in sound[ref]], *ref))
        for ref in sorted(sound)
        if ref[0] in wanted
    ]
    bad = [f"{name}/{shard}" for name, shard, sources in offers if not sources]
    if bad:
        raise Refused(
            "ShardNotSound",
            f"{len(bad)} of {len(offers)} shards have no sound replica to read: {', '.join(bad[:10])};"
            " see the cluster's status, a backup without them would not be one",
        )
    return _spread([sources for _, _, sources in offers])


def _offer(holders: Sequence[PeerView], name: str, shard: ShardId) -> tuple[Source, ...]:
    """Sound holders that are not sending this shard elsewhere: Qdrant does not snapshot a shard it forwards."""
    found = (_source(view, name, shard) for view in holders)
    return tuple(source for source in found if source)


def _source(view: PeerView, name: str, shard: ShardId) -> Source | None:
    collection = next((one for one in view.collections if one.name == name), None)
    part = next((one for one in collection.shards if one.shard == shard), None) if collection else None
    if collection is None or part is None or part.local is None or _sends(collection, view.peer, shard):
        return None
    return Source(name, shard, part.key, view.peer, part.local.points or 0, part.local.bytes)


def _sends(collection: CollectionView, peer: PeerId, shard: ShardId) -> bool:
    return collection.resharding or any(
        transfer.shard == shard and transfer.source == peer for transfer in collection.transfers
    )


def _spread(offers: Sequence[tuple[Source, ...]]) -> tuple[Source, ...]:
    burden: Counter[PeerId] = Counter()
    chosen: list[Source] = []
    for sources in sorted(offers, key=lambda offer: (-offer[0].bytes, offer[0].collection, offer[0].shard)):
        source = min(sources, key=lambda one: (burden[one.peer], one.peer))
        burden[source.peer] += max(source.bytes, 1)
        chosen.append(source)
    return tuple(sorted(chosen, key=lambda one: (one.collection, one.shard)))


def part_bytes(size: int) -> int:
    """Size of the parts in which a file of `size` bytes is uploaded: 8 MiB up to 74 GiB, then as few as needed."""
    needed = -(-size // PARTS)
    return max(PART_BYTES, -(-needed // MIB) * MIB)


def leftover(
    before: Iterable[str], now: Iterable[tuple[str, datetime | None]], since: datetime
) -> str | None:
    """The file that an interrupted run left on a peer, if it can be told from everybody else's.

    It is the only file that was not there before and whose name carries a time close to `since`, when the run
    asked for it. Two such files mean that somebody else took a snapshot too: then none is touched.
    """
    known = frozenset(before)
    fresh = [
        name for name, made in now if name not in known and made and abs(made - since) <= LEFTOVER_WINDOW
    ]
    return fresh[0] if len(fresh) == 1 else None


@dataclass(frozen=True, slots=True)
class Kept:
    """One snapshot of a schedule, as retention sees it."""

    name: str
    phase: Phase
    created: datetime


def prune(snapshots: Iterable[Kept], keep_last: int | None) -> tuple[str, ...]:
    """Names of the snapshots to delete, oldest first.

    Only good ones (Complete or Verified) count as kept, so failures never push a good one out, and the last good
    one always stays. Of the failed ones the newest few stay to be read. What is not over is not touched.
    Without `keep_last` nothing good is ever deleted.
    """
    newest_first = sorted(snapshots, key=lambda one: (one.created, one.name), reverse=True)
    good = [one for one in newest_first if one.phase.good]
    failed = [one for one in newest_first if one.phase is Phase.FAILED]
    surplus = good[max(keep_last, 1) :] if keep_last is not None else []
    doomed = sorted([*surplus, *failed[KEEP_FAILED:]], key=lambda one: (one.created, one.name))
    return tuple(one.name for one in doomed)


def progress_line(done: int, total: int, sent: int, expected: int) -> str:
    """Progress for status: `12/24 shards, 4.1/9.8 GiB`. Expected bytes are an estimate, never below sent."""
    whole = max(sent, expected)
    power = max(exponent for exponent in range(len(UNITS)) if exponent == 0 or whole >= 1024**exponent)
    scale, digits = 1024**power, min(power, 1)
    return f"{done}/{total} shards, {sent / scale:.{digits}f}/{whole / scale:.{digits}f} {UNITS[power]}"


def newest_version(views: Sequence[View]) -> str:
    """The newest Qdrant among the answering peers: a restore needs it or a later one."""
    return max((view.version for view in answering(views)), key=_version_key)


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.lstrip("v").split("-")[0].split("."))

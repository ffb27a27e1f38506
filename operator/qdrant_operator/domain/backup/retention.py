"""What a backup takes, and which backups stay: pure decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.qdrant.soundness import answering
from qdrant_operator.domain.qdrant.views import View

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
    """How far a snapshot is; `Complete`, `Verified`, `PartiallyFailed` and `Failed` never change again."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETE = "Complete"
    VERIFIED = "Verified"
    PARTIALLY_FAILED = "PartiallyFailed"
    FAILED = "Failed"
    UNKNOWN = "Unknown"
    """A phase of a newer release: no backup, no failure, and not over. Never written."""

    @classmethod
    def read(cls, text: str | None) -> Phase:
        """A phase as status has it; absent before the first pass."""
        try:
            return cls(text) if text else cls.PENDING
        except ValueError:
            return cls.UNKNOWN

    @property
    def good(self) -> bool:
        """All that was asked for can be restored from it."""
        return self in (Phase.COMPLETE, Phase.VERIFIED)

    @property
    def stored(self) -> bool:
        """It has a manifest and files."""
        return self.good or self is Phase.PARTIALLY_FAILED

    @property
    def over(self) -> bool:
        """Nothing more will happen."""
        return self.stored or self is Phase.FAILED


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


def part_bytes(size: int) -> int:
    """Size of the parts in which a file of `size` bytes is uploaded: 8 MiB up to 74 GiB, then as few as needed."""
    needed = -(-size // PARTS)
    return max(PART_BYTES, -(-needed // MIB) * MIB)


def leftover(
    before: Iterable[str], now: Iterable[tuple[str, datetime | None]], since: datetime
) -> str | None:
    """The file that an interrupted run left on a peer, if it is certain which one it is.

    It is the only file that was not there before and whose name carries a time close to `since`, when the run
    asked for it. Two such files mean that another client took a snapshot too: then none is touched.
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
    one always stays; so does the last Verified one, however many were made since without reading them back. As many
    partial ones are kept beside them. Of the failed ones, which hold no data, the newest few stay to be read. What
    is not over is not touched. Without `keep_last` no data is ever deleted.
    """
    newest_first = sorted(snapshots, key=lambda snapshot: (snapshot.created, snapshot.name), reverse=True)
    good = [snapshot for snapshot in newest_first if snapshot.phase.good]
    failed = [snapshot for snapshot in newest_first if snapshot.phase is Phase.FAILED]
    partial = [snapshot for snapshot in newest_first if snapshot.phase is Phase.PARTIALLY_FAILED]
    proven = [snapshot for snapshot in good if snapshot.phase is Phase.VERIFIED][:1]
    kept = len(newest_first) if keep_last is None else max(keep_last, 1)
    surplus = [snapshot for snapshot in good[kept:] if snapshot not in proven]
    doomed = sorted(
        [*surplus, *partial[kept:], *failed[KEEP_FAILED:]],
        key=lambda snapshot: (snapshot.created, snapshot.name),
    )
    return tuple(snapshot.name for snapshot in doomed)


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

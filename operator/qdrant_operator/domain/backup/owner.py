"""Who owns a backup folder: exactly one run, written into the folder before anything else.

The folder's name already contains the QdrantSnapshot's uid, so two objects never share one. The owner object
distinguishes what a name cannot: a second process of the same run, and a folder that was copied or edited by hand.
Nothing in a folder is replaced, deleted or taken for a result without this check.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from qdrant_operator.domain.backup.storage import MANIFEST

OWNER = "owner.json"
"""Name of the owner object within the backup's folder; it is created first and deleted last."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The run that created a folder."""

    snapshot_uid: str
    """Of the QdrantSnapshot."""
    cluster_uid: str
    """Of the QdrantCluster that the backup is taken from."""
    run: str
    """Random, of one process: a Job's pod may be started twice."""


def dump_owner(owner: Owner) -> bytes:
    """The owner object's content."""
    return json.dumps(asdict(owner)).encode()


def load_owner(content: bytes | None) -> Owner | None:
    """Read what `dump_owner` wrote; None for anything else, which belongs to no run."""
    try:
        fields = json.loads(content or b"")
        return Owner(**fields) if all(isinstance(value, str) for value in fields.values()) else None
    except (ValueError, TypeError, AttributeError):
        return None


def deletion_order(folder: str, keys: Sequence[str]) -> tuple[list[str], ...]:
    """Keys of a folder in the order in which they are deleted.

    The manifest goes first, so that at no moment a damaged folder looks like a backup; the owner goes last, so
    that a deletion that was interrupted may be resumed.
    """
    first, last = f"{folder}{MANIFEST}", f"{folder}{OWNER}"
    files = [key for key in keys if key not in (first, last)]
    return tuple(
        several for several in ([first] * (first in keys), files, [last] * (last in keys)) if several
    )

"""Snapshot files: a header line, then a line for each point; made lazily, so that size costs no memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator

from sandbox.qdrant_sim.core.api.answers import Json, wrong_input
from sandbox.qdrant_sim.core.disk import Local, Point, SnapshotFile

MAGIC = "simulated qdrant snapshot"
BLOCK = 2**18


def take(name: str, created: str, shards: dict[int, Local], ballast: int) -> SnapshotFile:
    """A snapshot of these shards as they are now, with `ballast` extra bytes."""
    frozen = {number: tuple(local.points.values()) for number, local in sorted(shards.items())}

    def chunks() -> Iterator[bytes]:
        return _chunks(frozen, ballast)

    size, digest = _measure(chunks)
    return SnapshotFile(name, created, size, digest, chunks)


def read(content: bytes) -> dict[int, dict[int | str, Point]]:
    """The points of each shard in a snapshot file.

    Raises:
        Fault: 400 when it is none.
    """
    try:
        first, *lines = content.split(b"\n")
        if json.loads(first)["format"] != MAGIC:
            raise wrong_input("Failed to read snapshot: not a snapshot")
        return _points(lines)
    except (ValueError, KeyError, TypeError) as error:
        raise wrong_input(f"Failed to read snapshot: {error}") from error


def described(file: SnapshotFile) -> Json:
    """A file as in Qdrant's answers."""
    return {"name": file.name, "creation_time": file.created, "size": file.size, "checksum": file.sha256}


def _points(lines: list[bytes]) -> dict[int, dict[int | str, Point]]:
    shards: dict[int, dict[int | str, Point]] = {}
    for line in lines:
        if not line or line.startswith(b"#"):
            continue
        row = json.loads(line)
        points = shards.setdefault(row["shard"], {})
        if "id" in row:
            points[row["id"]] = Point(row["id"], row["vector"], row["payload"], row["version"])
    return shards


def _chunks(frozen: dict[int, tuple[Point, ...]], ballast: int) -> Iterator[bytes]:
    yield json.dumps({"format": MAGIC, "shards": list(frozen)}).encode() + b"\n"
    for number, points in frozen.items():
        yield json.dumps({"shard": number}).encode() + b"\n"
        for begin in range(0, len(points), 256):
            yield b"".join(_row(number, point) for point in points[begin : begin + 256])
    while ballast > 0:
        size = min(BLOCK, ballast)
        yield b"#" * (size - 1) + b"\n"
        ballast -= size


def _row(shard: int, point: Point) -> bytes:
    row = {
        "shard": shard,
        "id": point.id,
        "vector": point.vector,
        "payload": point.payload,
        "version": point.version,
    }
    return json.dumps(row).encode() + b"\n"


def _measure(chunks: Callable[[], Iterator[bytes]]) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks():
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()

"""Bytes from servers that are not ours, read up to a limit.

A peer, a store or whoever answers at their address may send without end; memory of the operator is shared by all
clusters. Every adapter reads foreign bytes through it. Knows nothing of HTTP: it takes whatever gives chunks or items.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import TypeVar

T = TypeVar("T")
MIB = 2**20


class TooLarge(Exception):  # noqa: N818 (what it was)
    """Somebody sent more than is read; the message says who and how much is."""


async def read_capped(chunks: AsyncIterable[bytes], limit: int, what: str) -> bytes:
    """All bytes of `chunks`, at most `limit` of them; `what` sends them, for the error.

    Raises:
        TooLarge: there are more; nothing further was read.
    """
    content = bytearray()
    async for chunk in chunks:
        if len(content) + len(chunk) > limit:
            raise TooLarge(f"{what}: more than {_size(limit)}, and no more is read")
        content += chunk
    return bytes(content)


async def list_capped(items: AsyncIterable[T], limit: int, what: str) -> tuple[T, ...]:
    """All of `items`, at most `limit` of them.

    Raises:
        TooLarge: there are more; nothing further was read.
    """
    found: list[T] = []
    async for item in items:
        if len(found) == limit:
            raise TooLarge(f"{what}: more than {limit} entries, and no more is read")
        found.append(item)
    return tuple(found)


def _size(limit: int) -> str:
    return f"{limit // MIB} MiB" if limit >= MIB and limit % MIB == 0 else f"{limit} bytes"

"""Bytes from other servers, read up to a limit.

A peer, an object store or another server at their address may send without end, and all clusters share the memory of
the operator. Every adapter reads answers through this module, which takes any iterator of chunks or items.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import TypeVar

T = TypeVar("T")
MIB = 2**20


class TooLarge(Exception):  # noqa: N818 (describes the answer)
    """An answer exceeds the limit; the message has its source and the limit."""


async def read_capped(chunks: AsyncIterable[bytes], limit: int, what: str) -> bytes:
    """All bytes of `chunks`, at most `limit`; `what` is their source, for the error.

    Raises:
        TooLarge: there are more; the rest was not read.
    """
    content = bytearray()
    async for chunk in chunks:
        if len(content) + len(chunk) > limit:
            raise TooLarge(f"{what}: the answer exceeds the limit of {_size(limit)}")
        content += chunk
    return bytes(content)


async def list_capped(items: AsyncIterable[T], limit: int, what: str) -> tuple[T, ...]:
    """All of `items`, at most `limit`.

    Raises:
        TooLarge: there are more; the rest was not read.
    """
    found: list[T] = []
    async for item in items:
        if len(found) == limit:
            raise TooLarge(f"{what}: the answer exceeds the limit of {limit} entries")
        found.append(item)
    return tuple(found)


def _size(limit: int) -> str:
    return f"{limit // MIB} MiB" if limit >= MIB and limit % MIB == 0 else f"{limit} bytes"

"""The Job's own look at the cluster: what is there, and from where each shard is taken.

The look is taken when the run starts, so that the plan is as fresh as the data.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qdrant_operator.domain.backups import (
    Source,
    chosen_collections,
    newest_version,
    plan_sources,
)
from qdrant_operator.domain.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.instruction import Instruction
from qdrant_operator.domain.manifest import CollectionBackup, ShardFile
from qdrant_operator.domain.soundness import answering
from qdrant_operator.domain.values import PeerView, Silent, View
from qdrant_operator.domain.wire import Endpoint, Json
from qdrant_operator.snapshots.ports import Peers

LOOKS = 30
PAUSE_SECONDS = 4.0
"""Two minutes for a shard to come back to a sound replica: a restarting peer or a running transfer takes less."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subject:
    """The cluster as the run saves it."""

    version: str
    sources: tuple[Source, ...]
    pods: Mapping[int, str]
    """Peer → pod."""
    descriptions: Mapping[str, Json]
    """Collection → answer of GET /collections/{name}."""
    aliases: Mapping[str, str]


async def observe_subject(
    peers: Peers, instruction: Instruction, endpoints: Mapping[str, Endpoint]
) -> Subject:
    """Choose collections and sources, and read what describes them.

    Raises:
        Refused: `NothingToSnapshot`, or `ShardNotSound` after two minutes of looking.
        Retryable: no peer answers.
    """
    for _ in range(LOOKS - 1):
        try:
            return await _look(peers, instruction, endpoints)
        except (Retryable, Refused) as error:
            if isinstance(error, Refused) and error.reason != "ShardNotSound":
                raise
            log.info("Waiting for sound shards", extra={"why": str(error)})
        await asyncio.sleep(PAUSE_SECONDS)
    return await _look(peers, instruction, endpoints)


async def _look(peers: Peers, instruction: Instruction, endpoints: Mapping[str, Endpoint]) -> Subject:
    views = await asyncio.gather(*(_view(peers, endpoint) for endpoint in endpoints.values()))
    there = answering(views)
    if not there:
        silent = "; ".join(view.reason for view in views if isinstance(view, Silent))
        raise Unreachable(f"no peer of {instruction.cluster!r} answers: {silent}")
    existing = {collection.name for view in there for collection in view.collections}
    chosen = chosen_collections(existing, instruction.collections)
    sources = plan_sources(views, chosen)
    any_peer = next(e for e, view in zip(endpoints.values(), views, strict=True) if view in there)
    descriptions = {name: await peers.collection(any_peer, name) for name in chosen}
    return Subject(
        newest_version(views), sources, _pods(endpoints, views), descriptions, await peers.aliases(any_peer)
    )


async def _view(peers: Peers, endpoint: Endpoint) -> View:
    try:
        return await peers.observe(endpoint)
    except (Retryable, Refused) as error:
        return Silent(str(error))


def _pods(endpoints: Mapping[str, Endpoint], views: Sequence[View]) -> dict[int, str]:
    pairs = zip(endpoints, views, strict=True)
    return {int(view.peer): pod for pod, view in pairs if isinstance(view, PeerView)}


def collection_backup(subject: Subject, name: str, files: Sequence[ShardFile]) -> CollectionBackup:
    """The manifest's part for one collection."""
    description = subject.descriptions[name]
    return CollectionBackup(
        name=name,
        config=description["config"],
        payload_schema=description.get("payload_schema") or {},
        aliases=tuple(sorted(alias for alias, target in subject.aliases.items() if target == name)),
        shards=tuple(sorted(files, key=lambda file: file.shard)),
    )

"""All shards of all chosen collections, in rounds: look, copy from sound sources, and take others for what is left.

A shard whose source turned out not to be sound is taken from another one. A collection that cannot be saved is
given up by name with its reason, and never costs the others theirs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from qdrant_operator.domain.backup.job_spec import JobSpec
from qdrant_operator.domain.backup.manifest import CollectionBackup, ShardFile
from qdrant_operator.domain.backup.retention import chosen_collections, newest_version
from qdrant_operator.domain.backup.sources import Choice, Source, plan_sources
from qdrant_operator.domain.backup.storage import key_problem, shard_file
from qdrant_operator.domain.common.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint, Json
from qdrant_operator.domain.qdrant.soundness import ShardRef, answering
from qdrant_operator.domain.qdrant.views import PeerView, View
from qdrant_operator.jobs.backup import observe
from qdrant_operator.jobs.backup.copy import Copier
from qdrant_operator.jobs.backup.journal import Journal, JournalLost
from qdrant_operator.jobs.backup.ports import Peers

PEERS_AT_A_TIME = 3
"""Peers that make and send files at the same moment; each makes one at a time, because making one costs it
disk and delays its optimizers."""
TRIES = 4
"""Copies of one shard that are begun before its collection is given up."""
HOPELESS = frozenset({"CredentialsRefused", "BucketNotFound"})
"""What ends the whole run: it is true of every collection."""

Failure = Refused | Retryable

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Saver:
    """The work of one run, and how far it is."""

    job_spec: JobSpec
    peers: Peers
    endpoints: Mapping[str, Endpoint]
    lookout: observe.Lookout
    copier: Copier
    journal: Journal
    version: str = ""
    """The newest Qdrant among the peers."""
    failed: dict[str, Failure] = field(default_factory=dict)
    """Collections that were given up, and why."""
    _chosen: tuple[str, ...] = ()
    _aliases: Mapping[str, str] = field(default_factory=dict)
    _described: dict[str, Json] = field(default_factory=dict)
    _looked_for: set[str] = field(default_factory=set)
    """Collections whose shards are known."""
    _bytes: dict[ShardRef, int] = field(default_factory=dict)
    """Every shard to be saved, and its size as far as it is known."""
    _saved: dict[ShardRef, ShardFile] = field(default_factory=dict)
    _lacking: dict[ShardRef, Failure] = field(default_factory=dict)
    """Shards that are not saved yet, and what was in the way the last time."""
    _begun: Counter[ShardRef] = field(default_factory=Counter)

    async def save(self) -> None:
        """Save what can be saved.

        Raises:
            Refused: `NothingToSnapshot`, or the storage refuses us.
            Retryable: no peer answers, or the storage does not.
        """
        idle, silence = 0, None
        while idle < observe.LOOKS:
            before = (len(self._saved), self._begun.total(), len(self._described))
            try:
                silence = None
                await self._round()
            except Unreachable as error:
                silence = error
            if self._chosen and not self._open():
                return
            idle = idle + 1 if before == (len(self._saved), self._begun.total(), len(self._described)) else 0
            await asyncio.sleep(observe.PAUSE_SECONDS)
        if silence is not None:
            raise silence
        self._give_up_rest()

    def collections(self) -> tuple[CollectionBackup, ...]:
        """What is saved whole."""
        return tuple(self._backup(name) for name in self._chosen if name not in self.failed)

    async def _round(self) -> None:
        views = await self.lookout.some()
        self.version = newest_version(tuple(views.values()))
        any_peer = next(self.endpoints[pod] for pod, view in views.items() if answering([view]))
        if not self._chosen:
            self._aliases = await self.peers.aliases(any_peer)
            self._choose(tuple(views.values()))
        await self._describe(any_peer)
        choice = plan_sources(tuple(views.values()), self._open(), frozenset(self._saved))
        self._note(choice)
        await self._copy(choice, views)

    def _choose(self, views: tuple[View, ...]) -> None:
        existing = {collection.name for view in answering(views) for collection in view.collections}
        self._chosen = chosen_collections(existing, self.job_spec.collections)
        for name in self._chosen:
            problem = key_problem(f"{self.job_spec.folder}{shard_file(name, 2**32)}")
            if problem:
                self._give_up(name, Refused("KeyTooLong", problem))

    def _open(self) -> tuple[str, ...]:
        """Collections that are neither whole nor given up."""
        return tuple(name for name in self._chosen if name not in self.failed and not self._whole(name))

    def _whole(self, name: str) -> bool:
        if name not in self._described or name not in self._looked_for:
            return False
        return all(ref in self._saved for ref in self._bytes if ref[0] == name)

    async def _describe(self, endpoint: Endpoint) -> None:
        for name in self._open():
            if name not in self._described:
                try:
                    self._described[name] = await self.peers.collection(endpoint, name)
                except (Refused, Retryable) as error:
                    log.info("Collection was not described", extra={"collection": name, "why": str(error)})

    def _note(self, choice: Choice) -> None:
        self._looked_for.update(self._open())
        self._bytes |= {(source.collection, source.shard): source.bytes for source in choice.sources}
        for ref, why in choice.unavailable.items():
            self._lacking[ref] = Refused("ShardNotSound", f"shard {ref[0]}/{ref[1]} was not saved: {why}")
            self._bytes.setdefault(ref, 0)
            log.info("Waiting for a sound replica", extra={"shard": f"{ref[0]}/{ref[1]}", "why": why})
        self.journal.expect({f"{name}/{shard}": size for (name, shard), size in self._bytes.items()})

    async def _copy(self, choice: Choice, views: Mapping[str, View]) -> None:
        """By peer: a few peers side by side, one shard after the other on each."""
        room = asyncio.Semaphore(PEERS_AT_A_TIME)
        work: dict[str, list[Source]] = defaultdict(list)
        pods = {view.peer: pod for pod, view in views.items() if isinstance(view, PeerView)}
        for source in choice.sources:
            work[pods[source.peer]].append(source)

        async def from_peer(pod: str, sources: list[Source]) -> None:
            async with room:
                for source in sources:
                    await self._one(source, pod)

        try:
            async with asyncio.TaskGroup() as group:
                for pod, sources in work.items():
                    group.create_task(from_peer(pod, sources))
        except ExceptionGroup as several:
            raise _first(several) from several

    async def _one(self, source: Source, pod: str) -> None:
        ref = (source.collection, source.shard)
        if source.collection in self.failed:
            return
        self._begun[ref] += 1
        try:
            self._saved[ref] = await self.copier.copy(source, pod, self.endpoints[pod])
        except JournalLost:
            raise
        except (Refused, Retryable) as error:
            if isinstance(error, Refused) and error.reason in HOPELESS:
                raise
            self._lacking[ref] = error
            log.warning("Shard was not saved", extra={"shard": source.label, "pod": pod, "why": str(error)})
            if self._begun[ref] >= TRIES:
                self._give_up(source.collection, error)

    def _give_up(self, name: str, why: Failure) -> None:
        self.failed[name] = why
        log.error("Collection is not saved", extra={"collection": name, "why": str(why)})

    def _give_up_rest(self) -> None:
        for name in self._open():
            missing = [
                why for ref, why in sorted(self._lacking.items()) if ref[0] == name and ref not in self._saved
            ]
            self._give_up(
                name, missing[0] if missing else Unreachable(f"no peer describes collection {name!r}")
            )

    def _backup(self, name: str) -> CollectionBackup:
        description = self._described[name]
        shards = [file for ref, file in self._saved.items() if ref[0] == name]
        return CollectionBackup(
            name=name,
            config=description["config"],
            payload_schema=description.get("payload_schema") or {},
            aliases=tuple(sorted(alias for alias, target in self._aliases.items() if target == name)),
            shards=tuple(sorted(shards, key=lambda file: file.shard)),
        )


def _first(several: ExceptionGroup[Exception]) -> Exception:
    """The first of several errors; the others are mostly its echoes."""
    error = several.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error

"""Files on the peers that interrupted runs could not delete: found by their journals, deleted at the next start.

Deletes only files that a journal names, or that are provably of such a run (`retention.leftover`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from qdrant_operator.domain.backup.job_spec import JobSpec
from qdrant_operator.domain.backup.journal import JournalDocument, LocalFile, load_journal, time_in_name
from qdrant_operator.domain.backup.retention import leftover
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Endpoint
from qdrant_operator.domain.qdrant.views import ShardId
from qdrant_operator.jobs.backup.ports import Peers, Storage

STALE = timedelta(minutes=2)
"""A journal that has not moved for so long belongs to a run that is dead. Living ones write every 5 s."""

log = logging.getLogger(__name__)


async def sweep(peers: Peers, storage: Storage, job_spec: JobSpec, endpoints: Mapping[str, Endpoint]) -> None:
    """Delete what dead runs of this cluster left on the peers, then their journals.

    Our own journal must be in storage already: its time is the storage's clock, by which the others are judged.
    """
    journals = await storage.list(job_spec.journals)
    now = next(stored.modified for stored in journals if stored.key == job_spec.journal)
    for stale in (stored.key for stored in journals if now - stored.modified > STALE):
        journal = load_journal(await storage.read(stale) or b"")
        # A cluster of the same name in another Kubernetes: its files are not on our peers.
        if journal is None or journal.cluster_uid != job_spec.cluster_uid:
            continue
        if await _settled(peers, journal, endpoints):
            await storage.delete([stale])


async def _settled(peers: Peers, journal: JournalDocument, endpoints: Mapping[str, Endpoint]) -> bool:
    # A pod that was removed took its files along.
    files = [(endpoints[file.pod], file) for file in journal.files if file.pod in endpoints]
    return all([await remove_local(peers, endpoint, file) for endpoint, file in files])


async def remove_local(peers: Peers, endpoint: Endpoint, file: LocalFile) -> bool:
    """Delete a run's file on a peer; False when it is not known whether it is gone."""
    shard = ShardId(file.shard)
    try:
        name = file.name or await _unnamed(peers, endpoint, file)
        if name is not None:
            await peers.delete_shard_snapshot(endpoint, file.collection, shard, name)
            log.info("Local snapshot deleted", extra={"pod": file.pod, "file": name})
    except Refused as error:
        # NotFound: the collection or the file is gone. BadRequest: the shard has moved away from this peer, which
        # then neither lists nor deletes its files any more.
        return error.reason in ("NotFound", "BadRequest")
    except Retryable as error:
        log.warning("Local snapshot not deleted", extra={"pod": file.pod, "error": str(error)})
        return False
    return True


async def _unnamed(peers: Peers, endpoint: Endpoint, file: LocalFile) -> str | None:
    """The file of a request whose answer never came."""
    there = await peers.shard_snapshots(endpoint, file.collection, ShardId(file.shard))
    dated = [(snapshot.name, time_in_name(snapshot.name)) for snapshot in there]
    return leftover(file.before, dated, datetime.fromisoformat(file.asked_at))

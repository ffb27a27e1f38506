"""Backups that copy shards of a cluster now and that the cluster's loop waits for."""

from __future__ import annotations

from datetime import datetime, timedelta

from qdrant_operator.domain.backup.retention import Phase
from qdrant_operator.reconcile.backup.snapshot.subject import is_over, moment, phase_of
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind

BACKUP_PATIENCE = timedelta(minutes=30)
"""How long restarts and moves wait for a backup. After that the backup uses other sources, or fails."""

RUNNING = frozenset({Phase.RUNNING, Phase.UNKNOWN})
"""A phase of a newer release may be one in which shards are copied."""


def running_backups(context: Context, namespace: str, cluster: str) -> tuple[str, ...]:
    """Names of the QdrantSnapshots whose Job runs and has run for less than half an hour."""
    since = context.clock.now() - BACKUP_PATIENCE
    found = context.kubernetes.cached(Kind.SNAPSHOT, namespace, {})
    return tuple(
        sorted(
            snapshot["metadata"]["name"]
            for snapshot in found
            if snapshot["spec"]["clusterRef"]["name"] == cluster
            and phase_of(snapshot) in RUNNING
            and not is_over(snapshot)
            and _started(snapshot["status"].get("startedAt"), since)
        )
    )


def _started(at: str | None, since: datetime) -> bool:
    return at is not None and moment(at) > since

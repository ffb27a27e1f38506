"""What every reconciler is given, and what it gives back."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from qdrant_operator.domain.backup.storage import S3Credentials, S3Place
from qdrant_operator.domain.cluster.wanted.desired import OperatorPods
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.reconcile.in_flight import InFlightCreations
from qdrant_operator.reconcile.locks import ShardLocks
from qdrant_operator.reconcile.ports import (
    Clock,
    Kubernetes,
    Manifest,
    ObjectStorage,
    Qdrant,
    Reporter,
    StorageFactory,
)


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of the operator process that reconcilers need."""

    operator_image: str
    """Image of the operator itself: snapshot Jobs run it."""
    resync_seconds: float = 120.0
    """Longest pause between two looks at a healthy object."""
    watch_seconds: float = 5.0
    """Pause between two looks at a healthy cluster's peers."""
    busy_seconds: float = 1.0
    """Pause between two looks while something is under way."""
    operator_pods: OperatorPods | None = None
    """The operator's own pods, for NetworkPolicies; None: it runs outside the Kubernetes cluster."""
    installation: str = ""
    """Namespace and name of this installation's Lease; empty: it has none, and acts on whatever it watches."""
    storage_endpoints: tuple[str, ...] = ()
    """Patterns of the S3 endpoints that backups may use; empty: all but the operator's own surroundings."""


def random_key() -> str:
    """A new API key: 256 bits, safe in URLs and headers."""
    return secrets.token_urlsafe(32)


def no_storage(place: S3Place, _credentials: S3Credentials) -> ObjectStorage:
    """A process that was given no object storage refuses to touch any."""
    raise Refused("StorageNotConfigured", f"this process cannot open bucket {place.bucket!r}")


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a reconciler may use: the outside world as ports, the options, and locks between loops."""

    kubernetes: Kubernetes
    qdrant: Qdrant
    clock: Clock
    reporter: Reporter
    options: Options
    new_key: Callable[[], str] = random_key
    """Makes the API key of a cluster that was given none."""
    storage: StorageFactory = no_storage
    """Opens object storage, for the kinds that keep backups."""
    in_flight_creations: InFlightCreations = field(default_factory=InFlightCreations)
    """Calls in flight that create shards."""
    shard_locks: ShardLocks = field(default_factory=ShardLocks)
    """Held while a shard is moved or a shard key is removed."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """A pass is over; look again after this many seconds, or sooner when woken."""

    after: float


class Reconciler(Protocol):
    """One kind's pass: observe, plan, carry out one step, report."""

    async def reconcile(self, subject: Manifest) -> Requeue:
        """Take one pass over the object as the cache shows it now (it may have a deletionTimestamp)."""
        ...

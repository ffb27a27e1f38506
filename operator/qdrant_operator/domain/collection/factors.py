"""The two factors of a collection that exists: how many replicas a shard has, and how many must take a write.

Qdrant takes any numbers and moves nothing: the QdrantCluster's loop makes or drops replicas afterwards. Kept here:
no factor that the peers cannot carry, and at every moment a write factor that is not above the replicas there
are, or writes would fail. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from qdrant_operator.domain.collection.observed import Desired, Live, Observed
from qdrant_operator.domain.collection.settings import Change, Difference, Path, lookup
from qdrant_operator.domain.collection.steps import CollectionGuard
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.common.text import counted

FACTOR: Path = ("params", "replication_factor")
WRITES: Path = ("params", "write_consistency_factor")

Settled = tuple[tuple[Difference, ...], tuple[Blocked, ...]]
"""What may be changed now, and what waits."""


def settle_factors(unlike: Iterable[Difference], desired: Desired, observed: Observed, live: Live) -> Settled:
    """Differences in place of `unlike` that keep both factors legal on the way.

    Lowering the replication factor takes the write factor down with it, in the same request. Raising the write
    factor waits until every shard has the replicas for it.
    """
    rest = tuple(one for one in unlike if one.path not in (FACTOR, WRITES))
    told = {one.path: one for one in unlike}
    factor, no = _factor(told.get(FACTOR), desired)
    writes, waits = _writes(told.get(WRITES), factor, observed, live)
    changes = tuple(one for one in (factor, writes) if one is not None)
    return (*changes, *rest), tuple(one for one in (no, waits) if one is not None)


def too_few_peers(factor: int, peers: int) -> str:
    """Why a factor cannot be reached."""
    return (
        f"replicationFactor is {factor}, the cluster has {counted(peers, 'peer')}, and replicas of a shard are on"
        " different peers; lower replicationFactor or raise the QdrantCluster's spec.replicas"
    )


def _factor(unlike: Difference | None, desired: Desired) -> tuple[Difference | None, Blocked | None]:
    if unlike is None or unlike.wanted <= max(desired.wanted_peers, unlike.actual or 1):
        return unlike, None
    step = f"change {unlike.field} from {unlike.actual} to {unlike.wanted}"
    message = too_few_peers(unlike.wanted, desired.wanted_peers)
    return None, Blocked(step, CollectionGuard.TOO_FEW_PEERS, message)


def _writes(
    unlike: Difference | None, factor: Difference | None, observed: Observed, live: Live
) -> tuple[Difference | None, Blocked | None]:
    """The write factor: down at once and with the replication factor, up when the replicas are there."""
    actual: int = lookup(live.config, WRITES) or 1
    wanted: int = unlike.wanted if unlike else actual
    most: int = factor.wanted if factor else lookup(live.config, FACTOR) or 1
    if wanted > actual:
        waits = _waits(wanted, factor is not None or wanted > most, observed)
        if waits is None:
            return unlike, None
        return (_lowered(most, actual) if factor and actual > most else None), waits
    target = min(wanted, most) if factor else wanted
    return (_lowered(target, actual) if target < actual else None), None


def _lowered(wanted: int, actual: int) -> Difference:
    return Difference("writeConsistencyFactor", WRITES, wanted, actual, Change.PATCH)


def _waits(wanted: int, factor_first: bool, observed: Observed) -> Blocked | None:
    poorest = min((len(shard.sound) for shard in observed.shards), default=wanted)
    short = any(len(shard.sound) < min(shard.wanted, wanted) for shard in observed.shards)
    if not factor_first and not short:
        return None
    message = (
        f"writes shall need {wanted} replicas: that waits until replicationFactor allows it and every shard has"
        f" its sound replicas (the poorest has {poorest}), or writes would fail"
    )
    step = f"change writeConsistencyFactor to {wanted}"
    return Blocked(step, CollectionGuard.REPLICAS_MISSING, message)

"""The two factors of an existing collection: how many replicas a shard has, and how many must acknowledge a write.

Qdrant accepts any numbers and moves nothing: the QdrantCluster's loop creates or drops replicas afterwards. Two rules
hold at every moment: no replication factor above the number of peers, and no write factor above the replicas that
exist, because writes would fail. Pure.
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
"""What may be changed now, and what is blocked."""


def settle_factors(unlike: Iterable[Difference], desired: Desired, observed: Observed, live: Live) -> Settled:
    """Differences in place of `unlike` that keep both factors valid at every step.

    Lowering the replication factor lowers the write factor with it, in the same request. Raising the write
    factor waits until every shard has the replicas for it.
    """
    by_path = {difference.path: difference for difference in unlike}
    factor, too_high = _factor(by_path.pop(FACTOR, None), desired)
    writes, too_early = _writes(by_path.pop(WRITES, None), factor, observed, live)
    changes = tuple(change for change in (factor, writes) if change is not None)
    blocked = tuple(block for block in (too_high, too_early) if block is not None)
    return (*changes, *by_path.values()), blocked


def too_few_peers(factor: int, peers: int) -> str:
    """Why a factor cannot be reached."""
    return (
        f"replicationFactor is {factor}, the cluster has {counted(peers, 'peer')}, and each replica of a shard needs a"
        " peer of its own: lower replicationFactor, or raise spec.replicas of the QdrantCluster"
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
        f"writeConsistencyFactor {wanted} waits until replicationFactor is at least {wanted} and every shard has its"
        f" sound replicas (one shard has {poorest}): earlier, writes would fail"
    )
    step = f"change writeConsistencyFactor to {wanted}"
    return Blocked(step, CollectionGuard.REPLICAS_MISSING, message)

"""The view of a peer that came back a moment ago may be outdated: steps that rely on it wait.

A write that missed the peer is acknowledged by the other holders, and its replicas become Dead only when the
request to it has failed, up to `RETURN_SECONDS` after it came back. Until then they appear as Active and lack points:
no other replica must be dropped because of them, and none copied from them.
"""

from __future__ import annotations

from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.pods.rollout import RETURN_SECONDS
from qdrant_operator.domain.cluster.steps import ClusterPlan, Step
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked, Plan
from qdrant_operator.domain.common.text import named
from qdrant_operator.domain.placement.steps import DropReplica, MoveShard, ReplicateShard
from qdrant_operator.domain.qdrant.soundness import ShardHealth, ShardRef
from qdrant_operator.domain.qdrant.views import PeerId


def after_returns(plan: ClusterPlan, observed: Observed) -> ClusterPlan:
    """The same plan without the steps that rely on a peer which has just come back; they wait."""
    back = {view.peer: pod for pod, view in observed.peers.items() if pod in observed.just_back}
    shards = {(shard.collection, shard.shard): shard for shard in observed.shards}
    steps, blocked = [], list(plan.blocked)
    for step in plan.steps:
        pods = sorted(back[peer] for peer in _relied_on(step, shards) & back.keys())
        if pods and not _has_others(step, shards, frozenset(back)):
            blocked.append(_waiting(step, pods))
        else:
            steps.append(step)
    return Plan(tuple(steps), tuple(blocked))


def _relied_on(step: Step, shards: dict[ShardRef, ShardHealth]) -> frozenset[PeerId]:
    """Peers whose replica must be as good as it appears. The only replica of a shard is not compared with others."""
    match step:
        case DropReplica():
            return _holders(step, shards) - {step.peer}
        case MoveShard() | ReplicateShard() if len(_holders(step, shards)) > 1:
            return frozenset({step.source})
        case _:
            return frozenset()


def _holders(
    step: DropReplica | MoveShard | ReplicateShard, shards: dict[ShardRef, ShardHealth]
) -> frozenset[PeerId]:
    shard = shards.get(step.shard)
    return shard.holders if shard else frozenset()


def _has_others(step: Step, shards: dict[ShardRef, ShardHealth], back: frozenset[PeerId]) -> bool:
    """Whether a drop leaves the wanted number of sound replicas on peers that did not restart."""
    if not isinstance(step, DropReplica):
        return False
    shard = shards[step.shard]
    return len(shard.sound - {step.peer} - back) >= shard.wanted


def _waiting(step: Step, pods: list[str]) -> Blocked:
    message = (
        f"{named(pods)} must be ready for {RETURN_SECONDS:.0f} s first: until then writes that missed it can still "
        "mark its replicas Dead"
    )
    return Blocked(str(step), ClusterGuard.ONE_AT_A_TIME, message)

"""One observation and one plan by the code of the loop, on a running cluster or on a recorded state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from qdrant_operator.commands import recording
from qdrant_operator.commands.live import Target, opened
from qdrant_operator.commands.readonly import ReadOnlyKubernetes, ReadOnlyQdrant
from qdrant_operator.commands.what_if import WhatIf
from qdrant_operator.domain.cluster.decision import Decision
from qdrant_operator.domain.cluster.layout import build_layout
from qdrant_operator.domain.cluster.membership.scale_in import roles
from qdrant_operator.domain.cluster.planner import decide
from qdrant_operator.domain.cluster.steps import ClusterPlan
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.manifests.network_policy import operator_pods
from qdrant_operator.domain.placement.model import Layout
from qdrant_operator.reconcile.cluster.observe import Observation, observe
from qdrant_operator.reconcile.context import Context, Options
from qdrant_operator.reconcile.ports import Clock, Reporter


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the loop would observe and plan now."""

    subject: Manifest
    look: Observation
    decision: Decision
    layout: Layout

    @property
    def plan(self) -> ClusterPlan:
        """What the loop would do."""
        return self.decision.plan


class _Clock:
    """Always the moment of the observation."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now


class _NoReporter:
    """Reports nothing: a command writes no Events and serves no metrics."""


async def live(target: Target, what_if: WhatIf, now: datetime, *, record: bool) -> tuple[Inspection, str]:
    """Inspect a running cluster; with `record`, also return the text of a file with all that was read.

    Raises:
        Refused: no such cluster, missing permissions, or an unusable spec.
        Retryable: the API server does not answer.
    """
    async with opened(target) as source:
        kubernetes = ReadOnlyKubernetes(source.kubernetes, what_if)
        qdrant = ReadOnlyQdrant(source.peers, what_if)
        seen = await inspect_cluster(kubernetes, qdrant, source.namespace, target.name, now)
        what_if.check(_collections(seen.look))
        if not record:
            return seen, ""
        taken = recording.record(source.namespace, target.name, now, kubernetes, qdrant)
    plain = await replayed(taken, what_if)
    return seen, recording.rehashed(recording.dump(taken), seen.decision.desired, plain.decision.desired)


async def replayed(taken: recording.Recording, what_if: WhatIf) -> Inspection:
    """The same on a recorded state, at the moment it was recorded.

    Raises:
        Refused: the spec, as changed, is unusable.
    """
    kubernetes = ReadOnlyKubernetes(recording.RecordedKubernetes(taken), what_if)
    qdrant = ReadOnlyQdrant(recording.RecordedPeers(taken), what_if)
    seen = await inspect_cluster(kubernetes, qdrant, taken.namespace, taken.cluster, taken.taken_at)
    what_if.check(_collections(seen.look))
    return seen


async def inspect_cluster(
    kubernetes: ReadOnlyKubernetes, qdrant: ReadOnlyQdrant, namespace: str, name: str, now: datetime
) -> Inspection:
    """Observe and plan as the loop does.

    Raises:
        Refused: there is no such cluster, or its spec is unusable.
    """
    policy = kubernetes.cached_one(Kind.NETWORK_POLICY, namespace, names.network_policy(name))
    context = Context(
        kubernetes.port(),
        qdrant.port(),
        cast("Clock", _Clock(now)),
        cast("Reporter", _NoReporter()),
        Options("", 0.0, 0.0, 0.0, operator_pods(policy)),
    )
    subject = await context.kubernetes.read(Kind.CLUSTER, namespace, name)
    if subject is None:
        raise Refused("ClusterNotFound", f"namespace {namespace!r} has no QdrantCluster {name!r}")
    # Recently aborted transfers are known only to the process of the operator.
    found = await observe(context, subject)
    decision = decide(found.request, found.observed)
    layout = build_layout(decision.observed, roles(decision.desired, decision.observed))
    return Inspection(subject, found, decision, layout)


def _collections(found: Observation) -> Sequence[str]:
    views = found.observed.peers.values()
    return sorted({collection.name for view in views for collection in view.collections})

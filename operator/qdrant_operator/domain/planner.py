"""The order of the cluster's planners: decide > objects > formation > protect > roll."""

from __future__ import annotations

from qdrant_operator.domain.bootstrap import plan_decision, plan_formation, why_down
from qdrant_operator.domain.desired import DesiredCluster
from qdrant_operator.domain.manifests.stateful_set import template_hash
from qdrant_operator.domain.observed import BootstrapPhase, Observed
from qdrant_operator.domain.rollout import plan_rollout, strangers
from qdrant_operator.domain.steps import (
    NOTHING,
    ApplyObject,
    Blocked,
    Guard,
    Plan,
    TakeOutOfService,
)


def plan(desired: DesiredCluster, observed: Observed) -> Plan:
    """Everything that shall happen now, in order, and everything that waits."""
    decision = plan_decision(desired.name, observed)
    if decision.steps:
        return decision
    objects = Plan(tuple(ApplyObject(damage) for damage in observed.damage))
    formation = plan_formation(desired.uid, desired.members, observed)
    if observed.bootstrap and observed.bootstrap.phase is not BootstrapPhase.COMPLETE:
        return objects + formation + _repair_template(desired, observed)
    return objects + _protect(observed) + _scale(desired, observed) + _roll(desired, observed)


def _roll(desired: DesiredCluster, observed: Observed) -> Plan:
    if strangers(observed):
        return NOTHING
    return plan_rollout(template_hash(desired), desired.members, observed)


def _repair_template(desired: DesiredCluster, observed: Observed) -> Plan:
    """Before the cluster is formed only pods that do not run are made anew: a wrong image or configuration."""
    rolled = plan_rollout(template_hash(desired), desired.members, observed)
    down = {pod.name for pod in observed.pods if pod.waiting}
    return Plan(tuple(step for step in rolled.steps if getattr(step, "pod", "") in down))


def _protect(observed: Observed) -> Plan:
    """A peer that formed a cluster of its own must not answer applications."""
    serving = {pod.name for pod in observed.pods if pod.serving}
    steps = tuple(
        TakeOutOfService(name, "it is not a member of the cluster")
        for name in strangers(observed)
        if name in serving
    )
    down = tuple(
        Blocked(f"run {pod.name}", Guard.POD_NOT_RUNNING, why_down(pod))
        for pod in observed.pods
        if pod.waiting
    )
    return Plan(steps, down)


def _scale(desired: DesiredCluster, observed: Observed) -> Plan:
    present = observed.members or 0
    if desired.spec.replicas >= present:
        return NOTHING
    message = (
        f"spec.replicas is {desired.spec.replicas} and {present} peers run: taking peers away needs their shards "
        f"to be moved first, which this version does not do; set spec.replicas to {present}"
    )
    return Plan(blocked=(Blocked("scale in", Guard.SCALE_IN_NEEDS_DRAIN, message),))

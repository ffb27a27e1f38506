"""The order of the cluster's planners.

decide > marks of claims > objects > formation > protect > lost volumes > orphaned replicas > repair, drain, replicate >
remove peers > rolling restart > balance.
One observation gives one plan, and only its first step is carried out before the next observation.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from qdrant_operator.api.cluster.shards import Window
from qdrant_operator.domain.cluster.decision import NO_CHANGES, Changes, Decision
from qdrant_operator.domain.cluster.formation import plan_decision, plan_formation, why_down
from qdrant_operator.domain.cluster.layout import build_layout
from qdrant_operator.domain.cluster.membership.identity import detached_pods
from qdrant_operator.domain.cluster.membership.lost_volumes import plan_lost
from qdrant_operator.domain.cluster.membership.orphaned_replicas import plan_orphaned_replicas
from qdrant_operator.domain.cluster.membership.records import update_records
from qdrant_operator.domain.cluster.membership.scale_in import plan_membership, roles
from qdrant_operator.domain.cluster.observed import BootstrapPhase, Drift, Observed
from qdrant_operator.domain.cluster.pods.returns import after_returns
from qdrant_operator.domain.cluster.pods.rollout import backup_text, plan_rollout
from qdrant_operator.domain.cluster.steps import (
    NOTHING,
    ApplyObject,
    ClusterPlan,
    DeleteObject,
    PutInService,
    RestartPod,
    RetriggerStatefulSet,
    Step,
    TakeOutOfService,
)
from qdrant_operator.domain.cluster.volumes.evidence import plan_unknown
from qdrant_operator.domain.cluster.volumes.marks import find_unmarked
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.cluster.wanted.follow import follow
from qdrant_operator.domain.cluster.wanted.keys import refusing
from qdrant_operator.domain.cluster.wanted.objects import find_drift, find_obsolete
from qdrant_operator.domain.cluster.wanted.request import ClusterRequest
from qdrant_operator.domain.cluster.wanted.versions import refused_by_volume
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked, Plan
from qdrant_operator.domain.common.timing.durations import duration
from qdrant_operator.domain.common.timing.schedules import due_times
from qdrant_operator.domain.manifests.diff import fingerprint
from qdrant_operator.domain.manifests.stateful_set import template_hash
from qdrant_operator.domain.placement.model import Layout, Method, Mode, Policy
from qdrant_operator.domain.placement.planner import plan_placement
from qdrant_operator.domain.placement.steps import MoveShard

OLD_KEY = "it runs with the API key from before"


def decide(request: ClusterRequest, observed: Observed) -> Decision:
    """Decide on one observation; a paused cluster is only observed.

    Raises:
        Refused: the spec cannot be applied.
    """
    records = update_records(observed.records, request.name, observed)
    observed = replace(observed, records=records)
    followed = follow(request, observed)
    desired = followed.desired
    drift, paused = _split(find_drift(desired, observed), observed)
    changes = Changes(
        drift=drift,
        paused=paused,
        obsolete=find_obsolete(desired, observed),
        unmarked=find_unmarked(desired, observed),
    )
    if request.spec.paused:
        return Decision(desired, observed, changes, Plan(), followed.highest_version)
    steps = plan(desired, observed, changes) + Plan(blocked=followed.blocked)
    return Decision(desired, observed, changes, steps, followed.highest_version)


def _split(found: tuple[Drift, ...], observed: Observed) -> tuple[tuple[Drift, ...], tuple[Drift, ...]]:
    """What is applied now, and what is contested and applied again after a pause."""
    pauses = {
        (contest.kind, contest.name): contest.paused for contest in observed.contested if contest.paused
    }
    now: list[Drift] = []
    later: list[Drift] = []
    for drift in found:
        pause = pauses.get((drift.kind, drift.name))
        waits = pause is not None and pause == fingerprint(drift.manifest)
        (later if waits else now).append(drift)
    return tuple(now), tuple(later)


def plan(desired: DesiredCluster, observed: Observed, changes: Changes = NO_CHANGES) -> ClusterPlan:
    """All steps, in order, and all blocked steps."""
    decision = plan_decision(desired.name, observed)
    if decision.steps or observed.remains:
        return decision
    objects = _objects(observed, changes) + _retrigger(desired, observed)
    # Marks first: a volume loses its unformed mark before another pod exists, and gets the mark of its release
    # before another release is requested.
    objects = Plan(changes.unmarked) + objects
    if observed.bootstrap and observed.bootstrap.phase is not BootstrapPhase.COMPLETE:
        return objects + _form(desired, observed)
    objects = _protect(observed) + objects
    return objects + (NOTHING if detached_pods(observed) else _change(desired, observed))


def _objects(observed: Observed, changes: Changes) -> ClusterPlan:
    """Objects that differ; those that another writer keeps changing block no other step."""
    applied = tuple(ApplyObject(drift) for drift in changes.drift)
    deleted = tuple(DeleteObject(obsolete) for obsolete in changes.obsolete)
    contested = tuple(
        Blocked(f"apply {contest.kind.kind} {contest.name}", ClusterGuard.FIELD_CONTESTED, str(contest))
        for contest in observed.contested
    )
    return Plan((*applied, *deleted), contested)


def _form(desired: DesiredCluster, observed: Observed) -> ClusterPlan:
    """Until the cluster is complete: lost volumes and surplus peers must not block the formation."""
    formation = plan_unknown(observed) + plan_formation(desired, observed)
    forming = formation + _repair_template(desired, observed)
    started = observed.bootstrap is not None and observed.bootstrap.phase is BootstrapPhase.STARTED
    if started or formation.steps or detached_pods(observed):
        return forming
    layout = build_layout(observed, roles(desired, observed))
    lost = after_returns(plan_lost(desired, observed, layout), observed)
    policy = replace(policy_of(desired, observed), mode=_no_balancing(desired))
    shards = after_returns(plan_placement(layout, policy), observed)
    return forming + lost + (NOTHING if lost.steps else shards) + plan_membership(desired, observed, layout)


def _no_balancing(desired: DesiredCluster) -> Mode:
    mode = Mode(desired.spec.shards.placement)
    return Mode.DRAIN_ONLY if mode is Mode.AUTO else mode


def _change(desired: DesiredCluster, observed: Observed) -> ClusterPlan:
    """Peers, shards and pods; a step that stops a pod waits until no transfer is running."""
    layout = build_layout(observed, roles(desired, observed))
    lost = after_returns(
        plan_lost(desired, observed, layout) + plan_orphaned_replicas(observed, layout), observed
    )
    placed = plan_placement(layout, _policy_now(desired, observed, layout))
    shards = after_returns(_beside_backups(placed, observed), observed)
    removal = plan_membership(desired, observed, layout)
    leaving = frozenset(peer.pod for peer in layout.peers if peer.leaving)
    roll = _with_own_template(
        plan_rollout(template_hash(desired), desired.pod_count, observed, leaving), observed
    )
    busy = lost.steps or shards.steps or removal.steps or layout.transfers or observed.leaving
    if any(isinstance(step, PutInService) for step in roll.steps):
        return roll + lost + shards + removal
    return lost + (NOTHING if lost.steps else shards) + removal + (_urgent(roll, observed) if busy else roll)


def _with_own_template(roll: ClusterPlan, observed: Observed) -> ClusterPlan:
    """A pod that is deleted while the StatefulSet has another writer's template is recreated without the change."""
    if not any(contest.holds_template for contest in observed.contested):
        return roll
    waits = tuple(
        Blocked(
            str(step),
            ClusterGuard.FIELD_CONTESTED,
            "another writer keeps changing the StatefulSet's template",
        )
        for step in roll.steps
        if isinstance(step, RestartPod)
    )
    return Plan(tuple(step for step in roll.steps if isinstance(step, PutInService)), roll.blocked + waits)


def _beside_backups(shards: ClusterPlan, observed: Observed) -> ClusterPlan:
    """While a backup copies shards, no replica moves; repair continues."""
    if not observed.backups:
        return shards
    moves = [step for step in shards.steps if isinstance(step, MoveShard)]
    waiting = tuple(Blocked(str(step), ClusterGuard.BACKUP_RUNNING, backup_text(observed)) for step in moves)
    steps = tuple(step for step in shards.steps if step not in moves)
    return Plan(steps, (*shards.blocked, *waiting))


def _urgent(roll: ClusterPlan, observed: Observed) -> ClusterPlan:
    """The part of a rolling restart that reduces no availability: pods that are already down."""
    down = {pod.name for pod in observed.pods if pod.waiting}
    urgent = tuple(step for step in roll.steps if getattr(step, "pod", "") in down)
    later = next((step for step in roll.steps if isinstance(step, RestartPod) and step not in urgent), None)
    if later is None:
        return Plan(urgent, roll.blocked)
    waiting = Blocked(
        str(later), ClusterGuard.ONE_AT_A_TIME, "peers that join or leave and running transfers come first"
    )
    return Plan(urgent, (*roll.blocked, waiting))


def policy_of(desired: DesiredCluster, observed: Observed) -> Policy:
    """What the spec lets placement do now.

    Raises:
        Refused: `InvalidSchedule`.
    """
    spec = desired.spec.shards
    return Policy(
        mode=Mode(spec.placement),
        per_cluster=spec.transfers.per_cluster,
        per_peer=spec.transfers.per_peer,
        method=Method(spec.transfers.method),
        may_balance=spec.window is None or is_open(spec.window, observed.now),
    )


def _policy_now(desired: DesiredCluster, observed: Observed, layout: Layout) -> Policy:
    """Balancing waits for everything else: pods that join, leave or restart."""
    policy = policy_of(desired, observed)
    steady = policy.mode is not Mode.AUTO or not _unsteady(desired, observed, layout)
    return policy if steady else replace(policy, mode=Mode.DRAIN_ONLY)


def _unsteady(desired: DesiredCluster, observed: Observed, layout: Layout) -> bool:
    wanted = template_hash(desired)
    rolling = any(pod.template_hash != wanted or pod.terminating for pod in observed.pods)
    joined = [peer for peer in layout.peers if peer.answers and not peer.leaving]
    return rolling or observed.leaving is not None or len(joined) != desired.spec.replicas


def is_open(window: Window, now: datetime | None) -> bool:
    """Whether a window is open now.

    Raises:
        Refused: `InvalidSchedule`.
    """
    if now is None:
        return False
    since = now - duration(window.duration)
    return any(True for _ in due_times(window.schedule, window.time_zone, since, now))


def _repair_template(desired: DesiredCluster, observed: Observed) -> ClusterPlan:
    """Before the cluster is formed only pods that cannot start are recreated: a wrong image, configuration or key."""
    wanted = template_hash(desired)
    rolled = plan_rollout(wanted, desired.pod_count, observed)
    down = {pod.name for pod in observed.pods if pod.waiting}
    steps: list[Step] = [step for step in rolled.steps if getattr(step, "pod", "") in down]
    outdated = [pod for pod in refusing(observed) if pod.template_hash != wanted and not pod.terminating]
    steps += [RestartPod(pod.name, pod.uid, OLD_KEY) for pod in outdated]
    return _with_own_template(Plan(tuple(steps)), observed)


def _retrigger(desired: DesiredCluster, observed: Observed) -> ClusterPlan:
    """Retrigger a StatefulSet whose pods are missing."""
    missing = tuple(names.pod_name(desired.name, ordinal) for ordinal in observed.overdue)
    return Plan((RetriggerStatefulSet(missing),)) if missing else NOTHING


def _protect(observed: Observed) -> ClusterPlan:
    """A peer that formed its own cluster must not answer applications."""
    serving = {pod.name for pod in observed.pods if pod.serving}
    steps = tuple(
        TakeOutOfService(name, "its peer is not in the cluster")
        for name in detached_pods(observed)
        if name in serving
    )
    down = tuple(
        Blocked(f"run {pod.name}", refused_by_volume(pod) or ClusterGuard.POD_NOT_RUNNING, why_down(pod))
        for pod in observed.pods
        if pod.waiting
    )
    stuck = tuple(
        Blocked(pod.step, ClusterGuard.POD_NOT_RUNNING, pod.why[:1024])
        for pod in observed.stuck_pods
        if not any(wait.step == pod.step for wait in down)
    )
    return Plan(steps, down + stuck)

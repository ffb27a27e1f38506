"""The QdrantCollection loop: observe, plan, report, carry out one step.

Status is written before the step: what is about to be done is recorded even if the process dies during it.
"""

from __future__ import annotations

from dataclasses import replace

from qdrant_operator.api import CollectionStatus
from qdrant_operator.domain.collection.conditions import SHOWN_STEPS, Reason, conditions, waiting
from qdrant_operator.domain.collection.indexes import is_settled, optimizations_to_start
from qdrant_operator.domain.collection.observed import Desired, Observed
from qdrant_operator.domain.collection.planner import plan as plan_collection
from qdrant_operator.domain.collection.planner import refused_by_qdrant
from qdrant_operator.domain.collection.status import facts, not_asked
from qdrant_operator.domain.collection.steps import (
    CollectionPlan,
    CollectionStep,
    RemoveFinalizer,
    ends_soon,
    needs_action,
)
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.qdrant.views import Silent
from qdrant_operator.reconcile.access import cluster_access
from qdrant_operator.reconcile.collection.act import act
from qdrant_operator.reconcile.collection.memory import Memory
from qdrant_operator.reconcile.collection.observe import Observation, desired, observe
from qdrant_operator.reconcile.context import Context, Requeue
from qdrant_operator.reconcile.finalizers import has_finalizer
from qdrant_operator.reconcile.ports import Endpoint, Kind, Manifest
from qdrant_operator.reconcile.records import read_status
from qdrant_operator.reconcile.reporting.events import warn_once
from qdrant_operator.reconcile.reporting.status import write_status

KEPT_FACTS = ("activeName", "owned", "aliases", "shardKeys")
"""Facts that stay in status while the cluster is not asked: they record what belongs to this object."""


class CollectionReconciler:
    """Makes one pass over one QdrantCollection."""

    def __init__(self, context: Context) -> None:
        """Keep the context, and a memory of what was asked of Qdrant lately."""
        self._context = context
        self._memory = Memory(context.clock.now)

    async def reconcile(self, subject: Manifest) -> Requeue:
        """One pass.

        Raises:
            Retryable: a write conflicted, or it is not known whether it was done: observe again.
        """
        self._memory.begin(subject["metadata"]["uid"], int(subject["metadata"]["generation"]))
        try:
            return await self._pass(subject)
        except Refused as error:
            if await self._nothing_to_clean_up(subject):
                return await self._remove_finalizer(subject)
            return await self._report_not_asked(subject, error.reason, error.message, refused=True)

    async def _pass(self, subject: Manifest) -> Requeue:
        namespace, cluster_name = subject["metadata"]["namespace"], subject["spec"]["clusterRef"]["name"]
        cluster = self._context.kubernetes.cached_one(Kind.CLUSTER, namespace, cluster_name)
        wanted = desired(self._context, subject, cluster)
        if _needs_no_cluster(wanted, cluster):
            cluster = await self._context.kubernetes.read(Kind.CLUSTER, namespace, cluster_name)
            wanted = desired(self._context, subject, cluster)
            if _needs_no_cluster(wanted, cluster):
                return await self._delete_without_cluster(subject, replace(wanted, cluster_gone=True))
        try:
            access = await cluster_access(self._context.kubernetes, namespace, cluster_name)
            building = self._memory.building(subject["metadata"]["uid"])
            seen = await observe(self._context, access, wanted, building)
        except Retryable as error:
            return await self._report_not_asked(subject, Reason.CLUSTER_NOT_READY, str(error), refused=False)
        return await self._act(subject, wanted, seen)

    async def _delete_without_cluster(self, subject: Manifest, wanted: Desired) -> Requeue:
        """Nothing is left to clean up in a cluster that is gone, is being deleted, or never formed."""
        not_asked = Observed(Silent("the cluster is not asked"), members=0, answering=0)
        for step in plan_collection(wanted, not_asked).steps:
            await self._carry_out(subject, None, step)
        return Requeue(self._context.options.watch_seconds)

    async def _nothing_to_clean_up(self, subject: Manifest) -> bool:
        """Whether it is deleted and its cluster is gone, or is being deleted: then a refused spec blocks nothing."""
        meta, cluster = subject["metadata"], subject["spec"]["clusterRef"]["name"]
        if "deletionTimestamp" not in meta or not has_finalizer(subject):
            return False
        found = await self._context.kubernetes.read(Kind.CLUSTER, meta["namespace"], cluster)
        return found is None or "deletionTimestamp" in found["metadata"]

    async def _remove_finalizer(self, subject: Manifest) -> Requeue:
        await self._carry_out(subject, None, RemoveFinalizer("its QdrantCluster is gone or is being deleted"))
        return Requeue(self._context.options.watch_seconds)

    async def _act(self, subject: Manifest, wanted: Desired, seen: Observation) -> Requeue:
        planned = plan_collection(wanted, seen.observed)
        subject = await self._report(subject, wanted, seen.observed, planned)
        step = self._next(subject, planned) or self._start(subject, wanted, seen.observed, planned)
        if step is None:
            return Requeue(self._pause(planned, subject))
        done = await self._carry_out(subject, seen.endpoint, step)
        if done and not isinstance(step, RemoveFinalizer):
            return Requeue(0.0)
        if not done:
            await self._report(subject, wanted, seen.observed, planned)
        return Requeue(self._context.options.busy_seconds)

    def _next(self, subject: Manifest, planned: CollectionPlan) -> CollectionStep | None:
        """The first step that Qdrant did not refuse a moment ago; steps that depend on a refused one wait for it."""
        uid = subject["metadata"]["uid"]
        for step in planned.steps:
            if not self._memory.backs_off(uid, step):
                return step
            if step.gate:
                return None
        return None

    def _start(
        self, subject: Manifest, wanted: Desired, observed: Observed, planned: CollectionPlan
    ) -> CollectionStep | None:
        """Pending optimizations are no drift from the spec, so they are not in the plan."""
        uid, step = subject["metadata"]["uid"], optimizations_to_start(wanted, observed, planned)
        if is_settled(observed):
            self._memory.optimized(uid)
        return step if step is not None and self._memory.may_start(uid, step) else None

    def _pause(self, planned: CollectionPlan, subject: Manifest) -> float:
        """Short while something changes without a step: peers catch up, replicas become sound."""
        options = self._context.options
        unsound = not planned.blocked and not planned.steps and not _is_ready(subject)
        passing = any(ends_soon(step.guard) for step in planned.blocked)
        return options.busy_seconds if passing or unsound else options.watch_seconds

    async def _report(
        self, subject: Manifest, wanted: Desired, observed: Observed, planned: CollectionPlan
    ) -> Manifest:
        """Write status and warn of what a user must act upon; returns the object as it is now."""
        shown = self._with_refusals(subject, planned)
        self._count_guards(subject, {step.guard.value for step in shown.blocked})
        for guard, message in _warnings(shown):
            await self._warn(subject, guard, message)
        before = read_status(CollectionStatus, subject).owned or False
        return await write_status(
            self._context,
            Kind.COLLECTION,
            subject,
            facts(wanted, observed, shown, owned_before=before),
            conditions(wanted, observed, shown),
        )

    def _with_refusals(self, subject: Manifest, planned: CollectionPlan) -> CollectionPlan:
        """Steps that Qdrant refused are shown as blocked until they succeed."""
        uid = subject["metadata"]["uid"]
        refused = []
        for step in planned.steps:
            why = self._memory.refusal(uid, step)
            if why is not None:
                refused.append(refused_by_qdrant(step, why))
        return replace(planned, blocked=(*planned.blocked, *refused))

    async def _warn(self, subject: Manifest, reason: str, message: str) -> None:
        await warn_once(self._context, Kind.COLLECTION, subject, reason, message)

    def _count_guards(self, subject: Manifest, guards: set[str]) -> None:
        meta = subject["metadata"]
        self._context.reporter.blocked(
            Kind.COLLECTION.kind, meta["namespace"], meta["name"], tuple(sorted(guards))
        )

    async def _carry_out(self, subject: Manifest, endpoint: Endpoint | None, step: CollectionStep) -> bool:
        """Carry out one step and report it; False when it was refused.

        Raises:
            Retryable: it is not known whether the step was done.
        """
        uid, name = subject["metadata"]["uid"], type(step).__name__
        try:
            await act(self._context, subject, endpoint, step)
        except Retryable:
            self._context.reporter.step(Kind.COLLECTION.kind, name, "failed")
            raise
        except Refused as error:
            self._context.reporter.step(Kind.COLLECTION.kind, name, "failed")
            self._memory.refused(uid, step, error.message)
            return False
        self._context.reporter.step(Kind.COLLECTION.kind, name, "done")
        self._memory.done(uid, step)
        await self._context.reporter.event(subject, kind="Normal", reason=step.reason, message=str(step))
        return True

    async def _report_not_asked(
        self, subject: Manifest, reason: str, message: str, *, refused: bool
    ) -> Requeue:
        """Report why the cluster is not asked; what the last good pass recorded as this object's stays in status."""
        self._count_guards(subject, {reason})
        if refused:
            await self._warn(subject, reason, message)
        await write_status(
            self._context,
            Kind.COLLECTION,
            subject,
            not_asked(reason, message, refused=refused),
            waiting(reason, message, refused=refused),
            kept=KEPT_FACTS,
        )
        return Requeue(self._context.options.watch_seconds if refused else self._context.options.busy_seconds)


def _warnings(shown: CollectionPlan) -> tuple[tuple[str, str], ...]:
    """Guards and messages of the blocked steps in status that a user must act upon, each once."""
    blocked = [step for step in shown.blocked[:SHOWN_STEPS] if needs_action(step.guard)]
    return tuple(dict.fromkeys((step.guard.value, step.message) for step in blocked))


def _needs_no_cluster(wanted: Desired, cluster: Manifest | None) -> bool:
    """Whether a QdrantCollection that is being deleted has nothing to clean up.

    Decided on the live QdrantCluster before anything is done: a cache may not show it yet.
    """
    return wanted.deleting and (wanted.cluster_gone or not wanted.has_finalizer or _never_formed(cluster))


def _never_formed(cluster: Manifest | None) -> bool:
    """Whether the cluster has not begun to form, so that it holds nothing. A record of any release counts."""
    return cluster is not None and not (cluster.get("status") or {}).get("bootstrap")


def _is_ready(subject: Manifest) -> bool:
    conditions = read_status(CollectionStatus, subject).conditions
    return any(condition.type == "Ready" and condition.status == "True" for condition in conditions)

"""The QdrantCluster loop: observe, plan, carry out one step, report. The only place that stops pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from qdrant_operator.domain.cluster.conditions import conditions, refused
from qdrant_operator.domain.cluster.decision import Decision
from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.planner import decide
from qdrant_operator.domain.cluster.pods.disruptions import safe_disruptions
from qdrant_operator.domain.cluster.status import facts as status_facts
from qdrant_operator.domain.cluster.status import worth_a_warning
from qdrant_operator.domain.cluster.steps import ApplyObject, ClusterPlan, Step, event_reason
from qdrant_operator.domain.common.errors import Conflict, Refused
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.manifests.rival_writers import managers_of
from qdrant_operator.domain.qdrant.views import Transfer
from qdrant_operator.reconcile.cluster.act import act
from qdrant_operator.reconcile.cluster.memory.remembered import Memories, Memory
from qdrant_operator.reconcile.cluster.observe import observe
from qdrant_operator.reconcile.cluster.scope import Scope
from qdrant_operator.reconcile.cluster.volumes import keep_volumes
from qdrant_operator.reconcile.context import Context, Requeue
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.reporting.status import write_status

FOLLOW = "follow the spec"
"""Step in status.blocked that a refused spec blocks."""


class ClusterReconciler:
    """Takes one pass over one QdrantCluster."""

    def __init__(self, context: Context) -> None:
        """Keep the context; all state of a cluster is in Kubernetes and Qdrant; memory only saves retries."""
        self._context = context
        self._memory = Memories()

    async def reconcile(self, subject: Manifest) -> Requeue:
        """One pass. Kubernetes' garbage collection handles a QdrantCluster that is being deleted."""
        if "deletionTimestamp" in subject["metadata"]:
            self._memory.forget(subject["metadata"]["uid"])
            return Requeue(self._context.options.resync_seconds)
        try:
            return await self._pass(subject)
        except Refused as error:
            return await self._refuse(subject, error)

    async def _pass(self, subject: Manifest) -> Requeue:
        await keep_volumes(self._context, subject)
        now = self._context.clock.now()
        memory = self._memory.of(subject["metadata"]["uid"], now)
        seen = await observe(self._context, subject, lambda observed: memory.recall(observed, now))
        kubernetes, meta = self._context.kubernetes, subject["metadata"]
        stuck_pods = await memory.stuck_pods.find(kubernetes, meta, seen.observed, now)
        observed = memory.contests.recall(replace(seen.observed, stuck_pods=stuck_pods), now)
        decision = decide(seen.request, observed)
        await self._name_rivals(subject, decision, memory)
        plan = decision.plan
        retries = bool(plan.steps) and was_refused(subject)
        if not retries:
            subject = await self._report(subject, decision)
        if decision.desired.spec.paused:
            return Requeue(self._context.options.watch_seconds)
        try:
            scope = Scope(decision.desired, decision.observed, seen.endpoints)
            for step in batch(plan):
                memory.asked(step)
                await self._carry_out(subject, scope, step)
                memory.begun(step)
                self._compare(subject, step, memory)
        except Refused as error:
            return await self._refuse(subject, error)
        if retries:
            await self._report(subject, decision)
        memory.repeats.done(batch(plan))
        return Requeue(self._pause(decision, memory))

    async def _name_rivals(self, subject: Manifest, decision: Decision, memory: Memory) -> None:
        """The caches have no managedFields; a contested object is read once."""
        namespace = subject["metadata"]["namespace"]
        for contest in memory.contests.unnamed((*decision.changes.drift, *decision.changes.paused)):
            live = await self._context.kubernetes.read(contest.kind, namespace, contest.name)
            memory.contests.name(contest, managers_of(live, contest.fields) if live else ())
            raise Conflict(f"{contest.kind.kind} {contest.name} was read again: retrying", after=0.1)

    def _compare(self, subject: Manifest, step: Step, memory: Memory) -> None:
        """Remember whether an object matches what was applied."""
        if isinstance(step, ApplyObject):
            drift, now = step.drift, self._context.clock.now()
            live = self._context.kubernetes.cached_one(
                drift.kind, subject["metadata"]["namespace"], drift.name
            )
            memory.contests.applied(drift, live, now)

    def _pause(self, decision: Decision, memory: Memory) -> float:
        options, observed, plan = self._context.options, decision.observed, decision.plan
        if plan.steps:
            return memory.repeats.pause
        quiet = not observed.leaving and not any(view_transfers(observed))
        steady = decision.desired.disruptions == safe_disruptions(observed)
        settled = (
            quiet
            and steady
            and not plan.blocked
            and not observed.silent
            and all(pod.ready for pod in observed.pods)
        )
        return options.watch_seconds if settled else options.busy_seconds

    async def _report(self, subject: Manifest, decision: Decision) -> Manifest:
        meta, plan = subject["metadata"], decision.plan
        guards = tuple(sorted({wait.guard.value for wait in plan.blocked}))
        self._context.reporter.blocked(Kind.CLUSTER.kind, meta["namespace"], meta["name"], guards)
        await self._warn(subject, worth_a_warning(decision))
        facts = status_facts(decision)
        return await write_status(self._context, Kind.CLUSTER, subject, facts, conditions(decision))

    async def _warn(self, subject: Manifest, blocked: tuple[Blocked, ...]) -> None:
        """Events for guards that block something since this pass."""
        before = {wait["guard"] for wait in (subject.get("status") or {}).get("blocked") or ()}
        for wait in blocked:
            if wait.guard.value not in before:
                before.add(wait.guard.value)
                text = f"{wait.step}: {wait.message}"
                await self._context.reporter.event(
                    subject, kind="Warning", reason=wait.guard.value, message=text
                )

    async def _carry_out(self, subject: Manifest, scope: Scope, step: Step) -> None:
        name = type(step).__name__
        try:
            await act(self._context, subject, scope, step)
        except Exception:
            self._context.reporter.step(Kind.CLUSTER.kind, name, "failed")
            raise
        self._context.reporter.step(Kind.CLUSTER.kind, name, "done")
        if reason := event_reason(step):
            await self._context.reporter.event(subject, kind="Normal", reason=reason, message=str(step))

    async def _refuse(self, subject: Manifest, error: Refused) -> Requeue:
        """Report it in conditions; status keeps the peers of the last successful pass."""
        meta, status = subject["metadata"], subject.get("status") or {}
        self._context.reporter.blocked(Kind.CLUSTER.kind, meta["namespace"], meta["name"], (error.reason,))
        known = {k: v for k, v in status.items() if k not in ("conditions", "observedGeneration")}
        blocked = [{"step": FOLLOW, "guard": error.reason, "message": error.message}]
        facts = {**known, "phase": "Blocked", "blocked": blocked, "plan": [], "planned": 0}
        reported = {wait["guard"] for wait in status.get("blocked") or ()}
        if error.reason not in reported:
            await self._context.reporter.event(
                subject, kind="Warning", reason=error.reason, message=error.message
            )
        await write_status(self._context, Kind.CLUSTER, subject, facts, refused(error))
        return Requeue(self._context.options.watch_seconds)


def view_transfers(observed: Observed) -> Iterator[Transfer]:
    """Transfers that any peer lists."""
    for view in observed.peers.values():
        for collection in view.collections:
            yield from collection.transfers


def was_refused(subject: Manifest) -> bool:
    """Whether the last pass was refused: status continues to report that until a step succeeds."""
    waits = (subject.get("status") or {}).get("blocked") or ()
    return any(wait.get("step") == FOLLOW for wait in waits)


def batch(plan: ClusterPlan) -> tuple[Step, ...]:
    """Consecutive objects are applied in one pass; any other step is carried out alone."""
    objects = []
    for step in plan.steps:
        if not isinstance(step, ApplyObject):
            break
        objects.append(step)
    return tuple(objects) or plan.steps[:1]

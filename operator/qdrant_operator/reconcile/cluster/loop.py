"""The QdrantCluster loop: observe, plan, carry out one step, report. The only place that stops pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from qdrant_operator.domain.cluster import status as cluster_status
from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.planner import plan as plan_cluster
from qdrant_operator.domain.cluster.pods.disruptions import safe_disruptions
from qdrant_operator.domain.cluster.steps import ApplyObject, ClusterPlan, Step, event_reason
from qdrant_operator.domain.common.errors import Conflict, Refused
from qdrant_operator.domain.common.plan import Blocked, Plan
from qdrant_operator.domain.manifests.rival_writers import managers_of
from qdrant_operator.domain.qdrant.views import Transfer
from qdrant_operator.reconcile.cluster.act import act
from qdrant_operator.reconcile.cluster.memory.remembered import Memories, Memory
from qdrant_operator.reconcile.cluster.observe import Observation, look
from qdrant_operator.reconcile.cluster.volumes import keep_volumes
from qdrant_operator.reconcile.context import Context, Requeue
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.report import write_status

FOLLOW = "follow the spec"
"""What a spec that is refused holds back, in status.blocked."""


class ClusterReconciler:
    """Takes one pass over one QdrantCluster."""

    def __init__(self, context: Context) -> None:
        """Keep the world; all state of a cluster is in Kubernetes and in Qdrant, but for what only saves tries."""
        self._context = context
        self._memory = Memories()

    async def reconcile(self, subject: Manifest) -> Requeue:
        """One pass. A QdrantCluster that is being deleted is left to Kubernetes' own garbage collection."""
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
        seen = await look(self._context, subject, lambda observed: memory.recall(observed, now))
        await self._name_rivals(subject, seen, memory)
        kubernetes, meta = self._context.kubernetes, subject["metadata"]
        held_up = await memory.held_up.find(kubernetes, meta, seen.observed, now)
        observed = memory.contests.recall(replace(seen.observed, held_up=held_up), now)
        seen = replace(seen, observed=observed)
        plan = decide(seen)
        tries_again = bool(plan.steps) and was_refused(subject)
        if not tries_again:
            subject = await self._report(subject, seen, plan)
        if seen.desired.spec.paused:
            return Requeue(self._context.options.watch_seconds)
        try:
            for step in batch(plan):
                memory.asked(step)
                await self._carry_out(subject, seen, step)
                memory.begun(step)
                self._compare(subject, step, memory)
        except Refused as error:
            return await self._refuse(subject, error)
        if tries_again:
            await self._report(subject, seen, plan)
        memory.repeats.done(batch(plan))
        return Requeue(self._pause(seen, plan, memory))

    async def _name_rivals(self, subject: Manifest, seen: Observation, memory: Memory) -> None:
        """The caches are without managedFields; an object is read once when it turns out to be contested."""
        namespace = subject["metadata"]["namespace"]
        for one in memory.contests.unnamed(seen.observed):
            live = await self._context.kubernetes.read(one.kind, namespace, one.name)
            memory.contests.name(one, managers_of(live, one.fields) if live else ())
            raise Conflict(f"{one.kind.kind} {one.name} was read again: looking again", after=0.1)

    def _compare(self, subject: Manifest, step: Step, memory: Memory) -> None:
        """Whether an object became what was applied."""
        if isinstance(step, ApplyObject):
            drift, now = step.drift, self._context.clock.now()
            live = self._context.kubernetes.cached_one(
                drift.kind, subject["metadata"]["namespace"], drift.name
            )
            memory.contests.applied(drift, live, now)

    def _pause(self, seen: Observation, plan: ClusterPlan, memory: Memory) -> float:
        options, observed = self._context.options, seen.observed
        if plan.steps:
            return memory.repeats.pause
        quiet = not observed.leaving and not any(view_transfers(observed))
        steady = seen.desired.disruptions == safe_disruptions(observed)
        settled = (
            quiet
            and steady
            and not plan.blocked
            and not observed.silent
            and all(pod.ready for pod in observed.pods)
        )
        return options.watch_seconds if settled else options.busy_seconds

    async def _report(self, subject: Manifest, seen: Observation, plan: ClusterPlan) -> Manifest:
        meta = subject["metadata"]
        guards = tuple(sorted({wait.guard.value for wait in plan.blocked}))
        self._context.reporter.blocked(Kind.CLUSTER.kind, meta["namespace"], meta["name"], guards)
        await self._tell_new_waits(subject, plan.blocked)
        facts = cluster_status.facts(seen.desired, seen.observed, plan)
        conditions = cluster_status.conditions(seen.desired, seen.observed, plan)
        return await write_status(self._context, Kind.CLUSTER, subject, facts, conditions)

    async def _tell_new_waits(self, subject: Manifest, blocked: tuple[Blocked, ...]) -> None:
        """Events for waits that began now; that peers are slow to appear while a cluster forms is no news."""
        if not is_formed(subject):
            blocked = tuple(wait for wait in blocked if " does not run: " in wait.message)
        before = {wait["guard"] for wait in (subject.get("status") or {}).get("blocked") or ()}
        for wait in blocked:
            if wait.guard.value not in before:
                before.add(wait.guard.value)
                text = f"{wait.step}: {wait.message}"
                await self._context.reporter.event(
                    subject, kind="Warning", reason=wait.guard.value, message=text
                )

    async def _carry_out(self, subject: Manifest, seen: Observation, step: Step) -> None:
        name = type(step).__name__
        try:
            await act(self._context, subject, seen, step)
        except Exception:
            self._context.reporter.step(Kind.CLUSTER.kind, name, "failed")
            raise
        self._context.reporter.step(Kind.CLUSTER.kind, name, "done")
        if reason := event_reason(step):
            await self._context.reporter.event(subject, kind="Normal", reason=reason, message=str(step))

    async def _refuse(self, subject: Manifest, error: Refused) -> Requeue:
        """Say it in conditions; what the last good pass knew of the peers stays in status."""
        meta, status = subject["metadata"], subject.get("status") or {}
        self._context.reporter.blocked(Kind.CLUSTER.kind, meta["namespace"], meta["name"], (error.reason,))
        known = {k: v for k, v in status.items() if k not in ("conditions", "observedGeneration")}
        blocked = [{"step": FOLLOW, "guard": error.reason, "message": error.message}]
        facts = {**known, "phase": "Blocked", "blocked": blocked, "plan": [], "planned": 0}
        told = {wait["guard"] for wait in status.get("blocked") or ()}
        if error.reason not in told:
            await self._context.reporter.event(
                subject, kind="Warning", reason=error.reason, message=error.message
            )
        await write_status(self._context, Kind.CLUSTER, subject, facts, cluster_status.refused(error))
        return Requeue(self._context.options.watch_seconds)


def decide(seen: Observation) -> ClusterPlan:
    """What is to be done on this look: nothing while the cluster is paused."""
    if seen.desired.spec.paused:
        return Plan()
    return plan_cluster(seen.desired, seen.observed) + Plan(blocked=seen.blocked)


def view_transfers(observed: Observed) -> Iterator[Transfer]:
    """Transfers that any peer lists."""
    for view in observed.peers.values():
        for collection in view.collections:
            yield from collection.transfers


def was_refused(subject: Manifest) -> bool:
    """Whether the last pass was refused: then status goes on saying so until a step succeeds."""
    waits = (subject.get("status") or {}).get("blocked") or ()
    return any(wait.get("step") == FOLLOW for wait in waits)


def is_formed(subject: Manifest) -> bool:
    """Whether the cluster was complete once."""
    bootstrap = (subject.get("status") or {}).get("bootstrap") or {}
    return bool(bootstrap.get("phase") == "Complete")


def batch(plan: ClusterPlan) -> tuple[Step, ...]:
    """Objects in a row are applied in one pass; any other step is carried out alone."""
    objects = []
    for step in plan.steps:
        if not isinstance(step, ApplyObject):
            break
        objects.append(step)
    return tuple(objects) or plan.steps[:1]

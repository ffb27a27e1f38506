"""Wires the operator process: builds the adapters from the settings, starts the loop and stops everything in order.

Order of the start: the probes answer, the caches are filled, the Lease is acquired, then kopf watches our kinds and
the loop runs. A process that loses the Lease exits at once: another one may already act.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, cast

import kopf

from qdrant_operator.adapters.clock import SystemClock
from qdrant_operator.adapters.health import HttpServer, LoopLag
from qdrant_operator.adapters.kubernetes.client import HttpKubernetes
from qdrant_operator.adapters.kubernetes.credentials import load_api_server, open_session
from qdrant_operator.adapters.kubernetes.events import Events
from qdrant_operator.adapters.kubernetes.informer import Informers
from qdrant_operator.adapters.kubernetes.lease import LeaderLease, LeadershipLost
from qdrant_operator.adapters.kubernetes.login import ApiServer
from qdrant_operator.adapters.kubernetes.store import Store
from qdrant_operator.adapters.kubernetes.transport import Transport
from qdrant_operator.adapters.leadership import always
from qdrant_operator.adapters.metrics import ClusterReporter, Metrics
from qdrant_operator.adapters.object_storage import S3Storage
from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.backup.storage import S3Credentials, S3Place
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.handlers.runner import Runner
from qdrant_operator.handlers.wakeups import Wakeups
from qdrant_operator.handlers.watches import build_registry, build_settings
from qdrant_operator.reconcile.backup.schedule.loop import ScheduleReconciler
from qdrant_operator.reconcile.backup.snapshot.loop import SnapshotReconciler
from qdrant_operator.reconcile.cluster.loop import ClusterReconciler
from qdrant_operator.reconcile.collection.loop import CollectionReconciler
from qdrant_operator.reconcile.context import Context, Options, Reconciler
from qdrant_operator.reconcile.installations import OneInstallation
from qdrant_operator.reconcile.reporting.defects import report_defect
from qdrant_operator.settings import Settings

logger = logging.getLogger(__name__)
LEASE_CALL_SECONDS = 3.0
"""Time-out of a request for the Lease: well below its renew deadline of 10 s."""
STOP_SECONDS = 8.0
"""Time for running passes to end after SIGTERM. kopf needs some seconds more; the grace period of the pod is 30 s."""
STUCK_SECONDS = 60.0
"""With objects waiting and no pass ended for this time, the process is stuck (passes time out earlier)."""


@dataclass(slots=True)
class Process:
    """Everything that exists as long as the process."""

    settings: Settings
    server: ApiServer
    metrics: Metrics
    lease: LeaderLease | None
    informers: Informers
    kubernetes: HttpKubernetes
    runner: Runner
    store: Store
    leading: bool = False

    def healthy(self, lag: LoopLag) -> str | None:
        """Why this process must be restarted, if it must."""
        idle = time.monotonic() - self.runner.last_pass
        if self.leading and self.runner.waiting and idle > STUCK_SECONDS:
            return f"{self.runner.waiting} objects are waiting, and no pass ended for {idle:.0f} s"
        return lag.problem()

    def ready(self) -> str | None:
        """Which kinds are not listed yet; a standby is ready too when its caches are filled."""
        missing = self.informers.missing()
        return f"not listed yet: {', '.join(missing)}" if missing else None


def run(settings: Settings) -> int:
    """Run the operator until SIGTERM; returns the exit code."""
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 (absent on Windows)

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return asyncio.run(_main(settings))


async def _main(settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _process(settings) as process:
        lag = LoopLag()
        http = HttpServer(
            healthy=lambda: process.healthy(lag), ready=process.ready, metrics=process.metrics.page
        )
        await http.start(settings.host, settings.port)
        background = [
            asyncio.create_task(_or_exit(lag.run(), "The event loop is no longer measured, exiting")),
            asyncio.create_task(_or_exit(process.informers.run(), "The watches ended, exiting")),
        ]
        try:
            await _lead(process, stop)
        finally:
            await http.close()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
    return 0


async def _lead(process: Process, stop: asyncio.Event) -> None:
    if not await _unless(stop, process.informers.synced.wait()):
        return
    if process.lease is None:
        await _serve(process, stop)
    elif await _unless(stop, process.lease.acquire()):
        keeping = asyncio.create_task(_or_exit(process.lease.keep(), "The Lease cannot be kept, exiting"))
        await _serve(process, stop)
        keeping.cancel()
        await process.lease.release()


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Wait for the work or for `stop`; returns whether the work ended. Errors of the work are raised."""
    task, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    done, pending = await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for other in pending:
        other.cancel()
    if task in done:
        task.result()
    return task in done


async def _or_exit(work: Awaitable[object], message: str) -> None:
    """Exit when this work fails: without it the process would look alive and do nothing."""
    try:
        await work
    except LeadershipLost as lost:
        logger.critical("Leadership lost, exiting at once", extra={"why": str(lost)})
        _exit()
    except Exception:
        logger.critical(message, exc_info=True)
        _exit()


def _exit() -> NoReturn:
    logging.shutdown()
    os._exit(3)


async def _serve(process: Process, stop: asyncio.Event) -> None:
    process.leading = True
    process.metrics.leading(holder=True)
    logger.info("Operator started", extra={"namespaces": process.settings.namespaces or "all"})
    process.store.listen_from_the_start(Wakeups(process.runner))
    namespaces = process.settings.namespaces
    await kopf.operator(
        registry=build_registry(process.server, process.kubernetes.feed),
        settings=build_settings(namespaced=bool(namespaces)),
        standalone=True,
        # Otherwise kopf looks up the name of the user, which does not exist in a container.
        identity=cast("Any", process.settings.identity),
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
    )
    await process.runner.stop(STOP_SECONDS)
    process.metrics.leading(holder=False)
    logger.info("Operator stopped")


@contextlib.asynccontextmanager
async def _process(settings: Settings) -> AsyncIterator[Process]:
    server = await load_api_server()
    async with open_session(server) as session, open_session(server, limit=0) as watching:
        metrics, store, clock = Metrics(), Store(), SystemClock()
        store.listen(metrics.on_change)
        lease = _lease(settings, Transport(session, server.url, timeout=LEASE_CALL_SECONDS))
        may_act = lease.is_holder if lease else always
        acting = Transport(session, server.url, is_holder=may_act)
        kubernetes = HttpKubernetes(acting, store)
        informers = Informers(Transport(watching, server.url), store, namespaces=settings.namespaces)
        metrics.watch_ages(informers.ages)
        metrics.watch_backups(store.every)
        qdrant = QdrantRest(metrics.called, may_act=may_act)
        context = Context(
            kubernetes=kubernetes,
            qdrant=qdrant,
            clock=clock,
            reporter=ClusterReporter(metrics, Events(acting, clock, settings.identity)),
            options=Options(
                operator_image=settings.image,
                operator_pods=settings.pods,
                installation=f"{settings.namespace}/{settings.lease}" if settings.lease else "",
                storage_endpoints=settings.storage_endpoints,
            ),
            storage=_open_storage,
        )
        runner = build_runner(context, metrics)
        try:
            yield Process(settings, server, metrics, lease, informers, kubernetes, runner, store)
        finally:
            await qdrant.close()


def build_runner(context: Context, metrics: Metrics) -> Runner:
    """One reconciler for each of our kinds."""
    reconcilers: dict[Kind, Reconciler] = {
        Kind.CLUSTER: ClusterReconciler(context),
        Kind.COLLECTION: CollectionReconciler(context),
        Kind.SCHEDULE: ScheduleReconciler(context),
        Kind.SNAPSHOT: SnapshotReconciler(context),
    }
    guarded = {kind: OneInstallation(context, kind, inner) for kind, inner in reconcilers.items()}
    return Runner(context.kubernetes, guarded, metrics.reconciled, partial(report_defect, context))


def _lease(settings: Settings, transport: Transport) -> LeaderLease | None:
    if not settings.lease:
        return None
    # The name of the pod is not unique over time: a container may restart in it.
    identity = f"{settings.identity}_{socket.gethostname()}_{os.getpid()}_{time.time_ns()}"
    return LeaderLease(transport, settings.namespace, settings.lease, identity)


def _open_storage(place: S3Place, credentials: S3Credentials) -> S3Storage:
    """For the small requests of the loop: an answer, or an error for a condition, within seconds."""
    return S3Storage(place, credentials, patient=False)

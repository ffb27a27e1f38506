"""The entrances: what the snapshot Job runs, and what `qdrant-operator snapshot verify` runs.

The command line hands in the adapters (`Tools`) and gets an exit code.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from qdrant_operator.domain.backup.job_spec import (
    JOB_SPEC,
    QDRANT_KEY,
    RESULT_FILE,
    S3_ACCESS_KEY,
    S3_SECRET_KEY,
    S3_SESSION_TOKEN,
    JobSpec,
)
from qdrant_operator.domain.backup.journal import Result, dump_result
from qdrant_operator.domain.backup.manifest import BackupManifest
from qdrant_operator.domain.backup.storage import S3Credentials, S3Place
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.secret_values import clean_value
from qdrant_operator.jobs.backup.ports import Tools
from qdrant_operator.jobs.backup.run import Run, interrupted
from qdrant_operator.jobs.backup.verify import Finding, read_manifest, verify_files

log = logging.getLogger(__name__)


def run_from_environment(tools: Tools, environment: Mapping[str, str]) -> int:
    """Make the backup that the environment asks for; 0 when there is one.

    SIGTERM and SIGINT stop the run: it deletes its files on the peers and in storage, then ends with 1.
    """
    result = asyncio.run(_run(tools, environment))
    level = logging.INFO if result.good else logging.ERROR
    log.log(level, "Snapshot ended", extra={"reason": result.reason, "detail": result.message})
    if path := environment.get(RESULT_FILE):
        _leave_result(Path(path), result)
    return 0 if result.good else 1


def credentials(environment: Mapping[str, str]) -> S3Credentials | None:
    """S3 credentials from the environment; None: the pod's own identity.

    Raises:
        Refused: `SecretEmpty` or `SecretValueInvalid`.
    """
    if S3_ACCESS_KEY not in environment:
        return None
    token = _key(environment, S3_SESSION_TOKEN) if environment.get(S3_SESSION_TOKEN) else None
    return S3Credentials(_key(environment, S3_ACCESS_KEY), _key(environment, S3_SECRET_KEY), token)


def _key(environment: Mapping[str, str], variable: str) -> str:
    """A key, cleaned as the operator cleans it: the kubelet hands over the bytes of the Secret as they are."""
    return clean_value(os.fsencode(environment.get(variable, "")), f"environment variable {variable}")


async def _run(tools: Tools, environment: Mapping[str, str]) -> Result:
    job_spec = JobSpec.load(environment[JOB_SPEC])
    try:
        storage = tools.storage(job_spec.place, credentials(environment))
        key = _key(environment, QDRANT_KEY) if QDRANT_KEY in environment else None
    except Refused as error:
        return Result(error.reason, error.message)
    async with tools.peers() as peers:
        run = Run(job_spec, peers, storage, key)
        work = asyncio.ensure_future(run.make())
        with _stopped_by_signals(work):
            try:
                return await work
            except asyncio.CancelledError:
                return interrupted()


@contextmanager
def _stopped_by_signals(work: asyncio.Future[Result]) -> Iterator[None]:
    """Cancel the work at the first signal; further ones change nothing, cleaning up is under way."""
    loop, stopped = asyncio.get_running_loop(), False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            work.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _leave_result(path: Path, result: Result) -> None:
    # Outside a pod there may be no such place; the log has the result too.
    with suppress(OSError):
        path.write_text(dump_result(result), encoding="utf-8")


def verify(
    tools: Tools, place: S3Place, given: S3Credentials | None, folder: str
) -> tuple[BackupManifest, tuple[Finding, ...]]:
    """Read a whole backup back; findings are empty when every byte is right.

    Args:
        tools: the adapters.
        place: the bucket.
        given: S3 credentials; None: the process's own identity.
        folder: the backup's folder within the bucket, a slash at its end.

    Raises:
        Refused, Retryable: there is no manifest, or the storage cannot be read.
    """
    return asyncio.run(_verify(tools, place, given, folder))


async def _verify(
    tools: Tools, place: S3Place, given: S3Credentials | None, folder: str
) -> tuple[BackupManifest, tuple[Finding, ...]]:
    storage = tools.storage(place, given)
    manifest = await read_manifest(storage, place, folder)
    return manifest, await verify_files(storage, folder, manifest)

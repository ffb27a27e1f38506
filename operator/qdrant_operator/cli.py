"""The command line: `qdrant-operator run`, `status`, `plan`, `crds`, `snapshot`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from qdrant_operator import __version__
from qdrant_operator.api.crds import crd_files
from qdrant_operator.commands import arguments
from qdrant_operator.domain.common.errors import Refused, Retryable

if TYPE_CHECKING:
    from qdrant_operator.jobs.backup.ports import Tools


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    command: int = options.command(options)
    return command


def _parser() -> argparse.ArgumentParser:
    about = "Runs Qdrant clusters, collections and backups on Kubernetes."
    parser = argparse.ArgumentParser(prog="qdrant-operator", description=about)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the operator; settings come from QDRANT_OPERATOR_* variables")
    run.set_defaults(command=_run)
    arguments.add_status(commands.add_parser("status", help="show a cluster's peers and shards"))
    arguments.add_plan(
        commands.add_parser("plan", help="show the next steps and the blocked ones, with reasons")
    )
    _add_crds(commands.add_parser("crds", help="print, write or check the CustomResourceDefinitions"))
    _add_snapshot(commands.add_parser("snapshot", help="take a snapshot in a Job, or verify a stored one"))
    return parser


def _add_crds(crds: argparse.ArgumentParser) -> None:
    how = crds.add_mutually_exclusive_group()
    how.add_argument("--write", action="store_true", help="write the generated files to --root")
    how.add_argument(
        "--check", action="store_true", help="fail if a file in --root differs from the generated one"
    )
    crds.add_argument(
        "--root", type=Path, default=Path(), help="checkout of the project (default: current directory)"
    )
    crds.set_defaults(command=_crds)


def _add_snapshot(snapshot: argparse.ArgumentParser) -> None:
    commands = snapshot.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="take the snapshot described by environment variables (in a Job)")
    run.set_defaults(command=_snapshot_run)
    verify = commands.add_parser("verify", help="read a stored snapshot and compare the SHA-256 of each file")
    verify.add_argument("location", help="folder of the snapshot, from status.location: s3://bucket/path/")
    verify.add_argument("--endpoint", help="URL of the S3 server, if it is not AWS")
    verify.add_argument("--region", default="us-east-1", help="region of the bucket (default: %(default)s)")
    verify.set_defaults(command=_snapshot_verify)


def _run(_options: argparse.Namespace) -> int:
    # Imported here: a snapshot Job and `crds` need neither kopf nor the API server.
    from qdrant_operator.handlers import logs, startup  # noqa: PLC0415
    from qdrant_operator.settings import from_environment  # noqa: PLC0415

    try:
        settings = from_environment(os.environ, __version__)
    except ValueError as error:
        print(f"qdrant-operator: {error}", file=sys.stderr)
        return 2
    logs.configure(settings.log_level)
    return startup.run(settings)


def _snapshot_run(_options: argparse.Namespace) -> int:
    from qdrant_operator.adapters.process import end_process  # noqa: PLC0415
    from qdrant_operator.handlers import logs  # noqa: PLC0415
    from qdrant_operator.jobs.backup.main import run_from_environment  # noqa: PLC0415

    logs.configure("INFO")
    end_process(run_from_environment(_tools(), os.environ))


def _snapshot_verify(options: argparse.Namespace) -> int:
    """Credentials come from SNAPSHOT_S3_* variables, as in a Job, or from the identity of the process."""
    from qdrant_operator.adapters.process import end_process  # noqa: PLC0415
    from qdrant_operator.domain.backup.storage import S3Place  # noqa: PLC0415
    from qdrant_operator.jobs.backup.main import credentials, verify  # noqa: PLC0415
    from qdrant_operator.jobs.backup.verify import report  # noqa: PLC0415

    bucket, _, folder = options.location.removeprefix("s3://").partition("/")
    place = S3Place(bucket, options.region, endpoint=options.endpoint)
    try:
        manifest, findings = verify(_tools(), place, credentials(os.environ), f"{folder.strip('/')}/")
    except (Refused, Retryable) as error:
        print(f"qdrant-operator: {error}", file=sys.stderr)
        end_process(2)
    print("\n".join(report(options.location, manifest, findings)))
    end_process(1 if findings else 0)


def _tools() -> Tools:
    from qdrant_operator.adapters.object_storage import S3Storage  # noqa: PLC0415
    from qdrant_operator.adapters.qdrant.http import unmeasured  # noqa: PLC0415
    from qdrant_operator.adapters.qdrant.rest import QdrantRest  # noqa: PLC0415
    from qdrant_operator.jobs.backup.ports import Tools  # noqa: PLC0415

    @asynccontextmanager
    async def peers() -> AsyncIterator[QdrantRest]:
        client = QdrantRest(unmeasured)
        try:
            yield client
        finally:
            await client.close()

    return Tools(peers, S3Storage)


def _crds(options: argparse.Namespace) -> int:
    files = crd_files()
    if options.write:
        for path, text in files.items():
            (options.root / path).parent.mkdir(parents=True, exist_ok=True)
            (options.root / path).write_text(text)
        return 0
    if options.check:
        return _check(options.root, files)
    print("---\n".join(text for path, text in files.items() if path.startswith("crds/")), end="")
    return 0


def _check(root: Path, files: dict[str, str]) -> int:
    stale = [path for path, text in files.items() if _text(root / path) != text]
    for path in stale:
        print(f"{path} differs from the generated file: run `make crds`", file=sys.stderr)
    return 1 if stale else 0


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None

"""Runs commands as a user would, and waits for what they show. Knows nothing of Kubernetes."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.5
ROOT = Path(__file__).parents[1]
"""The checkout."""
BUILD = ROOT / "build" / "e2e"
"""Whatever a run writes."""


class CommandFailed(Exception):  # noqa: N818 (a fact, told to the reader of a failed test)
    """A command ended with an error, or did not end in time."""

    def __init__(self, argv: tuple[str, ...], code: int, stderr: str) -> None:
        super().__init__(f"{shlex.join(argv)[:400]} ended with {code}: {stderr.strip()[-2000:]}")
        self.argv, self.code, self.stderr = argv, code, stderr


class Missing(Exception):  # noqa: N818 (a fact, told to whoever started the run)
    """Something that a run needs is not there; the message says what, and what else would do."""


def run(
    *argv: str,
    stdin: str | None = None,
    timeout: float = 60,
    check: bool = True,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a command in the checkout; what it printed.

    Args:
        argv: the command.
        stdin: what it reads.
        timeout: seconds, after which it is killed.
        check: an exit code other than 0 is an error.
        env: variables on top of this process's.

    Raises:
        CommandFailed: it failed (with `check`) or took too long (code 124, as of timeout(1)).
    """
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(argv, 124, f"no end within {timeout:.0f} s") from late
    if check and done.returncode:
        raise CommandFailed(argv, done.returncode, done.stderr or done.stdout)
    return done.stdout


def eventually(look: Callable[[], T | None], seconds: float, tell: Callable[[], str] | None = None) -> T:
    """Look until there is something true, twice a second; a command that fails meanwhile shows nothing.

    Raises:
        AssertionError: nothing within `seconds`; with the words of `tell`, else of the last failed command.
    """
    deadline = time.monotonic() + seconds
    problem = ""
    while True:
        try:
            found = look()
        except CommandFailed as error:
            found, problem = None, str(error)
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s; {_told(tell) or problem or 'nothing to tell'}")
        time.sleep(POLL_SECONDS)


def _told(tell: Callable[[], str] | None) -> str:
    try:
        return f"last seen:\n{tell()}" if tell else ""
    except CommandFailed as error:
        return str(error)

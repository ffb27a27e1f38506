"""One process and its end, without a thread or a poll: the kernel's pidfd wakes the loop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.processes import signal_group, spawn


class Process:
    """A running process in a group of its own."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.pid = popen.pid
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """Its exit code; 128 + n after signal n."""
        self._popen = popen
        self._pidfd = os.pidfd_open(popen.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @classmethod
    def start(cls, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> Process:
        """Start a program; its output is appended to `log`.

        Raises:
            OSError: it cannot be started.
        """
        return cls(spawn(argv, log=log, env=env, cwd=cwd))

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self.exited.done()

    def signal(self, number: int) -> None:
        """Send a signal to this process alone, as a container runtime does."""
        if self.running:
            self._popen.send_signal(number)

    def signal_all(self, number: int) -> None:
        """Send a signal to it and all it started."""
        if self.running:
            signal_group(self.pid, number)

    def kill(self) -> None:
        """End it and all it started, now."""
        self.signal_all(signal.SIGKILL)

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most so long; tell whether it came."""
        done, _ = await asyncio.wait([self.exited], timeout=seconds)
        return bool(done)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        code = self._popen.wait()
        # what it left behind dies with its main process, as in a container
        signal_group(self.pid, signal.SIGKILL)
        if not self.exited.done():
            self.exited.set_result(128 - code if code < 0 else code)

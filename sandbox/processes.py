"""Child processes that never outlive the sandbox.

A child asks the kernel to kill it when its parent dies (PR_SET_PDEATHSIG), and leads its own process group,
so that whatever it started goes with it. Linux only: pods need 127.0.0.0/8 and pidfds as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Run in a child before exec: SIGKILL follows the death of the thread that started it."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    umask: int = -1,
) -> subprocess.Popen[bytes]:
    """Start a process in its own group, its output appended to `log`.

    Raises:
        OSError: the program does not exist or cannot be run.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            umask=umask,
            process_group=0,
            # forking from a threaded process is safe here: the hook makes one system call and nothing else
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )


def signal_group(pid: int, number: int) -> None:
    """Send a signal to a process and all it started; gone already is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


@dataclass(frozen=True, slots=True)
class Child:
    """A running part of the sandbox."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check_alive(self) -> None:
        """Raise when the process has ended, with the end of its log."""
        code = self.process.poll()
        if code is not None:
            raise RuntimeError(
                f"{self.name} ended with exit code {code}; the end of {self.log}:\n{self.tail()}"
            )

    def tail(self, lines: int = 12) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, grace: float = 5.0) -> None:
        """SIGTERM, then SIGKILL for the whole group after `grace` seconds."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
        signal_group(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_ports(count: int) -> list[int]:
    """Return loopback TCP ports that are free now, each with the one 10000 above it (SeaweedFS uses both).

    They lie below the ports that the kernel gives to outgoing connections (32768 and up, `ip_local_port_range`): no
    connection made in between takes them.
    """
    found: list[int] = []
    while len(found) < count:
        port = 10_000 + secrets.randbelow(12_000)
        if port not in found and _is_free(port) and _is_free(port + 10_000):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def python_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Environment in which this checkout's packages are importable, installed or not."""
    sources = Path(__file__).parent.parent
    paths = [str(sources), str(sources / "operator"), environ.get("PYTHONPATH", "")]
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}

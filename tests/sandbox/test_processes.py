"""Processes of the sandbox end with it, whatever happens."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from sandbox.node.pods.process import Process
from sandbox.processes import Child, free_ports, python_environment, spawn

PARENT = """
import sys, time
from pathlib import Path
from sandbox.processes import spawn
print(spawn(["sleep", "1000"], log=Path(sys.argv[1])).pid, flush=True)
time.sleep(1000)
"""


def test_a_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    """SIGKILL of the process that owns a sandbox leaves none of its children behind."""
    argv = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=python_environment()) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        ended, _, _ = select.select([child], [], [], 10)
        os.close(child)
    assert ended, "the child outlived its parent"


def test_stopping_a_child_ends_its_whole_group(tmp_path: Path) -> None:
    """A process that ignores SIGTERM, and what it started, are gone after the grace."""
    log = tmp_path / "log"
    script = "trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000"
    process = spawn(["sh", "-c", script], log=log)
    while not log.read_text().strip():
        assert process.poll() is None
    grandchild = os.pidfd_open(int(log.read_text()))
    Child("stubborn", process, log).stop(grace=0.2)
    ended, _, _ = select.select([grandchild], [], [], 10)
    os.close(grandchild)
    assert ended
    assert process.returncode == -signal.SIGKILL


def test_free_ports_leave_room_for_grpc() -> None:
    """Ports are distinct and below 50000, for programs that also take port + 10000."""
    ports = free_ports(8)
    assert len(set(ports)) == 8
    assert max(ports) < 50000


async def test_an_exit_code_names_the_signal(tmp_path: Path) -> None:
    """A process that was killed reports 128 + the signal, as a container does; another its own code."""
    own = Process.start(["sh", "-c", "exit 3"], env=dict(os.environ), cwd=tmp_path, log=tmp_path / "log")
    assert await own.exited == 3
    killed = Process.start(["sleep", "1000"], env=dict(os.environ), cwd=tmp_path, log=tmp_path / "log")
    killed.kill()
    assert await killed.exited == 137

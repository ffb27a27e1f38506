"""`python -m sandbox.demo`: three manifests become a running, backed-up cluster, on this machine alone."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from sandbox.demo.screen import Screen
from sandbox.demo.story import Demo
from sandbox.kubectl import find_kubectl


def main() -> int:
    """Run the demo; 0 when everything was shown."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument(
        "--keep", action="store_true", help="leave the cluster running, and say how to reach it"
    )
    keep = parser.parse_args().keep
    signal.signal(signal.SIGTERM, _interrupt)
    return _in_background() if keep else _run(keep=None)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(*, keep: int | None) -> int:
    """Tell the story and clean up; with `keep`, a pipe that learns the outcome, stay until SIGTERM."""
    screen = Screen()
    demo = Demo(screen)
    try:
        with screen:
            demo.tell()
        screen.say(demo.summary())
        if keep is not None:
            screen.say(_how_to_reach(demo.sandbox.kubeconfig))
            _stay(keep)
    except KeyboardInterrupt:
        screen.say("stopped; cleaning up")
        return 130
    except Exception as error:
        screen.say(f"\nThe demo failed: {error}\n{demo.trouble()}")
        return 1
    finally:
        demo.close()
    return 0


def _how_to_reach(kubeconfig: Path) -> str:
    return (
        "\nIt keeps running. To look at it:\n"
        f"  export KUBECONFIG={kubeconfig}\n"
        f"  {find_kubectl()} get qdrant,pods\n"
        f"  {sys.executable} -m qdrant_operator status vectors --peers-through pod-ip\n"
        f"To end it:\n  kill {os.getpid()}"
    )


def _stay(outcome: int) -> None:
    """Tell the waiting command that all is well, let go of its terminal, and wait for SIGTERM."""
    os.write(outcome, b"\0")
    os.close(outcome)
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    threading.Event().wait()


def _in_background() -> int:
    """Own the cluster from a process that outlives this command, and return when it stands."""
    reading, writing = os.pipe()
    holder = os.fork()
    if holder == 0:
        os.close(reading)
        os.setsid()
        code = _run(keep=writing)
        sys.stdout.flush()
        os._exit(code)
    os.close(writing)
    try:
        if os.read(reading, 1):
            return 0
    except KeyboardInterrupt:
        os.kill(holder, signal.SIGTERM)
    _, status = os.waitpid(holder, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())

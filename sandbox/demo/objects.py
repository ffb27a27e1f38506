"""Objects as they are now, read again twice a second beside the story that the demo tells."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from sandbox.api_server import ApiServer
from sandbox.credentials import Access

Manifest = dict[str, Any]

_GROUP = "/apis/qdrantoperator.dev/v1alpha1"
_LISTS = {
    "QdrantCluster": f"{_GROUP}/namespaces/default/qdrantclusters",
    "QdrantCollection": f"{_GROUP}/namespaces/default/qdrantcollections",
    "QdrantSnapshotSchedule": f"{_GROUP}/namespaces/default/qdrantsnapshotschedules",
    "QdrantSnapshot": f"{_GROUP}/namespaces/default/qdrantsnapshots",
    "Pod": "/api/v1/namespaces/default/pods",
}
_EVERY = 0.5


@dataclass(frozen=True, slots=True)
class Seen:
    """One object."""

    kind: str
    manifest: Manifest

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def status(self) -> Manifest:
        """Its status, {} when there is none yet."""
        found: Manifest = self.manifest.get("status") or {}
        return found

    def is_true(self, condition: str) -> bool:
        """Whether a condition is true of the object's newest spec."""
        newest = self.manifest["metadata"].get("generation")
        for item in self.status.get("conditions") or ():
            if item["type"] == condition:
                return bool(item["status"] == "True" and item.get("observedGeneration", newest) == newest)
        return False


class Objects:
    """Reads lists in a thread and tells a listener."""

    def __init__(self, access: Access, tell: Callable[[list[Seen]], None]) -> None:
        self._server = ApiServer(access, timeout=5)
        self._tell = tell
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.seen: list[Seen] = []

    def stop(self) -> None:
        """Read no more."""
        self._ended.set()
        self._thread.join(5)
        self._server.close()

    def find(self, kind: str, name: str) -> Seen | None:
        """One object as last read."""
        return next((one for one in self.seen if (one.kind, one.name) == (kind, name)), None)

    def wait(self, kind: str, name: str, holds: Callable[[Seen], bool], seconds: float) -> Seen:
        """Return the object once it is so.

        Raises:
            TimeoutError: it was not so in time; says what it was.
            RuntimeError: it failed for good; says why.
        """
        deadline = time.monotonic() + seconds
        while True:
            one = self.find(kind, name)
            if one is not None and holds(one):
                return one
            if one is not None and one.status.get("phase") == "Failed":
                raise RuntimeError(f"{kind} {name} failed: {one.status.get('message')}")
            if time.monotonic() > deadline:
                state = json.dumps(one.status, indent=1) if one else "it does not exist"
                raise TimeoutError(f"{kind} {name} was not as expected within {seconds:.0f} s: {state}")
            time.sleep(0.1)

    def _run(self) -> None:
        while not self._ended.wait(_EVERY):
            try:
                self.seen = self._read()
            except (httpx.HTTPError, ValueError):
                continue
            self._tell(self.seen)

    def _read(self) -> list[Seen]:
        found: list[Seen] = []
        for kind, path in _LISTS.items():
            found += [Seen(kind, item) for item in self._items(path)]
        return found

    def _items(self, path: str) -> list[Manifest]:
        code, answer = self._server.send("GET", path)
        return answer["items"] if code == 200 else []

"""A writer and a reader that never pause, as applications are: they use the pods that the client Service selects.

A write counts as acknowledged only when Qdrant answered 200 with wait=true. A failed request is repeated once, at
another pod, as every client library does; what fails twice is a failure.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import httpx

from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.names import LABEL_SERVING, peer_selector
from tests.integration.support.kube import Kube

VECTOR = 4


@dataclass
class Tally:
    """What happened to one kind of requests."""

    done: int = 0
    repeated: int = 0
    failed: list[str] = field(default_factory=list)


class Load:
    """Writes points with growing ids and reads back random ones, until stopped."""

    def __init__(self, kube: Kube, namespace: str, cluster: str, collection: str, key: str) -> None:
        self._kube, self._namespace, self._cluster = kube, namespace, cluster
        self._collection, self._key = collection, key
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(turn,)) for turn in (self._write, self._read)
        ]
        self.acknowledged: list[int] = []
        self.writes, self.reads = Tally(), Tally()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, turn: Callable[[httpx.Client, int], None]) -> None:
        with httpx.Client(headers={"api-key": self._key}, timeout=30, trust_env=False) as http:
            for number in itertools.count(1):
                if self._stop.wait(0.005):
                    return
                turn(http, number)

    def _write(self, http: httpx.Client, number: int) -> None:
        point = {"id": number, "vector": [float(number % 7 + 1)] * VECTOR, "payload": {"n": number}}
        path = f"/collections/{self._collection}/points?wait=true"
        if self._request(http, self.writes, "PUT", path, {"points": [point]}):
            self.acknowledged.append(number)

    def _read(self, http: httpx.Client, _number: int) -> None:
        if not self.acknowledged:
            return
        wanted = random.choice(self.acknowledged)
        path = f"/collections/{self._collection}/points"
        answer = self._request(http, self.reads, "POST", path, {"ids": [wanted]})
        if answer is not None and not answer.json()["result"]:
            self.reads.failed.append(f"point {wanted} was acknowledged and is not there")

    def _request(
        self, http: httpx.Client, tally: Tally, method: str, path: str, body: Manifest
    ) -> httpx.Response | None:
        problems: list[str] = []
        for address in self._addresses()[:2]:
            try:
                answer = http.request(method, f"http://{address}:6333{path}", json=body)
            except httpx.HTTPError as error:
                problems.append(f"{address}: {error!r}")
                continue
            if answer.status_code == 200:
                tally.done += 1
                tally.repeated += bool(problems)
                return answer
            problems.append(f"{address}: {answer.status_code} {answer.text[:200]}")
        tally.failed.append(f"{method} {path}: {problems or 'the Service selects no ready pod'}")
        return None

    def _addresses(self) -> list[str]:
        """Addresses that the client Service would choose from, in random order, at least two tries."""
        selector = {**peer_selector(self._cluster), LABEL_SERVING: "true"}
        text = ",".join(f"{key}={value}" for key, value in selector.items())
        found = [
            pod["status"]["podIP"] for pod in self._kube.all(Kind.POD, self._namespace, text) if _ready(pod)
        ]
        random.shuffle(found)
        return found * 2 if len(found) == 1 else found


def _ready(pod: Manifest) -> bool:
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

"""A writer and a reader inside the cluster that never pause, as applications are, and what they have to tell."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from e2e.environment.images import OPERATOR
from e2e.environment.kubectl import NAME, Kubectl, peers_of
from e2e.environment.storage import OFF_WORKERS
from e2e.shell import CommandFailed, eventually
from qdrant_operator.domain.cluster.pods.rollout import RETURN_SECONDS
from qdrant_operator.domain.common.kinds import Manifest

POD = "load"
ALIVE = 20
"""So many acknowledged writes show that the load runs."""
AWAY_SECONDS = 120.0
"""The API server, by which the load is asked, may be away for a while."""
_SCRIPT = Path(__file__).with_name("script.py")
_USER = 65532
_ALL_PORTS = {"name": "net.ipv4.ip_local_port_range", "value": "1024 65535"}
"""A node's connection tracking remembers for 120 s where an unanswered SYN went (`nf_conntrack_tcp_timeout_syn_sent`),
and a new connection from the same port goes there too, whatever the Service lists by then. Linux gives out every second
port in turn: of its usual 28,232 the load would use one anew within 100 s, of these only after 160 s at its fastest."""


@dataclass(frozen=True, slots=True)
class Requests:
    """What happened to one kind of requests; each was sent once."""

    done: int
    failures: int
    failed: tuple[str, ...]
    """The first failures in words, with their times."""
    slowest: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened so far."""

    writes: Requests
    reads: Requests
    acknowledged: int
    """Writes that must never be lost."""
    late: tuple[int, ...] = ()
    """Acknowledged points that some peer did not show in the first moment after the end."""
    shown_after: float = 0.0
    """Seconds after the end until every peer showed every acknowledged point."""
    lost: tuple[int, ...] = ()
    """Acknowledged points that some peer never showed."""

    @property
    def failures(self) -> int:
        """Failed requests of both kinds."""
        return self.writes.failures + self.reads.failures


class Load:
    """The pod `load` of a namespace."""

    def __init__(self, home: Kubectl) -> None:
        self._home = home
        self._last: Tally | None = None

    @property
    def tally(self) -> Tally:
        """What happened so far; after the end, what happened in all."""
        if self._last is not None:
            return self._last
        facts = self._page("/tally")
        kinds = {kind: Requests(**{**facts[kind], "failed": tuple(facts[kind]["failed"])}) for kind in _KINDS}
        return Tally(kinds["writes"], kinds["reads"], facts["acknowledged"])

    def ask(self, pod: str, path: str) -> Any:
        """GET something of one peer by its own name; the `result` of its answer.

        Raises:
            CommandFailed: the peer does not answer, or not with 200.
        """
        return self._page_once("/ask", pod=pod, path=path)

    def no_failed(self) -> None:
        """Every request so far was answered as it should be, at its only try."""
        tally = self.tally
        told = "\n".join((*tally.writes.failed[:20], *tally.reads.failed[:20]))
        assert tally.failures == 0, (
            f"{tally.writes.failures} writes of {tally.writes.done} and {tally.reads.failures} reads of "
            f"{tally.reads.done} failed:\n{told}"
        )

    def alive(self, seconds: float = 60) -> None:
        """Wait until writes are acknowledged again, many times."""
        before = self.tally.acknowledged
        eventually(lambda: self.tally.acknowledged >= before + ALIVE, seconds, lambda: f"{self.tally}")

    def finish(self) -> None:
        """Stop, and wait until every peer shows every acknowledged point.

        Not in the first moment: Qdrant acknowledges a write that a replica missed, when another took it, and heals
        that one; its own peer reads from it until then.

        Raises:
            AssertionError: some peer does not show one.
        """
        pods = ",".join(sorted(pod["metadata"]["name"] for pod in self._home.all("pods", peers_of())))
        late = self._missing(pods)
        began = time.monotonic()
        lost = self._still_missing(pods) if late else {}
        after = time.monotonic() - began if late else 0.0
        self._last = replace(self.tally, late=_points(late), shown_after=round(after, 1), lost=_points(lost))
        assert not lost, f"acknowledged points are lost: {lost}"

    def _still_missing(self, pods: str) -> dict[str, list[int]]:
        with suppress(AssertionError):
            eventually(lambda: not self._missing(pods), SETTLES_WITHIN)
        return self._missing(pods)

    def _missing(self, pods: str) -> dict[str, list[int]]:
        """Which acknowledged points a peer does not show; the load stops before it is asked."""
        asked: dict[str, list[int]] = self._page("/finish", pods=pods)
        return {pod: points for pod, points in asked.items() if points}

    def _page(self, page: str, /, **query: str) -> Any:
        """Ask the pod, again and again while the API server is away."""
        return eventually(lambda: [self._page_once(page, **query)], AWAY_SECONDS)[0]

    def _page_once(self, page: str, /, **query: str) -> Any:
        proxy = f"/api/v1/namespaces/{self._home.namespace}/pods/{POD}:8080/proxy"
        return json.loads(self._home("get", "--raw", f"{proxy}{page}?{urlencode(query)}", timeout=300))


def _points(missing: dict[str, list[int]]) -> tuple[int, ...]:
    return tuple(sorted({point for points in missing.values() for point in points}))


_KINDS = ("writes", "reads")
SETTLES_WITHIN = RETURN_SECONDS + 20
"""Seconds after which what late failures did is healed."""


@contextmanager
def under_load(home: Kubectl, size: int = 4) -> Iterator[Load]:
    """Write points of `size` dimensions to `docs` in `vectors`, and read them, all the while.

    At the end both still work, and nothing acknowledged is lost. Whether requests may have failed is for the scenario
    to say: `load.no_failed()`.
    """
    load = Load(home)
    home.apply(*_objects(size))
    try:
        home.ready("pod", POD, 60)
        load.alive()
        yield load
        load.alive()
        load.finish()
    finally:
        with suppress(CommandFailed):
            home("delete", "pod", POD, "--force", "--grace-period=0", "--wait=false")


def _objects(size: int) -> list[Manifest]:
    script = {"script.py": _SCRIPT.read_text()}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": POD}, "data": script},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD}, "spec": _pod(size)},
    ]


def _pod(size: int) -> Manifest:
    key = {"secretKeyRef": {"name": f"{NAME}-auth", "key": "api-key"}}
    return {
        **OFF_WORKERS,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [_ALL_PORTS],
        },
        "containers": [
            {
                "name": "load",
                "image": OPERATOR,
                "command": ["python", "/script/script.py"],
                "env": [
                    {"name": "CLUSTER", "value": NAME},
                    {"name": "COLLECTION", "value": "docs"},
                    {"name": "SIZE", "value": str(size)},
                    {"name": "API_KEY", "valueFrom": key},
                ],
                "readinessProbe": {"httpGet": {"path": "/tally", "port": 8080}, "periodSeconds": 1},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "script", "mountPath": "/script"}],
            }
        ],
        "volumes": [{"name": "script", "configMap": {"name": POD}}],
    }

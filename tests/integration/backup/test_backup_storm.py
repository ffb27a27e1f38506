"""Backups of a cluster in trouble, made by the operator, while an application never stops writing.

The promise: no manifest, ever, whose files lack a point that was acknowledged before the backup began. Peers are
killed, frozen and evicted, and the operator rolls and drains them meanwhile. STORM_BACKUPS and STORM_SEED make it
longer, and another one.
"""

from __future__ import annotations

import json
import logging
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from qdrant_operator.domain.common.kinds import Kind
from sandbox.cluster import Sandbox
from sandbox.handle import NodeRefusedError
from sandbox.kubectl import kubectl
from tests.integration.support import manifests
from tests.integration.support.backups import Home, Scratch, new_home
from tests.integration.support.kube import Kube, eventually, is_true
from tests.integration.support.load import Load
from tests.integration.support.operator import Operator

BACKUPS = int(os.environ.get("STORM_BACKUPS", "2"))
SEED = int(os.environ.get("STORM_SEED", "1"))
PEERS, SHARDS, NAME = 4, 4, "vectors"
ENDS_SECONDS = 200
"""A run waits for a sound source as long as a roll takes."""
CALM_SECONDS = 180
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300 + BACKUPS * ENDS_SECONDS)]

log = logging.getLogger(__name__)


@dataclass
class Trouble:
    """A thread that disturbs the cluster, one thing after another, until it is told to stop."""

    home: Home
    dice: random.Random = field(default_factory=lambda: random.Random(SEED))
    done: list[str] = field(default_factory=list)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._config = "INFO"

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Disturb until the block ends; what went wrong in the thread is raised here."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join(120)
        assert self.error is None, self.error

    def _run(self) -> None:
        short: list[Callable[[], None]] = [self._kill, self._freeze, self._evict]
        several = [*short, *short, self._roll, self._drain]
        try:
            while not self._stop.wait(self.dice.uniform(0.1, 1.0)):
                one = self.dice.choice(several)
                self.done.append(one.__name__.strip("_"))
                one()
                # Mostly one thing at a time, as in life; the rest of the time they overlap.
                if self.dice.random() < 0.6:
                    self._wait(self.is_calm, 15)
        except BaseException as error:
            self.error = error

    def _kill(self) -> None:
        """The process of a peer dies and is started again on its volume."""
        self._at_node(self.home.node.kill)

    def _freeze(self) -> None:
        """Neither dead nor alive, sometimes for longer than writes wait."""
        pod = self._at_node(self.home.node.pause)
        self._stop.wait(self.dice.uniform(0.5, 12.0))
        if pod:
            self._at_node(self.home.node.resume, pod)

    def _evict(self) -> None:
        """As `kubectl drain` asks; the PodDisruptionBudget may refuse."""
        pod = self._pod()
        path = f"/api/v1/namespaces/{self.home.name}/pods/{pod}/eviction"
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        try:
            kubectl(self.home.kubeconfig, "create", "--raw", path, "-f", "-", stdin=json.dumps(body))
        except RuntimeError as error:
            if "disruption budget" not in str(error) and "not found" not in str(error):
                raise
            self.done[-1] = "evict (refused)"

    def _roll(self) -> None:
        """Another configuration: the operator restarts every peer."""
        self._config = "WARN" if self._config == "INFO" else "INFO"
        self._edit(config={"log_level": self._config})

    def _drain(self) -> None:
        """One peer fewer, and back again: its replicas move away, its volume goes."""
        self._edit(replicas=PEERS - 1)
        self._wait(lambda: len(self.home.peers.pods()) < PEERS, 60)
        self._edit(replicas=PEERS)

    def _edit(self, **spec: object) -> None:
        self.home.kube.patch(Kind.CLUSTER, self.home.name, NAME, {"spec": spec})

    def _pod(self) -> str:
        return f"{NAME}-{self.dice.randrange(PEERS)}"

    def _at_node(self, do: Callable[[str, str], None], pod: str = "") -> str:
        """The pod to which it was done; empty: the node does not run it now."""
        chosen = pod or self._pod()
        try:
            do(self.home.name, chosen)
        except NodeRefusedError:
            return ""
        return chosen

    def is_calm(self) -> bool:
        found = self.home.kube.get(Kind.CLUSTER, self.home.name, NAME)
        return found is not None and is_true(found, "Ready") and not found["status"].get("plan")

    def _wait(self, look: Callable[[], bool], seconds: float) -> None:
        """Until it is so, or time is up: a cluster that is not calm yet is worth disturbing too."""
        for _ in range(int(seconds * 5)):
            if look() or self._stop.wait(0.2):
                return


@dataclass
class Storm:
    """A cluster in trouble, its application, and what its backups were found to hold."""

    home: Home
    scratch: Scratch
    load: Load
    trouble: Trouble
    good: int = 0
    failed: list[str] = field(default_factory=list)
    checked: int = 0

    def back_up(self, name: str) -> None:
        """One QdrantSnapshot; when there is a manifest, every point promised before is looked for in its files."""
        promised = list(self.load.acknowledged)
        self.home.begin(name)
        phase = self.home.ended(name, ENDS_SECONDS)
        stored = self.home.manifest(name) is not None
        assert stored == (phase == "Verified"), f"{name} is {phase}, its manifest is there: {stored}"
        if not stored:
            self.failed.append(str(self.home.kube.condition(Kind.SNAPSHOT, self.home.name, name, "Ready")))
            return
        missing = sorted(set(promised) - self.scratch.restored(name, promised))
        assert not missing, (
            f"{name} lacks {len(missing)} of {len(promised)}: {missing[:5]}; {self.trouble.done}"
        )
        self.good += 1
        self.checked += len(promised)

    def missing(self) -> list[int]:
        """Acknowledged points that cannot be read."""
        ids = list(self.load.acknowledged)
        peers = self.home.peers
        pod = next(iter(peers.pods()))
        found = set()
        for begin in range(0, len(ids), 1000):
            body = {"ids": ids[begin : begin + 1000], "with_payload": False}
            found |= {one["id"] for one in peers.ask(pod, "POST", "/collections/docs/points", body)}
        return sorted(set(ids) - found)


@pytest.fixture
def storm(operator: Operator, sandbox: Sandbox, kube: Kube) -> Iterator[Storm]:
    """Four peers, a collection of two replicas for each shard, and its application."""
    shape = manifests.collection(shardNumber=SHARDS)
    with new_home(kube, sandbox, manifests.cluster(replicas=PEERS), shape) as home:
        scratch = Scratch(home)
        with Load(kube, home.name, NAME, "docs", home.peers.key) as load:
            eventually(lambda: len(load.acknowledged) > 50, 60)
            yield Storm(home, scratch, load, Trouble(home))


def test_no_backup_lacks_a_point_that_was_acknowledged_before(storm: Storm) -> None:
    """Whatever happens meanwhile. A backup may fail, and then there is none; some must succeed; no point is lost."""
    with storm.trouble.going_on():
        for number in range(BACKUPS):
            storm.back_up(f"b{number}")
    log.info("%d good, %d points, %s", storm.good, storm.checked, storm.trouble.done)
    assert storm.good >= max(1, BACKUPS // 3), storm.failed
    assert storm.checked > 0
    eventually(
        storm.trouble.is_calm,
        CALM_SECONDS,
        lambda: storm.home.kube.tell(Kind.CLUSTER, storm.home.name, NAME),
    )
    eventually(lambda: not storm.missing(), 30, lambda: f"acknowledged points are lost: {storm.missing()}")

"""Some seeds have an outage in which the user edits the version: what runs then must fit what is on the volumes."""

from __future__ import annotations

from random import Random

from qdrant_operator.domain.cluster.wanted.versions import Version, read
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.simulation.clients.user import User
from sandbox.simulation.kubernetes.releases import numbers, release_of, text_of
from sandbox.simulation.laws.violations import Violations
from sandbox.simulation.operators.operators import Operators
from sandbox.simulation.world.names import NAMESPACE
from sandbox.simulation.world.simulated import SimulatedWorld

EVERY, WHICH = 13, 11
"""One in so many seeds has an outage: of the seeds that notice a missing guard none has this remainder."""
WANTED = ("v1.17.1", "v1.18.2", "v1.19.2", "v1.20.0", "v1.21.0", "v1.22.3")
"""Down, further down, a patch, one minor release up, and several."""
LASTS = 20.0
"""Seconds for which no peer answers."""


class Outages:
    """Every peer is silent, operators come and go, and the user wants another release."""

    def __init__(
        self, world: SimulatedWorld, user: User, operators: Operators, violations: Violations
    ) -> None:
        """The dice are its own, so that other seeds stay as they are."""
        self.active, self._random = world.seed % EVERY == WHICH, Random(world.seed + 3)
        self._server, self._node = world.server, world.node
        self._log, self._scheduler, self._conditions = world.log, world.scheduler, world.conditions
        self._user, self._operators, self._violations = user, operators, violations
        self._written: dict[int, Version] = {}
        """Highest release that ran on a volume, by the volume."""
        self._wanted: Version | None = None
        """Release in the StatefulSet."""
        self._said: set[Version] = set()
        """What status has said at any time."""

    def begin(self) -> None:
        """It may begin while the cluster forms still."""
        if self.active:
            self._scheduler.after(self._random.uniform(2.0, 40.0), self._silence)
            self._scheduler.after(self._random.uniform(2.0, 50.0), self._edit)

    def _silence(self) -> None:
        self._log.add(f"an outage begins, for {LASTS:g} s")
        for pod in self._server.all(Kind.POD, NAMESPACE):
            self._node.kill(pod["metadata"]["name"], LASTS)
        for _ in range(self._random.randint(1, 3)):
            self._scheduler.after(self._random.uniform(0.0, LASTS), self._edit)
        self._scheduler.after(self._random.uniform(1.0, LASTS), self._new_operator)

    def _new_operator(self) -> None:
        """The operator that starts now has no answer of any peer."""
        operator = self._operators.living
        if operator is not None and self._conditions.faults_active:
            operator.lifetime.vanish()

    def _edit(self) -> None:
        if self._conditions.faults_active:
            self._user.edit({"version": self._random.choice(WANTED)})

    def end(self) -> None:
        """The user sees what was refused, and asks for the highest release that runs."""
        if self.active and self._written:
            self._user.edit({"version": "v{}.{}.{}".format(*max(self._written.values()))})

    def on_start(self, pod: Manifest, disk: Disk) -> None:
        """A process starts on a volume."""
        release = numbers(release_of(pod))
        before = self._written.get(id(disk), release)
        name = pod["metadata"]["name"]
        if release < before:
            self._violations.add(f"{name} runs {text_of(release)} on a volume of {text_of(before)}")
        if release[:2] > (before[0], before[1] + 1):
            self._violations.add(
                f"{name} runs {text_of(release)} on a volume of {text_of(before)}, which skips a minor"
            )
        self._written[id(disk)] = max(release, before)

    def on_change(self, kind: Kind, event: str, manifest: Manifest) -> None:
        """Status says which release ran; the StatefulSet names another one: not a lower one than any that was said.

        What no operator has heard of yet is on the volume only, where the start script reads it.
        """
        if kind is Kind.CLUSTER:
            status = manifest.get("status") or {}
            texts = (str(status.get(field) or "") for field in ("version", "highestVersion"))
            self._said |= {release for text in texts if (release := read(text))}
        if not self.active or kind is not Kind.STATEFUL_SET or event == "DELETED":
            return
        before, self._wanted = self._wanted, numbers(release_of(manifest["spec"]["template"]))
        release, top = self._wanted, max(self._said, default=self._wanted)
        if release != before and release < top:
            self._violations.add(
                f"the StatefulSet wants {text_of(release)}, and {text_of(top)} is known to have run"
            )

"""In some seeds another client writes the same objects: an admission webhook, or a manager that repeats itself."""

from __future__ import annotations

from random import Random
from typing import Any

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.apiserver import merge
from sandbox.fakes.kubernetes import Write
from sandbox.simulation.laws.violations import Violations
from sandbox.simulation.operators.operators import Operators
from sandbox.simulation.world.names import CLUSTER, NAMESPACE
from sandbox.simulation.world.simulated import SimulatedWorld

EVERY, WHICH = 17, 9
"""One in so many seeds has a rival: of the seeds that notice a missing guard none has this remainder."""
FIELDS: dict[Kind, Manifest] = {
    Kind.SERVICE: {"spec": {"type": "LoadBalancer"}},
    Kind.DISRUPTION_BUDGET: {"spec": {"maxUnavailable": 0}},
    Kind.SERVICE_ACCOUNT: {"automountServiceAccountToken": True},
    Kind.STATEFUL_SET: {},
}
"""What is written instead; of a StatefulSet the registry of its images."""
WITHIN = 20.0
"""Seconds in which writes are counted."""
MOST = 12
"""Writes of one operator to the contested object in that time: some without a pause, others after pauses."""


class Rivals:
    """One object is contested from some moment on, in half of these seeds to the end."""

    def __init__(self, world: SimulatedWorld, operators: Operators, violations: Violations) -> None:
        """The dice are its own, so that other seeds stay as they are."""
        self.active, self._random = world.seed % EVERY == WHICH, Random(world.seed + 4)
        self._server, self._clock, self._log = world.server, world.clock, world.log
        self._scheduler, self._conditions = world.scheduler, world.conditions
        self._operators, self._violations = operators, violations
        self._kind = self._random.choice(list(FIELDS))
        self._stays = self._random.random() < 0.5
        self._writes: list[tuple[int, float]] = []
        """Operator and moment of each."""

    @property
    def at_work(self) -> bool:
        """Whether an object cannot be what it shall be."""
        return self.active and self._stays

    def begin(self) -> None:
        """It begins at a random moment."""
        if self.active:
            by_hand = self._kind is not Kind.STATEFUL_SET and self._random.random() < 0.5
            self._scheduler.after(self._random.uniform(0.0, 30.0), self._edit if by_hand else self._register)

    def end(self) -> None:
        """The trouble is over."""
        if self.active and not self._stays:
            self._server.webhooks.clear()

    def before_write(self, write: Write) -> None:
        """The operator writes; what it patches for a removal is no answer to the other writer."""
        contested = (write.operation, write.kind, write.name) == ("apply", self._kind, CLUSTER)
        if not self.active or not contested:
            return
        now, number = self._clock.seconds(), self._operators.number
        lately = [(writer, when) for writer, when in self._writes if writer == number and now - when < WITHIN]
        self._writes = [*lately, (number, now)]
        if len(self._writes) > MOST:
            self._violations.add(
                f"{write.kind.kind} {write.name}: {len(self._writes)} writes in {WITHIN:g} s"
            )

    def _register(self) -> None:
        self._log.add(f"a webhook changes each {self._kind.kind} {CLUSTER}")
        self._server.webhooks.append(self._rewritten)

    def _rewritten(self, kind: Kind, manifest: Manifest) -> Manifest:
        if kind is not self._kind or manifest["metadata"]["name"] != CLUSTER:
            return manifest
        return _with_mirror(manifest) if kind is Kind.STATEFUL_SET else merge(manifest, FIELDS[kind])

    def _edit(self) -> None:
        """Another manager writes its value again and again."""
        if not (self._stays or self._conditions.faults_active):
            return
        if self._server.get(self._kind, NAMESPACE, CLUSTER) is not None:
            self._server.patch(self._kind, NAMESPACE, CLUSTER, FIELDS[self._kind], "rival")
        self._scheduler.after(self._random.uniform(0.1, 1.0), self._edit)


def _with_mirror(manifest: Manifest) -> Manifest:
    """Images come from a mirror, as some registries' webhooks have it."""

    def mirrored(container: Any) -> Any:
        image = str(container["image"]).rsplit("/", 1)[-1]
        return {**container, "image": f"mirror.internal/{image}"}

    spec = manifest["spec"]["template"]["spec"]
    several = {
        name: [mirrored(one) for one in spec[name]]
        for name in ("containers", "initContainers")
        if name in spec
    }
    template = {**manifest["spec"]["template"], "spec": {**spec, **several}}
    return {**manifest, "spec": {**manifest["spec"], "template": template}}

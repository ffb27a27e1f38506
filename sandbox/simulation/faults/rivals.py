"""In some stories somebody else writes what is ours: an admission webhook, or a manager that never tires."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.apiserver import merge
from sandbox.fakes.kubernetes import Write
from sandbox.simulation.world.user import CLUSTER, NAMESPACE

if TYPE_CHECKING:
    from sandbox.simulation.story import Story

EVERY, WHICH = 17, 9
"""Every so many stories have a rival: of the seeds that notice a missing guard none has this remainder."""
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
    """One object is contested from some moment on, in half of these stories to the end."""

    def __init__(self, story: Story) -> None:
        """The dice are its own, so that other stories stay as they are."""
        self._story, self.active = story, story.seed % EVERY == WHICH
        self._random = Random(story.seed + 4)
        self._kind = self._random.choice(list(FIELDS))
        self._stays = self._random.random() < 0.5
        self._writes: list[tuple[int, float]] = []
        """Operator and moment of each."""

    @property
    def at_work(self) -> bool:
        """Whether an object cannot be what it shall be."""
        return self.active and self._stays

    def begin(self) -> None:
        """It begins somewhen."""
        if self.active:
            by_hand = self._kind is not Kind.STATEFUL_SET and self._random.random() < 0.5
            self._story.after(self._random.uniform(0.0, 30.0), self._edit if by_hand else self._register)

    def end(self) -> None:
        """The trouble is over."""
        if self.active and not self._stays:
            self._story.server.webhooks.clear()

    def before_write(self, write: Write) -> None:
        """The operator writes; what it patches for a removal is no answer to the other writer."""
        contested = (write.operation, write.kind, write.name) == ("apply", self._kind, CLUSTER)
        if not self.active or not contested:
            return
        now, operator = self._story.clock.seconds(), self._story.operator
        number = operator.number if operator else 0
        lately = [(one, when) for one, when in self._writes if one == number and now - when < WITHIN]
        self._writes = [*lately, (number, now)]
        if len(self._writes) > MOST:
            self._story.laws.breaks(
                f"{write.kind.kind} {write.name}: {len(self._writes)} writes in {WITHIN:g} s"
            )

    def _register(self) -> None:
        self._story.tell(f"a webhook changes each {self._kind.kind} {CLUSTER}")
        self._story.server.webhooks.append(self._rewritten)

    def _rewritten(self, kind: Kind, manifest: Manifest) -> Manifest:
        if kind is not self._kind or manifest["metadata"]["name"] != CLUSTER:
            return manifest
        return _with_mirror(manifest) if kind is Kind.STATEFUL_SET else merge(manifest, FIELDS[kind])

    def _edit(self) -> None:
        """Another manager puts its value back again and again."""
        if not (self._stays or self._story.trouble):
            return
        if self._story.server.get(self._kind, NAMESPACE, CLUSTER) is not None:
            self._story.server.patch(self._kind, NAMESPACE, CLUSTER, FIELDS[self._kind], "rival")
        self._story.after(self._random.uniform(0.1, 1.0), self._edit)


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

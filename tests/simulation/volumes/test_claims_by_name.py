"""A claim belongs to a cluster by its name, whoever made it and whatever labels it carries."""

from __future__ import annotations

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.simulation.world.names import NAMESPACE
from tests.simulation.calm import Calm, play

TOP = "storage-vectors-3"


def claim(calm: Calm) -> Manifest | None:
    """The claim of the fourth pod."""
    return calm.server.get(Kind.CLAIM, NAMESPACE, TOP)


def make_claim(calm: Calm, **spec: object) -> None:
    """A user makes the claim of the fourth pod by hand, without any label."""
    meta = {"name": TOP, "namespace": NAMESPACE}
    access = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    kind = {"apiVersion": Kind.CLAIM.api_version, "kind": Kind.CLAIM.kind}
    calm.server.create({**kind, "metadata": meta, "spec": {**access, **spec}}, "user")


async def is_formed(calm: Calm, peers: int) -> None:
    """So many peers are members, and the cluster is Ready."""
    await calm.eventually(lambda: len(calm.peer_ids()) == peers and calm.status.get("phase") == "Ready")


async def label_taken_away(calm: Calm) -> None:
    """Somebody takes our label off a claim; its peer is removed, and later another one is wanted."""
    await is_formed(calm, 4)
    before = claim(calm)
    assert before is not None
    labels = {"metadata": {"labels": {names.LABEL_MANAGED_BY: None}}}
    calm.server.patch(Kind.CLAIM, NAMESPACE, TOP, labels, "user")
    calm.user.scale_to(3)
    await is_formed(calm, 3)
    assert claim(calm) is None, "whenScaled is Delete, whoever made the claim"
    calm.user.scale_to(4)
    await is_formed(calm, 4)
    assert calm.node.foreign_pods() == []


async def volume_of_unknown_origin(calm: Calm) -> None:
    """A user brings a volume under the next pod's name: nothing starts on it until they take it away."""
    await is_formed(calm, 3)
    make_claim(calm, volumeName="pvc-restored")
    calm.user.scale_to(4)
    await calm.eventually(lambda: bool(calm.waits("RemovedVolumePresent")))
    await calm.until(calm.clock.seconds() + 30.0)
    assert calm.server.get(Kind.POD, NAMESPACE, "vectors-3") is None
    calm.server.delete(Kind.CLAIM, NAMESPACE, TOP)
    await is_formed(calm, 4)


async def claim_that_was_never_bound(calm: Calm) -> None:
    """It holds nothing, so a peer may start on it."""
    await is_formed(calm, 3)
    make_claim(calm)
    made = claim(calm)
    calm.user.scale_to(4)
    await is_formed(calm, 4)
    found = claim(calm)
    assert made is not None
    assert found is not None
    assert found["metadata"]["uid"] == made["metadata"]["uid"]


def test_the_volume_of_a_removed_peer_goes_without_our_label() -> None:
    """Else the next scale-out would start the removed peer on it, in a cluster of its own."""
    play(label_taken_away, replicas=4)


def test_a_volume_of_unknown_origin_holds_a_scale_out_back() -> None:
    """RemovedVolumePresent names the claim, made by whomever."""
    play(volume_of_unknown_origin)


def test_a_claim_that_was_never_bound_holds_nothing_back() -> None:
    """No volume, no data."""
    play(claim_that_was_never_bound)

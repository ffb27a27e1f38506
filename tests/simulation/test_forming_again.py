"""A cluster that is not complete yet: what is in its way, what is left of an earlier one, and ways out."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.simulation.world.node import claim_of
from sandbox.simulation.world.user import CLUSTER, NAMESPACE
from tests.simulation.calm import Calm, play


def again(story: Calm) -> None:
    """A user deletes the QdrantCluster and applies the same manifest at once."""
    apply(story, delete(story))


def delete(story: Calm) -> Manifest:
    """A user deletes the QdrantCluster; Kubernetes begins to take away what it owned."""
    found = story.server.get(Kind.CLUSTER, NAMESPACE, CLUSTER)
    assert found is not None
    story.server.delete(Kind.CLUSTER, NAMESPACE, CLUSTER)
    return {key: value for key, value in found.items() if key != "status"}


def apply(story: Calm, manifest: Manifest, **spec: object) -> None:
    """A user applies it again, as it was but for these fields."""
    story.server.create({**manifest, "spec": {**manifest["spec"], **spec}}, "user")


async def all_pods_end(story: Calm) -> None:
    """Wait for it."""
    while story.server.all(Kind.POD):
        await story.look_on(0.5)


def phase(story: Calm) -> str:
    """How far the formation has come."""
    return str((story.status.get("bootstrap") or {}).get("phase", ""))


def is_ready(story: Calm, peers: int) -> bool:
    """So many members, and all is well."""
    return len(story.members()) == peers and story.status.get("phase") == "Ready"


async def fewer_while_forming(story: Calm) -> None:
    """Five are wanted and three can be scheduled; the user is content with three."""
    story.node.unschedulable |= {"vectors-3", "vectors-4"}
    await story.eventually(lambda: len(story.members()) == 3)
    assert phase(story) == "Formed"
    story.user.scale_to(3)
    await story.eventually(lambda: is_ready(story, 3))
    assert phase(story) == "Complete"
    assert story.server.get(Kind.POD, NAMESPACE, "vectors-3") is None
    assert story.server.get(Kind.CLAIM, NAMESPACE, claim_of("vectors-4")) is None


async def applied_while_the_old_one_goes(story: Calm) -> None:
    """With whenDeleted Delete pods, claims and Secrets of the first are on their way out when the second appears."""
    story.user.edit({"persistence": {"whenDeleted": "Delete"}})
    await story.eventually(lambda: is_ready(story, 3))
    again(story)
    reasons = set()
    for _ in range(400):
        await story.look_on(0.25)
        reasons |= {wait["guard"] for wait in story.status.get("blocked") or ()}
        if is_ready(story, 3) and phase(story) == "Complete":
            break
    assert is_ready(story, 3)
    assert "ObjectsTerminating" in reasons
    assert "ApiKeyLost" not in reasons
    assert story.laws.broken == []


async def adopted_with_a_lost_volume(story: Calm) -> None:
    """The claims were kept but for one; what may happen to its peer stands in the spec."""
    story.user.declare("docs", 4, 2)
    await story.eventually(lambda: is_ready(story, 3) and story.is_at_factor(2))
    disk = story.node.disk_of("vectors-2")
    assert disk is not None
    story.user.lets_go(int(disk.peer))
    manifest = delete(story)
    await all_pods_end(story)
    story.node.lose_volume("vectors-2")
    apply(story, manifest, shards={"replaceLostPeerAfter": "10s"})
    await story.eventually(lambda: is_ready(story, 3) and story.is_at_factor(2), 240.0)
    assert phase(story) == "Complete"


async def no_node_for_the_first_try(story: Calm) -> None:
    """The claim of the first try was never bound."""
    story.node.unschedulable.add("vectors-0")
    await story.eventually(lambda: bool(story.waits("PodNotRunning")))
    again(story)
    story.node.unschedulable.clear()
    await story.eventually(lambda: is_ready(story, 3))


async def no_image_for_the_first_try(story: Calm) -> None:
    """The claim of the first try was bound, and no process ever wrote on its volume."""
    story.node.without_image.add("vectors-0")
    await story.eventually(lambda: bool(story.waits("PodNotRunning")))
    await story.until(story.clock.seconds() + 5.0)
    again(story)
    story.node.without_image.clear()
    await story.eventually(lambda: is_ready(story, 3))


async def claims_of_unknown_worth(story: Calm) -> None:
    """A claim with an empty volume that nobody can judge: it is named, and what is said about it works."""
    manifest = delete(story)
    story.server.create(
        {
            "apiVersion": Kind.CLAIM.api_version,
            "kind": Kind.CLAIM.kind,
            "metadata": {"name": claim_of("vectors-1"), "namespace": NAMESPACE},
            "spec": {"volumeName": "pvc-of-somebody", "resources": {"requests": {"storage": "1Gi"}}},
        },
        "user",
    )
    apply(story, manifest)
    await story.eventually(lambda: bool(story.waits("NoPeerOnVolumes")))
    assert phase(story) == "Adopted"
    degraded = next(one for one in story.status["conditions"] if one["type"] == "Degraded")
    assert degraded["status"] == "True"
    assert claim_of("vectors-1") in degraded["message"]
    delete(story)
    await all_pods_end(story)
    for claim in story.server.all(Kind.CLAIM):
        story.server.delete(Kind.CLAIM, NAMESPACE, claim["metadata"]["name"])
    apply(story, manifest)
    await story.eventually(lambda: is_ready(story, 3))


@pytest.mark.parametrize(
    ("script", "replicas"),
    [
        (fewer_while_forming, 5),
        (applied_while_the_old_one_goes, 3),
        (adopted_with_a_lost_volume, 3),
        (no_node_for_the_first_try, 3),
        (no_image_for_the_first_try, 3),
        (claims_of_unknown_worth, 3),
    ],
)
def test_it_gets_out_of(script: object, replicas: int) -> None:
    """Each story ends with a cluster that is complete and Ready."""
    assert callable(script)
    play(script, replicas=replicas)

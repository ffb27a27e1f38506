"""A cluster that is not complete yet: what is in its way, what is left of an earlier one, and ways out."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.simulation.world.names import CLUSTER, NAMESPACE, claim_of
from tests.simulation.calm import Calm, play


def again(calm: Calm) -> None:
    """A user deletes the QdrantCluster and applies the same manifest at once."""
    apply(calm, delete(calm))


def delete(calm: Calm) -> Manifest:
    """A user deletes the QdrantCluster; Kubernetes begins to take away what it owned."""
    found = calm.server.get(Kind.CLUSTER, NAMESPACE, CLUSTER)
    assert found is not None
    calm.server.delete(Kind.CLUSTER, NAMESPACE, CLUSTER)
    return {key: value for key, value in found.items() if key != "status"}


def apply(calm: Calm, manifest: Manifest, **spec: object) -> None:
    """A user applies it again, as it was but for these fields."""
    calm.server.create({**manifest, "spec": {**manifest["spec"], **spec}}, "user")


async def all_pods_end(calm: Calm) -> None:
    """Wait for it."""
    while calm.server.all(Kind.POD):
        await calm.laws.watch(0.5)


def phase(calm: Calm) -> str:
    """How far the formation has come."""
    return str((calm.status.get("bootstrap") or {}).get("phase", ""))


def is_ready(calm: Calm, peers: int) -> bool:
    """So many members, and all is well."""
    return len(calm.peer_ids()) == peers and calm.status.get("phase") == "Ready"


async def fewer_while_forming(calm: Calm) -> None:
    """Five are wanted and three can be scheduled; the user is content with three."""
    calm.node.unschedulable |= {"vectors-3", "vectors-4"}
    await calm.eventually(lambda: len(calm.peer_ids()) == 3)
    assert phase(calm) == "Formed"
    calm.user.scale_to(3)
    await calm.eventually(lambda: is_ready(calm, 3))
    assert phase(calm) == "Complete"
    assert calm.server.get(Kind.POD, NAMESPACE, "vectors-3") is None
    assert calm.server.get(Kind.CLAIM, NAMESPACE, claim_of("vectors-4")) is None


async def applied_while_the_old_one_goes(calm: Calm) -> None:
    """With whenDeleted Delete pods, claims and Secrets of the first are on their way out when the second appears."""
    calm.user.edit({"persistence": {"whenDeleted": "Delete"}})
    await calm.eventually(lambda: is_ready(calm, 3))
    again(calm)
    reasons = set()
    for _ in range(400):
        await calm.laws.watch(0.25)
        reasons |= {wait["guard"] for wait in calm.status.get("blocked") or ()}
        if is_ready(calm, 3) and phase(calm) == "Complete":
            break
    assert is_ready(calm, 3)
    assert "ObjectsTerminating" in reasons
    assert "ApiKeyLost" not in reasons
    assert calm.violations.found == []


async def adopted_with_a_lost_volume(calm: Calm) -> None:
    """The claims were kept but for one; what may happen to its peer stands in the spec."""
    calm.user.declare("docs", 4, 2)
    await calm.eventually(lambda: is_ready(calm, 3) and calm.is_at_factor(2))
    disk = calm.node.disk_of("vectors-2")
    assert disk is not None
    calm.user.allow_replacement(int(disk.peer))
    manifest = delete(calm)
    await all_pods_end(calm)
    calm.node.lose_volume("vectors-2")
    apply(calm, manifest, shards={"replaceLostPeerAfter": "10s"})
    await calm.eventually(lambda: is_ready(calm, 3) and calm.is_at_factor(2), 240.0)
    assert phase(calm) == "Complete"


async def no_node_for_the_first_try(calm: Calm) -> None:
    """The claim of the first try was never bound."""
    calm.node.unschedulable.add("vectors-0")
    await calm.eventually(lambda: bool(calm.waits("PodNotRunning")))
    again(calm)
    calm.node.unschedulable.clear()
    await calm.eventually(lambda: is_ready(calm, 3))


async def no_image_for_the_first_try(calm: Calm) -> None:
    """The claim of the first try was bound, and no process ever wrote on its volume."""
    calm.node.without_image.add("vectors-0")
    await calm.eventually(lambda: bool(calm.waits("PodNotRunning")))
    await calm.until(calm.clock.seconds() + 5.0)
    again(calm)
    calm.node.without_image.clear()
    await calm.eventually(lambda: is_ready(calm, 3))


async def claims_of_unknown_worth(calm: Calm) -> None:
    """A claim with an empty volume that nobody can judge: it is named, and what is said about it works."""
    manifest = delete(calm)
    calm.server.create(
        {
            "apiVersion": Kind.CLAIM.api_version,
            "kind": Kind.CLAIM.kind,
            "metadata": {"name": claim_of("vectors-1"), "namespace": NAMESPACE},
            "spec": {"volumeName": "pvc-of-somebody", "resources": {"requests": {"storage": "1Gi"}}},
        },
        "user",
    )
    apply(calm, manifest)
    await calm.eventually(lambda: bool(calm.waits("NoPeerOnVolumes")))
    assert phase(calm) == "Adopted"
    degraded = next(one for one in calm.status["conditions"] if one["type"] == "Degraded")
    assert degraded["status"] == "True"
    assert claim_of("vectors-1") in degraded["message"]
    delete(calm)
    await all_pods_end(calm)
    for claim in calm.server.all(Kind.CLAIM):
        calm.server.delete(Kind.CLAIM, NAMESPACE, claim["metadata"]["name"])
    apply(calm, manifest)
    await calm.eventually(lambda: is_ready(calm, 3))


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

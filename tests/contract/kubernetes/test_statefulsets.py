"""Pods and claims of a StatefulSet: the same for the fake and for the real API server."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind
from tests.contract.kubernetes.worlds import World, claim, delete, read, statefulset


async def test_a_statefulset_makes_pods_and_claims_that_the_cache_sees(world: World) -> None:
    """Pods and claims carry our label from the templates, their ordinal's name, and the set's selector."""
    await world.kubernetes.apply(statefulset(world.namespace, "vectors", 2))
    selected = names.peer_selector("vectors")

    async def made() -> bool:
        pods = world.kubernetes.cached(Kind.POD, world.namespace, selected)
        claims = world.kubernetes.cached(Kind.CLAIM, world.namespace, selected)
        return len(pods) == 2 and len(claims) == 2

    await world.until(made)
    pods = world.kubernetes.cached(Kind.POD, world.namespace, selected)
    claims = world.kubernetes.cached(Kind.CLAIM, world.namespace, selected)
    assert [pod["metadata"]["name"] for pod in pods] == ["vectors-0", "vectors-1"]
    assert [claim["metadata"]["name"] for claim in claims] == [names.claim_name("vectors", n) for n in (0, 1)]
    assert {label for label in pods[0]["metadata"]["labels"] if "kubernetes.io" not in label} == {
        names.LABEL_CLUSTER,
        "controller-revision-hash",
    }
    owner = pods[0]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("StatefulSet", "vectors", True)
    assert pods[0]["spec"]["hostname"] == "vectors-0"
    used = [v for v in pods[0]["spec"]["volumes"] if "persistentVolumeClaim" in v]
    assert used[0]["persistentVolumeClaim"]["claimName"] == "storage-vectors-0"


async def test_a_deleted_pod_comes_back_with_the_new_template(world: World) -> None:
    """Under OnDelete a template change touches no pod; deleting one makes it anew, and status counts it."""
    kubernetes, space = world.kubernetes, world.namespace
    wanted = statefulset(space, "vectors", 2)
    await kubernetes.apply(wanted)

    async def status_says(**facts: int) -> bool:
        status = (await read(world, Kind.STATEFUL_SET, "vectors")).get("status") or {}
        return all(status.get(key, 0) == value for key, value in facts.items())

    await world.until(lambda: status_says(observedGeneration=1, replicas=2, updatedReplicas=2))
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "qdrant/qdrant:v1.19.1"
    await kubernetes.apply(wanted)
    await world.until(lambda: status_says(observedGeneration=2, replicas=2, updatedReplicas=0))
    old = await read(world, Kind.POD, "vectors-1")
    await delete(world, Kind.POD, old)
    await world.until(lambda: status_says(replicas=2, updatedReplicas=1))

    new = await read(world, Kind.POD, "vectors-1")
    assert new["spec"]["containers"][0]["image"] == "qdrant/qdrant:v1.19.1"
    assert (await read(world, Kind.POD, "vectors-0"))["spec"]["containers"][0]["image"].endswith("v1.19.0")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_claims_of_removed_ordinals_follow_the_retention_policy(world: World, policy: str) -> None:
    """After a scale-down the claim of the removed ordinal stays or goes, as whenScaled says."""
    kubernetes, space = world.kubernetes, world.namespace
    await kubernetes.apply(statefulset(space, "vectors", 2, scaled=policy))

    async def exist(kind: Kind, *wanted: str) -> bool:
        found = await kubernetes.list(kind, space, names.peer_selector("vectors"))
        return tuple(item["metadata"]["name"] for item in found) == wanted

    await world.until(lambda: exist(Kind.POD, "vectors-0", "vectors-1"))
    await kubernetes.apply(statefulset(space, "vectors", 1, scaled=policy))
    await world.until(lambda: exist(Kind.POD, "vectors-0"))
    kept = ("storage-vectors-0", "storage-vectors-1") if policy == "Retain" else ("storage-vectors-0",)
    await world.until(lambda: exist(Kind.CLAIM, *kept))


async def test_a_claim_is_in_the_cache_by_its_name(world: World) -> None:
    """Whoever made it, without any label, and unbound at first; a claim of another name is not kept."""
    kubernetes, space = world.kubernetes, world.namespace
    for name in ("data-vectors-7", "storage-vectors-7"):
        await kubernetes.create(claim(space, name))

    async def is_cached() -> bool:
        known = kubernetes.cached_one(Kind.CLAIM, space, "storage-vectors-7")
        return known is not None and known["status"]["phase"] == "Pending"

    await world.until(is_cached)
    assert kubernetes.cached_one(Kind.CLAIM, space, "data-vectors-7") is None
    await world.edit(Kind.CLAIM, "storage-vectors-7", {"metadata": {"labels": {"x": "y"}}})

    async def is_labelled() -> bool:
        known = kubernetes.cached_one(Kind.CLAIM, space, "storage-vectors-7")
        return known is not None and known["metadata"].get("labels") == {"x": "y"}

    await world.until(is_labelled)

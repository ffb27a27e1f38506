"""What the operator writes on volume claims: releases, the first try, and who deletes them."""

from __future__ import annotations

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.simulation.world.names import CLUSTER, NAMESPACE
from tests.simulation.calm import Calm, play


def claims(calm: Calm) -> list[Manifest]:
    """Every claim of the cluster."""
    return calm.server.all(Kind.CLAIM, NAMESPACE)


def owners(calm: Calm) -> list[list[str]]:
    """Kinds of the owners of each claim."""
    return [[one["kind"] for one in claim["metadata"].get("ownerReferences") or ()] for claim in claims(calm)]


def notes(calm: Calm, key: str) -> list[str | None]:
    """One annotation of each claim."""
    return [(claim["metadata"].get("annotations") or {}).get(key) for claim in claims(calm)]


def uids(calm: Calm) -> list[str]:
    """Which claims these are."""
    return [claim["metadata"]["uid"] for claim in claims(calm)]


async def is_ready(calm: Calm) -> None:
    """Three peers are members, and nothing is left to do."""
    await calm.eventually(lambda: len(calm.peer_ids()) == 3 and calm.status.get("phase") == "Ready")


async def marked(calm: Calm) -> None:
    """A cluster forms: the first volume is unformed until its peer leads, and then all carry their release."""
    await calm.eventually(lambda: notes(calm, names.ANNOTATION_UNFORMED) == ["true"])
    assert calm.status["bootstrap"]["phase"] == "Started"
    await is_ready(calm)
    assert notes(calm, names.ANNOTATION_UNFORMED) == [None] * 3
    assert notes(calm, names.ANNOTATION_RELEASE) == ["v1.19.0"] * 3
    assert calm.status["highestVersion"] == "v1.19.0"
    assert owners(calm) == [[]] * 3


async def deleted_with_the_cluster(calm: Calm) -> None:
    """Volumes go with the cluster; somebody deletes the StatefulSet, changes their mind twice, and ends the cluster."""
    await is_ready(calm)
    calm.user.edit({"persistence": {"whenDeleted": "Delete"}})
    await calm.eventually(lambda: owners(calm) == [["QdrantCluster"]] * 3)
    before = uids(calm)
    calm.server.delete(Kind.STATEFUL_SET, NAMESPACE, CLUSTER)
    await calm.until(calm.clock.seconds() + 30.0)
    await is_ready(calm)
    assert uids(calm) == before
    calm.user.edit({"persistence": {"whenDeleted": "Retain"}, "paused": True})
    await calm.eventually(lambda: owners(calm) == [[]] * 3, seconds=10.0)
    calm.user.edit({"persistence": {"whenDeleted": "Delete"}, "paused": False})
    await calm.eventually(lambda: owners(calm) == [["QdrantCluster"]] * 3)
    calm.server.delete(Kind.CLUSTER, NAMESPACE, CLUSTER)
    end = calm.clock.seconds() + 30.0
    while claims(calm) and calm.clock.seconds() < end:
        await calm.laws.watch(1.0)
    assert claims(calm) == []


def test_volumes_say_what_ran_on_them() -> None:
    """So that a new QdrantCluster on kept volumes knows it."""
    play(marked)


def test_volumes_go_with_the_cluster_and_not_with_the_stateful_set() -> None:
    """Owner references to the QdrantCluster; the StatefulSet always retains."""
    play(deleted_with_the_cluster)

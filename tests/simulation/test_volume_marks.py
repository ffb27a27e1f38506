"""What the operator writes on volume claims: releases, the first try, and who deletes them."""

from __future__ import annotations

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.simulation.world.user import CLUSTER, NAMESPACE
from tests.simulation.calm import Calm, play


def claims(story: Calm) -> list[Manifest]:
    """Every claim of the cluster."""
    return story.server.all(Kind.CLAIM, NAMESPACE)


def owners(story: Calm) -> list[list[str]]:
    """Kinds of the owners of each claim."""
    return [
        [one["kind"] for one in claim["metadata"].get("ownerReferences") or ()] for claim in claims(story)
    ]


def notes(story: Calm, key: str) -> list[str | None]:
    """One annotation of each claim."""
    return [(claim["metadata"].get("annotations") or {}).get(key) for claim in claims(story)]


def uids(story: Calm) -> list[str]:
    """Which claims these are."""
    return [claim["metadata"]["uid"] for claim in claims(story)]


async def is_ready(story: Calm) -> None:
    """Three peers are members, and nothing is left to do."""
    await story.eventually(lambda: len(story.members()) == 3 and story.status.get("phase") == "Ready")


async def marked(story: Calm) -> None:
    """A cluster forms: the first volume is unformed until its peer leads, and then all carry their release."""
    await story.eventually(lambda: notes(story, names.ANNOTATION_UNFORMED) == ["true"])
    assert story.status["bootstrap"]["phase"] == "Started"
    await is_ready(story)
    assert notes(story, names.ANNOTATION_UNFORMED) == [None] * 3
    assert notes(story, names.ANNOTATION_RELEASE) == ["v1.19.0"] * 3
    assert story.status["highestVersion"] == "v1.19.0"
    assert owners(story) == [[]] * 3


async def deleted_with_the_cluster(story: Calm) -> None:
    """Volumes go with the cluster; somebody deletes the StatefulSet, changes their mind twice, and ends the cluster."""
    await is_ready(story)
    story.user.edit({"persistence": {"whenDeleted": "Delete"}})
    await story.eventually(lambda: owners(story) == [["QdrantCluster"]] * 3)
    before = uids(story)
    story.server.delete(Kind.STATEFUL_SET, NAMESPACE, CLUSTER)
    await story.until(story.clock.seconds() + 30.0)
    await is_ready(story)
    assert uids(story) == before
    story.user.edit({"persistence": {"whenDeleted": "Retain"}, "paused": True})
    await story.eventually(lambda: owners(story) == [[]] * 3, seconds=10.0)
    story.user.edit({"persistence": {"whenDeleted": "Delete"}, "paused": False})
    await story.eventually(lambda: owners(story) == [["QdrantCluster"]] * 3)
    story.server.delete(Kind.CLUSTER, NAMESPACE, CLUSTER)
    end = story.clock.seconds() + 30.0
    while claims(story) and story.clock.seconds() < end:
        await story.look_on(1.0)
    assert claims(story) == []


def test_volumes_say_what_ran_on_them() -> None:
    """So that a new QdrantCluster on kept volumes knows it."""
    play(marked)


def test_volumes_go_with_the_cluster_and_not_with_the_stateful_set() -> None:
    """Owner references to the QdrantCluster; the StatefulSet always retains."""
    play(deleted_with_the_cluster)

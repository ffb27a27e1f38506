"""Two installations watch the same objects: one acts, the other says so, and takes over when the first is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qdrant_operator.domain.common.errors import Conflict
from qdrant_operator.domain.common.installations import GONE, RENEWED_EVERY
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.reconcile.context import Context, Options, Requeue
from qdrant_operator.reconcile.installations import OneInstallation
from qdrant_operator.reconcile.reporting.status import write_status
from sandbox.fakes.apiserver import FakeApiServer
from sandbox.fakes.kubernetes import FakeKubernetes
from tests.reconcile.cluster_place import cluster_in, create_cluster
from tests.reconcile.collection_world import (
    CLUSTER,
    FaultyRest,
    ManualClock,
    Recorder,
)


class Installation:
    """One installation, whose loop writes status and counts its passes."""

    def __init__(self, name: str, server: FakeApiServer, clock: ManualClock) -> None:
        """Watch the server."""
        self.kubernetes, self.told, self.passes = FakeKubernetes(server, now=clock.now), Recorder(), 0
        options = Options("operator:test", installation=name)
        self.world = Context(self.kubernetes, FaultyRest(), clock, self.told, options)
        self.loop = OneInstallation(self.world, Kind.CLUSTER, self)

    async def reconcile(self, subject: Manifest) -> Requeue:
        """The guarded loop."""
        self.passes += 1
        await write_status(self.world, Kind.CLUSTER, subject, {"phase": "Ready"}, ())
        return Requeue(5.0)

    @property
    def subject(self) -> Manifest:
        """The QdrantCluster as its cache has it."""
        return cluster_in(self.kubernetes)

    async def look(self) -> float:
        """One pass."""
        return (await self.loop.reconcile(self.subject)).after

    @property
    def operator(self) -> Manifest:
        """status.operator."""
        record: Manifest = self.subject["status"]["operator"]
        return record


@pytest.fixture
def clock() -> ManualClock:
    """Time of both."""
    return ManualClock()


@pytest.fixture
def two(clock: ManualClock) -> tuple[Installation, Installation]:
    """Two installations beside a new QdrantCluster."""
    server = FakeApiServer(clock.now)
    create_cluster(server)
    return Installation("ops-a/qdrant-operator", server, clock), Installation(
        "ops-b/qdrant-operator", server, clock
    )


async def test_the_second_one_does_nothing_and_both_are_named(two: tuple[Installation, Installation]) -> None:
    """In an Event and a metric of the second one, and in a condition that the first one writes."""
    first, second = two
    await first.look()
    await second.look()
    await first.look()
    assert (first.passes, second.passes) == (2, 0)
    assert second.told.guards == {CLUSTER: ("ManagedByAnother",)}
    assert [reason for _, reason, _ in second.told.events] == ["ManagedByAnother"]
    assert set(first.operator) == {"name", "renewedAt", "rival", "rivalSeenAt"}
    assert (first.operator["name"], first.operator["rival"]) == (
        "ops-a/qdrant-operator",
        "ops-b/qdrant-operator",
    )
    (condition,) = [one for one in first.subject["status"]["conditions"] if one["type"] == "Exclusive"]
    assert (condition["status"], condition["reason"]) == ("False", "SecondInstallation")
    assert "ops-a/qdrant-operator" in condition["message"]
    assert "ops-b/qdrant-operator" in condition["message"]


async def test_two_that_begin_at_once_do_not_both_act(two: tuple[Installation, Installation]) -> None:
    """The record is written on the version that was read: the later one meets a conflict before its loop runs."""
    first, second = two
    second.kubernetes.lag()
    await first.look()
    with pytest.raises(Conflict):
        await second.look()
    second.kubernetes.catch_up()
    await second.look()
    assert (first.passes, second.passes) == (1, 0)


async def test_they_do_not_write_in_turn(two: tuple[Installation, Installation], clock: ManualClock) -> None:
    """Ten minutes of looks, every five seconds: each writes its part of the record every five minutes."""
    first, second = two
    for _ in range(120):
        await first.look()
        await second.look()
        clock.pass_by(5.0)
    renewals = 600 / RENEWED_EVERY.total_seconds()
    assert len(second.kubernetes.writes) <= renewals + 1
    assert len(first.kubernetes.writes) <= 2 * renewals + 3
    assert second.passes == 0


async def test_the_second_one_takes_over_when_the_first_is_gone(
    two: tuple[Installation, Installation], clock: ManualClock
) -> None:
    """Not before 15 minutes without a renewal, by its own clock; the first one, should it come back, stands by."""
    first, second = two
    await first.look()
    await second.look()
    clock.pass_by(GONE.total_seconds() - 1)
    await second.look()
    assert second.passes == 0
    clock.pass_by(1)
    await second.look()
    assert second.passes == 1
    assert second.operator["name"] == "ops-b/qdrant-operator"
    assert "TakenOver" in [reason for _, reason, _ in second.told.events]
    await first.look()
    assert first.passes == 1


async def test_a_rival_that_went_is_not_named_any_more(
    two: tuple[Installation, Installation], clock: ManualClock
) -> None:
    """The condition ends with it, and so does its name in the record."""
    first, second = two
    await first.look()
    await second.look()
    clock.pass_by(GONE.total_seconds())
    await first.look()
    assert "rival" not in first.operator
    assert first.subject["status"]["conditions"] == []


async def test_an_installation_without_a_lease_acts_without_a_record(clock: ManualClock) -> None:
    """As in development."""
    server = FakeApiServer(clock.now)
    create_cluster(server)
    alone = Installation("", server, clock)
    alone.world = replace(alone.world, options=Options("operator:test"))
    await alone.look()
    assert alone.passes == 1
    assert "operator" not in alone.subject["status"]

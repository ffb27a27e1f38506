"""What a newer release of the operator recorded is kept, and not acted upon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from qdrant_operator.domain.common.kinds import Kind
from tests.reconcile.cluster_place import Place, one_cluster
from tests.reconcile.collection_world import CLUSTER, NAMESPACE

MEMBER = {"pod": "vectors-0", "peerId": 7, "claimUid": "a"}


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    """A cluster that has begun to form."""
    async with one_cluster() as found:
        await found.passes()
        yield found


def record(place: Place, **facts: Any) -> None:
    """A newer release writes into status."""
    status = {**place.subject["status"], **facts}
    place.kubernetes.server.put_status(Kind.CLUSTER, NAMESPACE, CLUSTER, status)


@pytest.mark.parametrize(
    "facts",
    [
        {"bootstrap": {"phase": "Sealed", "pod": "vectors-0"}},
        {"bootstrap": {"phase": "Complete", "pod": "vectors-0", "peerId": 7, "sealedBy": "vectors-1"}},
        {"members": [{**MEMBER, "movedTo": "b"}]},
        {"leaving": {"pod": "vectors-0", "claimUid": "a", "phase": "Parked"}},
        {"leaving": {"pod": "vectors-0", "claimUid": "a", "phase": "Removed", "successor": 9}},
    ],
)
async def test_a_newer_record_is_kept_and_not_acted_upon(place: Place, facts: dict[str, Any]) -> None:
    """Nothing but status is written, and the record stays as it is."""
    record(place, **facts)
    place.edit(config={"log_level": "DEBUG"})
    before = len(place.kubernetes.writes)
    await place.passes()
    assert place.guards == ["NewerOperator"]
    assert {key: place.subject["status"][key] for key in facts} == facts
    assert {write.operation for write in place.kubernetes.writes[before:]} == {"patch_status"}
    (wait,) = place.subject["status"]["blocked"]
    assert "bring that release back" in wait["message"]


async def test_the_newer_release_goes_on_where_it_was(place: Place) -> None:
    """With the record understood again, the loop does."""
    kept = place.subject["status"]["bootstrap"]
    record(place, bootstrap={"phase": "Sealed", "pod": "vectors-0"})
    await place.passes(1)
    record(place, bootstrap=kept)
    await place.passes(2)
    assert "NewerOperator" not in place.guards


async def test_a_field_of_status_that_is_not_known_stays(place: Place) -> None:
    """Every report would erase it otherwise."""
    record(place, keyRotation={"phase": "Both"})
    place.edit(config={"log_level": "DEBUG"})
    await place.passes()
    assert place.subject["status"]["keyRotation"] == {"phase": "Both"}
    assert place.subject["status"]["observedGeneration"] == place.subject["metadata"]["generation"]

"""What is recorded of a removal refuses every earlier write to the StatefulSet, however late it arrives."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.cluster.observed import Leaving, LeavingPhase
from qdrant_operator.domain.cluster.steps import RecordLeaving
from qdrant_operator.domain.common.errors import Conflict
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.domain.qdrant.views import PeerId
from qdrant_operator.reconcile.cluster.act import act
from qdrant_operator.reconcile.cluster.scope import Scope
from tests.domain.clusters import desired, seen
from tests.reconcile.cluster_place import one_cluster
from tests.reconcile.collection_world import CLUSTER, NAMESPACE

LEAVING = Leaving(f"{CLUSTER}-2", PeerId(102), "claim-2", LeavingPhase.REMOVING)


@pytest.mark.parametrize("record", [LEAVING, None])
async def test_a_write_from_before_the_record_is_refused(record: Leaving | None) -> None:
    """A dead operator's StatefulSet of four pods arrives when the peer of the third one is being removed."""
    async with one_cluster() as place:
        await place.passes()
        before = place.there(Kind.STATEFUL_SET)
        assert before is not None
        late = {
            "metadata": {"resourceVersion": before["metadata"]["resourceVersion"]},
            "spec": {"replicas": 4},
        }
        step = RecordLeaving(record, f"{CLUSTER}-2")
        await act(place.world, place.subject, Scope(desired(), seen((), {}), {}), step)
        with pytest.raises(Conflict):
            await place.kubernetes.patch(Kind.STATEFUL_SET, NAMESPACE, CLUSTER, late)
        now = place.there(Kind.STATEFUL_SET)
        assert now is not None
        assert now["spec"] == before["spec"]
        assert ("leaving" in place.subject["status"]) == (record is not None)

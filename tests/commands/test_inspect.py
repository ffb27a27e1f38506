"""A command that is not the operator wants what the operator wants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qdrant_operator.commands.inspect import replayed
from qdrant_operator.commands.what_if import NOTHING
from qdrant_operator.domain.cluster.wanted.desired import OperatorPods
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.domain.manifests.diff import stamped
from qdrant_operator.domain.manifests.network_policy import network_policy
from tests.commands.worlds import recorded
from tests.domain.clusters import desired

CLOSED: dict[str, Any] = {"networkPolicy": {"clients": []}}


async def test_the_operators_own_pods_are_read_from_the_policy() -> None:
    """With a list of clients the policy names them; the command, which cannot know them, finds nothing to put back."""
    runs = replace(desired(**CLOSED), operator=OperatorPods("ops", {"app": "operator"}))
    state = recorded(spec=CLOSED)
    assert [str(step) for step in (await replayed(state, NOTHING)).plan.steps] == [
        "update NetworkPolicy vectors-peers: spec.ingress"
    ]
    made = stamped(network_policy(runs))
    objects = tuple(
        (kind, {**one, **made, "metadata": {**one["metadata"], **made["metadata"]}})
        if kind is Kind.NETWORK_POLICY
        else (kind, one)
        for kind, one in state.objects
    )
    assert (await replayed(replace(state, objects=objects), NOTHING)).plan.steps == ()

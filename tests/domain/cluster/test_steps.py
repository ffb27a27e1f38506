"""What every step of the cluster's loop has."""

from __future__ import annotations

from typing import get_args

import pytest

from qdrant_operator.domain.cluster.steps import Step, event_reason


@pytest.mark.parametrize("kind", get_args(Step))
def test_each_step_has_an_event_or_needs_none(kind: type[Step]) -> None:
    """`event_reason` knows each step; one without an entry would end the reconciliation after the step was sent."""
    try:
        event_reason(object.__new__(kind))
    except AttributeError:
        return  # the reason is derived from a field of the step, which this value does not have

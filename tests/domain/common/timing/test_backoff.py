"""Back-off: pauses double up to the longest one, whatever the count."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.timing.backoff import Backoff

MINUTE = Backoff(first=1.0, longest=60.0)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0.0), (1, 1.0), (2, 2.0), (6, 32.0), (7, 60.0), (100_000, 60.0)]
)
def test_pauses_double_up_to_the_longest(failures: int, seconds: float) -> None:
    """None before the first failure; a count that only grows does not overflow."""
    assert MINUTE.pause(failures) == seconds


def test_jitter_is_a_factor_on_the_whole_pause() -> None:
    """Also on the longest one, else all callers that reached it would retry together."""
    assert MINUTE.pause(3, jitter=0.5) == 2.0
    assert MINUTE.pause(9, jitter=1.5) == 90.0


def test_the_failed_call_may_ask_for_a_longer_pause() -> None:
    """Retry-After may exceed what the count gives, and the longest pause."""
    assert MINUTE.pause(1, at_least=15.0) == 15.0
    assert MINUTE.pause(1, at_least=120.0) == 120.0
    assert MINUTE.pause(6, at_least=15.0) == 32.0

"""The operator guards versions, because Qdrant does not."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.steps import Guard
from qdrant_operator.domain.versions import Hop, next_hop


@pytest.mark.parametrize("wanted", ["v1.19.0", "v1.19.3", "v1.20.1"])
def test_a_patch_or_the_next_minor_may_be_run(wanted: str) -> None:
    """Neighbouring minor releases work together."""
    assert next_hop(wanted, {"1.19.0"}, "v1.19.0") == Hop(wanted)


@pytest.mark.parametrize(
    ("wanted", "running", "guard", "remedy"),
    [
        ("v1.18.9", {"1.19.0"}, Guard.VERSION_DOWNGRADE, "set spec.version to v1.19.0"),
        ("v1.19.0", {"1.19.1"}, Guard.VERSION_DOWNGRADE, "set spec.version to v1.19.1"),
        ("v1.21.0", {"1.19.0"}, Guard.VERSION_SKIP, "set spec.version to the newest v1.20 first"),
        ("v1.20.0", {"1.18.3", "1.19.0"}, Guard.VERSION_SKIP, "set spec.version to the newest v1.19 first"),
        ("v1.18.3", {"1.18.3", "1.19.0"}, Guard.VERSION_DOWNGRADE, "set spec.version to v1.19.0"),
    ],
)
def test_a_refused_hop_keeps_what_runs_and_names_the_remedy(
    wanted: str, running: set[str], guard: Guard, remedy: str
) -> None:
    """The template keeps its image, so no pod is touched."""
    hop = next_hop(wanted, running, "v1.19.0")
    assert hop.version == "v1.19.0"
    assert [wait.guard for wait in hop.blocked] == [guard]
    assert remedy in hop.blocked[0].message


def test_before_anything_runs_any_release_may_be_run() -> None:
    """A new cluster has no past."""
    assert next_hop("v1.17.0", (), None) == Hop("v1.17.0")
    assert next_hop("v1.17.0", {"1.19.0"}, None) == Hop("v1.17.0")

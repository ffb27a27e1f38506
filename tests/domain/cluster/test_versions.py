"""The operator guards versions, because Qdrant does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qdrant_operator.domain.cluster.observed import Volume, VolumeMarks
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.wanted.versions import (
    NEWER_VOLUME,
    OLDER_VOLUME,
    Hop,
    Past,
    highest,
    next_hop,
    past,
    read,
)
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.qdrant.views import Silent, View
from tests.domain.clusters import desired, pod, settled, view


def running(*releases: str) -> Past:
    """Peers that answer with these releases."""
    return Past(frozenset(releases), frozenset(releases))


@pytest.mark.parametrize("wanted", ["v1.19.0", "v1.19.3", "v1.20.1"])
def test_a_patch_or_the_next_minor_may_be_run(wanted: str) -> None:
    """Neighbouring minor releases work together."""
    assert next_hop(wanted, running("1.19.0"), "v1.19.0") == Hop(wanted)


REFUSED = [
    ("v1.18.9", {"1.19.0"}, ClusterGuard.VERSION_DOWNGRADE, "set spec.version to v1.19.0"),
    ("v1.19.0", {"1.19.1"}, ClusterGuard.VERSION_DOWNGRADE, "set spec.version to v1.19.1"),
    ("v1.21.0", {"1.19.0"}, ClusterGuard.VERSION_SKIP, "set spec.version to the newest v1.20 first"),
    (
        "v1.20.0",
        {"1.18.3", "1.19.0"},
        ClusterGuard.VERSION_SKIP,
        "set spec.version to the newest v1.19 first",
    ),
    ("v1.18.3", {"1.18.3", "1.19.0"}, ClusterGuard.VERSION_DOWNGRADE, "set spec.version to v1.19.0"),
]


@pytest.mark.parametrize(("wanted", "ran", "guard", "remedy"), REFUSED)
def test_a_refused_hop_keeps_what_runs_and_names_the_remedy(
    wanted: str, ran: set[str], guard: ClusterGuard, remedy: str
) -> None:
    """The template keeps its image, so no pod is touched; a lower one than has run is put right."""
    hop = next_hop(wanted, running(*ran), "v1.19.0")
    assert hop.version == highest({"v1.19.0", *ran})
    assert [wait.guard for wait in hop.blocked] == [guard]
    assert remedy in hop.blocked[0].message


@pytest.mark.parametrize(("wanted", "ran", "guard", "remedy"), REFUSED)
def test_without_a_stateful_set_no_pod_is_started(
    wanted: str, ran: set[str], guard: ClusterGuard, remedy: str
) -> None:
    """Volumes were kept: what would run on them is refused before a pod exists."""
    with pytest.raises(Refused, match=remedy) as refused:
        next_hop(wanted, running(*ran), None)
    assert refused.value.reason == guard.value


def test_before_anything_runs_any_release_may_be_run() -> None:
    """A new cluster has no past."""
    assert next_hop("v1.17.0", Past(), None) == Hop("v1.17.0")


def test_silence_erases_no_evidence() -> None:
    """No peer answers: what status and the claims remember still refuses a downgrade and a skipped minor."""
    views: dict[str, View] = {"vectors-0": Silent("refused")}
    for volumes, recorded in (
        ({"storage-vectors-0": Volume("a", marks=VolumeMarks("v1.19.0"))}, ()),
        ({}, ("v1.19.0",)),
    ):
        known = past(views, volumes, recorded)
        assert next_hop("v1.18.0", known, "v1.19.0").blocked[0].guard is ClusterGuard.VERSION_DOWNGRADE
        assert next_hop("v1.21.0", known, "v1.19.0").blocked[0].guard is ClusterGuard.VERSION_SKIP
        assert next_hop("v1.20.0", known, "v1.19.0") == Hop("v1.20.0")


def test_a_silent_peer_counts_with_the_release_of_its_volume() -> None:
    """In the middle of a roll the one that has not been restarted stops answering."""
    views: dict[str, View] = {"vectors-0": view(0), "vectors-1": Silent("refused")}
    known = past(views, {"storage-vectors-1": Volume("b", marks=VolumeMarks("v1.18.2"))}, ())
    assert next_hop("v1.20.0", known, "v1.19.0").blocked[0].guard is ClusterGuard.VERSION_SKIP


def test_the_retained_volume_of_a_removed_peer_holds_no_upgrade_back() -> None:
    """It has no pod; that it was once of an older release has no effect."""
    kept = {"storage-vectors-3": Volume("d", marks=VolumeMarks("v1.17.0"))}
    known = past({"vectors-0": view(0)}, kept, ())
    assert next_hop("v1.20.0", known, "v1.19.0") == Hop("v1.20.0")


def test_what_is_no_release_says_nothing() -> None:
    """A note that cannot be read must not keep a cluster down."""
    assert [read(text) for text in ("dev", "", "latest", "v1.19")] == [None] * 4
    assert read("1.19.0-dev") == (1, 19, 0)
    assert next_hop("v1.17.0", running("dev", ""), "v1.17.0") == Hop("v1.17.0")
    assert highest(["dev", "v1.9.0", "1.19.0"]) == "v1.19.0"


def test_a_downgrade_is_allowed_for_exactly_the_release_that_the_user_names() -> None:
    """The annotation of another release allows nothing, and a skipped minor stays refused."""
    assert next_hop("v1.18.0", running("1.19.0"), "v1.19.0", "v1.18.0") == Hop("v1.18.0")
    assert next_hop("v1.18.0", running("1.19.0"), "v1.19.0", "v1.18.1").blocked
    assert next_hop("v1.21.0", running("1.19.0"), "v1.19.0", "v1.21.0").blocked


@pytest.mark.parametrize(
    ("words", "guard"),
    [(NEWER_VOLUME, ClusterGuard.VERSION_DOWNGRADE), (OLDER_VOLUME, ClusterGuard.VERSION_SKIP)],
)
def test_a_pod_that_its_volume_refuses_is_named(words: str, guard: ClusterGuard) -> None:
    """The start script's last words, as the kubelet shows them."""
    ended = pod(2, waiting="CrashLoopBackOff", message=f"vectors-2 does not start, {words}", ready=False)
    observed = settled()
    result = plan(desired(), replace(observed, pods=(*observed.pods[:2], ended)))
    (wait,) = [wait for wait in result.blocked if wait.guard is guard]
    assert wait.step == "run vectors-2"
    assert words in wait.message


def test_a_release_that_was_asked_for_too_early_does_not_stay_in_the_template() -> None:
    """It was lowered while no peer answered and nothing was known; pods that are made now must not write it."""
    assert next_hop("v1.17.1", running("1.19.0"), "v1.17.1").version == "v1.19.0"
    assert next_hop("v1.21.0", running("1.19.0"), "v1.17.1").version == "v1.19.0"
    assert next_hop("v1.21.0", running("1.19.0"), "v1.20.0").version == "v1.20.0"
    assert next_hop("v1.21.0", running("1.19.0"), "v1.21.0").version == "v1.19.0"
    assert next_hop("v1.16.0", running("1.19.0"), "v1.17.1", "v1.17.1").version == "v1.17.1", "it was allowed"


def test_an_old_note_on_a_claim_does_not_lower_the_template() -> None:
    """An operator died after it had seen v1.20.0 and before it noted that on the claim; then no peer answers."""
    volumes = {"storage-vectors-0": Volume("a", marks=VolumeMarks("v1.19.0"))}
    known = past({"vectors-0": Silent("refused")}, volumes, ("v1.20.0",))
    assert next_hop("v1.17.1", known, "v1.21.0").version == "v1.20.0"

"""Every guard has an example, the page shows what the code says, and each sentence leads somewhere."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest

from qdrant_operator.domain.collection.steps import CollectionGuard, ends_soon
from qdrant_operator.domain.common.guards import ClusterGuard
from tests.domain.guards import examples as guard_examples
from tests.domain.guards.examples import Example
from tests.test_docs import PACKAGE, raised

REFUSALS = guard_examples.of_refusals()
EXAMPLES = (*guard_examples.of_clusters(), *guard_examples.of_collections(), *REFUSALS)


def label(guard: str) -> str:
    """A guard with its kind: both kinds have words in common."""
    return f"{type(guard).__name__}.{guard.name}" if isinstance(guard, StrEnum) else guard


CLUSTER_NEEDS = (
    ClusterGuard.NO_PEER_ON_VOLUMES,
    ClusterGuard.VOLUME_LOST,
    ClusterGuard.CONSENT_NEEDED,
    ClusterGuard.ORPHANED_REPLICA,
    ClusterGuard.REMOVED_VOLUME_PRESENT,
    ClusterGuard.TOO_FEW_PEERS,
    ClusterGuard.NO_SOUND_SOURCE,
    ClusterGuard.NOT_ENOUGH_DISK,
    ClusterGuard.MANUAL_PLACEMENT,
    ClusterGuard.KEY_CHANGED,
    ClusterGuard.VERSION_DOWNGRADE,
    ClusterGuard.VERSION_SKIP,
)
COLLECTION_NEEDS = tuple(guard for guard in CollectionGuard if not ends_soon(guard))
SOMEBODY = {label(guard) for guard in (*CLUSTER_NEEDS, *COLLECTION_NEEDS)}
SOMEBODY |= {one.guard for one in REFUSALS if one.guard != "ClusterNotReady"}
"""Guards that nothing but a person ends."""
READERS = (
    "domain/cluster/wanted/desired.py",
    "domain/manifests/owned_settings.py",
    "domain/common/timing/schedules.py",
    "domain/common/secret_values.py",
    "reconcile/access.py",
    "reconcile/cluster/act.py",
    "reconcile/cluster/keys.py",
    "reconcile/cluster/observe.py",
    "reconcile/cluster/spec.py",
    "reconcile/collection/observe.py",
    "reconcile/objects/secrets.py",
    "reconcile/spec.py",
)
"""Modules of the two loops that refuse a spec."""
DO = re.compile(
    r"\b(set|add|create|name a|lower|raise|delete|bring|save|put|write|make|choose|correct|remove|keep|restore)\b"
)
WAIT = re.compile(
    r"\b(first|wait\w*|still|yet|already|again|heals|on its way|is running|does not run|not finished|until|"
    r"transfers run)\b",
    re.IGNORECASE,
)


def name(example: Example) -> str:
    """Id of a test."""
    return label(example.guard)


@pytest.mark.parametrize("guards", [ClusterGuard, CollectionGuard])
def test_every_guard_has_an_example(guards: type[StrEnum]) -> None:
    """A guard without a world that produces it would be dead."""
    assert {one.guard for one in EXAMPLES if type(one.guard) is guards} == set(guards)


def test_every_reason_that_refuses_a_spec_has_an_example() -> None:
    """Every reason that the modules give which read a spec and what it names; and the wait for a cluster."""
    reasons = {word for module in READERS for word in raised(PACKAGE / module)} | {"ClusterNotReady"}
    assert {one.guard for one in REFUSALS} == reasons


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_the_real_planner_says_it(example: Example) -> None:
    """The guard stands in status.blocked once at least, with the step that it holds back and one sentence."""
    assert set(example.entry) == {"step", "guard", "message"}
    assert example.entry["step"]
    assert 0 < len(example.entry["message"]) <= 1024
    assert "\n" not in example.entry["message"]


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_each_sentence_says_what_to_do_or_what_is_waited_for(example: Example) -> None:
    """A remedy where only a person can end the wait; else the remedy, or what it is that ends by itself."""
    message = example.entry["message"]
    if label(example.guard) in SOMEBODY:
        assert DO.search(message), message
    else:
        assert DO.search(message) or WAIT.search(message), message


def test_the_page_is_what_the_code_says() -> None:
    """docs/guards.md is made anew by `python -m tests.domain.guards.examples --write`."""
    assert guard_examples.PAGE.read_text() == guard_examples.page()

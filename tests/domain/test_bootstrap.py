"""A cluster forms exactly once."""

from __future__ import annotations

from dataclasses import replace

from qdrant_operator.domain.bootstrap import first_pod, members_wanted
from qdrant_operator.domain.manifests.start_script import START_SCRIPT
from qdrant_operator.domain.manifests.stateful_set import stateful_set, template_hash
from qdrant_operator.domain.observed import Bootstrap, BootstrapPhase, Observed
from qdrant_operator.domain.planner import plan
from qdrant_operator.domain.steps import Guard, MarkCluster, RecordBootstrap
from qdrant_operator.domain.values import PeerId, Silent
from tests.domain.clusters import desired, pod, seen, settled, view

NOBODY = Observed(None, (), {})
STARTED = Bootstrap(BootstrapPhase.STARTED, "vectors-0")
FORMED = Bootstrap(BootstrapPhase.FORMED, "vectors-0", PeerId(100))


def test_in_an_empty_world_the_decision_comes_before_everything() -> None:
    """Nothing is created before status says who may start alone."""
    assert plan(desired(), NOBODY).steps == (RecordBootstrap(STARTED),)


def test_where_volumes_exist_nobody_may_ever_start_alone() -> None:
    """A volume without our record may hold a cluster: a second one beside it would be the disaster."""
    decided = plan(desired(), replace(NOBODY, claims=("storage-vectors-1",))).steps[0]
    assert isinstance(decided, RecordBootstrap)
    assert decided.bootstrap.phase is BootstrapPhase.ADOPTED
    assert first_pod(decided.bootstrap) == ""


def test_where_a_stateful_set_exists_nobody_may_ever_start_alone() -> None:
    """Status was lost, the StatefulSet was not."""
    decided = plan(desired(), replace(NOBODY, members=3)).steps[0]
    assert isinstance(decided, RecordBootstrap)
    assert decided.bootstrap.phase is BootstrapPhase.ADOPTED


def test_one_pod_until_the_first_peer_answers() -> None:
    """Other pods come with a template that has lost the permission."""
    assert members_wanted(STARTED, 5, 1) == 1
    assert members_wanted(FORMED, 5, 1) == 5
    assert (first_pod(STARTED), first_pod(FORMED)) == ("vectors-0", "")


def test_all_adopted_volumes_are_started() -> None:
    """One of three old peers alone would never find a majority."""
    adopted = Bootstrap(BootstrapPhase.ADOPTED, "vectors-0")
    assert members_wanted(adopted, 1, None, ("storage-vectors-0", "storage-vectors-2")) == 3


def test_the_permission_is_no_reason_to_restart() -> None:
    """Pod 0 keeps the template it was born with: its hash does not contain the permission."""
    assert template_hash(replace(desired(), first_pod="vectors-0")) == template_hash(desired())
    env = stateful_set(replace(desired(), first_pod="vectors-0"))["spec"]["template"]["spec"]["containers"][
        0
    ]["env"]
    assert {"name": "QDRANT_FIRST_POD", "value": "vectors-0"} in env


def test_the_permission_ends_when_the_first_peer_leads() -> None:
    """The peer's id is recorded together with the end of the permission."""
    alone = seen((pod(0),), {"vectors-0": view(0, 1)}, bootstrap=STARTED, members=1)
    assert plan(desired(), alone).steps == (RecordBootstrap(FORMED),)


def test_a_first_peer_that_does_not_answer_is_waited_for_in_words() -> None:
    """Silence is not failure: nothing happens, and status says what is waited for."""
    silent = seen((pod(0),), {"vectors-0": Silent("connection refused")}, bootstrap=STARTED, members=1)
    result = plan(desired(), silent)
    assert result.steps == ()
    assert [(wait.guard, wait.message) for wait in result.blocked] == [
        (Guard.PEERS_UNREACHABLE, "vectors-0 does not answer: connection refused")
    ]


def test_complete_only_when_every_peer_knows_every_other() -> None:
    """A peer that joined for itself is not yet known to all."""
    late = view(2, 3, leader=0)
    early = replace(view(1, 2), peers={PeerId(100): "", PeerId(101): ""})
    views = {"vectors-0": view(0, 3), "vectors-1": early, "vectors-2": late}
    joining = seen((pod(0), pod(1), pod(2)), views, bootstrap=FORMED, members=3, mark="uid-1")
    assert plan(desired(), joining).steps == ()
    assert plan(desired(), joining).blocked[0].guard is Guard.PEER_NOT_JOINED


def test_the_cluster_is_marked_before_it_is_called_complete() -> None:
    """The mark lives in consensus: whoever reads it knows whose cluster this is."""
    joined = settled(bootstrap=FORMED, mark=None)
    assert plan(desired(), joined).steps == (MarkCluster("vectors-0"),)
    complete = plan(desired(), replace(joined, mark="uid-1")).steps
    assert complete == (RecordBootstrap(Bootstrap(BootstrapPhase.COMPLETE, "vectors-0", PeerId(100))),)


def test_a_joining_pod_never_starts_without_a_member_to_join() -> None:
    """Every way through the script but the permitted one passes --bootstrap."""
    starts = [line for line in START_SCRIPT.splitlines() if "exec ./qdrant" in line]
    assert starts[-1].endswith('--bootstrap "$target"')
    assert len(starts) == 2
    assert "if may_start_alone; then" in START_SCRIPT

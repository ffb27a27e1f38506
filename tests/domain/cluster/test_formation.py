"""A cluster forms exactly once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qdrant_operator.domain.cluster.conditions import conditions
from qdrant_operator.domain.cluster.formation import first_pod, pods_for_phase
from qdrant_operator.domain.cluster.observed import Bootstrap, BootstrapPhase, Observed, Volume, VolumeMarks
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.steps import MarkCluster, RecordBootstrap
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.manifests.start_script import START_SCRIPT
from qdrant_operator.domain.manifests.stateful_set import stateful_set, template_hash
from qdrant_operator.domain.qdrant.views import PeerId, Silent
from tests.domain.clusters import decided, desired, pod, seen, settled, view

EMPTY = Observed(None, (), {})
STARTED = Bootstrap(BootstrapPhase.STARTED, "vectors-0")
HELD = {"storage-vectors-0": Volume("claim-0", created="2026-11-28T10:00:00Z")}
FORMED = Bootstrap(BootstrapPhase.FORMED, "vectors-0", PeerId(100))


def test_in_an_empty_world_the_decision_comes_before_everything() -> None:
    """Nothing is created before status says who may start alone."""
    assert plan(desired(), EMPTY).steps == (RecordBootstrap(STARTED),)


def test_where_volumes_exist_nobody_may_ever_start_alone() -> None:
    """A volume without our record may hold a cluster: a second one beside it would be the disaster."""
    decided = plan(desired(), replace(EMPTY, volumes={"storage-vectors-1": Volume("claim-1")})).steps[0]
    assert isinstance(decided, RecordBootstrap)
    assert decided.bootstrap.phase is BootstrapPhase.ADOPTED
    assert first_pod(decided.bootstrap) == ""


def test_where_a_stateful_set_exists_nobody_may_ever_start_alone() -> None:
    """Status was lost, the StatefulSet was not."""
    decided = plan(desired(), replace(EMPTY, stateful_set_replicas=3)).steps[0]
    assert isinstance(decided, RecordBootstrap)
    assert decided.bootstrap.phase is BootstrapPhase.ADOPTED


@pytest.mark.parametrize(
    "claim", [Volume("claim-0", unbound=True), Volume("claim-0", marks=VolumeMarks(unformed=True))]
)
def test_a_claim_that_never_held_a_peer_is_no_reason_to_adopt(claim: Volume) -> None:
    """Evidence counts, not the existence of an object; one claim that may hold data is enough."""
    first_try = replace(EMPTY, volumes={"storage-vectors-0": claim})
    assert plan(desired(), first_try).steps == (RecordBootstrap(STARTED),)
    beside = replace(first_try, volumes={**first_try.volumes, "storage-vectors-1": Volume("claim-1")})
    assert plan(desired(), beside).steps == (RecordBootstrap(Bootstrap(BootstrapPhase.ADOPTED, "vectors-0")),)


def test_nothing_is_decided_while_an_earlier_cluster_goes() -> None:
    """Its objects are named; what is said harms nothing."""
    going = replace(
        EMPTY, stateful_set_replicas=3, volumes=HELD, remains=("StatefulSet vectors", "Pod vectors-0")
    )
    result = plan(desired(), going)
    assert result.steps == ()
    assert [wait.guard for wait in result.blocked] == [ClusterGuard.OBJECTS_TERMINATING]
    assert "StatefulSet vectors, Pod vectors-0" in result.blocked[0].message


@pytest.mark.parametrize("waiting", ["CrashLoopBackOff", "ImagePullBackOff"])
def test_volumes_on_which_no_peer_is_found_are_named(waiting: str) -> None:
    """Only a person knows what they are worth; an image that is missing says nothing about them."""
    adopted = Bootstrap(BootstrapPhase.ADOPTED, "vectors-0")
    down = seen(
        (pod(0, ready=False, waiting=waiting),),
        {"vectors-0": Silent("connection refused")},
        bootstrap=adopted,
        stateful_set_replicas=1,
        volumes=HELD,
    )
    found = plan(desired(1), down)
    named = [wait.message for wait in found.blocked if wait.guard is ClusterGuard.NO_PEER_ON_VOLUMES]
    assert bool(named) is (waiting == "CrashLoopBackOff")
    assert all("storage-vectors-0 (created 2026-11-28T10:00:00+00:00)" in message for message in named)
    degraded = next(one for one in conditions(decided(down, desired(1), found)) if one.type == "Degraded")
    assert (degraded.status, degraded.message) == (
        (True, named[0]) if named else (False, "the peers have not formed one cluster yet")
    )


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("standard", "delete it (kubectl delete pvc storage-vectors-0)"),
        ("fast-ssd", "correct or create StorageClass 'fast-ssd'"),
        (None, "correct or create StorageClass 'fast-ssd'"),
    ],
)
def test_a_claim_that_is_not_bound_is_named_with_its_class(wanted: str | None, said: str) -> None:
    """A claim of an earlier try keeps the class it was made with."""
    spec = desired(1, persistence={"storageClassName": wanted} if wanted else {})
    claim = Volume("claim-0", unbound=True, storage_class="fast-ssd")
    waiting = pod(
        0, spec, ready=False, waiting="Unschedulable", message="pod has unbound claims", address=None
    )
    observed = seen(
        (waiting,),
        {"vectors-0": Silent("its pod has no address")},
        bootstrap=STARTED,
        stateful_set_replicas=1,
        volumes={"storage-vectors-0": claim},
    )
    message = plan(spec, observed).blocked[0].message
    assert message.startswith("vectors-0 does not run: Unschedulable: pod has unbound claims")
    assert "; claim storage-vectors-0" in message
    assert said in message


def test_one_pod_until_the_first_peer_answers() -> None:
    """Other pods come with a template that has lost the permission."""
    assert pods_for_phase(STARTED, 5, 1) == 1
    assert pods_for_phase(FORMED, 5, 1) == 5
    assert (first_pod(STARTED), first_pod(FORMED)) == ("vectors-0", "")


def test_all_adopted_volumes_are_started() -> None:
    """One of three old peers alone would never find a majority."""
    adopted = Bootstrap(BootstrapPhase.ADOPTED, "vectors-0")
    assert pods_for_phase(adopted, 1, None, HELD | {"storage-vectors-2": Volume("2")}) == 3
    assert pods_for_phase(adopted, 1, None, {"storage-vectors-2": Volume("2", unbound=True)}) == 1


def test_the_permission_is_no_reason_to_restart() -> None:
    """Pod 0 keeps the template it was born with: its hash does not contain the permission."""
    assert template_hash(replace(desired(), first_pod="vectors-0")) == template_hash(desired())
    env = stateful_set(replace(desired(), first_pod="vectors-0"))["spec"]["template"]["spec"]["containers"][
        0
    ]["env"]
    assert {"name": "QDRANT_FIRST_POD", "value": "vectors-0"} in env


def test_the_permission_ends_when_the_first_peer_leads() -> None:
    """The peer's id is recorded together with the end of the permission."""
    alone = seen((pod(0),), {"vectors-0": view(0, 1)}, bootstrap=STARTED, stateful_set_replicas=1)
    assert plan(desired(), alone).steps == (RecordBootstrap(FORMED),)


def test_a_first_peer_that_does_not_answer_is_waited_for_in_words() -> None:
    """Silence is not failure: nothing happens, and status says what the operator waits for."""
    silent = seen(
        (pod(0),), {"vectors-0": Silent("connection refused")}, bootstrap=STARTED, stateful_set_replicas=1
    )
    result = plan(desired(), silent)
    assert result.steps == ()
    assert [(wait.guard, wait.message) for wait in result.blocked] == [
        (ClusterGuard.PEERS_UNREACHABLE, "vectors-0 does not answer: connection refused")
    ]


def test_complete_only_when_every_peer_knows_every_other() -> None:
    """A peer that joined for itself is not yet known to all."""
    late = view(2, 3, leader=0)
    early = replace(view(1, 2), peers={PeerId(100): "", PeerId(101): ""})
    views = {"vectors-0": view(0, 3), "vectors-1": early, "vectors-2": late}
    joining = seen((pod(0), pod(1), pod(2)), views, bootstrap=FORMED, stateful_set_replicas=3, mark="uid-1")
    assert plan(desired(), joining).steps == ()
    assert plan(desired(), joining).blocked[0].guard is ClusterGuard.PEER_NOT_JOINED


def test_the_cluster_is_marked_before_it_is_called_complete() -> None:
    """The mark lives in consensus: every reader knows whose cluster this is."""
    joined = settled(bootstrap=FORMED, mark=None)
    assert plan(desired(), joined).steps == (MarkCluster("vectors-0"),)
    complete = plan(desired(), replace(joined, mark="uid-1")).steps
    assert complete == (RecordBootstrap(Bootstrap(BootstrapPhase.COMPLETE, "vectors-0", PeerId(100))),)


def test_not_complete_while_a_removal_keeps_the_wanted_number_down() -> None:
    """Fewer peers were wanted for a moment: what began then ends first, and then the others join."""
    joined = settled(bootstrap=FORMED, mark="uid-1")
    assert not plan(replace(desired(5), pod_count=3), joined).steps


def test_a_joining_pod_never_starts_without_a_member_to_join() -> None:
    """Every way through the script but the permitted one passes --bootstrap."""
    starts = [line for line in START_SCRIPT.splitlines() if "exec ./qdrant" in line]
    assert starts[-1].endswith('--bootstrap "$target"')
    assert len(starts) == 2
    assert "if may_start_alone; then" in START_SCRIPT

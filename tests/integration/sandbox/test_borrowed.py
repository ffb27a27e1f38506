"""The suite on kind, on a Kubernetes that somebody else uses: theirs stays as it is, what a run made goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.environment import installing, namespaces
from e2e.environment.borrowed import GONE_SECONDS, borrowed, give_back
from e2e.environment.kubectl import Kubectl
from e2e.shell import Missing, eventually
from qdrant_operator.domain.common.kinds import Kind
from sandbox.cluster import Sandbox
from tests.integration.support import manifests

pytestmark = [pytest.mark.integration, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def theirs() -> Iterator[Kubectl]:
    """A Kubernetes of its own, because its kinds come and go, with a namespace of somebody else."""
    with Sandbox() as running:
        kubectl = Kubectl(running.kubeconfig)
        kubectl("create", "namespace", "theirs")
        yield kubectl


def _there(kubectl: Kubectl) -> set[str]:
    """Namespaces and kinds by name, and since when."""
    found = kubectl.all("namespaces,customresourcedefinitions")
    return {f"{one['metadata']['name']} {one['metadata']['uid']}" for one in found}


def _run(kubectl: Kubectl) -> None:
    """What a run makes, without its operator."""
    for name in (namespaces.OPERATOR, namespaces.STORAGE, "home-1"):
        kubectl.apply(installing.namespace(name))
    kubectl.apply(installing.CRDS)
    _known(kubectl)


def _run_while_used(kubectl: Kubectl, other: Kubectl) -> None:
    """A run beside somebody who takes the operator's kinds for granted."""
    _run(kubectl)
    other.apply(manifests.cluster())


def _known(kubectl: Kubectl) -> None:
    """Wait until kubectl finds the kinds, which is some time after they are Established."""
    eventually(lambda: kubectl("get", "qdrant", "--output=json"), 30)


@pytest.mark.parametrize("name", [namespaces.STORAGE, namespaces.OPERATOR, namespaces.DEMO])
def test_a_namespace_of_somebody_else_is_not_taken(theirs: Kubectl, name: str) -> None:
    """The refusal names it, and nothing was changed."""
    theirs("create", "namespace", name)
    before = _there(theirs)
    with pytest.raises(Missing, match=f"has the namespace {name} from somebody else"), borrowed(theirs):
        pytest.fail("it was used")
    assert _there(theirs) == before
    theirs("delete", "namespace", name)


def test_kinds_of_somebody_else_are_not_taken(theirs: Kubectl) -> None:
    """Somebody runs this operator there: the refusal names its kinds, which stay."""
    theirs.apply(installing.CRDS)
    before = _there(theirs)
    with pytest.raises(Missing, match=r"qdrantclusters\.qdrantoperator\.dev"), borrowed(theirs):
        pytest.fail("it was used")
    assert _there(theirs) == before
    theirs("delete", "--filename", str(installing.CRDS), timeout=GONE_SECONDS)


def test_what_a_run_made_is_given_back(theirs: Kubectl) -> None:
    """Namespaces and kinds are as they were before, also after a run that was left with KEEP=1."""
    before = _there(theirs)
    _run(theirs)
    with borrowed(theirs):
        _run(theirs)
    assert _there(theirs) == before


def test_kinds_stay_while_somebody_uses_them(theirs: Kubectl) -> None:
    """Somebody made a QdrantCluster meanwhile: it stays, and with it the kinds and the operator; then they go too."""
    before = _there(theirs)
    other = theirs.within("theirs")
    with pytest.raises(AssertionError, match="no run made these"), borrowed(theirs):
        _run_while_used(theirs, other)
    assert other.get(Kind.CLUSTER.plural, "vectors")
    assert theirs.get("namespace", namespaces.OPERATOR)
    assert not theirs.get("namespace", namespaces.STORAGE)
    other("delete", Kind.CLUSTER.plural, "vectors")
    give_back(theirs)
    assert _there(theirs) == before

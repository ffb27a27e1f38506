"""What `--what-if` takes, what it says against the rest, and that it changes copies only."""

from __future__ import annotations

import copy

import pytest

from qdrant_operator.commands.what_if import NOTHING, parse
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.qdrant.views import PeerView
from tests.commands.worlds import docs, subject
from tests.domain.clusters import view

POSSIBLE = (
    "replicas, placement, transfers.perCluster, transfers.perPeer, version or replicationFactor.COLLECTION"
)
CLUSTER = subject({"version": "v1.19.0", "replicas": 3, "shards": {"placement": "Manual", "zoneKey": "zone"}})
COLLECTION: Manifest = {
    "metadata": {"name": "docs"},
    "spec": {"clusterRef": {"name": "vectors"}, "replicationFactor": 1},
}


def test_fields_of_the_cluster_are_changed_in_a_copy() -> None:
    """Other fields stay, and the object that was read is not touched."""
    before = copy.deepcopy(CLUSTER)
    what_if = parse(["replicas=5", "placement=Auto", "transfers.perPeer=2"])
    spec = what_if.object(Kind.CLUSTER, CLUSTER)["spec"]
    shards = {"placement": "Auto", "zoneKey": "zone", "transfers": {"perPeer": 2}}
    assert spec == {"version": "v1.19.0", "replicas": 5, "shards": shards}
    assert before == CLUSTER


def test_a_factor_changes_what_peers_say_and_what_is_declared() -> None:
    """Both the collection in Qdrant and its QdrantCollection; other collections keep theirs."""
    what_if = parse(["replicationFactor.docs=3"])
    both = (docs(0, {0: (0,)}, factor=1), docs(0, {0: (0,)}, factor=1, name="logs"))
    seen = what_if.view(view(0, collections=both))
    assert {one.name: one.replication_factor for one in seen.collections} == {"docs": 3, "logs": 1}
    assert what_if.object(Kind.COLLECTION, COLLECTION)["spec"]["replicationFactor"] == 3
    assert COLLECTION["spec"]["replicationFactor"] == 1
    named: Manifest = {"metadata": {"name": "other"}, "spec": {"name": "docs"}}
    assert what_if.object(Kind.COLLECTION, named)["spec"]["replicationFactor"] == 3


def test_a_name_with_dots_is_one_name() -> None:
    """Qdrant allows dots in names of collections; the last change of a field counts."""
    assert parse(["replicationFactor.a.b=2", "replicationFactor.a.b=4"]).factors == {"a.b": 4}


def test_nothing_changes_nothing() -> None:
    """Without --what-if objects and views are shown as they are."""
    one: PeerView = view(0, collections=(docs(0, {0: (0,)}),))
    assert NOTHING.view(one) == one
    assert NOTHING.object(Kind.CLUSTER, CLUSTER) == CLUSTER


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("replicas", "--what-if replicas: write FIELD=VALUE, for example replicas=5"),
        ("replicas=many", "--what-if replicas=many: use a whole number of at least 1"),
        ("replicas=0", "--what-if replicas=0: use a whole number of at least 1"),
        ("replicas=-1", "--what-if replicas=-1: use a whole number of at least 1"),
        ("replicas=²", "--what-if replicas=²: use a whole number of at least 1"),
        ("placement=auto", "--what-if placement=auto: use Auto, DrainOnly or Manual"),
        ("replicationFactor.docs=x", "--what-if replicationFactor.docs=x: use a whole number of at least 1"),
        (
            "size=2",
            f"--what-if size=2: 'size' cannot be changed; use {POSSIBLE}",
        ),
        (
            "replicationFactor.=2",
            f"--what-if replicationFactor.=2: 'replicationFactor.' cannot be changed; use {POSSIBLE}",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(change: str, sentence: str) -> None:
    """Each sentence names the change and what to write instead."""
    with pytest.raises(Refused) as refused:
        parse([change])
    assert refused.value.message == sentence


def test_an_unknown_collection_is_refused() -> None:
    """With the names of those that exist."""
    what_if = parse(["replicationFactor.dcos=2"])
    with pytest.raises(Refused, match=r"no collection 'dcos'; it has docs, logs$"):
        what_if.check(["docs", "logs"])
    with pytest.raises(Refused, match=r"it has none$"):
        what_if.check([])

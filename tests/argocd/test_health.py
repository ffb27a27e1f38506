"""Argo CD's health checks on statuses that clusters really had: the right word, and the operator's own sentence."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from qdrant_operator.api.kinds import GROUP, KINDS
from qdrant_operator.domain.common.guards import ClusterGuard
from tests.argocd.lua import WORDS, judge, scripts

FOLDER = Path(__file__).parent / "statuses"
STATUSES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
"""Objects as `kubectl get --output=yaml` showed them, by what had happened."""
OVER = ("Complete", "Verified", "PartiallyFailed", "Failed")
NOT_SEEN = "the operator has not observed"
EXPECTED: dict[str, tuple[str, str]] = {
    "cluster-new": ("Progressing", NOT_SEEN),
    "cluster-forming": ("Progressing", "the peers have not formed one cluster yet"),
    "cluster-ready": ("Healthy", "3 peers follow one leader"),
    "cluster-spec-changed": ("Progressing", NOT_SEEN),
    "cluster-restarting": ("Progressing", "pods to restart: "),
    "cluster-pod-starting": ("Progressing", "not ready: vectors-0"),
    "cluster-peer-silent": ("Degraded", "vectors-1: GET http://127.17.1.4:6333/cluster: no answer in time"),
    "cluster-peer-back": ("Progressing", "not ready: vectors-1"),
    "cluster-replicating": ("Progressing", "docs/0 has 2 of 3 sound replicas"),
    "cluster-draining": ("Progressing", "it still holds paused/2: shards are moved off it first"),
    "cluster-paused": ("Suspended", "spec.paused is true: the operator only observes"),
    "cluster-config-refused": ("Degraded", "Blocked: spec.config.service.http_port is set by the operator"),
    "cluster-downgrade-wanted": ("Degraded", "Blocked: run v1.18.0: peers run v1.19.0"),
    "cluster-outside-window": ("Healthy", "balancing waits for the maintenance window"),
    "cluster-placed-by-hand": ("Healthy", "spec.shards.placement is Manual"),
    "cluster-volume-lost": ("Degraded", "(its volume is gone)"),
    "collection-new": ("Progressing", NOT_SEEN),
    "collection-cluster-forming": ("Progressing", "QdrantCluster 'vectors' has not formed yet"),
    "collection-creating": ("Progressing", "next: create collection docs"),
    "collection-ready": ("Healthy", "6/6 replicas of docs are sound"),
    "collection-without-cluster": ("Degraded", "Blocked: QdrantCluster 'vektors' does not exist"),
    "collection-too-few-peers": ("Degraded", "Blocked: replicationFactor is 4, the cluster has 3 peers"),
    "collection-immutable-changed": ("Degraded", "Blocked: shardNumber is 3, wanted 6"),
    "collection-peer-restarting": ("Degraded", "Degraded: 4/6 replicas are sound"),
    "collection-replicas-missing": ("Progressing", "6/9 replicas are sound"),
    "collection-cluster-paused": ("Suspended", "the QdrantCluster is paused"),
    "collection-unreadable": ("Progressing", "waiting for peers that are down"),
    "snapshot-new": ("Progressing", NOT_SEEN),
    "snapshot-bucket-missing": ("Progressing", "bucket 'nowhere'"),
    "snapshot-running": ("Progressing", "the Job is starting"),
    "snapshot-verified": ("Healthy", "3 shards of 1 collections"),
    "snapshot-complete": ("Healthy", "3 shards of 1 collections"),
    "snapshot-being-deleted": ("Healthy", "3 shards of 1 collections"),
    "snapshot-killed": ("Degraded", "JobFailed: the run was killed"),
    "snapshot-gave-up": ("Degraded", "BucketNotFound: bucket 'nowhere'"),
    "schedule-new": ("Progressing", NOT_SEEN),
    "schedule-first-due": ("Healthy", "the next snapshot is due at"),
    "schedule-due": ("Healthy", "the next snapshot is due at"),
    "schedule-waiting": ("Healthy", "must end before another starts"),
    "schedule-without-cluster": ("Degraded", "QdrantCluster 'vektors' does not exist"),
    "schedule-unknown-zone": ("Degraded", "timeZone 'Europe/Nowhere' is not in the time zone database"),
    "schedule-suspended": ("Suspended", "spec.suspend is true"),
    "schedule-last-failed": ("Degraded", "the last snapshot failed: failing-"),
}
"""By file: Argo CD's word, and a part of the sentence."""


def sentences(manifest: dict[str, Any]) -> list[str]:
    """Everything that the operator says of an object."""
    status = manifest.get("status") or {}
    told = [*(status.get("conditions") or ()), *(status.get("blocked") or ())]
    return [one["message"] for one in told]


def test_every_kind_has_a_check() -> None:
    """The ConfigMap holds one script for each of our kinds, and the one that makes Applications wait."""
    assert set(scripts()) == {f"{GROUP}_{kind.kind}" for kind in KINDS} | {"argoproj.io_Application"}


def test_every_status_has_its_word() -> None:
    """Each saved object is judged below, and each kind is seen with every word that its check can say."""
    assert set(EXPECTED) == set(STATUSES)
    for kind in KINDS:
        said = {EXPECTED[name][0] for name, one in STATUSES.items() if one["kind"] == kind.kind}
        assert said == set(re.findall("|".join(sorted(WORDS)), scripts()[f"{GROUP}_{kind.kind}"])), kind.kind


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_status_is_judged(name: str) -> None:
    """The word, and a message that is the operator's sentence."""
    word, part = EXPECTED[name]
    health = judge(STATUSES[name])
    assert health.status == word, health
    assert part in health.message
    assert NOT_SEEN in part or any(sentence in health.message for sentence in sentences(STATUSES[name]))


@pytest.mark.parametrize("name", STATUSES)
def test_a_newer_spec_is_progressing(name: str) -> None:
    """Whatever was said of the older one; but what is over stays as it is."""
    newer = copy.deepcopy(STATUSES[name])
    newer["metadata"]["generation"] += 1
    over = (newer.get("status") or {}).get("phase") in OVER
    assert judge(newer) == judge(STATUSES[name]) if over else judge(newer).status == "Progressing"


@pytest.mark.parametrize("name", STATUSES)
def test_an_object_is_born_progressing(name: str) -> None:
    """Before the operator has said anything."""
    born = {key: value for key, value in STATUSES[name].items() if key != "status"}
    health = judge(born)
    assert health.status == "Progressing"
    assert NOT_SEEN in health.message


def test_guards_in_the_scripts_exist() -> None:
    """The guards that need somebody are words of the code."""
    table = scripts()[f"{GROUP}_QdrantCluster"].split("needs_user = {")[1].split("}")[0]
    words = re.findall(r"(\w+) = true", table)
    assert words
    assert set(words) <= {guard.value for guard in ClusterGuard}


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ({}, "Progressing"),
        ({"health": {"status": "Healthy"}}, "Healthy"),
        ({"health": {"status": "Degraded", "message": "a pod fails"}}, "Degraded"),
    ],
)
def test_an_application_is_what_it_says(status: dict[str, Any], word: str) -> None:
    """So that a wave of Applications waits for the one before."""
    application = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "status": status}
    assert judge(application).status == word

"""The Applications of the example: waves in order, places that exist, and nothing that could delete volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "argocd"
WAVE = "argocd.argoproj.io/sync-wave"


def documents(folder: str) -> list[dict[str, Any]]:
    """Objects of one folder."""
    return [
        one
        for path in sorted((EXAMPLE / folder).glob("*.yaml"))
        for one in yaml.safe_load_all(path.read_text())
    ]


def waves(folder: str) -> dict[str, int]:
    """Waves by kind and name."""
    return {
        f"{one['kind']}/{one['metadata']['name']}": int(one["metadata"]["annotations"][WAVE])
        for one in documents(folder)
    }


def test_waves_follow_what_needs_what() -> None:
    """The operator, then the cluster, then the collection, then its backups."""
    assert waves("apps") == {"Application/qdrant-operator": -1, "Application/search": 0}
    assert waves("search") == {
        "QdrantCluster/vectors": 0,
        "QdrantCollection/docs": 1,
        "QdrantSnapshotSchedule/nightly": 2,
    }


def test_every_path_is_there() -> None:
    """Each Application reads a folder of this tree."""
    applications = [*documents("apps"), yaml.safe_load((EXAMPLE / "root.yaml").read_text())]
    assert all((ROOT / one["spec"]["source"]["path"]).is_dir() for one in applications)


def test_no_application_is_called_like_a_cluster() -> None:
    """Argo CD before 3.0 would take the label on the cluster's volume claims for its own, and could prune them."""
    applications = {one["metadata"]["name"] for one in documents("apps")}
    clusters = {one["metadata"]["name"] for one in documents("search") if one["kind"] == "QdrantCluster"}
    assert clusters
    assert not applications & clusters


def test_clusters_are_not_pruned() -> None:
    """The Application that holds them does not delete what leaves Git."""
    search = next(one for one in documents("apps") if one["metadata"]["name"] == "search")
    assert search["spec"]["syncPolicy"]["automated"]["prune"] is False

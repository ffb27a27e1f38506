"""Statuses that a run has seen, judged by Argo CD's health checks; one of each sort is saved.

The saved ones become the examples of tests/argocd, which runs without a cluster.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from qdrant_operator.domain.common.kinds import Manifest
from tests.argocd.lua import Health, judge

Sort = tuple[str, ...]


class Statuses:
    """A folder with one object of each sort: kind, phase, and the reasons of its conditions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saved: set[Sort] = set()

    def see(self, manifest: Manifest) -> Health:
        """Judge an object, and save it if it is the first of its sort."""
        health, sort = judge(manifest), _sort(manifest)
        if sort not in self.saved:
            self.saved.add(sort)
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"{sort[0]}-{health.status}-{len(self.saved):03d}.yaml"
            (self.folder / name).write_text(yaml.safe_dump(_plain(manifest), sort_keys=False))
        return health


def _sort(manifest: Manifest) -> Sort:
    status = manifest.get("status") or {}
    reasons = (f"{one['type']}={one['status']}/{one['reason']}" for one in status.get("conditions") or ())
    return (manifest["kind"], str(status.get("phase")), *reasons)


def _plain(manifest: Manifest) -> Manifest:
    meta = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return {**manifest, "metadata": meta}

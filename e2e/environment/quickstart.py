"""The manifests of examples/quickstart as a user applies them: only the bucket's endpoint and keys are put in."""

from __future__ import annotations

from pathlib import Path

import yaml

from e2e.environment.kubectl import Kubectl
from e2e.environment.storage import Storage
from e2e.shell import ROOT
from qdrant_operator.domain.common.kinds import Manifest

FOLDER = ROOT / "examples" / "quickstart"
DIMENSIONS = 128
"""Of its collection."""


def files() -> tuple[Path, ...]:
    """The cluster and the collection, untouched."""
    return FOLDER / "1-cluster.yaml", FOLDER / "2-collection.yaml"


def snapshots(storage: Storage) -> list[Manifest]:
    """The third file, for this S3 server."""
    secret, schedule = yaml.safe_load_all((FOLDER / "3-snapshots.yaml").read_text())
    schedule["spec"]["storage"]["s3"]["endpoint"] = storage.endpoint
    return [{**secret, "stringData": storage.secret()["stringData"]}, schedule]


def snapshot(home: Kubectl, name: str) -> Manifest:
    """A snapshot by hand, where the schedule puts its own."""
    schedule = home.get("qdrantsnapshotschedule", "nightly")
    assert schedule is not None
    spec = {key: schedule["spec"][key] for key in ("clusterRef", "storage")}
    about = {"apiVersion": schedule["apiVersion"], "kind": "QdrantSnapshot"}
    return {**about, "metadata": {"name": name}, "spec": spec}

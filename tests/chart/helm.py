"""The chart as the real helm renders it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from sandbox.helm import find_helm

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "qdrant-operator"
Manifest = dict[str, Any]


def helm(*args: str) -> subprocess.CompletedProcess[str]:
    """Run helm; the caller looks at its exit code."""
    return subprocess.run([str(find_helm()), *args], capture_output=True, text=True, check=False, timeout=60)


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

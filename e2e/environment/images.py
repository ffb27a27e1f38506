"""The images of a run: the operator's from the Dockerfile, Qdrant's and SeaweedFS' from wherever they can be had.

Every image is loaded into the nodes, so that no pod pulls. BASE_IMAGE replaces the Python image that the Dockerfile
names; the others are laid over it too.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.shell import BUILD, ROOT, CommandFailed, Missing, run
from sandbox.binaries import version_of
from sandbox.s3 import find_weed

OPERATOR = "qdrant-operator:e2e"
QDRANT = "qdrant/qdrant:v1.19.0"
"""What a QdrantCluster of version v1.19.0 runs where nothing else is written."""
SIMULATED = "simulated peers, no Qdrant"
SEAWEEDFS = "qdrant-operator-seaweedfs:e2e"
_BINARY = "dev.qdrantoperator.e2e.binary"
"""Label of a Qdrant image that was made here."""
_HERE = Path(__file__).parents[1] / "images"
_BUILD_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Images:
    """What a run uses."""

    qdrant: str
    """Where Qdrant comes from, in words."""
    operator_bytes: int
    """Size of the operator's image."""
    simulated: bool = False
    """Peers are simulated: `e2e.environment.simulator` must run."""

    @staticmethod
    def names() -> tuple[str, ...]:
        """All of them."""
        return OPERATOR, QDRANT, SEAWEEDFS


def build() -> Images:
    """Make or find every image; what is unchanged comes from docker's cache."""
    _build_operator()
    qdrant = _find_qdrant()
    _build("seaweedfs", SEAWEEDFS, {"weed": find_weed()})
    size = run("docker", "image", "inspect", "--format", "{{.Size}}", OPERATOR)
    return Images(qdrant, int(size), simulated=qdrant == SIMULATED)


def load(cluster: str) -> None:
    """Bring the images to the nodes of a kind cluster that run them; those that are there already stay."""
    nodes = run("kind", "get", "nodes", "--name", cluster).split()
    workers = [node for node in nodes if "control-plane" not in node] or nodes
    control = [node for node in nodes if "control-plane" in node]
    for images, to in (((OPERATOR, QDRANT), workers), ((OPERATOR, SEAWEEDFS), control)):
        run("kind", "load", "docker-image", "--name", cluster, "--nodes", ",".join(to), *images, timeout=600)


def _build_operator() -> None:
    """As `make image` does, in a folder of its own: the checkout's dist/ is left alone."""
    context = BUILD / "images" / f"operator-{os.getpid()}"
    shutil.rmtree(context, ignore_errors=True)
    wheel = ("-m", "hatchling", "build", "--target", "wheel", "--directory", str(context / "dist"))
    run(sys.executable, *wheel, timeout=120)
    shutil.copy(ROOT / "constraints-runtime.txt", context)
    try:
        _docker_build(ROOT / "Dockerfile", OPERATOR, context)
    finally:
        shutil.rmtree(context)


def _find_qdrant() -> str:
    """The published image where it is or can be pulled, else the binary QDRANT_BIN in an image of our own.

    Where there is neither, peers are simulated: their containers are real, their consensus and data are not.
    """
    if not _is_published():
        try:
            run("docker", "pull", "--quiet", QDRANT, timeout=300)
        except CommandFailed:
            given = os.environ.get("QDRANT_BIN")
            return _build_qdrant(Path(given)) if given else _build_simulated()
    return f"real Qdrant {QDRANT.rpartition(':v')[2]} (image)"


def _is_published() -> bool:
    try:
        found = json.loads(run("docker", "image", "inspect", QDRANT))
    except CommandFailed:
        return False
    return _BINARY not in (found[0]["Config"].get("Labels") or {})


def _build_qdrant(given: Path) -> str:
    version = version_of(given)
    wanted = QDRANT.rpartition(":")[2]
    if version != wanted:
        raise Missing(f"QDRANT_BIN={given} is Qdrant {version}; the manifests want {wanted}")
    _build("qdrant", QDRANT, {"qdrant": given}, "--label", f"{_BINARY}=yes")
    return f"real Qdrant {version.removeprefix('v')} (binary)"


def _build_simulated() -> str:
    files = {"sandbox": ROOT / "sandbox", "peer.py": _HERE / "simulated" / "peer.py"}
    operator = ("--build-arg", f"OPERATOR_IMAGE={OPERATOR}")
    _build("simulated", QDRANT, files, "--label", f"{_BINARY}=yes", *operator)
    return SIMULATED


def _build(name: str, tag: str, files: Mapping[str, Path], *options: str) -> None:
    """Build `images/NAME/Dockerfile` beside these files."""
    context = BUILD / "images" / f"{name}-{os.getpid()}"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    for file, source in files.items():
        (shutil.copytree if source.is_dir() else shutil.copy)(source, context / file)
    try:
        _docker_build(_HERE / name / "Dockerfile", tag, context, *options)
    finally:
        shutil.rmtree(context)


def _docker_build(dockerfile: Path, tag: str, context: Path, *options: str) -> None:
    base = os.environ.get("BASE_IMAGE")
    argument = ("--build-arg", f"BASE_IMAGE={base}") if base else ()
    run(
        "docker", "build", "--quiet", "--file", str(dockerfile), "--tag", tag, *argument, *options, str(context),
        timeout=_BUILD_SECONDS,
    )  # fmt: skip

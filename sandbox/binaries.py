"""Which programs the sandbox runs, and why these: real parts first.

Control plane: KUBEBUILDER_ASSETS, the user's cache folder, official binaries, a build from Go modules.
Qdrant: QDRANT_BIN, the cache folder, the official release archive, else simulated peers.
Every way that was passed over leaves a sentence, so that the reader of the first screen knows what to do
about it. This module finds; building is in `build`, fetching in `downloads`.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sandbox import build
from sandbox.downloads import DownloadError, Progress, download, extract_member, fetch_json, fetch_text

if TYPE_CHECKING:
    from collections.abc import Iterator

KUBERNETES = "v1.36.3"
ETCD = "v3.6.8"
QDRANT = "v1.19.0"
"""The version the examples use; QDRANT_BIN may be another."""
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")

KUBERNETES_SITE = "https://dl.k8s.io/release"
RELEASES_SITE = "https://api.github.com/repos"
"""Where release archives and the digests of their files are published."""


class Source(StrEnum):
    """How a part was come by."""

    GIVEN = "given"
    CACHE = "cache"
    DOWNLOAD = "download"
    BUILD = "build"
    SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the sandbox: what it is, where it came from and what was passed over."""

    name: str
    source: Source
    path: Path | None
    """Folder of the control plane's programs, or Qdrant's binary; None for simulated peers."""
    passed_over: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for the first screen."""
        where = f" at {self.path}" if self.path else ""
        why = f" ({'; '.join(self.passed_over)})" if self.passed_over else ""
        return f"{self.name}: {self.source}{where}{why}"


@dataclass(frozen=True, slots=True)
class Sites:
    """Where official files come from; tests point these at a server of their own."""

    kubernetes: str = KUBERNETES_SITE
    releases: str = RELEASES_SITE


class NotAvailableError(Exception):
    """No way to get a part; the message names each way and what it lacks."""


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Folder in the user's cache where binaries stay between runs."""
    base = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "qdrant-operator"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def find_control_plane(
    progress: Progress, *, environ: Mapping[str, str] = os.environ, sites: Sites | None = None
) -> Part:
    """Return a folder that holds etcd, kube-apiserver, kube-controller-manager and kube-scheduler.

    Raises:
        NotAvailableError: nothing given, nothing cached, nothing to download or build with.
    """
    name, passed = f"Kubernetes {KUBERNETES}", []
    if given := environ.get("KUBEBUILDER_ASSETS"):
        if not (missing := _missing_programs(Path(given))):
            return Part("Kubernetes", Source.GIVEN, Path(given))
        passed.append(f"KUBEBUILDER_ASSETS lacks {', '.join(missing)}")
    folder = cache_folder(environ) / f"kubernetes-{KUBERNETES}"
    with _locked(folder):
        if not _missing_programs(folder):
            return Part(name, Source.CACHE, folder, tuple(passed))
        try:
            _download_control_plane(folder, sites or Sites(), progress)
            return Part(name, Source.DOWNLOAD, folder, tuple(passed))
        except DownloadError as error:
            passed.append(f"no download: {error}")
        try:
            build.build_control_plane(folder, PROGRAMS, KUBERNETES, progress, environ=environ)
        except build.BuildError as error:
            raise NotAvailableError(_no_control_plane([*passed, f"no build: {error}"])) from error
        return Part(name, Source.BUILD, folder, tuple(passed))


def find_qdrant(
    progress: Progress, *, environ: Mapping[str, str] = os.environ, sites: Sites | None = None
) -> Part:
    """Return Qdrant's binary, or say that peers are simulated and why.

    Raises:
        NotAvailableError: QDRANT_BIN is set to something that is no executable file.
    """
    if given := environ.get("QDRANT_BIN"):
        path = Path(given).absolute()
        if not _is_program(path):
            raise NotAvailableError(
                f"QDRANT_BIN={given} is not an executable file; unset it or point it at qdrant"
            )
        return Part(f"Qdrant {version_of(path)}", Source.GIVEN, path)
    path = cache_folder(environ) / f"qdrant-{QDRANT}" / "qdrant"
    with _locked(path.parent):
        if _is_program(path):
            return Part(f"Qdrant {version_of(path)}", Source.CACHE, path, ("QDRANT_BIN is not set",))
        try:
            _download_qdrant(path, sites or Sites(), progress)
        except DownloadError as error:
            return simulated_peers(f"QDRANT_BIN is not set; no download: {error}")
    return Part(f"Qdrant {version_of(path)}", Source.DOWNLOAD, path, ("QDRANT_BIN is not set",))


def simulated_peers(why: str) -> Part:
    """Return the choice of simulated peers, for those who want them although there is a Qdrant."""
    return Part("Qdrant peers", Source.SIMULATED, None, (why,))


def version_of(qdrant: Path) -> str:
    """Return the version a Qdrant binary states, as `v1.19.0`, or "of unknown version"."""
    try:
        said = subprocess.run([qdrant, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "of unknown version"
    match = re.search(r"\d+\.\d+\.\d+", said.stdout)
    return f"v{match[0]}" if match else "of unknown version"


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _missing_programs(folder: Path) -> list[str]:
    return [program for program in PROGRAMS if not _is_program(folder / program)]


def _no_control_plane(passed: list[str]) -> str:
    ways = "\n".join(f"  - {reason}" for reason in passed)
    return (
        f"no Kubernetes control plane to run:\n{ways}\n"
        f"Point KUBEBUILDER_ASSETS at a folder with {', '.join(PROGRAMS)}, or install Go."
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time fill a cache folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lock: IO[str]
    with (folder / ".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _machine() -> tuple[str, str]:
    """Return Go's and Rust's names of this processor."""
    names = {"x86_64": ("amd64", "x86_64"), "aarch64": ("arm64", "aarch64")}
    if platform.machine() not in names:
        raise DownloadError(f"no official binaries for {platform.machine()}")
    return names[platform.machine()]


def _download_control_plane(folder: Path, sites: Sites, progress: Progress) -> None:
    go_name, _ = _machine()
    for program in PROGRAMS[1:]:
        url = f"{sites.kubernetes}/{KUBERNETES}/bin/linux/{go_name}/{program}"
        stated = fetch_text(url + ".sha256").split()[:1]
        if not stated:
            raise DownloadError(f"{url}.sha256 is empty")
        download(url, folder / program, sha256=stated[0], progress=progress)
        (folder / program).chmod(0o755)
    _download_release(
        f"{sites.releases}/etcd-io/etcd/releases/tags/{ETCD}",
        lambda name: name == f"etcd-{ETCD}-linux-{go_name}.tar.gz",
        folder / "etcd",
        progress,
    )


def _download_qdrant(target: Path, sites: Sites, progress: Progress) -> None:
    _, rust_name = _machine()
    _download_release(
        f"{sites.releases}/qdrant/qdrant/releases/tags/{QDRANT}",
        lambda name: name.startswith(f"qdrant-{rust_name}-unknown-linux") and name.endswith(".tar.gz"),
        target,
        progress,
    )


def _download_release(url: str, wanted: Callable[[str], bool], target: Path, progress: Progress) -> None:
    """Take the program `target.name` out of a release's archive, checked against the digest of the release."""
    release = fetch_json(url)
    assets = [asset for asset in release.get("assets", ()) if wanted(str(asset.get("name")))]
    # a musl build runs on every Linux, so it comes before a glibc one
    assets.sort(key=lambda asset: "musl" not in asset["name"])
    if not assets:
        raise DownloadError(f"{url}: the release has no archive for this machine")
    digest = str(assets[0].get("digest") or "")
    if not digest.startswith("sha256:"):
        raise DownloadError(f"{url}: no SHA-256 is published for {assets[0]['name']}")
    archive = target.with_name("archive.tar.gz")
    try:
        download(assets[0]["browser_download_url"], archive, sha256=digest[7:], progress=progress)
        extract_member(archive, target.name, target)
    finally:
        archive.unlink(missing_ok=True)

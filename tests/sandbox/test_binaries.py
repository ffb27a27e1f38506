"""Which programs the sandbox takes, in which order, and what it says about those it passed over."""

from __future__ import annotations

import platform
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.binaries import KUBERNETES, PROGRAMS, QDRANT, NotAvailableError, Part, Sites, Source
from sandbox.binaries import find_control_plane as find_control_plane_with
from sandbox.binaries import find_qdrant as find_qdrant_with
from sandbox.cluster import quiet
from tests.sandbox.stub_site import GOOD, Site, serve_site

GO_MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


@pytest.fixture
def site() -> Iterator[Site]:
    """A publisher of official binaries that publishes nothing yet."""
    with serve_site() as running:
        yield running


def find_control_plane(environ: dict[str, str], site: Site) -> Part:
    """Find it without Go, so that nothing is built by accident."""
    return find_control_plane_with(quiet, environ={"PATH": "/nonexistent", **environ}, sites=site.sites)


def find_qdrant(environ: dict[str, str], sites: Sites) -> Part:
    """Find Qdrant."""
    return find_qdrant_with(quiet, environ=environ, sites=sites)


def programs_in(folder: Path, *names: str) -> Path:
    """Make a folder with executables of these names."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(GOOD)
        (folder / name).chmod(0o755)
    return folder


def test_given_assets_come_first(tmp_path: Path, site: Site) -> None:
    """A complete KUBEBUILDER_ASSETS is taken, whatever the cache holds."""
    given = programs_in(tmp_path / "given", *PROGRAMS)
    part = find_control_plane({"KUBEBUILDER_ASSETS": str(given), "XDG_CACHE_HOME": str(tmp_path)}, site)
    assert (part.source, part.path) == (Source.GIVEN, given)
    assert site.asked == []


def test_incomplete_assets_are_passed_over_with_a_reason(tmp_path: Path, site: Site) -> None:
    """Envtest's assets lack two programs: the cache is taken, and the first screen says why."""
    given = programs_in(tmp_path / "given", "etcd", "kube-apiserver")
    cached = programs_in(tmp_path / "qdrant-operator" / f"kubernetes-{KUBERNETES}", *PROGRAMS)
    part = find_control_plane({"KUBEBUILDER_ASSETS": str(given), "XDG_CACHE_HOME": str(tmp_path)}, site)
    assert (part.source, part.path) == (Source.CACHE, cached)
    assert "KUBEBUILDER_ASSETS lacks kube-controller-manager, kube-scheduler" in str(part)
    assert site.asked == []


def test_official_programs_are_downloaded_once(tmp_path: Path, site: Site) -> None:
    """Where they are reachable nothing is built, and the second look finds them in the cache."""
    site.publish_kubernetes(GO_MACHINE)
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    part = find_control_plane(environ, site)
    assert part.source is Source.DOWNLOAD
    assert part.path is not None
    assert {name: (part.path / name).read_bytes() for name in PROGRAMS} == dict.fromkeys(PROGRAMS, GOOD)
    assert find_control_plane(environ, site).source is Source.CACHE


def test_a_program_with_another_checksum_is_not_kept(tmp_path: Path, site: Site) -> None:
    """A damaged download is named, and leaves nothing behind that would run."""
    site.publish_kubernetes(GO_MACHINE)
    site.files[f"/release/{KUBERNETES}/bin/linux/{GO_MACHINE}/kube-apiserver"] = b"other"
    with pytest.raises(NotAvailableError, match=r"kube-apiserver: SHA-256 is \w{64}, its publisher says"):
        find_control_plane({"XDG_CACHE_HOME": str(tmp_path)}, site)
    assert not list(tmp_path.rglob("kube-apiserver*"))


def test_no_way_at_all_names_every_way(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without assets, download and Go the message says what was tried and what to do."""
    monkeypatch.setattr("sandbox.build.sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(NotAvailableError) as failure:
        find_control_plane({"XDG_CACHE_HOME": str(tmp_path)}, site)
    message = str(failure.value)
    assert "no download: " in message
    assert "no go command was found" in message
    assert "Point KUBEBUILDER_ASSETS at" in message


def test_qdrant_bin_comes_first(tmp_path: Path, site: Site) -> None:
    """QDRANT_BIN is taken, and the version it states is shown."""
    given = programs_in(tmp_path / "given", "qdrant") / "qdrant"
    part = find_qdrant({"QDRANT_BIN": str(given), "XDG_CACHE_HOME": str(tmp_path)}, site.sites)
    assert (part.source, part.path, part.name) == (Source.GIVEN, given, "Qdrant v1.19.0")
    assert site.asked == []


def test_a_wrong_qdrant_bin_is_refused(tmp_path: Path, site: Site) -> None:
    """A path that cannot be run is an error to fix, not a reason to run something else."""
    with pytest.raises(NotAvailableError, match="QDRANT_BIN=/nonexistent is not an executable file"):
        find_qdrant({"QDRANT_BIN": "/nonexistent", "XDG_CACHE_HOME": str(tmp_path)}, site.sites)


def test_qdrants_official_archive(tmp_path: Path, site: Site) -> None:
    """Where it is reachable it is unpacked into the cache, and taken from there afterwards."""
    site.publish_qdrant(platform.machine())
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    part = find_qdrant(environ, site.sites)
    assert part.source is Source.DOWNLOAD
    assert part.path == tmp_path / "qdrant-operator" / f"qdrant-{QDRANT}" / "qdrant"
    assert part.path.read_bytes() == GOOD
    assert find_qdrant(environ, site.sites).source is Source.CACHE


def test_a_damaged_archive_means_simulated_peers(tmp_path: Path, site: Site) -> None:
    """A wrong checksum is told, and no byte of the archive is kept."""
    archive = site.publish_qdrant(platform.machine())
    site.files[f"/{archive}"] += b"x"
    part = find_qdrant({"XDG_CACHE_HOME": str(tmp_path)}, site.sites)
    assert part.source is Source.SIMULATED
    assert part.path is None
    assert "SHA-256" in str(part)
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [".lock"]


def test_a_silent_site_costs_seconds(tmp_path: Path) -> None:
    """A server that accepts and never answers delays the start by seconds, not minutes."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        sites = Sites(releases=f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        part = find_qdrant({"XDG_CACHE_HOME": str(tmp_path)}, sites)
    assert part.source is Source.SIMULATED
    assert "no answer within 4 s" in str(part)
    assert time.monotonic() - began < 8

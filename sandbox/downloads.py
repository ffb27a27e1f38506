"""Official release files over HTTP, never unchecked.

A machine without a way out must learn so in seconds: one attempt, one deadline that covers name resolution too
(a resolver that does not answer blocks for minutes otherwise), no retries. A file whose SHA-256 differs from what
its publisher states is never put in place.
"""

from __future__ import annotations

import hashlib
import json
import queue
import tarfile
import threading
import urllib.request
from collections.abc import Callable
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

Progress = Callable[[str, float | None], None]
"""Told what happens and how far it is, 0 to 1, or None when that is not known."""

HEADERS_WITHIN = 4.0
"""Seconds for name, connection and first answer of a server."""
_READ_WITHIN = 15.0
_CHUNK = 1 << 18


class DownloadError(Exception):
    """A file could not be had, or is not what its publisher says it is."""


def fetch_json(url: str) -> Any:
    """Return the JSON document at `url`.

    Raises:
        DownloadError: no answer in time, an HTTP error, or no JSON.
    """
    try:
        return json.loads(fetch_text(url))
    except ValueError as error:
        raise DownloadError(f"{url}: the answer is not JSON") from error


def fetch_text(url: str) -> str:
    """Return a small text document."""
    with _open(url) as response:
        try:
            return response.read(1 << 22).decode()
        except (OSError, ValueError) as error:
            raise DownloadError(f"{url}: {error}") from error


def download(url: str, target: Path, *, sha256: str, progress: Progress) -> None:
    """Fetch `url` to `target`, which appears only when whole and right.

    Raises:
        DownloadError: unreachable, cut short, or another checksum than `sha256`.
    """
    part = target.with_name(target.name + ".part")
    try:
        actual = _stream(url, part, progress)
        if actual != sha256.lower():
            raise DownloadError(f"{url}: SHA-256 is {actual}, its publisher says {sha256}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def extract_member(archive: Path, member: str, target: Path) -> None:
    """Take one regular file out of a tar archive, by its base name, as an executable.

    Raises:
        DownloadError: there is no such file in it.
    """
    with tarfile.open(archive) as tar:
        for entry in tar:
            source = tar.extractfile(entry) if Path(entry.name).name == member and entry.isfile() else None
            if source is not None:
                target.write_bytes(source.read())
                target.chmod(0o755)
                return
    raise DownloadError(f"{archive.name} contains no file {member}")


def _stream(url: str, part: Path, progress: Progress) -> str:
    digest = hashlib.sha256()
    done = 0
    with _open(url) as response, part.open("wb") as out:
        total = int(response.headers.get("Content-Length") or 0)
        try:
            while chunk := response.read(_CHUNK):
                out.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                progress(f"download {url.rsplit('/', 1)[-1]}", done / total if total else None)
        except OSError as error:
            raise DownloadError(f"{url}: cut short after {done} bytes: {error}") from error
    return digest.hexdigest()


def _open(url: str) -> HTTPResponse:
    """Open a URL within `HEADERS_WITHIN` seconds, name resolution included."""
    answers: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            answers.put(urllib.request.urlopen(url, timeout=_READ_WITHIN))
        except (OSError, ValueError) as error:
            answers.put(error)

    threading.Thread(target=attempt, daemon=True).start()
    try:
        answer = answers.get(timeout=HEADERS_WITHIN)
    except queue.Empty:
        raise DownloadError(f"no answer within {HEADERS_WITHIN:.0f} s from {url}") from None
    if isinstance(answer, Exception):
        raise DownloadError(f"{answer} at {url}") from answer
    return answer

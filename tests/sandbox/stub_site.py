"""A small HTTP server that stands for the sites where official binaries are published."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sandbox.binaries import ETCD, KUBERNETES, PROGRAMS, QDRANT, Sites

GOOD = b"#!/bin/sh\necho qdrant 1.19.0\n"


class Site:
    """Files by path, and the requests that came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    @property
    def sites(self) -> Sites:
        """Both publishers at this server."""
        return Sites(kubernetes=f"{self.url}/release", releases=f"{self.url}/repos")

    def publish_kubernetes(self, machine: str) -> None:
        """Offer every program of the control plane."""
        for program in PROGRAMS[1:]:
            path = f"/release/{KUBERNETES}/bin/linux/{machine}/{program}"
            self.files[path] = GOOD
            self.files[f"{path}.sha256"] = hashlib.sha256(GOOD).hexdigest().encode()
        self.publish_release("etcd-io/etcd", ETCD, f"etcd-{ETCD}-linux-{machine}.tar.gz", "etcd")

    def publish_release(self, project: str, tag: str, archive: str, program: str) -> None:
        """Offer a release with one archive that holds one program."""
        content = _archive(f"folder/{program}", GOOD)
        digest = hashlib.sha256(content).hexdigest()
        asset = {
            "name": archive,
            "digest": f"sha256:{digest}",
            "browser_download_url": f"{self.url}/{archive}",
        }
        self.files[f"/repos/{project}/releases/tags/{tag}"] = json.dumps({"assets": [asset]}).encode()
        self.files[f"/{archive}"] = content

    def publish_qdrant(self, machine: str) -> str:
        """Offer Qdrant's release; returns the archive's name."""
        archive = f"qdrant-{machine}-unknown-linux-musl.tar.gz"
        self.publish_release("qdrant/qdrant", QDRANT, archive, "qdrant")
        return archive


@contextmanager
def serve_site() -> Iterator[Site]:
    """Run the server on a free loopback port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    site = Site(f"http://127.0.0.1:{server.server_port}")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            content = site.files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the test's output clean."""

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()

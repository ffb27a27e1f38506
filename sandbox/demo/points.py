"""An application's side: writes and counts points with qdrant-client, through any ready peer of the Service."""

from __future__ import annotations

import base64
import random
import warnings
from collections.abc import Callable, Iterable

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException

from sandbox.demo.objects import Objects

_SIZE = 128
_BATCH = 500
_TIMEOUT = 20


class Application:
    """A client with the key from the cluster's connection Secret."""

    def __init__(self, objects: Objects, api_key: str) -> None:
        self._objects = objects
        self._api_key = api_key
        self._random = random.Random(7)

    def write(self, collection: str, ids: range, told: Callable[[int], None]) -> None:
        """Upsert points; a batch that fails is sent again to another peer, once.

        Raises:
            ApiException: a batch failed at two peers.
        """
        for start in range(ids.start, ids.stop, _BATCH):
            self._write_batch(collection, range(start, min(start + _BATCH, ids.stop)))
            told(start + _BATCH - ids.start)

    def count(self, collection: str) -> int:
        """Points of a collection, counted exactly."""
        return int(self._client(self._peers()[0]).count(collection, exact=True, timeout=_TIMEOUT).count)

    def counts(self, collection: str) -> dict[str, int]:
        """Points as each ready peer counts them."""
        return {
            address: int(self._client(address).count(collection, exact=True, timeout=_TIMEOUT).count)
            for address in self._peers()
        }

    def _write_batch(self, collection: str, ids: range) -> None:
        points = [
            models.PointStruct(id=number, vector=self._vector(), payload={"tenant": f"t{number % 10}"})
            for number in ids
        ]
        last: Exception | None = None
        for address in self._peers()[:2]:
            try:
                self._client(address).upsert(collection, points, wait=True)
            except (ApiException, OSError) as error:
                last = error
            else:
                return
        raise last or RuntimeError("no peer is ready")

    def _vector(self) -> list[float]:
        return [self._random.uniform(-1, 1) for _ in range(_SIZE)]

    def _peers(self) -> list[str]:
        """Addresses that the client Service would lead to now, in an order of chance."""
        ready = [
            str(one.status["podIP"])
            for one in self._objects.seen
            if one.kind == "Pod" and one.is_true("Ready") and _serves(one.manifest["metadata"]["labels"])
        ]
        return self._random.sample(ready, len(ready))

    def _client(self, address: str) -> QdrantClient:
        with warnings.catch_warnings():
            # the key goes over loopback only
            warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
            return QdrantClient(
                url=f"http://{address}:6333",
                api_key=self._api_key,
                timeout=_TIMEOUT,
                check_compatibility=False,
            )


def decoded(secret: dict[str, str], keys: Iterable[str]) -> dict[str, str]:
    """Return some of a Secret's values as text."""
    return {key: base64.b64decode(secret[key]).decode() for key in keys}


def _serves(labels: dict[str, str]) -> bool:
    return labels.get("app.kubernetes.io/component") == "peer" and (
        labels.get("qdrantoperator.dev/serving") == "true"
    )

"""Leader election with a Lease, by the rules of client-go: at most one operator acts.

Times are compared on the monotonic clock of this machine only: a holder is alive while its record changes, whatever
its own clock says. A holder that cannot renew the Lease stops acting before another may take over.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from qdrant_operator.adapters.kubernetes.transport import AlreadyExists, NotFound, Transport, path_of
from qdrant_operator.domain.common.errors import Conflict, Refused, Retryable
from qdrant_operator.domain.common.kinds import Kind, Manifest

_log = logging.getLogger(__name__)
_JITTER: Final = 1.2


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Durations in seconds; the defaults are client-go's."""

    duration: float = 15.0
    """Others take over this long after the last change."""
    renew: float = 10.0
    """The holder stops acting when it could not renew for this long."""
    retry: float = 2.0
    """Pause between two attempts."""


class LeadershipLost(Exception):  # noqa: N818 (a state, not a defect)
    """Another process may act from now on: this one must exit at once."""


class LeaderLease:
    """One candidate for one Lease."""

    def __init__(
        self,
        transport: Transport,
        namespace: str,
        name: str,
        identity: str,
        *,
        timing: LeaseTiming | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Be a candidate as `identity`, which must be unique.

        The transport must not check this Lease before its writes, and should time out within about `timing.retry`.
        """
        self._transport = transport
        self._path = path_of(Kind.LEASE, namespace, name)
        self._collection = path_of(Kind.LEASE, namespace)
        self._meta = {"namespace": namespace, "name": name}
        self._identity = identity
        self._timing = timing or LeaseTiming()
        self._monotonic = monotonic
        self._sleep = sleep
        self._valid_until = 0.0
        self._seen: tuple[Any, float] | None = None

    def is_holder(self) -> bool:
        """Whether this process may act now. Sends no request; checked before every write."""
        return self._monotonic() < self._valid_until

    async def acquire(self) -> None:
        """Return when this process holds the Lease; attempts do not end."""
        while not await self._try():
            await self._sleep(self._timing.retry * random.uniform(1.0, _JITTER))  # noqa: S311 (no secret)
        _log.info("Leadership acquired", extra={"identity": self._identity})

    async def keep(self) -> None:
        """Renew until cancelled.

        Raises:
            LeadershipLost: another process took the Lease, or it could not be renewed in time.
        """
        while True:
            await self._sleep(self._timing.retry)
            renewed = await self._try()
            if renewed:
                continue
            if self._is_held_by_another() or not self.is_holder():
                self._valid_until = 0.0
                raise LeadershipLost(f"{self._identity} lost the Lease {self._meta['name']}")

    async def release(self) -> None:
        """Release the Lease at a clean stop, so that the next holder need not wait; a failure does no harm."""
        if not self.is_holder():
            return
        self._valid_until = 0.0
        try:
            current = await self._transport.get(Kind.LEASE, self._path)
            if _holder(current) == self._identity:
                await self._put(current, {**current["spec"], "holderIdentity": "", "leaseDurationSeconds": 1})
        except (Retryable, Refused) as error:
            _log.warning("The Lease was not released: %s", error)

    async def _try(self) -> bool:
        """One attempt to take or renew the Lease; False when another holds it or the attempt failed."""
        began = self._monotonic()
        try:
            async with asyncio.timeout(self._timing.renew):
                held = await self._take_or_renew()
        except (Conflict, AlreadyExists):
            held = False
        except (Retryable, Refused, TimeoutError) as error:
            _log.warning("The Lease could not be written: %s", error or "no answer in time")
            return False
        if held:
            # Counted from before the request: others count from when they see its effect.
            self._valid_until = began + self._timing.renew
        return held

    async def _take_or_renew(self) -> bool:
        try:
            current = await self._transport.get(Kind.LEASE, self._path)
        except NotFound:
            await self._create()
            return True
        spec = current["spec"]
        if _holder(current) not in ("", self._identity) and not self._is_stale(spec):
            return False
        taken = _holder(current) != self._identity
        await self._put(current, self._spec(spec, taken))
        return True

    def _is_stale(self, spec: Manifest) -> bool:
        """Whether the record of another has not changed for its whole duration, by the clock of this machine."""
        now = self._monotonic()
        if self._seen is None or self._seen[0] != spec:
            self._seen = (spec, now)
        return now - self._seen[1] >= float(spec.get("leaseDurationSeconds") or self._timing.duration)

    def _is_held_by_another(self) -> bool:
        return self._seen is not None and self._seen[0].get("holderIdentity") != self._identity

    def _spec(self, before: Manifest, taken: bool) -> Manifest:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._timing.duration)),
            "acquireTime": now if taken else before.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + taken,
        }

    async def _create(self) -> None:
        body = {
            "apiVersion": Kind.LEASE.api_version,
            "kind": Kind.LEASE.kind,
            "metadata": self._meta,
            "spec": {**self._spec({}, taken=True), "leaseTransitions": 0},
        }
        await self._transport.write("POST", Kind.LEASE, self._collection, body=body)
        self._seen = None

    async def _put(self, current: Manifest, spec: Manifest) -> None:
        # The version in `current` makes this conditional: of two candidates one gets a Conflict.
        await self._transport.write("PUT", Kind.LEASE, self._path, body={**current, "spec": spec})
        self._seen = None


def _holder(lease: Manifest) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")

"""The Job's own look at the cluster, taken when it starts and around every copy: the plan is as fresh as the data."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from qdrant_operator.domain.backup.sources import Source, source_problem, source_refuted
from qdrant_operator.domain.common.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint
from qdrant_operator.domain.qdrant.soundness import answering
from qdrant_operator.domain.qdrant.views import Silent, View
from qdrant_operator.jobs.backup.ports import Peers

LOOKS = 75
PAUSE_SECONDS = 4.0
"""Five minutes without progress before a run gives up on a shard: a restarting peer or a transfer takes less."""
WATCH_SECONDS = 2.0
"""Between two looks while a peer makes a file: a replica that became Dead needs a transfer to be Active again."""
CONFIRMATIONS = 10
"""Looks for a source to be confirmed after its file was made: a busy peer may miss one."""


class Lookout:
    """Looks at all peers at once; callers that ask at the same moment share a look."""

    def __init__(self, peers: Peers, endpoints: Mapping[str, Endpoint]) -> None:
        """`endpoints`: pod → its peer."""
        self._peers = peers
        self._endpoints = endpoints
        self._looking = asyncio.Lock()
        self._asked = self._begun = 0
        self._seen: dict[str, View] = {}

    async def look(self) -> Mapping[str, View]:
        """Pod → what its peer says now; every answer was asked for after this call."""
        self._asked += 1
        ticket = self._asked
        async with self._looking:
            if self._begun < ticket:
                self._begun = self._asked
                views = await asyncio.gather(*(self._view(endpoint) for endpoint in self._endpoints.values()))
                self._seen = dict(zip(self._endpoints, views, strict=True))
            return self._seen

    async def some(self) -> Mapping[str, View]:
        """As `look`, when at least one peer answers.

        Raises:
            Unreachable: none does, and why.
        """
        seen = await self.look()
        if not answering(seen.values()):
            silent = "; ".join(view.reason for view in seen.values() if isinstance(view, Silent))
            raise Unreachable(f"no peer answers: {silent or 'the cluster has no running pod'}")
        return seen

    async def expect_sound(self, source: Source) -> None:
        """Look before a copy.

        Raises:
            Refused: `ShardNotSound`: the source cannot be trusted now, or nothing is known of it.
        """
        self._raise(source_problem(tuple((await self.look()).values()), source))

    async def refuted(self, source: Source) -> str | None:
        """What speaks against a source while its file is made."""
        return source_refuted(tuple((await self.look()).values()), source)

    async def confirm_sound(self, source: Source) -> None:
        """Check the source once its file is made. A peer that does not answer is asked again; a contradiction is final.

        Raises:
            Refused: `ShardNotSound`: the file may lack what was acknowledged, it is not to be kept.
        """
        for _ in range(CONFIRMATIONS - 1):
            views = tuple((await self.look()).values())
            self._raise(source_refuted(views, source))
            if source_problem(views, source) is None:
                return
            await asyncio.sleep(WATCH_SECONDS)
        await self.expect_sound(source)

    async def _view(self, endpoint: Endpoint) -> View:
        try:
            return await self._peers.observe(endpoint)
        except (Retryable, Refused) as error:
            return Silent(str(error))

    @staticmethod
    def _raise(why: str | None) -> None:
        if why is not None:
            raise Refused("ShardNotSound", why)

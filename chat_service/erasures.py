"""Erasure: whom auth has erased, chat hears of by asking, and then removes all that it keeps of them.

Auth is asked from the last moment on that is known here, so that nobody is missed, however long either was away. All of
a user's conversations become due to go at once; from there on the ordinary clean-up removes them in small batches.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

import structlog

from chat_service.store import ai_usage, conversations, erased_users
from shared import metrics
from shared.cleanup import CleanUp
from shared.db import Database

log = structlog.get_logger()

PAUSE_SECONDS: Final = 60.0
# Longer than any access token lives that was made before.
TOKENS_LIVE: Final = timedelta(hours=2)

Pull: TypeAlias = "Callable[[datetime | None], Awaitable[Sequence[tuple[UUID, datetime]]]]"


class Erasures:
    """Learns whom auth has erased. Replicas may ask at once: what is known already is passed over."""

    def __init__(self, database: Database, pull: Pull) -> None:
        """`pull` asks auth who was erased after a moment, in that order."""
        self._database, self._pull = database, pull

    async def learn(self) -> None:
        """Note everybody whom auth has erased since."""
        while erased := await self._pull(await erased_users.find_last(self._database)):
            await erased_users.insert_many(self._database, erased)
            log.info("users were erased", count=len(erased))
        await self.measure()

    async def measure(self) -> None:
        """Tell how long the oldest erasure has waited."""
        metrics.erasure_oldest_seconds.set(await erased_users.find_oldest_unfinished(self._database))


def tasks() -> list[CleanUp]:
    """What follows, in this order: all of a user's conversations become due, and in the end the user is done with."""
    return [
        CleanUp(query=conversations.queries.doom_erased),
        CleanUp(query=ai_usage.queries.delete_erased),
        CleanUp(query=erased_users.queries.finish, args=(TOKENS_LIVE,)),
    ]

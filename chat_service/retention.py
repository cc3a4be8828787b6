"""Retention: conversations that nobody has touched for a set time are deleted, as a user would delete them.

There is no index on when a conversation was touched, because each append would have to write to it. Instead all
conversations are gone through in the order of their keys, so many a minute, again and again from the beginning.
"""

import zlib
from datetime import timedelta
from typing import Final
from uuid import UUID

from chat_service.store import conversations
from shared import cleanup, metrics
from shared.cleanup import BATCH_ROWS
from shared.db import Database

PAUSE_SECONDS: Final = 60.0
MAX_BATCHES: Final = 100
_FIRST: Final = (UUID(int=0), UUID(int=0))


class Retention:
    """Goes through all conversations; replicas take turns, each going on from where it was itself."""

    def __init__(self, database: Database, untouched: timedelta, undelete: timedelta) -> None:
        """Delete what is `untouched` for so long; it can be undeleted for a while."""
        self._database, self._untouched, self._undelete = database, untouched, undelete
        self._after = _FIRST

    async def work(self) -> int:
        """Go on for some batches, and say how many conversations were deleted."""
        total = 0
        for _ in range(MAX_BATCHES):
            deleted = await self._batch()
            if deleted is None:
                break
            total += deleted
        metrics.cleanup_rows.labels(conversations.queries.delete_untouched.name).inc(total)
        return total

    async def _batch(self) -> int | None:
        """How many of the next ones were deleted; None at the end, or while another replica is at it."""
        name = conversations.queries.delete_untouched.name
        async with self._database.transaction() as tx:
            if not await tx.fetch_value(cleanup.queries.try_lock, zlib.crc32(name.encode())):
                return None
            seen = await conversations.delete_untouched(tx, self._after, BATCH_ROWS, self._untouched, self._undelete)
        self._after = seen.last or _FIRST
        return seen.deleted if seen.last else None

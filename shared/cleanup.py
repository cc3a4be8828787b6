"""Background clean-up: small batches, by whichever replica holds the task's advisory lock, never in anybody's way."""

import asyncio
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from shared import metrics, sql
from shared.background import Background
from shared.db import Database
from shared.sql import Query

queries = sql.load(__file__)

BATCH_ROWS: Final = 500
_MAX_BATCHES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    """One task. Its query removes at most $1 rows FOR UPDATE SKIP LOCKED and answers how many; `args` follow."""

    query: Query
    args: tuple[object, ...] = ()
    pause_seconds: float = 60.0

    async def run(self, database: Database) -> int:
        """Remove what is due, at most so many batches in one pass; the rest is the backlog of the next."""
        removed = BATCH_ROWS
        total = 0
        for _ in range(_MAX_BATCHES):
            removed = await self._batch(database)
            total += removed
            if removed < BATCH_ROWS:
                break
        metrics.cleanup_rows.labels(self.query.name).inc(total)
        metrics.cleanup_backlog.labels(self.query.name).set(removed == BATCH_ROWS)
        return total

    async def _batch(self, database: Database) -> int:
        async with database.transaction() as tx:
            if not await tx.fetch_value(queries.try_lock, zlib.crc32(self.query.name.encode())):
                return 0
            return int(await tx.fetch_value(self.query, BATCH_ROWS, *self.args))


def schedule(tasks: Sequence[CleanUp], database: Database, background: Background) -> None:
    """Run every task again and again, one at a time: a start takes no ten connections from the callers for it."""
    turn = asyncio.Lock()
    for task in tasks:
        background.every(task.pause_seconds, task.query.name, partial(_in_turn, turn, task, database))


async def _in_turn(turn: asyncio.Lock, task: CleanUp, database: Database) -> int:
    async with turn:
        return await task.run(database)

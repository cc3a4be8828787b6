"""Users whom auth has erased, in Postgres; `cleanup.py` removes what is left of them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared import sql
from shared.db import Executor

queries = sql.load(__file__)


async def find_last(executor: Executor) -> datetime | None:
    """The latest moment of which auth has told."""
    last: datetime | None = await executor.fetch_value(queries.find_last)
    return last


async def insert_many(executor: Executor, erased: Sequence[tuple[UUID, datetime]]) -> None:
    """Note whom auth has told of."""
    latest = dict(erased)
    await executor.fetch_all(queries.insert_many, list(latest), list(latest.values()))


async def find_oldest_unfinished(executor: Executor) -> float:
    """For how many seconds the erasure that has waited the longest has; 0 where none waits."""
    return await executor.fetch_value(queries.find_oldest_unfinished) or 0.0

"""When each master key last made something, in Postgres."""

from datetime import timedelta

from shared import sql
from shared.db import Executor

queries = sql.load(__file__)


async def note_use(executor: Executor, key_id: bytes) -> None:
    """The key makes things now."""
    await executor.fetch_one(queries.note_use, key_id)


async def is_unused_for(executor: Executor, key_id: bytes, time: timedelta) -> bool:
    """Whether a key that was in use has made nothing for so long; False for one that nothing is known of."""
    return bool(await executor.fetch_value(queries.is_unused_for, key_id, time))

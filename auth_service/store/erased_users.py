"""Users who are no more, in Postgres; a trigger notes them."""

from datetime import datetime

from auth_service.models import ErasedUser
from shared import sql
from shared.db import Executor

queries = sql.load(__file__)


async def list_after(executor: Executor, after: datetime | None, limit: int) -> list[ErasedUser]:
    """Who was erased after a moment, in that order."""
    return [ErasedUser(**dict(row)) for row in await executor.fetch_all(queries.list_after, after, limit)]

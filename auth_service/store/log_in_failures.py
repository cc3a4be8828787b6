"""Consecutive wrong passwords in Postgres, by email, and wrong codes, by user."""

from shared import sql
from shared.db import Executor

queries = sql.load(__file__)


async def count(executor: Executor, account: bytes) -> None:
    """One more."""
    await executor.fetch_one(queries.count, account)


async def find(executor: Executor, account: bytes) -> int:
    """How many since the last right one."""
    return int(await executor.fetch_value(queries.find, account) or 0)


async def delete(executor: Executor, account: bytes) -> None:
    """A right one ends the count."""
    await executor.fetch_one(queries.delete, account)

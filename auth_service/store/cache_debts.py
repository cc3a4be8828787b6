"""Deletions that committed changes owe to the shared cache."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from shared import sql
from shared.db import Executor

queries = sql.load(__file__)


async def list_due(executor: Executor, patience: timedelta, limit: int) -> Mapping[int, str]:
    """The keys that are owed, by the numbers of the debts."""
    return {row["id"]: row["key"] for row in await executor.fetch_all(queries.list_due, patience, limit)}


async def delete(executor: Executor, debts: Sequence[int]) -> None:
    """Strike out what was paid."""
    await executor.fetch_one(queries.delete, debts)

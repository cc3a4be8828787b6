"""What accounts have beside their passwords, told together; each factor's own store changes it."""

from uuid import UUID

from auth_service.models import SecondFactors
from shared import sql
from shared.db import Executor

queries = sql.load(__file__)


async def find(executor: Executor, user_id: UUID) -> SecondFactors:
    """What an account has."""
    row = await executor.fetch_one(queries.find, user_id)
    assert row is not None  # noqa: S101 - it selects from no table, so there always is one
    return SecondFactors(**dict(row))

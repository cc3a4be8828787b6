"""Recovery codes in Postgres, as digests."""

from collections.abc import Sequence
from uuid import UUID

from auth_service.models import FactorChange
from shared import ids, sql
from shared.db import Executor

queries = sql.load(__file__)


async def use(executor: Executor, user_id: UUID, digest: bytes, *, address: str) -> bool:
    """Use a code up; False where the user has no such code, or no longer."""
    return await executor.fetch_value(queries.use, user_id, digest, ids.new_id(), address) is not None


async def replace(executor: Executor, change: FactorChange, digests: Sequence[bytes]) -> bool:
    """Void the user's codes for new ones; False where the user has no second factor."""
    replaced = await executor.fetch_value(
        queries.replace, change.user_id, digests, change.session_id, ids.new_id(), change.address
    )
    return replaced is not None

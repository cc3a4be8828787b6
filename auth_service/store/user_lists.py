"""Lists of accounts in Postgres, for administrators."""

from typing import Final
from uuid import UUID

from auth_service.models import User, UserState
from auth_service.store.users import user
from shared import sql
from shared.db import Executor

queries = sql.load(__file__)

_GREATEST: Final = "\U0010ffff"


async def newest(executor: Executor, after: UUID | None, limit: int) -> list[User]:
    """All accounts, the newest first."""
    return [user(row) for row in await executor.fetch_all(queries.newest, after, limit)]


async def by_email(executor: Executor, prefix: str, after: str, limit: int) -> list[User]:
    """The accounts whose email begins so, in the order of their emails."""
    rows = await executor.fetch_all(queries.by_email, prefix, prefix + _GREATEST, after, limit)
    return [user(row) for row in rows]


async def by_display_name(executor: Executor, prefix: str, after: tuple[str, UUID] | None, limit: int) -> list[User]:
    """The accounts whose name in lower case begins so, in the order of their names."""
    name, user_id = after or ("", UUID(int=0))
    rows = await executor.fetch_all(queries.by_display_name, prefix, prefix + _GREATEST, name, user_id, limit)
    return [user(row) for row in rows]


async def by_state(executor: Executor, state: UserState, after: UUID | None, limit: int) -> list[User]:
    """The accounts in a state other than ACTIVE, the newest first."""
    return [user(row) for row in await executor.fetch_all(queries.by_state, state.value, after, limit)]

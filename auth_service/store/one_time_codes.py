"""Links and codes that were mailed, in Postgres."""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from shared import sql
from shared.db import Executor

queries = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCode:
    """One that is to be mailed; `user_id` is None where nobody has the email."""

    id: UUID
    purpose: str
    user_id: UUID | None
    email: str = field(repr=False)
    lifetime: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One that was mailed: whose it is, and the address that it proves."""

    id: UUID
    user_id: UUID
    email: str = field(repr=False)


async def replace(executor: Executor, new: NewCode) -> None:
    """Keep a code instead of the former one of the same purpose; in a transaction."""
    if new.user_id is not None:
        await executor.fetch_one(queries.delete_former, new.user_id, new.purpose)
    await executor.fetch_one(queries.insert, new.id, new.purpose, new.user_id, new.email, new.lifetime)


async def guess(executor: Executor, code_id: UUID, purpose: str, budget: int, lifetime: timedelta) -> bool:
    """Whether a guess may be looked at; it has been counted."""
    return await executor.fetch_one(queries.guess, code_id, purpose, budget, lifetime) is not None


async def find(executor: Executor, code_id: UUID, purpose: str) -> Code | None:
    """The code of this id, while it is good."""
    row = await executor.fetch_one(queries.find, code_id, purpose)
    return Code(**dict(row)) if row else None


async def consume(executor: Executor, code_id: UUID, purpose: str) -> bool:
    """Use a code up; False where another has."""
    return await executor.fetch_one(queries.consume, code_id, purpose) is not None


async def delete_all(executor: Executor, user_id: UUID) -> None:
    """End every code of a user."""
    await executor.fetch_one(queries.delete_former, user_id, None)

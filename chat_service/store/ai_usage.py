"""What users have used, in Postgres."""

from datetime import date, datetime
from uuid import UUID

from chat_service.models import Page, Usage
from chat_service.run_models import UsageDays, UsageOfDay, UsageOfUser, UsageUsers
from chat_service.store.pages import cut
from shared import sql
from shared.db import Executor, Record

queries = sql.load(__file__)

_NOBODY = UUID(int=0)


async def add(executor: Executor, user_id: UUID, model: str, usage: Usage) -> None:
    """Add a run that has ended."""
    await executor.fetch_value(
        queries.add,
        user_id,
        model,
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.reasoning_tokens,
        usage.cost_micros,
    )


async def list_days(executor: Executor, asked: UsageDays) -> Page[UsageOfDay]:
    """A page of a user's days, the newest first."""
    day, model = asked.after or (None, None)
    place = (asked.user_id, asked.first, asked.last, day, model, asked.size + 1)
    return cut(await executor.fetch_all(queries.list_days, *place), asked.size, _of_day)


async def list_users(executor: Executor, asked: UsageUsers) -> Page[UsageOfUser]:
    """A page of users, in the order of their ids."""
    place = (asked.after or _NOBODY, asked.first, asked.last, asked.size + 1)
    return cut(await executor.fetch_all(queries.list_users, *place), asked.size, _of_user)


async def queue_up(executor: Executor, user_id: UUID) -> None:
    """Wait until no other request of the user is being accepted, and keep others waiting until the transaction ends."""
    await executor.fetch_value(queries.queue_up, user_id)


async def count_recent(executor: Executor, user_id: UUID, since: UUID) -> tuple[int, int, datetime | None]:
    """How many answers a user has asked for from an id on, their tokens, and when the first of them was."""
    row = await executor.fetch_one(queries.count_recent, user_id, since)
    return (row["runs"], row["tokens"], row["oldest"]) if row else (0, 0, None)


def _of_day(row: Record) -> UsageOfDay:
    day: date = row["day"]
    return UsageOfDay(day=day, model=row["model"], runs=row["runs"], usage=_usage(row))


def _of_user(row: Record) -> UsageOfUser:
    return UsageOfUser(user_id=row["user_id"], runs=row["runs"], usage=_usage(row))


def _usage(row: Record) -> Usage:
    return Usage(
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cached_input_tokens=row["cached_input_tokens"],
        reasoning_tokens=row["reasoning_tokens"],
        cost_micros=row["cost_micros"],
    )

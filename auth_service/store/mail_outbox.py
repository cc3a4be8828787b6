"""Mails to be sent, in Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.models import SealedRow
from shared import sql
from shared.db import Executor

queries = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedMail:
    """A mail as it is put into the outbox."""

    id: UUID
    kind: str
    content_sealed: bytes = field(repr=False)
    lifetime: timedelta

    def values(self) -> tuple[object, ...]:
        """The arguments of the statements that put it there."""
        return self.id, self.kind, self.content_sealed, self.lifetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedMail:
    """A mail that a sender has taken, for the time of its lease."""

    id: UUID
    kind: str
    content_sealed: bytes = field(repr=False)
    attempts: int
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How many mails wait, and how long the oldest of them has."""

    waiting: int
    oldest_seconds: float


async def insert(executor: Executor, mail: QueuedMail) -> None:
    """Put a mail into the outbox."""
    await executor.fetch_one(queries.insert, *mail.values())


async def claim(executor: Executor, lease: timedelta, limit: int) -> Sequence[ClaimedMail]:
    """Take mails that are due; who does not give one back in time loses it to another sender."""
    return [ClaimedMail(**dict(row)) for row in await executor.fetch_all(queries.claim, lease, limit)]


async def delete(executor: Executor, mail: ClaimedMail) -> None:
    """Remove a mail that was sent."""
    await executor.fetch_one(queries.delete, mail.id, mail.attempts)


async def postpone(executor: Executor, mail: ClaimedMail, pause: timedelta) -> None:
    """Give a mail back, to be tried again after a pause."""
    await executor.fetch_one(queries.postpone, mail.id, mail.attempts, pause)


async def give_up(executor: Executor, mail: ClaimedMail, failure: str, keep: timedelta) -> None:
    """Note that a mail was refused for good."""
    await executor.fetch_one(queries.give_up, mail.id, mail.attempts, failure, keep)


async def backlog(executor: Executor, limit: int) -> Backlog:
    """What waits; at most `limit` are counted."""
    row = await executor.fetch_one(queries.backlog, limit)
    assert row is not None  # noqa: S101 - a count is always a row
    return Backlog(waiting=row["waiting"], oldest_seconds=row["oldest_seconds"])


async def list_sealed_otherwise(executor: Executor, key_id: bytes, limit: int) -> list[SealedRow]:
    """Mails that another key than the one with this id has sealed."""
    rows = await executor.fetch_all(queries.list_sealed_otherwise, key_id, limit)
    return [SealedRow(id=row["id"], sealed=row["content_sealed"], context=row["id"].bytes) for row in rows]


async def reseal(executor: Executor, row: SealedRow, sealed: bytes) -> bool:
    """Seal a mail anew; False where it was sent meanwhile."""
    return await executor.fetch_value(queries.reseal, row.id, row.sealed, sealed) is not None

"""What happened to accounts and sessions, in Postgres."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from auth_service.models import AuditEvent
from shared import ids, sql
from shared.db import Executor, Record

queries = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events; what is None does not matter."""

    user_id: UUID | None = None
    type: str | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event that no change notes by itself."""

    type: str
    user_id: UUID
    actor_id: UUID | None = None
    address: str
    details: Mapping[str, object] = field(default_factory=dict)


async def insert(executor: Executor, new: NewEvent) -> None:
    """Note it."""
    await executor.fetch_one(
        queries.insert, ids.new_id(), new.type, new.user_id, new.actor_id, new.address, new.details
    )


async def list_page(
    executor: Executor, wanted: Filter, after: tuple[datetime, UUID] | None, limit: int
) -> list[AuditEvent]:
    """Events, the newest first, from after a place on."""
    place = (wanted.start_time, wanted.end_time, *(after or (None, None)), limit)
    if wanted.user_id is not None:
        rows = await executor.fetch_all(queries.list_of_user, wanted.user_id, wanted.type, *place)
    elif wanted.type is not None:
        rows = await executor.fetch_all(queries.list_of_type, wanted.type, *place)
    else:
        rows = await executor.fetch_all(queries.list_all, *place)
    return [_event(row) for row in rows]


def _event(row: Record) -> AuditEvent:
    return AuditEvent(**dict(row))

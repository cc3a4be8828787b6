"""Refresh tokens in Postgres, a row a session."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.models import RefreshState
from shared import sql
from shared.db import Executor, Record

queries = sql.load(__file__)


async def rotate(executor: Executor, digest: bytes, generation: int, idle: timedelta) -> RefreshState | None:
    """Make the next generation the good one; None where this one is not, or no longer."""
    row = await executor.fetch_one(queries.rotate, digest, generation, idle)
    return _state(row) if row else None


async def find_refresh(executor: Executor, digest: bytes, idle: timedelta, grace: timedelta) -> RefreshState | None:
    """How the token of this digest stands."""
    row = await executor.fetch_one(queries.find_refresh, digest, idle, grace)
    return _state(row) if row else None


async def last_used(executor: Executor, user_id: UUID, session_ids: Sequence[UUID]) -> Mapping[UUID, datetime]:
    """When each of these sessions was last refreshed."""
    rows = await executor.fetch_all(queries.last_used, user_id, session_ids)
    return {row["session_id"]: row["rotate_time"] for row in rows}


def _state(row: Record) -> RefreshState:
    return RefreshState(
        session_id=row["session_id"],
        user_id=row["user_id"],
        generation=row["generation"],
        rotate_time=row["rotate_time"],
        expire_time=row["expire_time"],
        roles=tuple(row["roles"]),
        auth_methods=tuple(row["auth_methods"]),
        assurance=row["assurance"],
        auth_time=row["auth_time"],
        alive=row["alive"],
        in_grace=row["in_grace"],
    )

"""Accounts that came from other systems, in Postgres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auth_service.models import ImportOrigin, ImportRow
from shared import db, sql
from shared.db import Executor
from shared.errors import Conflict

queries = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """A row with the id that its account shall have, and the digest of all that it says."""

    id: UUID
    digest: bytes
    row: ImportRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who imports, and the one event of the whole import."""

    event_id: UUID
    actor_id: UUID
    session_id: UUID
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The account that a row became, and the digest of that row."""

    user_id: UUID
    digest: bytes


async def insert_many(
    executor: Executor, source: str, users: Sequence[NewUser], act: Act, now: datetime
) -> frozenset[UUID]:
    """Make accounts of the rows that are new and whose email is free, and say which; raises Conflict in a race.

    No two of the rows may have one external id. What was verified elsewhere is verified `now`.
    """
    rows = [user.row for user in users]
    with db.raising(imported_users_pkey=Conflict):
        made = await executor.fetch_all(
            queries.insert_many,
            source,
            [row.external_id for row in rows],
            [user.digest for user in users],
            [user.id for user in users],
            [row.email for row in rows],
            [now if row.email_verified else None for row in rows],
            [row.display_name for row in rows],
            [row.password_hash for row in rows],
            [",".join(row.roles) for row in rows],
            [row.state for row in rows],
            [row.locale for row in rows],
            [row.create_time for row in rows],
            act.event_id,
            act.actor_id,
            act.session_id,
            act.address,
        )
    return frozenset(record["id"] for record in made)


async def find_many(executor: Executor, source: str, external_ids: Sequence[str]) -> Mapping[str, Origin]:
    """What rows with these ids became, as far as they were imported."""
    found = await executor.fetch_all(queries.find_many, source, external_ids)
    return {
        record["external_id"]: Origin(user_id=record["user_id"], digest=record["content_digest"]) for record in found
    }


async def list_of(executor: Executor, user_id: UUID) -> list[ImportOrigin]:
    """Where an account came from."""
    return [ImportOrigin(**dict(row)) for row in await executor.fetch_all(queries.list_of, user_id)]

"""Service accounts in Postgres: users of their kind, with what only they have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from auth_service.models import ServiceAccount
from auth_service.store import users
from shared import db, ids, sql
from shared.db import Executor, Record
from shared.errors import RequestIdReused

queries = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewServiceAccount:
    """A service account to make."""

    display_name: str
    roles: tuple[str, ...]
    audiences: tuple[str, ...]
    scopes: tuple[str, ...]
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountChange:
    """What to write; None leaves it as it is."""

    display_name: str | None
    roles: tuple[str, ...] | None
    audiences: tuple[str, ...] | None
    scopes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who acts (None for an operator), from where, and which entries of the cache that makes stale."""

    actor_id: UUID | None
    address: str
    stale_user: str = ""
    stale_sessions: str = ""

    def event(self) -> tuple[UUID, UUID | None, str]:
        """The event's id, the administrator and the address."""
        return ids.new_id(), self.actor_id, self.address


async def insert(executor: Executor, new: NewServiceAccount, act: Act) -> ServiceAccount:
    """Make an account; raises RequestIdReused where the request has made one before."""
    with db.raising(service_accounts_request=RequestIdReused):
        row = await executor.fetch_one(
            queries.insert,
            ids.new_id(),
            new.display_name,
            new.roles,
            new.audiences,
            new.scopes,
            new.request_id,
            *act.event(),
        )
    assert row is not None  # noqa: S101 - an INSERT that did not fail returns its row
    return _account(row)


async def find(executor: Executor, user_id: UUID) -> ServiceAccount | None:
    """An account by its id, in any state."""
    row = await executor.fetch_one(queries.find, user_id)
    return _account(row) if row else None


async def find_repeat(executor: Executor, request_id: str) -> ServiceAccount | None:
    """The account that this request has made before."""
    row = await executor.fetch_one(queries.find_repeat, request_id)
    return _account(row) if row else None


async def list_page(executor: Executor, after: UUID | None, limit: int) -> list[ServiceAccount]:
    """The accounts that are not deleted, the newest first."""
    return [_account(row) for row in await executor.fetch_all(queries.list, after, limit)]


async def update(
    executor: Executor, user_id: UUID, change: ServiceAccountChange, revision: int | None, act: Act
) -> tuple[ServiceAccount, Sequence[UUID]] | None:
    """Change an account, and say which of its client secrets that changed; None at another revision."""
    row = await executor.fetch_one(
        queries.update,
        user_id,
        revision,
        change.display_name,
        change.roles,
        change.audiences,
        change.scopes,
        act.stale_user,
        act.stale_sessions,
        *act.event(),
    )
    return (_account(row), row["session_ids"] or []) if row else None


async def delete(executor: Executor, user_id: UUID, grace: timedelta, act: Act) -> list[UUID]:
    """Take an account out of use, and say which of its client secrets that ended."""
    rows = await executor.fetch_all(queries.delete, user_id, grace, act.stale_user, act.stale_sessions, *act.event())
    return [row["id"] for row in rows]


def _account(row: Record) -> ServiceAccount:
    return ServiceAccount(user=users.user(row), audiences=tuple(row["audiences"]), scopes=tuple(row["scopes"]))

"""What administrators change of accounts, in Postgres; each change notes its event and what it makes stale."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from auth_service.errors import EmailTaken
from auth_service.models import User
from auth_service.store.users import user
from shared import db, ids, sql
from shared.db import Executor

queries = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who acts, and from where."""

    actor_id: UUID
    address: str

    def values(self) -> tuple[UUID, UUID, str]:
        """The event's id, the administrator and the address."""
        return ids.new_id(), self.actor_id, self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """An account to make."""

    email: str
    display_name: str
    locale: str
    roles: Sequence[str]
    email_verified: bool
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """What is to be written; None stays as it is."""

    display_name: str | None
    locale: str | None
    roles: Sequence[str] | None
    email_verified: bool | None


async def insert(executor: Executor, new: NewUser, act: Act) -> User:
    """Make an account without a password; raises EmailTaken."""
    with db.raising(idx_users_email=EmailTaken):
        row = await executor.fetch_one(
            queries.insert,
            ids.new_id(),
            new.email,
            new.display_name,
            new.locale,
            new.roles,
            new.email_verified,
            new.request_id,
            *act.values(),
        )
    assert row is not None  # noqa: S101 - an INSERT that did not fail returns its row
    return user(row)


async def update(
    executor: Executor, user_id: UUID, change: UserChange, revision: int | None, *, stale: str, act: Act
) -> User | None:
    """Change an account; None where it is gone or at another revision."""
    values = (change.display_name, change.locale, change.roles, change.email_verified)
    row = await executor.fetch_one(queries.update, user_id, revision, *values, stale, *act.values())
    return user(row) if row else None


async def suspend(
    executor: Executor, user_id: UUID, comment: str, *, stale: str, stale_prefix: str, act: Act
) -> tuple[User, list[UUID]] | None:
    """Shut an active account, and say which sessions that ended; None where it is not active."""
    row = await executor.fetch_one(queries.suspend, user_id, comment, stale, stale_prefix, *act.values())
    return (user(row), row["session_ids"] or []) if row else None


async def reinstate(executor: Executor, user_id: UUID, comment: str, *, stale: str, act: Act) -> User | None:
    """Open a suspended account; None where it is not suspended."""
    row = await executor.fetch_one(queries.reinstate, user_id, comment, stale, *act.values())
    return user(row) if row else None

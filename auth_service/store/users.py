"""Accounts in Postgres."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from auth_service.errors import EmailTaken
from auth_service.models import Credentials, Session, User, UserKind, UserState
from auth_service.store.sessions import NewSession
from shared import db, ids, sql
from shared.db import Executor, Record

queries = sql.load(__file__)


async def find_many(executor: Executor, user_ids: Sequence[UUID]) -> Mapping[UUID, User]:
    """The users with these ids, as far as there are any."""
    return {row["id"]: user(row) for row in await executor.fetch_all(queries.find_many, user_ids)}


async def find_credentials(executor: Executor, email: str) -> Credentials | None:
    """The account with this email, and its password's hash."""
    row = await executor.fetch_one(queries.find_credentials, email)
    return _credentials(row) if row else None


async def find_by_email(executor: Executor, email: str) -> User | None:
    """The account with this email."""
    row = await executor.fetch_one(queries.find_by_email, email)
    return user(row) if row else None


async def find_for_log_in(executor: Executor, email: str, account: bytes) -> tuple[Credentials | None, int]:
    """The account with this email, if there is one, and how many wrong passwords it has had since a right one."""
    row = await executor.fetch_one(queries.find_for_log_in, email, account)
    assert row is not None  # noqa: S101 - it is joined to a row that is always there
    return (_credentials(row) if row["id"] else None), row["failures"]


async def insert_signed_in(
    executor: Executor,
    *,
    email: str,
    password_hash: str,
    display_name: str,
    locale: str,
    request_id: str | None,
    session: NewSession,
) -> tuple[User, Session]:
    """Make an account and its first session; raises EmailTaken."""
    user_id = ids.new_id()
    with db.raising(idx_users_email=EmailTaken):
        row = await executor.fetch_one(
            queries.insert_signed_in, user_id, email, password_hash, display_name, request_id, *session.values(), locale
        )
    assert row is not None  # noqa: S101 - an INSERT that did not fail returns its row
    return user(row), session.started(user_id, row)


async def update_display_name(
    executor: Executor, user_id: UUID, display_name: str, *, revision: int | None, stale: str
) -> User | None:
    """Rename; None where the user is gone or at another revision."""
    row = await executor.fetch_one(queries.update_display_name, user_id, display_name, revision, stale)
    return user(row) if row else None


async def update_password_hash(executor: Executor, user_id: UUID, *, new: str, former: str) -> None:
    """Replace a hash by one of the same password with present parameters."""
    await executor.fetch_one(queries.update_password_hash, user_id, new, former)


async def update_roles(executor: Executor, email: str, roles: Sequence[str], *, stale_prefix: str) -> User | None:
    """Give an account its roles."""
    row = await executor.fetch_one(queries.update_roles, email, roles, stale_prefix, ids.new_id())
    return user(row) if row else None


def _credentials(row: Record) -> Credentials:
    return Credentials(
        user=user(row),
        password_hash=row["password_hash"],
        password_change_time=row["password_change_time"],
        sign_up_request_id=row["sign_up_request_id"],
    )


def user(row: Record) -> User:
    """The model of a row."""
    return User(
        id=row["id"],
        kind=UserKind(row["kind"]),
        email=row["email"] or "",
        email_verify_time=row["email_verify_time"],
        display_name=row["display_name"],
        locale=row["locale"],
        roles=tuple(row["roles"]),
        state=UserState(row["state"]),
        purge_time=row["purge_time"],
        revision=row["revision"],
        create_time=row["create_time"],
        update_time=row["update_time"],
    )


async def verify_email(executor: Executor, user_id: UUID, email: str, *, stale: str, address: str) -> bool:
    """Note that an address was proven; False where it is no longer the account's."""
    row = await executor.fetch_one(queries.verify_email, user_id, email, stale, ids.new_id(), address)
    return row is not None


async def update_email(executor: Executor, user_id: UUID, email: str, *, stale: str, address: str) -> bool:
    """Give an account another address, which was proven; raises EmailTaken; False where the account is not active."""
    with db.raising(idx_users_email=EmailTaken):
        row = await executor.fetch_one(queries.update_email, user_id, email, stale, ids.new_id(), address)
    return row is not None


async def update_password(executor: Executor, user_id: UUID, phc: str, *, stale: str, address: str) -> bool:
    """Give an account another password; False where it is not active."""
    row = await executor.fetch_one(queries.update_password, user_id, phc, stale, ids.new_id(), address)
    return row is not None


async def delete(executor: Executor, user_id: UUID, grace: timedelta, *, stale: str, address: str) -> User | None:
    """Take an active account out of use, to be erased after a time of grace."""
    row = await executor.fetch_one(queries.delete, user_id, grace, stale, ids.new_id(), address)
    return user(row) if row else None


async def restore(executor: Executor, user_id: UUID, *, stale: str, address: str) -> bool:
    """Take a deleted account into use again; False where it is not deleted."""
    row = await executor.fetch_one(queries.restore, user_id, stale, ids.new_id(), address)
    return row is not None

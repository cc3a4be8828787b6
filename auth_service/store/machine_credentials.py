"""API keys and client secrets in Postgres: sessions, with what only a machine's credential has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.models import MachineCredential, RevokeReason, SessionKind, UserState
from auth_service.store import sessions
from shared import ids, sql
from shared.db import Executor, Record

queries = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredential:
    """A credential that is to be made, and the event that says so. Without an end it has a lifetime."""

    id: UUID
    user_id: UUID
    kind: SessionKind
    name: str
    scopes: tuple[str, ...]
    digest: bytes = field(repr=False)
    expire_time: datetime | None
    lifetime: timedelta
    user_agent: str
    address: str
    request_id: str | None
    replaces_id: UUID | None
    event: str
    actor_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Why a credential ends, who ends it (None for its user), and what the event and the cache call that."""

    reason: RevokeReason
    event: str
    actor_id: UUID | None
    address: str
    stale: str


async def lock_holder(executor: Executor, user_id: UUID) -> UserState | None:
    """Let nobody else give the user a credential until the transaction ends; None where there is no such user."""
    state = await executor.fetch_value(queries.lock_holder, user_id)
    return UserState(state) if state else None


async def insert(executor: Executor, new: NewCredential, *, most: int) -> MachineCredential | None:
    """Make a credential; None where the user has that many already."""
    row = await executor.fetch_one(
        queries.insert,
        new.user_id,
        most,
        new.id,
        new.kind.value,
        new.name,
        new.user_agent,
        new.address,
        list(new.scopes),
        new.digest,
        new.expire_time,
        new.lifetime,
        new.request_id,
        new.replaces_id,
        ids.new_id(),
        new.event,
        new.actor_id,
    )
    return _credential(row) if row else None


async def find(executor: Executor, user_id: UUID, session_id: UUID) -> MachineCredential | None:
    """One of a user's credentials."""
    row = await executor.fetch_one(queries.find, user_id, session_id)
    return _credential(row) if row else None


async def find_repeat(executor: Executor, user_id: UUID, request_id: str) -> MachineCredential | None:
    """The credential that this request has made before."""
    row = await executor.fetch_one(queries.find_repeat, user_id, request_id)
    return _credential(row) if row else None


async def list_page(
    executor: Executor, user_id: UUID, *, after: UUID | None, limit: int, ended: bool
) -> list[MachineCredential]:
    """A user's credentials, the newest first; ended ones too where they are asked for."""
    rows = await executor.fetch_all(queries.list, user_id, after, limit, ended)
    return [_credential(row) for row in rows]


async def list_of(executor: Executor, user_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[MachineCredential]]:
    """The credentials of these users that may be used now, by user, the newest first."""
    held: dict[UUID, list[MachineCredential]] = {}
    for row in await executor.fetch_all(queries.list_of, user_ids):
        held.setdefault(row["user_id"], []).append(_credential(row))
    return held


async def revoke(executor: Executor, session_id: UUID, user_id: UUID, end: End) -> bool:
    """End a credential; False where it is not the user's, or has been revoked before."""
    revoked = await executor.fetch_value(
        queries.revoke,
        session_id,
        user_id,
        end.reason.value,
        end.stale,
        ids.new_id(),
        end.event,
        end.actor_id,
        end.address,
    )
    return bool(revoked)


async def shorten(executor: Executor, session_id: UUID, rest: timedelta, *, stale: str) -> None:
    """Let a credential go on for no longer than this."""
    await executor.fetch_value(queries.shorten, session_id, rest, stale)


async def touch(executor: Executor, session_ids: Sequence[UUID], pause: timedelta) -> None:
    """Say that these were used, unless that was said less than a pause ago."""
    await executor.fetch_one(queries.touch, session_ids, pause)


def _credential(row: Record) -> MachineCredential:
    return MachineCredential(
        session=sessions.session(row), replaces_id=row["replaces_id"], last_use_time=row["last_use_time"]
    )

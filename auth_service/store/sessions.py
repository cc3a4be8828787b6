"""Sessions in Postgres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.models import Proven, RevokeReason, Session, SessionKind
from auth_service.store.mail_outbox import QueuedMail
from shared import calls, ids, sql
from shared.db import Executor, Record

queries = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session that is to begin, with the digest of its refresh token."""

    id: UUID = field(default_factory=ids.new_id)
    device_label: str
    user_agent: str
    address: str
    auth_methods: tuple[str, ...]
    assurance: int
    lifetime: timedelta
    token_digest: bytes

    def values(self) -> tuple[object, ...]:
        """The arguments of the statements that begin it."""
        return (
            self.id,
            self.device_label,
            self.user_agent,
            self.address,
            list(self.auth_methods),
            self.assurance,
            self.lifetime,
            ids.new_id(),
            self.token_digest,
            ids.new_id(),
        )

    def started(self, user_id: UUID, row: Record) -> Session:
        """The session as it was stored."""
        return Session(
            id=self.id,
            user_id=user_id,
            kind=SessionKind.SIGN_IN,
            device_label=row["device_label"],
            user_agent=row["user_agent"],
            address=row["address"],
            auth_methods=tuple(row["auth_methods"]),
            assurance=row["assurance"],
            scopes=(),
            secret_digest=None,
            auth_time=row["auth_time"],
            create_time=row["session_create_time"],
            expire_time=row["session_expire_time"],
            revoke_time=None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """The session that a new one takes the place of, the digest of its refresh token, and its key in the cache."""

    session_id: UUID
    token_digest: bytes
    stale: str


async def find_many(executor: Executor, session_ids: Sequence[UUID]) -> Mapping[UUID, Session]:
    """The sessions with these ids, as far as there are any."""
    return {row["id"]: session(row) for row in await executor.fetch_all(queries.find_many, session_ids)}


async def find_first(executor: Executor, user_id: UUID) -> Session | None:
    """The user's oldest session that is still known."""
    row = await executor.fetch_one(queries.find_first, user_id)
    return session(row) if row else None


async def insert(
    executor: Executor, proven: Proven, new: NewSession, *, replaced: Replaced | None, notice: QueuedMail | None
) -> Session | None:
    """Begin a session, in place of another where one is given. The notice goes out where the device or place is new.

    None where the user is not active, has a second factor and has proven one alone, has chosen another password than
    the one that was checked, or where the other session has ended.
    """
    mail = notice.values() if notice else (None,) * 4
    ended = (replaced.session_id, replaced.token_digest, replaced.stale) if replaced else (None, None, None)
    row = await executor.fetch_one(
        queries.insert, *new.values(), proven.user.id, *mail, *proven.password, *ended, ids.new_id()
    )
    return new.started(proven.user.id, row) if row else None


async def list_all(executor: Executor, user_id: UUID, *, after: UUID | None, limit: int) -> list[Session]:
    """A user's sessions, the newest first, ended ones too."""
    return [session(row) for row in await executor.fetch_all(queries.list_all, user_id, after, limit)]


async def list_active(
    executor: Executor, user_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Session]:
    """A user's active sessions, the newest first."""
    expire_time, session_id = after or (None, None)
    rows = await executor.fetch_all(queries.list_active, user_id, expire_time, session_id, limit)
    return [session(row) for row in rows]


async def list_beyond(executor: Executor, user_id: UUID, most: int) -> list[UUID]:
    """The oldest of a user's active sign-ins, beyond so many."""
    return [row["id"] for row in await executor.fetch_all(queries.list_beyond, user_id, most)]


async def revoke(
    executor: Executor,
    session_id: UUID,
    user_id: UUID,
    reason: RevokeReason,
    *,
    digest: bytes,
    stale: str,
    address: str,
) -> bool:
    """End a session; False where it is not the user's, or has been revoked before."""
    revoked = await executor.fetch_value(
        queries.revoke, session_id, user_id, reason.value, digest, stale, ids.new_id(), address
    )
    return bool(revoked)


async def revoke_others(
    executor: Executor, user_id: UUID, keep: UUID | None, *, reason: RevokeReason, stale_prefix: str, limit: int
) -> list[UUID]:
    """End at most so many of a user's sign-ins, but for one where that is named, and say which."""
    address = calls.address()
    rows = await executor.fetch_all(queries.revoke_others, user_id, keep, stale_prefix, address, limit, reason.value)
    return [row["id"] for row in rows]


async def signed_in_from(executor: Executor, email: str, address: str) -> bool:
    """Whether this account has had a session from this address."""
    return bool(await executor.fetch_value(queries.signed_in_from, email, address))


def session(row: Record) -> Session:
    """The model of a row."""
    return Session(
        id=row["id"],
        user_id=row["user_id"],
        kind=SessionKind(row["kind"]),
        device_label=row["device_label"],
        user_agent=row["user_agent"],
        address=row["address"],
        auth_methods=tuple(row["auth_methods"]),
        assurance=row["assurance"],
        scopes=tuple(row["scopes"]),
        secret_digest=row["secret_digest"],
        auth_time=row["auth_time"],
        create_time=row["create_time"],
        expire_time=row["expire_time"],
        revoke_time=row["revoke_time"],
    )

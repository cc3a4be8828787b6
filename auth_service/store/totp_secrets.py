"""Authenticator apps in Postgres; their secrets are sealed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.models import FactorChange, SealedRow, Strengthened, TotpRow
from shared import ids, sql
from shared.db import Executor

queries = sql.load(__file__)


async def find(executor: Executor, user_id: UUID) -> TotpRow | None:
    """The user's app in use, and the one that is being enrolled."""
    row = await executor.fetch_one(queries.find, user_id)
    return TotpRow(**dict(row)) if row else None


async def enroll(executor: Executor, user_id: UUID, sealed: bytes, lifetime: timedelta) -> datetime:
    """Keep a secret until it is confirmed, and say until when it can be."""
    expire_time: datetime = await executor.fetch_value(queries.enroll, user_id, sealed, lifetime)
    return expire_time


async def confirm(
    executor: Executor,
    change: FactorChange,
    session: Strengthened,
    *,
    sealed: bytes,
    step: int,
    code_digests: Sequence[bytes],
) -> bool | None:
    """Put the enrolled app to use; whether it is the account's first second factor, or None where it is gone."""
    first: bool | None = await executor.fetch_value(
        queries.confirm,
        change.user_id,
        sealed,
        step,
        code_digests,
        change.session_id,
        list(session.auth_methods),
        session.stale,
        ids.new_id(),
        change.address,
    )
    return first


async def advance(executor: Executor, user_id: UUID, step: int, confirm_time: datetime) -> bool:
    """Use the code of a step up; False where it or a later one was used before."""
    return await executor.fetch_value(queries.advance, user_id, step, confirm_time) is not None


async def disable(executor: Executor, change: FactorChange) -> bool:
    """Take the app out of use; False where there is none."""
    disabled = await executor.fetch_value(
        queries.disable, change.user_id, change.session_id, ids.new_id(), change.address
    )
    return disabled is not None


async def list_sealed_otherwise(executor: Executor, key_id: bytes, limit: int) -> list[SealedRow]:
    """Secrets in use that another key than the one with this id has sealed."""
    rows = await executor.fetch_all(queries.list_sealed_otherwise, key_id, limit)
    return [SealedRow(id=row["user_id"], sealed=row["secret_sealed"], context=row["user_id"].bytes) for row in rows]


async def reseal(executor: Executor, row: SealedRow, sealed: bytes) -> bool:
    """Seal a secret anew; False where the user has another app, or none, by now."""
    return await executor.fetch_value(queries.reseal, row.id, row.sealed, sealed) is not None

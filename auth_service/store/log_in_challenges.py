"""Log-ins that lack their second factor, in Postgres."""

from datetime import timedelta

from auth_service.models import ChallengeRow, ChallengeToken, PendingLogIn, Proven, User
from auth_service.store import users
from shared import sql
from shared.db import Executor

queries = sql.load(__file__)


async def insert(
    executor: Executor, token: ChallengeToken, proven: Proven, *, device_label: str, attempts: int, lifetime: timedelta
) -> ChallengeRow | None:
    """Keep a log-in until its second factor comes; None where it has none, or the account is not what it was."""
    row = await executor.fetch_one(
        queries.insert,
        token.id,
        token.digest,
        proven.user.id,
        *proven.password,
        list(proven.methods),
        device_label,
        attempts,
        lifetime,
    )
    return ChallengeRow(**dict(row)) if row else None


async def attempt(executor: Executor, token: ChallengeToken) -> PendingLogIn | None:
    """Count one answer to a challenge; None where it is not good, or no longer."""
    row = await executor.fetch_one(queries.attempt, token.id, token.digest)
    if row is None:
        return None
    return PendingLogIn(
        user_id=row["user_id"],
        email=row["email"],
        auth_methods=tuple(row["auth_methods"]),
        password_change_time=row["password_change_time"],
        device_label=row["device_label"],
    )


async def consume(executor: Executor, token: ChallengeToken) -> User | None:
    """Use a challenge up; None where another call has, or the account has changed."""
    row = await executor.fetch_one(queries.consume, token.id, token.digest)
    return users.user(row) if row else None

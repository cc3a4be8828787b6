"""What authenticators were asked to sign, in Postgres."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from shared import sql
from shared.db import Executor

queries = sql.load(__file__)


class CeremonyPurpose(StrEnum):
    """What a passkey is asked for; an answer for one is none for another."""

    REGISTRATION = "REGISTRATION"
    LOG_IN = "LOG_IN"
    PROOF = "PROOF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumed:
    """A challenge that was answered, and whose passkey it must be, where its log-in said so."""

    email: str | None


async def insert(
    executor: Executor,
    digest: bytes,
    purpose: CeremonyPurpose,
    *,
    user_id: UUID | None,
    email: str | None,
    lifetime: timedelta,
) -> datetime:
    """Keep a challenge until it is answered, and say until when it can be."""
    expire_time: datetime = await executor.fetch_value(queries.insert, digest, purpose.value, user_id, email, lifetime)
    return expire_time


async def consume(
    executor: Executor, digest: bytes, purpose: CeremonyPurpose, *, user_id: UUID | None
) -> Consumed | None:
    """Use a challenge up; None where it is none of ours, another's, for something else, too old or used."""
    row = await executor.fetch_one(queries.consume, digest, purpose.value, user_id)
    return Consumed(email=row["email"]) if row else None

"""Revocations in Postgres, as triggers write them down."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final
from uuid import UUID

from shared import sql
from shared.db import Executor
from shared.revocations import Revocation, RevocationKind

queries = sql.load(__file__)

CHANNEL: Final = "parley_revocations"
_PAGE: Final = 5_000


async def list_recent(executor: Executor, window: timedelta) -> AsyncIterator[tuple[Revocation, float]]:
    """Every revocation that still matters, with its age in seconds."""
    last = 0
    while True:
        rows = await executor.fetch_all(queries.list_recent, last, window, _PAGE)
        for row in rows:
            yield Revocation(RevocationKind(row["kind"]), row["subject_id"]), row["age"]
        if len(rows) < _PAGE:
            return
        last = rows[-1]["id"]


def heard(payload: str) -> Revocation | None:
    """The revocation that a notification tells of; None where it says that the signing keys changed."""
    kind, _, subject = payload.partition(" ")
    return Revocation(RevocationKind(kind), UUID(subject)) if subject else None

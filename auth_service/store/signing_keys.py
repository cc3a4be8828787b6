"""Signing keys in Postgres; their private halves are sealed. What changes the set is called inside `changing`."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from auth_service.models import KeyState, SealedRow, SigningKeyRow, SigningKeyStatus
from shared import ids, sql
from shared.db import Database, Executor

queries = sql.load(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What of the keys' lives is to happen now."""

    publish: bool
    promote: bool
    remove: bool

    @property
    def anything(self) -> bool:
        """Whether there is something to do."""
        return self.publish or self.promote or self.remove


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who changes the keys, for the audit: nobody where it happens by itself or by an operator's command."""

    actor_id: UUID | None = None
    address: str = ""

    def values(self) -> tuple[object, ...]:
        """The arguments of an event."""
        return ids.new_id(), self.actor_id, self.address


@contextlib.asynccontextmanager
async def changing(database: Database) -> AsyncIterator[Executor]:
    """A transaction in which nobody else changes the set: each statement sees what came before it."""
    async with database.transaction() as tx:
        await tx.fetch_value(queries.lock_set)
        yield tx


async def count_changes(executor: Executor) -> int:
    """How often the set has changed; another number than before means that it has."""
    return int(await executor.fetch_value(queries.count_changes))


async def list_accepted(executor: Executor) -> tuple[int, list[SigningKeyRow]]:
    """The keys that tokens are accepted of, the oldest first, and how often the set has changed until then."""
    rows = await executor.fetch_all(queries.list_accepted)
    keys = [
        SigningKeyRow(
            kid=row["kid"],
            algorithm=row["algorithm"],
            public_jwk=row["public_jwk"],
            private_key_sealed=row["private_key_sealed"],
            state=KeyState(row["state"]),
        )
        for row in rows
        if row["kid"] is not None
    ]
    return rows[0]["changes"], keys


async def list_states(executor: Executor, overlap: timedelta, retention: timedelta) -> list[SigningKeyStatus]:
    """All keys that are still known, the newest first."""
    return [
        SigningKeyStatus(**dict(row) | {"state": KeyState(row["state"])})
        for row in await executor.fetch_all(queries.list_states, overlap, retention)
    ]


async def find_due(
    executor: Executor, algorithm: str, successor_after: timedelta, overlap: timedelta, retention: timedelta
) -> Due:
    """What is due by itself, by Postgres's clock."""
    row = await executor.fetch_one(queries.find_due, algorithm, successor_after, overlap, retention)
    assert row is not None  # noqa: S101 - an aggregate has a row
    return Due(publish=row["publish"], promote=row["promote"], remove=row["remove"])


async def insert_first(executor: Executor, key: SigningKeyRow) -> None:
    """Add the key that signs, unless there is one."""
    await executor.fetch_one(queries.insert_first, *_values(key))


async def publish(executor: Executor, key: SigningKeyRow, author: Author) -> bool:
    """Add the key that signs next; False where there is one."""
    return bool(await executor.fetch_value(queries.publish, *_values(key), *author.values()))


async def promote(executor: Executor, overlap: timedelta, author: Author) -> str | None:
    """Let the published key sign if it has been published for so long; its kid, or None."""
    kid: str | None = await executor.fetch_value(queries.promote, overlap, *author.values())
    return kid


async def remove_retired(executor: Executor, retention: timedelta) -> list[str]:
    """End the keys that have been retiring for so long, and say which."""
    return [row["kid"] for row in await executor.fetch_all(queries.remove_retired, retention)]


async def replace_all(executor: Executor, key: SigningKeyRow, author: Author) -> None:
    """Let this key sign, and end every other."""
    await executor.fetch_value(queries.replace_all, *_values(key), *author.values())


async def list_sealed_otherwise(database: Database, key_id: bytes, limit: int) -> list[SealedRow]:
    """Private halves that another key than the one with this id has sealed."""
    rows = await database.fetch_all(queries.list_sealed_otherwise, key_id, limit)
    return [SealedRow(id=row["kid"], sealed=row["private_key_sealed"], context=row["kid"].encode()) for row in rows]


async def reseal(database: Database, row: SealedRow, sealed: bytes) -> bool:
    """Seal a private half anew; False where it has changed meanwhile."""
    async with changing(database) as tx:
        return await tx.fetch_value(queries.reseal, row.id, row.sealed, sealed) is not None


def _values(key: SigningKeyRow) -> tuple[object, ...]:
    return key.kid, key.algorithm, key.public_jwk, key.private_key_sealed

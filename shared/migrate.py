"""Migrations: numbered SQL files, forward only, applied once each under a lock, by the role that owns the tables.

A file that begins with `-- concurrently` holds one statement and runs outside a transaction, as CREATE INDEX
CONCURRENTLY must; an index that such a statement left invalid is dropped and built again.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import structlog

log = structlog.get_logger()

_LOCK = 0x7061726C6579  # "parley"
_LOCK_PAUSE_SECONDS = 0.2
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    apply_time timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationRefused(Exception):
    """The files and the database disagree on what was applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file: `0001_users.sql` is version 1."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """What proves that the file is the one that was applied."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read(folder: Path) -> list[Migration]:
    """The migrations of a folder in their order."""
    files = sorted(folder.glob("[0-9]*.sql"))
    return [Migration(version=int(file.name[:4]), name=file.stem, text=file.read_text()) for file in files]


async def migrate(url: str, folder: Path) -> list[str]:
    """Apply what is missing and return the names of it; safe to run from many replicas at once."""
    connection = await asyncpg.connect(url, server_settings={"application_name": "parley-migrate"})
    try:
        # Tried, not awaited: a statement that waits keeps a snapshot, which CREATE INDEX CONCURRENTLY would wait for.
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110
            await asyncio.sleep(_LOCK_PAUSE_SECONDS)
        await connection.execute("SET lock_timeout = '5s'")
        await connection.execute(_LEDGER)
        rows = await connection.fetch("SELECT version, checksum FROM schema_migrations")
        applied: dict[int, str] = {row["version"]: row["checksum"] for row in rows}
        return [await _apply(connection, migration) for migration in _missing(read(folder), applied)]
    finally:
        await connection.close()


def _missing(migrations: list[Migration], applied: dict[int, str]) -> list[Migration]:
    for migration in migrations:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise MigrationRefused(f"{migration.name} was changed after it had been applied: write a new file instead")
    unknown = set(applied) - {migration.version for migration in migrations}
    if unknown:
        raise MigrationRefused(f"the database has migration {max(unknown)}, which this version does not know")
    return [migration for migration in migrations if migration.version not in applied]


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> str:
    if migration.text.startswith("-- concurrently"):
        await _drop_invalid_indexes(connection)
        await connection.execute(migration.text)
        await _record(connection, migration)
    else:
        async with connection.transaction():
            await connection.execute(migration.text)
            await _record(connection, migration)
    log.info("migration applied", migration=migration.name)
    return migration.name


async def _record(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    await connection.execute(
        "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
        migration.version,
        migration.name,
        migration.checksum,
    )


async def _drop_invalid_indexes(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    invalid = "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class c ON c.oid = indrelid"
    for row in await connection.fetch(f"{invalid} WHERE NOT indisvalid AND c.relnamespace = 'public'::regnamespace"):
        await connection.execute(f"DROP INDEX CONCURRENTLY {row[0]}")

"""Migrations: each once, in order, whole, by however many replicas at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from shared import migrate
from shared.migrate import MigrationRefused
from tests.servers import Servers, TestDatabase, fetch, fresh_database

FILES = {
    "0001_things.sql": "CREATE TABLE things (id integer); INSERT INTO things VALUES (1);",
    "0002_names.sql": "ALTER TABLE things ADD COLUMN name text;",
}


@pytest.fixture
async def empty(servers: Servers) -> AsyncIterator[TestDatabase]:
    async with fresh_database(servers, "auth") as database:
        await fetch(database.owner_url, "DROP OWNED BY CURRENT_USER CASCADE")
        admin = servers.postgres.superuser_url(database.url.rpartition("/")[2])
        await fetch(admin, "DROP SCHEMA IF EXISTS public CASCADE")
        await fetch(admin, "CREATE SCHEMA public AUTHORIZATION parley_auth_owner")
        yield database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "README.md").write_text("not a migration")
    return tmp_path


async def ledger(database: TestDatabase) -> list[str]:
    rows = await fetch(database.owner_url, "SELECT name FROM schema_migrations ORDER BY version")
    return [row["name"] for row in rows]


async def test_what_is_missing_is_applied_in_order_and_once(empty: TestDatabase, folder: Path) -> None:
    assert await migrate.migrate(empty.owner_url, folder) == ["0001_things", "0002_names"]
    assert await migrate.migrate(empty.owner_url, folder) == []
    (folder / "0003_more.sql").write_text("INSERT INTO things VALUES (2, 'two')")
    assert await migrate.migrate(empty.owner_url, folder) == ["0003_more"]
    assert [tuple(row) for row in await fetch(empty.owner_url, "SELECT * FROM things")] == [(1, None), (2, "two")]
    assert await ledger(empty) == ["0001_things", "0002_names", "0003_more"]


async def test_replicas_that_migrate_at_once_apply_each_file_once(empty: TestDatabase, folder: Path) -> None:
    applied = await asyncio.gather(*(migrate.migrate(empty.owner_url, folder) for _ in range(5)))
    assert sorted(applied) == [[]] * 4 + [["0001_things", "0002_names"]]
    assert len(await fetch(empty.owner_url, "SELECT id FROM things")) == 1


async def test_a_file_that_fails_leaves_nothing_of_itself_and_all_before_it(empty: TestDatabase, folder: Path) -> None:
    """R46."""
    (folder / "0003_broken.sql").write_text("INSERT INTO things VALUES (3, 'three'); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate.migrate(empty.owner_url, folder)
    assert await ledger(empty) == ["0001_things", "0002_names"]
    assert [row["id"] for row in await fetch(empty.owner_url, "SELECT id FROM things")] == [1]
    (folder / "0003_broken.sql").write_text("INSERT INTO things VALUES (3, 'three')")
    assert await migrate.migrate(empty.owner_url, folder) == ["0003_broken"]


async def test_a_file_that_was_changed_after_it_was_applied_is_refused(empty: TestDatabase, folder: Path) -> None:
    await migrate.migrate(empty.owner_url, folder)
    (folder / "0001_things.sql").write_text(FILES["0001_things.sql"] + " ")
    (folder / "0003_more.sql").write_text("DROP TABLE things")
    with pytest.raises(MigrationRefused, match="0001_things was changed after it had been applied"):
        await migrate.migrate(empty.owner_url, folder)
    assert await fetch(empty.owner_url, "SELECT id FROM things")


async def test_a_database_of_a_newer_version_is_refused(empty: TestDatabase, folder: Path) -> None:
    await migrate.migrate(empty.owner_url, folder)
    (folder / "0002_names.sql").unlink()
    with pytest.raises(MigrationRefused, match="the database has migration 2, which this version does not know"):
        await migrate.migrate(empty.owner_url, folder)


async def test_an_index_is_built_concurrently_and_again_where_it_was_left_invalid(
    empty: TestDatabase, folder: Path
) -> None:
    """A concurrent build that fails leaves an invalid index behind; the next attempt drops it."""
    (folder / "0003_unique.sql").write_text(
        '-- concurrently\nCREATE UNIQUE INDEX CONCURRENTLY "Odd name" ON things (id)'
    )
    await migrate.migrate(empty.owner_url, _only(folder, "0001", "0002"))
    await fetch(empty.owner_url, "INSERT INTO things VALUES (1, 'again')")
    with pytest.raises(asyncpg.UniqueViolationError):
        await migrate.migrate(empty.owner_url, folder)
    invalid = "SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid"
    assert [row["name"] for row in await fetch(empty.owner_url, invalid)] == ['"Odd name"']
    await fetch(empty.owner_url, "DELETE FROM things WHERE name = 'again'")
    assert await migrate.migrate(empty.owner_url, folder) == ["0003_unique"]
    assert await fetch(empty.owner_url, invalid) == []
    with pytest.raises(asyncpg.UniqueViolationError):
        await fetch(empty.owner_url, "INSERT INTO things VALUES (1)")


async def test_a_migration_gives_up_on_a_lock_that_others_hold(
    empty: TestDatabase, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F17: it must not queue behind a long transaction, with every reader behind it."""
    await migrate.migrate(empty.owner_url, folder)
    (folder / "0003_more.sql").write_text("SET LOCAL lock_timeout = '50ms'; ALTER TABLE things ADD COLUMN more text")
    holder = await asyncpg.connect(empty.owner_url)
    async with holder.transaction():
        await holder.execute("SELECT id FROM things")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await migrate.migrate(empty.owner_url, folder)
    await holder.close()
    assert await migrate.migrate(empty.owner_url, folder) == ["0003_more"]


def _only(folder: Path, *numbers: str) -> Path:
    part = folder / "part"
    part.mkdir()
    for file in folder.glob("[0-9]*.sql"):
        if file.name.startswith(numbers):
            (part / file.name).write_text(file.read_text())
    return part

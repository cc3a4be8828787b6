"""`db-reset`, as a command, on a real Postgres."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from shared.embedded import LocalPostgres, bootstrap, scratch_folder
from tools.folder import DataFolder


@pytest.fixture
def folder() -> Iterator[DataFolder]:
    with scratch_folder() as path:
        yield DataFolder(path / "state")


def reset(folder: DataFolder, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    environment |= {"PARLEY_DATA_DIR": str(folder.path), "COLUMNS": "200"} | settings
    command = [sys.executable, "-m", "tools", "db-reset", *arguments]
    return subprocess.run(command, input="n\n", capture_output=True, check=False, text=True, env=environment)


def tables(folder: DataFolder, make: str = "SELECT") -> list[str]:
    """The names of auth's tables, after a statement of its owner."""

    async def names(url: str) -> list[str]:
        connection = await asyncpg.connect(url)
        await connection.execute(make)
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        await connection.close()
        return [row["tablename"] for row in rows]

    with folder.locked():
        server = LocalPostgres(folder.path / "postgres", folder.port("postgres"))
        server.start()
        try:
            bootstrap(server.superuser_url(), folder.role_passwords())
            owner = folder.role_passwords().auth_owner
            return asyncio.run(names(server.url("parley_auth", "parley_auth_owner", owner)))
        finally:
            server.stop()


def test_a_confirmed_reset_empties_the_databases_and_one_that_is_not_keeps_them(folder: DataFolder) -> None:
    assert tables(folder, "CREATE TABLE kept ()") == ["kept"]
    refused = reset(folder)
    assert (refused.returncode, "Nothing was dropped." in refused.stderr) == (2, True)
    assert tables(folder) == ["kept"]
    done = reset(folder, "--yes")
    assert done.returncode == 0, done.stderr
    assert tables(folder) == []


def test_a_reset_is_refused_while_a_stack_runs_on_the_folder(folder: DataFolder) -> None:
    with folder.locked():
        refused = reset(folder, "--yes")
    assert (refused.returncode, "already runs" in refused.stderr) == (2, True)


def test_a_database_of_somebody_else_is_never_dropped(folder: DataFolder, tmp_path: Path) -> None:
    elsewhere = f"postgresql://nobody@127.0.0.1:1/{tmp_path.name}"
    refused = reset(folder, "--yes", AUTH_DATABASE_URL=elsewhere, CHAT_DATABASE_URL=elsewhere)
    assert (refused.returncode, "only drops the local databases" in refused.stderr) == (2, True)

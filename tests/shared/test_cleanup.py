import asyncio

from shared.background import Background
from shared.cleanup import CleanUp, schedule
from shared.db import Database, PoolSettings
from shared.sql import Query
from tests.servers import TestDatabase, fetch

POOL = PoolSettings(
    max_size=8,
    min_size=1,
    acquire_timeout=10,
    statement_timeout=10,
    lock_timeout=10,
    idle_timeout=60,
    slow_query_seconds=10,
)
TASKS = 6


async def test_clean_up_takes_one_connection_from_the_callers_however_many_tasks_it_has(
    auth_database: TestDatabase,
) -> None:
    """Also at the start, when all of them are due."""
    await fetch(auth_database.owner_url, "CREATE TABLE passes (task int PRIMARY KEY, connection int)")
    note = (
        "WITH noted AS (INSERT INTO passes VALUES ({}, pg_backend_pid()) RETURNING 1) SELECT 0 FROM noted WHERE $1 > 0"
    )
    tasks = [CleanUp(query=Query(f"test.{number}", note.format(number), "none")) for number in range(TASKS)]
    async with (
        Background() as background,
        Database.connect("test", auth_database.owner_url, POOL, background) as database,
    ):
        schedule(tasks, database, background)
        async with asyncio.timeout(20):
            while len(passes := await fetch(auth_database.owner_url, "SELECT connection FROM passes")) < TASKS:
                await asyncio.sleep(0.02)
    assert len({one["connection"] for one in passes}) == 1

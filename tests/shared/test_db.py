import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
import structlog

from shared import calls, clock, db
from shared.background import Background
from shared.calls import Call
from shared.db import Database, PoolSettings
from shared.errors import Conflict, DeadlineExceeded, Overloaded, ServiceError, Unavailable
from shared.sql import Query
from tests.servers import TestDatabase, fetch

POOL = PoolSettings(
    max_size=4,
    min_size=1,
    acquire_timeout=0.3,
    statement_timeout=5.0,
    lock_timeout=0.2,
    idle_timeout=60,
    slow_query_seconds=10,
)
ONE = Query("test.one", "SELECT 1", "none")
ECHO = Query("test.echo", "SELECT $1::text FROM pg_sleep($2)", "none")
ADD = Query("test.add", "INSERT INTO things (id, name) VALUES ($1, $2)", "none")
TOUCH = Query("test.touch", "UPDATE things SET name = name WHERE id = $1 RETURNING id", "none")


@asynccontextmanager
async def connected(database: TestDatabase, **changes: float) -> AsyncIterator[Database]:
    from dataclasses import replace  # noqa: PLC0415

    settings = replace(POOL, **changes)
    async with Background() as background, Database.connect("test", database.owner_url, settings, background) as pool:
        yield pool


@pytest.fixture
async def things(auth_database: TestDatabase) -> TestDatabase:
    await fetch(auth_database.owner_url, "CREATE TABLE things (id int CONSTRAINT things_key PRIMARY KEY, name text)")
    return auth_database


def within(seconds: float) -> None:
    calls.current.set(Call(method="test", request_id="test", deadline=clock.monotonic() + seconds))


async def test_a_pool_that_is_used_up_refuses_in_bounded_time_and_recovers(auth_database: TestDatabase) -> None:
    """F16: nobody waits for longer than the limit, and no caller is lost."""
    async with connected(auth_database) as pool:
        asked = [pool.fetch_value(ECHO, str(n), 0.6) for n in range(40)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        served = [result for result in results if isinstance(result, str)]
        refused = [result for result in results if isinstance(result, Overloaded)]
        assert (len(served), len(refused)) == (4, 36)
        assert all(failure.retry_after for failure in refused)
        assert await pool.fetch_value(ONE) == 1


async def test_a_statement_ends_with_its_callers_deadline(auth_database: TestDatabase) -> None:
    """R59, F31: the caller is told within a second of it, and the connection is of use again."""
    async with connected(auth_database, max_size=1) as pool:
        within(0.1)
        started = clock.monotonic()
        with pytest.raises(DeadlineExceeded):
            await pool.fetch_value(ECHO, "late", 4)
        assert clock.monotonic() - started < 1.5
        calls.current.set(None)
        assert await pool.fetch_value(ONE) == 1


async def test_a_statement_that_takes_too_long_is_ended_without_a_deadline_too(auth_database: TestDatabase) -> None:
    async with connected(auth_database, statement_timeout=0.2) as pool:
        with pytest.raises(Unavailable):
            await pool.fetch_value(ECHO, "late", 4)


async def test_a_lock_that_is_not_given_is_a_conflict_and_work_goes_on_after_it(things: TestDatabase) -> None:
    """F17."""
    async with connected(things) as pool:
        await pool.fetch_one(ADD, 1, "a")
        holder = await asyncpg.connect(things.owner_url)
        try:
            async with holder.transaction():
                await holder.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
                results = await asyncio.gather(*(pool.fetch_value(TOUCH, 1) for _ in range(4)), return_exceptions=True)
                assert {type(result) for result in results} == {Conflict}
        finally:
            await holder.close()
        assert await pool.fetch_value(TOUCH, 1) == 1


async def test_cancelled_callers_never_leave_their_rows_to_others(auth_database: TestDatabase) -> None:
    """F11: no value of another caller, and the pool keeps its size."""
    async with connected(auth_database, acquire_timeout=10) as pool:
        wrong: list[tuple[str, object]] = []
        answered = 0

        async def ask(name: str) -> None:
            nonlocal answered
            try:
                value = await pool.fetch_value(ECHO, name, random.choice((0, 0, 0.001)))
            except ServiceError:
                return
            answered += 1
            if value != name:
                wrong.append((name, value))

        for number in range(40):
            tasks = [asyncio.create_task(ask(f"{number}-{n}")) for n in range(25)]
            await asyncio.sleep(random.random() * 0.004)
            for task in random.sample(tasks, 12):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert wrong == []
        assert answered > 300
        assert await asyncio.gather(*(pool.fetch_value(ECHO, str(n), 0.01) for n in range(4))) == ["0", "1", "2", "3"]


async def test_a_connection_to_a_demoted_primary_is_dropped(things: TestDatabase) -> None:
    """F13: the server says that it is read-only; the next call must be led elsewhere."""
    async with connected(things, max_size=1) as pool:
        demote = Query("test.demote", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "none")
        await pool.fetch_all(demote)
        with pytest.raises(Unavailable):
            await pool.fetch_one(ADD, 1, "a")
        await pool.fetch_one(ADD, 1, "a")
        assert (await fetch(things.owner_url, "SELECT name FROM things"))[0]["name"] == "a"


async def test_a_transaction_is_all_or_nothing(things: TestDatabase) -> None:
    """R46."""
    async with connected(things) as pool:

        async def fail_midway() -> None:
            async with pool.transaction() as tx:
                await tx.fetch_one(ADD, 1, "a")
                raise Conflict

        with pytest.raises(Conflict):
            await fail_midway()
        assert await fetch(things.owner_url, "SELECT id FROM things") == []


async def test_a_broken_constraint_is_the_failure_that_it_means(things: TestDatabase) -> None:
    async with connected(things) as pool:
        await pool.fetch_one(ADD, 1, "a")
        with pytest.raises(Overloaded), db.raising(things_key=Overloaded):
            await pool.fetch_one(ADD, 1, "b")
        with pytest.raises(asyncpg.UniqueViolationError), db.raising(another_key=Overloaded):
            await pool.fetch_one(ADD, 1, "b")


@pytest.fixture
def loud_logs() -> Iterator[None]:
    quiet = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    yield
    structlog.configure(wrapper_class=quiet)


async def test_a_slow_query_is_logged_with_its_name_and_plan_and_without_its_values(
    things: TestDatabase, loud_logs: None
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with connected(things, slow_query_seconds=0.0) as pool:
            await pool.fetch_value(TOUCH, 424242)
            async with asyncio.timeout(5):
                while not any(line["event"] == "slow query plan" for line in logs):
                    await asyncio.sleep(0.01)
    slow = next(line for line in logs if line["event"] == "slow query")
    plan = next(line for line in logs if line["event"] == "slow query plan")
    assert slow["query"] == plan["query"] == "test.touch"
    assert "things_key" in str(plan["plan"])
    assert "424242" not in str(logs)

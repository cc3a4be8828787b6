"""What was revoked stays revoked, whatever becomes of Redis (R20, F05-F10). Each test says what would break it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from protos.auth.v1.auth_service_pb2 import BatchVerifyTokensRequest
from shared.embedded import LocalRedis, free_port, scratch_folder
from tests.authtest import Auth, auth_config, bearer, running_auth
from tests.servers import Servers, TestDatabase, fetch

SESSIONS = 100


@pytest.fixture
def own_redis() -> Iterator[LocalRedis]:
    with scratch_folder() as folder:
        redis = LocalRedis(Path(folder) / "redis", free_port(), password="for this test")
        redis.start()
        try:
            yield redis
        finally:
            redis.stop()


@asynccontextmanager
async def two_servers(database: TestDatabase, redis_url: str) -> AsyncIterator[tuple[Auth, Auth]]:
    config = auth_config(database, redis_url)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_auth(database, config))
        second = await stack.enter_async_context(running_auth(database, config))
        await asyncio.gather(trusting(first), trusting(second))
        yield first, second


async def trusting(auth: Auth) -> None:
    """Wait until a look-up is answered by the cache, as it is in a service that has been up for a second."""
    tokens = (await auth.sign_up(f"{os.urandom(6).hex()}@example.com")).tokens
    before = await cached_hits()
    async with asyncio.timeout(10):
        while await cached_hits() == before:
            await auth.verify(tokens.access_token)


async def cached_hits() -> float:
    from shared import metrics  # noqa: PLC0415

    return metrics.cache_lookups.labels("session", "hit")._value.get()


async def some_sessions(auth: Auth, count: int = SESSIONS) -> list:
    """Sessions of one user, in the cache of both servers."""
    await auth.sign_up()
    return [answer.tokens for answer in await asyncio.gather(*(auth.log_in() for _ in range(count)))]


async def accepted(servers: tuple[Auth, Auth], tokens: list, rounds: int = 1) -> int:
    """How many verifications of these tokens succeed, asking both servers: once each, then in batches."""
    answers = await asyncio.gather(*(server.verify(one.access_token) for one in tokens for server in servers))
    active = sum(answer.active for answer in answers)
    batch = BatchVerifyTokensRequest(access_tokens=[one.access_token for one in tokens])
    for _ in range(rounds - 1):
        for server in servers:
            active += sum(answer.active for answer in (await server.auth.BatchVerifyTokens(batch)).results)
    return active


async def test_ten_thousand_verifications_after_log_out_accept_nothing(
    auth_database: TestDatabase, own_redis: LocalRedis
) -> None:
    """R20: while Redis is up, after it was flushed, and after it has stopped."""
    async with two_servers(auth_database, own_redis.url) as both:
        tokens = await some_sessions(both[0])
        assert await accepted(both, tokens) == 2 * SESSIONS
        await asyncio.gather(*(both[0].log_out(one) for one in tokens))
        assert await accepted(both, tokens, rounds=50) == 0
        async with Redis.from_url(own_redis.url) as redis:
            await redis.flushall()
        assert await accepted(both, tokens, rounds=50) == 0
        own_redis.stop()
        assert await accepted(both, tokens, rounds=50) == 0


async def test_log_out_holds_everywhere_while_redis_hangs(auth_database: TestDatabase, own_redis: LocalRedis) -> None:
    """F06: the deletion cannot be carried out, and the entry is still there when Redis wakes up."""
    async with two_servers(auth_database, own_redis.url) as both:
        tokens = await some_sessions(both[0], 10)
        assert await accepted(both, tokens) == 20
        os.kill(own_redis.pid, signal.SIGSTOP)
        try:
            await asyncio.gather(*(both[0].log_out(one) for one in tokens))
            assert await accepted(both, tokens) == 0
        finally:
            os.kill(own_redis.pid, signal.SIGCONT)
        assert await accepted(both, tokens, rounds=10) == 0


async def test_log_out_on_a_server_that_lost_redis_holds_on_one_that_has_it(
    auth_database: TestDatabase, own_redis: LocalRedis
) -> None:
    """The epoch is raised by who cannot delete; without it the other server would go on serving its entry."""
    config = auth_config(auth_database, own_redis.url)
    unreachable = auth_config(auth_database, f"redis://127.0.0.1:{free_port()}", AUTH_MASTER_KEY=config.master_key)
    async with (
        running_auth(auth_database, config) as connected,
        running_auth(auth_database, unreachable) as cut_off,
    ):
        await trusting(connected)
        tokens = await some_sessions(connected, 10)
        assert await accepted((connected, connected), tokens) == 20
        hits = await cached_hits()
        assert await accepted((connected, connected), tokens) == 20
        assert await cached_hits() > hits
        await asyncio.gather(*(cut_off.log_out(one) for one in tokens))
        assert await accepted((connected, cut_off), tokens, rounds=10) == 0


async def test_a_server_led_to_a_redis_that_missed_the_deletion_does_not_believe_it(
    auth_database: TestDatabase, own_redis: LocalRedis
) -> None:
    """Failover to a replica: its copy of the entries is from before the log-out. Only the run_id tells it apart."""
    async with two_servers(auth_database, own_redis.url) as both:
        tokens = await some_sessions(both[0], 10)
        assert await accepted(both, tokens) == 20
        async with Redis.from_url(own_redis.url) as redis:
            stale = {key: await redis.get(key) for key in await redis.keys("parley:session:*")}
        assert len(stale) >= 10
        await asyncio.gather(*(both[0].log_out(one) for one in tokens))
        own_redis.stop()
        own_redis.start()
        async with Redis.from_url(own_redis.url) as redis:
            await redis.mset(stale)
            await asyncio.gather(trusting(both[0]), trusting(both[1]))
            await redis.mset(stale)
        assert await accepted(both, tokens, rounds=20) == 0


async def test_a_fill_that_was_read_before_the_log_out_is_not_stored_after_it(
    auth: Auth, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F10: read the row, pause, log out, go on with the fill."""
    from auth_service.store import sessions  # noqa: PLC0415

    tokens = (await auth.sign_up()).tokens
    await trusting(auth)
    session_id = (await auth.verify(tokens.access_token)).session_id
    async with Redis.from_url(servers.redis.url) as redis:
        await redis.delete(f"parley:session:{session_id}")
    has_read, go_on = asyncio.Event(), asyncio.Event()
    find_many = sessions.find_many

    async def slow_find_many(executor, ids):
        found = await find_many(executor, ids)
        has_read.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(sessions, "find_many", slow_find_many)
    reader = asyncio.create_task(auth.verify(tokens.access_token))
    await has_read.wait()
    monkeypatch.setattr(sessions, "find_many", find_many)
    # The log-out's own check reads the session too, past the paused reader.
    await auth.log_out(tokens)
    go_on.set()
    await reader
    for _ in range(20):
        assert not (await auth.verify(tokens.access_token)).active


async def test_a_debt_left_by_a_process_that_died_is_paid_by_another(auth: Auth, servers: Servers) -> None:
    """The revocation was committed and its process died before the deletion: within seconds another one deletes."""
    tokens = (await auth.sign_up()).tokens
    await trusting(auth)
    session_id = (await auth.verify(tokens.access_token)).session_id
    assert (await auth.verify(tokens.access_token)).active
    await fetch(
        auth.database.url,
        "WITH dead AS (UPDATE sessions SET revoke_time = now(), revoke_reason = 'LOG_OUT' WHERE id = $1 RETURNING id) "
        "INSERT INTO cache_debts (key) SELECT 'parley:session:' || id FROM dead",
        session_id,
    )
    async with asyncio.timeout(10):
        while (await auth.verify(tokens.access_token)).active:
            await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        while (await fetch(auth.database.url, "SELECT count(*) FROM cache_debts"))[0][0]:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "rubbish", [b"", b"rubbish", b"{}", b"[]", b"\xff\xfe", b"[" * 5000, b'["k",1,"e",{}]', b"\x80\x04."]
)
async def test_rubbish_in_the_cache_is_a_miss(auth: Auth, servers: Servers, rubbish: bytes) -> None:
    """F09."""
    tokens = (await auth.sign_up()).tokens
    await trusting(auth)
    verified = await auth.verify(tokens.access_token)
    async with Redis.from_url(servers.redis.url) as redis:
        await redis.set(f"parley:session:{verified.session_id}", rubbish)
        await redis.set(f"parley:user:{verified.user_id}", rubbish)
        assert (await auth.verify(tokens.access_token)) == verified
        await redis.delete(f"parley:user:{verified.user_id}")
        await redis.lpush(f"parley:user:{verified.user_id}", b"a list")
        assert (await auth.verify(tokens.access_token)) == verified


async def test_anothers_record_under_a_users_key_is_never_served(auth: Auth, servers: Servers) -> None:
    """F09."""
    from protos.auth.v1.account_service_pb2 import GetProfileRequest  # noqa: PLC0415

    ada, bob = await auth.sign_up(), await auth.sign_up("bob@example.com")
    await trusting(auth)
    for person in (ada, bob):
        await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(person.tokens))
    async with Redis.from_url(servers.redis.url) as redis:
        entry = await redis.get(f"parley:user:{bob.user.id}")
        assert entry is not None
        await redis.set(f"parley:user:{ada.user.id}", entry)
    profile = await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(ada.tokens))
    assert profile.user.email == "ada@example.com"

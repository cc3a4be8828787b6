import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from shared.background import Background
from shared.embedded import LocalRedis, free_port, scratch_folder
from shared.redis_link import EXCHANGE_SECONDS, RedisLink, RedisUnavailable
from tests.servers import Servers


@pytest.fixture
def own_redis() -> Iterator[LocalRedis]:
    with scratch_folder() as folder:
        redis = LocalRedis(folder / "redis", free_port(), password="for this test")
        redis.start()
        try:
            yield redis
        finally:
            redis.stop()


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[RedisLink]:
    async with Background() as background:
        link = RedisLink(url)
        background.spawn("redis link", link.run())
        async with asyncio.timeout(5):
            await link.connected.wait()
        yield link


async def test_look_ups_of_one_turn_are_one_command(servers: Servers) -> None:
    async with linked(servers.redis.url) as link, Redis.from_url(servers.redis.url) as redis:
        await redis.mset({f"turn:{n}": str(n) for n in range(50)})
        before = (await redis.info("commandstats"))["cmdstat_mget"]["calls"] if await link.read(["turn:0"]) else 0
        answers = await asyncio.gather(*(link.read([f"turn:{n}", f"turn:{n + 1}"]) for n in range(0, 50, 2)))
        after = (await redis.info("commandstats"))["cmdstat_mget"]["calls"]
        assert answers == [[str(n).encode(), str(n + 1).encode()] for n in range(0, 50, 2)]
        assert after - before == 1


async def test_a_cancelled_caller_never_leaves_its_answer_to_another(servers: Servers) -> None:
    """F11, the redis-py incidents of 2023."""
    async with linked(servers.redis.url) as link, Redis.from_url(servers.redis.url) as redis:
        await redis.mset({f"own:{n}": f"value of {n}" for n in range(200)})
        wrong: list[object] = []
        answered = 0

        async def ask(n: int) -> None:
            nonlocal answered
            values = await link.read([f"own:{n}"] * (1 + n % 3))
            answered += 1
            if values != [f"value of {n}".encode()] * (1 + n % 3):
                wrong.append((n, values))

        for _ in range(50):
            tasks = [asyncio.create_task(ask(random.randrange(200))) for _ in range(100)]
            for _ in range(random.randrange(4)):
                await asyncio.sleep(0)
            for task in random.sample(tasks, 40):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert wrong == []
        assert answered >= 50 * 60


async def test_a_server_that_hangs_is_given_up_and_found_again(own_redis: LocalRedis) -> None:
    """F06: nobody waits for longer than the limit, and then nobody waits at all."""
    async with linked(own_redis.url) as link:
        os.kill(own_redis.pid, signal.SIGSTOP)
        try:
            with pytest.raises(RedisUnavailable):
                await asyncio.wait_for(link.command("PING"), timeout=20 * EXCHANGE_SECONDS)
            assert link.server_id is None
            assert await link.read(["anything", "else"]) == [None, None]
        finally:
            os.kill(own_redis.pid, signal.SIGCONT)
        async with asyncio.timeout(10):
            await link.connected.wait()
        assert await link.command("PING") == b"PONG"


async def test_a_restarted_server_has_another_identity(own_redis: LocalRedis) -> None:
    async with linked(own_redis.url) as link:
        former = link.server_id
        own_redis.stop()
        with pytest.raises(RedisUnavailable):
            await link.command("PING")
        own_redis.start()
        async with asyncio.timeout(10):
            await link.connected.wait()
        assert link.server_id not in (None, former)


async def test_a_command_that_fails_fails_alone(servers: Servers) -> None:
    async with linked(servers.redis.url) as link:
        good, bad, also_good = await asyncio.gather(
            link.command("SET", "alone", "1"),
            link.command("NO-SUCH-COMMAND"),
            link.command("INCR", "alone"),
            return_exceptions=True,
        )
        assert (good, also_good) == (b"OK", 2)
        assert isinstance(bad, RedisUnavailable)


async def test_a_busy_loop_is_not_taken_for_a_dead_server(servers: Servers) -> None:
    import time  # noqa: PLC0415

    async with linked(servers.redis.url) as link:
        asked = link.read(["busy"])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        time.sleep(3 * EXCHANGE_SECONDS)  # noqa: ASYNC251 - the stall is what is tested
        assert await asked == [None]
        assert link.server_id is not None

"""Counting events in Redis, and in the process where there is none."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from shared.background import Background
from shared.errors import RateLimited
from shared.ratelimit import Limit, RateLimiter
from shared.redis_link import RedisLink
from tests.servers import Servers


@pytest.fixture
async def link(servers: Servers) -> AsyncIterator[RedisLink]:
    async with Background() as background:
        link = RedisLink(servers.redis.url)
        background.spawn("redis link", link.run())
        await link.connected.wait()
        yield link
        await background.stop()


@pytest.fixture(params=["redis", "without redis"])
async def limiter(request: pytest.FixtureRequest, link: RedisLink, servers: Servers) -> RateLimiter:
    used = link if request.param == "redis" else RedisLink(servers.redis.url)  # which never connects
    return RateLimiter(used, os.urandom(32))


def limit(amount: int, seconds: int = 60) -> Limit:
    return Limit(name="tests", amount=amount, seconds=seconds)


async def refused(limiter: RateLimiter, limit: Limit, *subject: str) -> RateLimited:
    with pytest.raises(RateLimited) as failed:
        await limiter.take(limit, *subject)
    return failed.value


async def test_so_many_events_are_taken_and_no_more(limiter: RateLimiter) -> None:
    for _ in range(3):
        await limiter.take(limit(3), "ada")
    failed = await refused(limiter, limit(3), "ada")
    assert failed.facts == {"limit": "tests"}
    assert failed.retry_after is not None
    assert 1 <= failed.retry_after <= 60


async def test_of_events_at_once_no_more_are_taken(limiter: RateLimiter) -> None:
    answers = await asyncio.gather(*(limiter.take(limit(10), "ada") for _ in range(50)), return_exceptions=True)
    assert answers.count(None) == 10
    assert sum(isinstance(answer, RateLimited) for answer in answers) == 40


async def test_a_check_counts_nothing_and_a_count_refuses_nothing(limiter: RateLimiter) -> None:
    for _ in range(5):
        await limiter.check(limit(1), "ada")
    for _ in range(3):
        await limiter.count(limit(1), "ada")
    with pytest.raises(RateLimited):
        await limiter.check(limit(1), "ada")


async def test_what_is_forgiven_begins_anew(limiter: RateLimiter) -> None:
    await limiter.take(limit(1), "ada")
    await refused(limiter, limit(1), "ada")
    await limiter.forgive(limit(1), "ada")
    await limiter.take(limit(1), "ada")
    await refused(limiter, limit(1), "ada")


async def test_each_subject_and_each_limit_has_its_own_count(limiter: RateLimiter) -> None:
    subjects = [("ada",), ("eve",), ("ada", "eve"), ("eve", "ada"), ("",)]
    for subject in subjects:
        await limiter.take(limit(1), *subject)
    await limiter.take(Limit(name="others", amount=1, seconds=60), "ada")
    for subject in subjects:
        await refused(limiter, limit(1), *subject)


async def test_a_window_ends(limiter: RateLimiter) -> None:
    await limiter.take(limit(1, seconds=1), "ada")
    assert (await refused(limiter, limit(1, seconds=1), "ada")).retry_after == 1.0
    async with asyncio.timeout(5):
        while True:
            try:
                await limiter.take(limit(1, seconds=1), "ada")
                break
            except RateLimited:
                await asyncio.sleep(0)


async def test_two_processes_share_a_count_only_under_one_key(link: RedisLink) -> None:
    key = os.urandom(32)
    one, other, stranger = RateLimiter(link, key), RateLimiter(link, key), RateLimiter(link, os.urandom(32))
    await one.take(limit(1), "ada")
    await refused(other, limit(1), "ada")
    await stranger.take(limit(1), "ada")


async def test_rubbish_in_redis_is_as_good_as_no_redis(link: RedisLink, servers: Servers) -> None:
    """F09: never an error, and the budget still holds in this process."""
    limiter = RateLimiter(link, os.urandom(32))
    async with Redis.from_url(servers.redis.url) as redis:
        before = set(await redis.keys("parley:limit:*"))
        await limiter.take(limit(2), "ada")
        [key] = set(await redis.keys("parley:limit:*")) - before
        for rubbish in (b"rubbish", b"", b"1.5", b"\xff"):
            await redis.set(key, rubbish)
            await limiter.check(limit(2), "ada")
        await redis.delete(key)
        await redis.rpush(key, "a list")
        await limiter.take(limit(2), "ada")
        await limiter.take(limit(2), "ada")
        assert (await refused(limiter, limit(2), "ada")).facts == {"limit": "tests"}


async def test_every_count_ends(link: RedisLink, servers: Servers) -> None:
    limiter = RateLimiter(link, os.urandom(32))
    async with Redis.from_url(servers.redis.url) as redis:
        before = set(await redis.keys("parley:limit:*"))
        await asyncio.gather(*(limiter.count(limit(9), "ada") for _ in range(20)))
        [key] = set(await redis.keys("parley:limit:*")) - before
        assert 0 < await redis.ttl(key) <= 60
        assert int(await redis.get(key)) == 20

"""What replicas tell each other: in a process at once, between processes while Redis is there; nothing relies on it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from chat_service.hints import Hint, Hints
from chat_service.live import Live
from shared import ids
from shared.background import Background
from shared.embedded import LocalRedis, free_port, scratch_folder
from shared.redis_link import RedisLink
from tests.proxies import proxied
from tests.servers import Servers

USER, OTHER = ids.new_id(), ids.new_id()
HOME = ids.new_id()


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
async def process(url: str) -> AsyncIterator[Live]:
    """One end of what replicas tell each other."""
    async with Background() as background:
        link = RedisLink(url)
        live = Live(link, url)
        background.spawn("redis link", link.run())
        background.spawn("live", live.run())
        async with asyncio.timeout(5):
            await link.connected.wait()
        yield live


async def test_what_is_published_is_heard_in_every_process_once_and_in_order(servers: Servers) -> None:
    async with process(servers.redis.url) as here, process(servers.redis.url) as there:
        with here.subscribed("one") as mine, there.subscribed("one") as theirs, there.subscribed("two") as others:
            assert [await each.next(5) for each in (mine, theirs, others)] == [None, None, None]
            for number in range(100):
                here.publish("one", b"%d" % number)
            there.publish("two", b"the end")
            there.publish("one", b"the end")
            in_order = [b"%d" % number for number in range(100)]
            assert [await theirs.next(5) for _ in range(101)] == [b"the end", *in_order]
            assert [await mine.next(5) for _ in range(101)] == [*in_order, b"the end"]
            assert await others.next(5) == b"the end"


async def test_who_joins_a_channel_that_is_heard_already_is_told_from_when_on(servers: Servers) -> None:
    async with process(servers.redis.url) as here, process(servers.redis.url) as there:
        with here.subscribed("one") as first:
            assert await first.next(5) is None
            with here.subscribed("one") as second:
                assert await second.next(5) is None
            with here.subscribed("one") as third:
                assert await third.next(5) is None
                there.publish("one", b"hello")
                assert [await first.next(5), await third.next(5)] == [b"hello", b"hello"]


async def test_who_is_slow_is_told_of_a_loss_and_holds_a_bounded_number(servers: Servers) -> None:
    async with process(servers.redis.url) as here:
        with here.subscribed("one") as slow:
            assert await slow.next(5) is None
            for number in range(10_000):
                here.publish("one", b"%d" % number)
            assert len(slow._waiting) < 300
            assert await slow.next(5) is None
            rest = [await slow.next(5) for _ in range(len(slow._waiting))]
            assert rest == [b"%d" % number for number in range(10_000 - len(rest), 10_000)]


async def test_a_restart_of_redis_is_told_as_a_loss_and_then_all_goes_on(own_redis: LocalRedis) -> None:
    async with process(own_redis.url) as here, process(own_redis.url) as there:
        with here.subscribed("one") as mine:
            assert await mine.next(5) is None
            own_redis.kill()
            here.publish("one", b"heard at home")
            there.publish("one", b"lost")
            assert await mine.next(5) == b"heard at home"
            own_redis.start()
            assert await mine.next(10) is None
            async with asyncio.timeout(10):
                await there._link.connected.wait()
            there.publish("one", b"found again")
            assert await mine.next(5) == b"found again"


async def test_a_redis_that_falls_silent_is_given_up(servers: Servers) -> None:
    """F06: the connection stands, and nothing comes: a question is not answered."""
    async with proxied(servers.redis.port) as wire:
        url = servers.redis.url.replace(f":{servers.redis.port}", f":{wire.port}")
        async with process(url) as here, process(servers.redis.url) as there:
            with here.subscribed("one") as mine:
                assert await mine.next(5) is None
                held = wire.hold(b"SUBSCRIBE")
                assert len(held) == 1
                assert await mine.next(20) is None  # a new connection, which is not held
                there.publish("one", b"found again")
                assert await mine.next(5) == b"found again"


async def test_changes_of_one_turn_are_one_message_with_the_highest_revision(servers: Servers) -> None:
    heard: list[Hint | None] = []
    async with process(servers.redis.url) as here, process(servers.redis.url) as there:
        told, other = Hints(here), ids.new_id()
        with there.subscribed(f"user:{USER}") as raw, Hints(there).watching(USER, heard.append):
            assert await raw.next(5) is None
            for revision in (5, 7, 6):
                told.changed(USER, HOME, revision)
            told.changed(USER, other, 1)
            told.changed(OTHER, ids.new_id(), 3)
            assert len(await raw.next(5) or b"") == 2 * 24
    assert heard == [None, Hint(HOME, 7), Hint(other, 1)]


async def test_a_message_that_no_replica_can_have_sent_says_nothing(servers: Servers) -> None:
    heard: list[Hint | None] = []
    async with process(servers.redis.url) as here, process(servers.redis.url) as there:
        with there.subscribed(f"user:{USER}") as raw, Hints(there).watching(USER, heard.append):
            assert await raw.next(5) is None
            here.publish(f"user:{USER}", b"rubbish")
            assert await raw.next(5) == b"rubbish"
    assert heard == [None]


async def test_nobody_listening_leaves_nothing_behind(servers: Servers) -> None:
    async with process(servers.redis.url) as here:
        for number in range(20):
            with here.subscribed(f"channel {number}") as mine:
                assert await mine.next(5) is None
        assert here._listeners == {}
        assert here._subscriber._channels == set()

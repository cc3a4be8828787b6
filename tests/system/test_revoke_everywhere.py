"""What was logged out is refused by every process of both services, whatever becomes of Redis (R20, F05-F08, F20).

In each state a hundred sessions end. Each is asked about the moment that its log-out was acknowledged, and all of them
again and again after that: more than 10,000 times together.
"""

import asyncio

import pytest
from redis.asyncio import Redis

from shared.embedded import free_port
from tests.auth import processes
from tests.authtest import SERVICE_KEY
from tests.servers import Servers, TestDatabase, fresh_database, make_master_key
from tests.system.fleet import Chat, Fleet, hanging, running_chat, running_fleet

SESSIONS = 100


async def test_two_of_auth_and_two_of_chat_accept_none_after_log_out_in_any_state_of_redis(
    auth_database: TestDatabase, chat_database: TestDatabase, servers: Servers
) -> None:
    async with running_fleet(auth_database, chat_database) as fleet:
        for state in (up, flushed, hung, stopped, failed_over, split, with_a_replica_of_chat_stopped):
            await fleet.trusting()
            sessions = await fleet.sessions(SESSIONS)
            await state(fleet, sessions)
            assert (state.__name__, fleet.accepted) == (state.__name__, 0)
        assert fleet.checks >= 10_000


async def up(fleet: Fleet, sessions: list) -> None:
    await fleet.log_out(sessions)
    await fleet.ask_again(sessions, rounds=3)


async def flushed(fleet: Fleet, sessions: list) -> None:
    """F07, F08: an entry that is gone says nothing, neither of a log-out nor of its absence."""
    await fleet.log_out(sessions)
    async with Redis.from_url(fleet.redis.url) as redis:
        await redis.flushall()
    await fleet.ask_again(sessions, rounds=3)


async def hung(fleet: Fleet, sessions: list) -> None:
    """F06: nothing can be deleted, and the entries are still there when Redis wakes up."""
    with hanging(fleet.redis.pid):
        await fleet.log_out(sessions)
        await fleet.ask_again(sessions, rounds=2)
    await fleet.ask_again(sessions, rounds=2)


async def stopped(fleet: Fleet, sessions: list) -> None:
    """F05."""
    fleet.redis.kill()
    await fleet.log_out(sessions)
    await fleet.ask_again(sessions, rounds=2)
    fleet.redis.start()
    await fleet.ask_again(sessions, rounds=2)


async def failed_over(fleet: Fleet, sessions: list) -> None:
    """The new server is a replica that missed the deletions."""
    await fleet.copy_to_replica()
    await fleet.log_out(sessions)
    fleet.proxy.lead_to(fleet.replica.port)
    await fleet.ask_again(sessions, rounds=2)
    await fleet.trusting()
    await fleet.ask_again(sessions, rounds=2)
    fleet.proxy.lead_to(fleet.redis.port)


async def split(fleet: Fleet, sessions: list) -> None:
    """Auth deletes in one server while chat is led to the other, which both believe to be the master."""
    await fleet.copy_to_replica()
    fleet.chats_way.lead_to(fleet.replica.port)
    await fleet.log_out(sessions)
    await fleet.ask_again(sessions, rounds=3)
    fleet.chats_way.lead_to(fleet.proxy.port)


async def with_a_replica_of_chat_stopped(fleet: Fleet, sessions: list) -> None:
    """F20: it slept through the log-out, and wakes up with what it knew."""
    with hanging(fleet.chats[0].process.pid):
        for auth in fleet.auths:
            for session in sessions[auth is fleet.auths[0] :: 2]:
                await auth.log_out(session.token)
    await fleet.ask_again(sessions, rounds=4)


async def test_chat_serves_valid_callers_after_a_kill_of_auth_then_refuses_and_recovers(
    auth_database: TestDatabase, chat_database: TestDatabase, servers: Servers
) -> None:
    """R50, F25: by the silence of 3 seconds nobody is let in, and nobody is told that a good token is bad."""
    settings = {
        "AUTH_MASTER_KEY": make_master_key(),
        "AUTH_SERVICE_KEYS": SERVICE_KEY,
        "AUTH_PORT": str(free_port()),
    }
    async with (
        processes.serving(auth_database, servers.redis.url, **settings) as (auth, process),
        running_chat(chat_database, servers.redis.url, f"127.0.0.1:{auth.server.port}") as chat,
        processes.listening_to(chat.process),
    ):
        staying, leaving = (await auth.sign_up()).tokens.access_token, (await auth.log_in()).tokens.access_token
        assert await chat.accepts(staying)
        await process.kill()
        assert await chat.accepts(staying)
        async with asyncio.timeout(20):
            while await reachable(chat, staying):
                await asyncio.sleep(0.05)
        async with processes.serving(auth_database, servers.redis.url, **settings) as (again, _):
            async with asyncio.timeout(20):
                while not await reachable(chat, staying):
                    await asyncio.sleep(0.05)
            await again.log_out(leaving)
            assert not await chat.accepts(leaving)
            assert await chat.accepts(staying)


async def reachable(chat: Chat, token: str) -> bool:
    """Whether a good token is let in; while auth is away the only other answer is UNAVAILABLE."""
    try:
        return await chat.accepts(token)
    except AssertionError as error:
        assert "UNAVAILABLE" in str(error)  # noqa: PT017 - and not UNAUTHENTICATED
        return False


@pytest.fixture
async def chat_database(servers: Servers):
    async with fresh_database(servers, "chat") as database:
        yield database

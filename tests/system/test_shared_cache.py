"""A service on the shared cache reads what auth has put there, and is as strict as auth."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from redis.asyncio import Redis

from auth_service.server import accounts
from shared import cache, clock, metrics
from shared.background import Background
from shared.cache import CacheView
from shared.embedded import free_port
from shared.errors import Unauthenticated, Unavailable
from shared.grpc.auth_client import AuthClient
from shared.grpc.verifier import LocalVerifier
from shared.grpc.verifying import on_shared_cache
from shared.redis_link import RedisLink
from tests.auth.test_revocation import own_redis, trusting
from tests.authtest import SERVICE_KEY, Auth, auth_config, running_auth
from tests.proxies import proxied
from tests.servers import Servers, TestDatabase

__all__ = ["own_redis"]


@asynccontextmanager
async def reading(
    auth_port: int, redis_url: str, *, serve_through_outages: bool = True
) -> AsyncIterator[LocalVerifier]:
    """What chat verifies with, on its own connections."""
    link = RedisLink(redis_url)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{auth_port}") as channel, Background() as background:
        background.spawn("redis link", link.run())
        await link.connected.wait()
        view = CacheView(link)
        auth = AuthClient(channel, SERVICE_KEY)
        verifier = await on_shared_cache(auth, "chat", background, view, serve_through_outages=serve_through_outages)
        await until_trusted(view)
        yield verifier


def view_of(verifier: LocalVerifier) -> CacheView:
    return verifier._sessions._cache  # type: ignore[attr-defined]


async def until_trusted(view: CacheView) -> None:
    async with asyncio.timeout(10):
        while view.trusted is None:
            await asyncio.sleep(0.01)


def found_by(source: str) -> float:
    return metrics.token_sources.labels(source)._value.get()


async def test_what_stands_in_the_cache_is_read_there_and_the_rest_is_asked_of_auth_which_fills(
    auth: Auth, servers: Servers
) -> None:
    made = await auth.sign_up()
    await trusting(auth)
    async with reading(auth.server.port, servers.redis.url) as verifier, Redis.from_url(servers.redis.url) as redis:
        await redis.delete(f"parley:session:{made.session.id}", f"parley:user:{made.user.id}")
        asked, cached = found_by("auth"), found_by("cache")
        for _ in range(3):
            principal = await verifier.verify(made.tokens.access_token)
            assert (str(principal.user_id), str(principal.session_id)) == (made.user.id, made.session.id)
        assert (found_by("auth") - asked, found_by("cache") - cached) == (1, 2)
        assert await redis.exists(f"parley:session:{made.session.id}", f"parley:user:{made.user.id}") == 2


async def test_auth_and_the_cache_tell_the_same_of_a_caller(auth: Auth, servers: Servers) -> None:
    made = await auth.sign_up()
    await trusting(auth)
    async with reading(auth.server.port, servers.redis.url) as verifier, accounts(auth.config) as operator:
        await operator.grant_roles("ada@example.com", ["admin", "service"])
        asked, cached = [await verifier.verify(made.tokens.access_token) for _ in range(2)]
        assert asked.roles == ("admin", "service")
        assert cached == asked


async def test_other_roles_count_from_the_next_call_on(auth: Auth, servers: Servers) -> None:
    """R40."""
    made = await auth.sign_up()
    await trusting(auth)
    async with reading(auth.server.port, servers.redis.url) as verifier, accounts(auth.config) as operator:
        for roles in (["admin"], ["service"], []):
            await operator.grant_roles("ada@example.com", roles)
            for _ in range(3):
                assert list((await verifier.verify(made.tokens.access_token)).roles) == roles


async def test_a_fill_that_was_read_before_the_log_out_lets_nobody_in_after_it(
    auth: Auth, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F10, on chat's way: it asks auth, which reads the row and pauses; the log-out comes; then auth fills."""
    from auth_service.store import sessions  # noqa: PLC0415

    made = await auth.sign_up()
    await trusting(auth)
    async with reading(auth.server.port, servers.redis.url) as verifier, Redis.from_url(servers.redis.url) as redis:
        await redis.delete(f"parley:session:{made.session.id}")
        has_read, go_on = asyncio.Event(), asyncio.Event()
        find_many = sessions.find_many

        async def slow_find_many(executor, ids):
            found = await find_many(executor, ids)
            has_read.set()
            await go_on.wait()
            return found

        monkeypatch.setattr(sessions, "find_many", slow_find_many)
        reader = asyncio.create_task(verifier.verify(made.tokens.access_token))
        await has_read.wait()
        monkeypatch.setattr(sessions, "find_many", find_many)
        await auth.log_out(made.tokens)
        go_on.set()
        await reader
        for _ in range(20):
            with pytest.raises(Unauthenticated):
                await verifier.verify(made.tokens.access_token)


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", b"[]", b"\xff\xfe", b"[" * 5000, b'["k",1,"e",{}]'])
async def test_rubbish_in_the_cache_is_a_question_to_auth(auth: Auth, servers: Servers, rubbish: bytes) -> None:
    """F09."""
    made = await auth.sign_up()
    await trusting(auth)
    async with reading(auth.server.port, servers.redis.url) as verifier, Redis.from_url(servers.redis.url) as redis:
        verified = await verifier.verify(made.tokens.access_token)
        await redis.set(f"parley:session:{made.session.id}", rubbish)
        await redis.set(f"parley:user:{made.user.id}", rubbish)
        assert await verifier.verify(made.tokens.access_token) == verified


async def test_anothers_session_under_a_sessions_key_is_never_believed(auth: Auth, servers: Servers) -> None:
    """F09."""
    ada, bob = await auth.sign_up(), await auth.sign_up("bob@example.com")
    await trusting(auth)
    async with reading(auth.server.port, servers.redis.url) as verifier, Redis.from_url(servers.redis.url) as redis:
        for made in (ada, bob):
            await verifier.verify(made.tokens.access_token)
        for kind, hers, his in (("session", ada.session.id, bob.session.id), ("user", ada.user.id, bob.user.id)):
            entry = await redis.get(f"parley:{kind}:{his}")
            assert entry is not None
            await redis.set(f"parley:{kind}:{hers}", entry)
            assert str((await verifier.verify(ada.tokens.access_token)).user_id) == ada.user.id


async def test_who_is_cut_off_from_auth_does_not_believe_the_cache_for_longer_than_a_reading_lasts(
    auth_database: TestDatabase, own_redis
) -> None:
    """Auth cannot delete, and raises the epoch; this service still reaches the entry, and hears of no epoch."""
    async with proxied(own_redis.port) as to_redis:
        url = own_redis.url.replace(f":{own_redis.port}/", f":{to_redis.port}/")
        async with (
            running_auth(auth_database, auth_config(auth_database, url)) as auth,
            proxied(auth.server.port) as to_auth,
        ):
            made = await auth.sign_up()
            await trusting(auth)
            async with reading(to_auth.port, own_redis.url, serve_through_outages=False) as verifier:
                await verifier.verify(made.tokens.access_token)
                cached = found_by("cache")
                await verifier.verify(made.tokens.access_token)
                assert found_by("cache") == cached + 1
                assert to_auth.hold()
                assert to_redis.hold()
                await auth.log_out(made.tokens)
                with pytest.raises(Unavailable):
                    await verifier.verify(made.tokens.access_token)
                to_auth.release()
                to_redis.release()


async def test_an_outage_of_auth_is_bridged_by_the_feed_or_not_as_it_was_told(auth: Auth, servers: Servers) -> None:
    """R50."""
    made = await auth.sign_up()
    await trusting(auth)
    for bridged in (True, False):
        async with (
            proxied(auth.server.port) as proxy,
            reading(proxy.port, servers.redis.url, serve_through_outages=bridged) as verifier,
        ):
            await verifier.verify(made.tokens.access_token)
            proxy.lead_to(free_port())
            view_of(verifier)._reading = None
            before = found_by("outage")
            if bridged:
                assert await verifier.verify(made.tokens.access_token)
            else:
                with pytest.raises(Unavailable):
                    await verifier.verify(made.tokens.access_token)
            assert found_by("outage") == before + bridged


async def test_a_heartbeat_that_came_late_gives_the_cache_no_time(auth: Auth, servers: Servers) -> None:
    async with reading(auth.server.port, servers.redis.url) as verifier:
        view = view_of(verifier)
        reading_ = view._reading
        assert reading_ is not None
        row = cache.Epoch(epoch=reading_.epoch, server_id=reading_.server_id, age=3600)
        view.learn(row, clock.monotonic() - cache.EPOCH_SECONDS)
        assert view.trusted is None

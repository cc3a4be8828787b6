"""WatchRevocations: everything that was acknowledged has been told before a heartbeat says so."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import grpc
import pytest

from auth_service import revocations, server
from auth_service.accounts import Accounts
from auth_service.cleanup import tasks
from auth_service.server import accounts
from auth_service.store import revocations as store
from protos.auth.v1.resources_pb2 import User
from protos.auth.v1.revocations_pb2 import Heartbeat, RevocationKind, WatchRevocationsRequest
from shared import metrics
from tests.authtest import Auth, auth_config, running_auth, service_bearer
from tests.grpc_errors import failure
from tests.proxies import proxied
from tests.servers import Servers, TestDatabase, fetch

Told = tuple[str, str]


class Watch:
    """One stream, and what was told on it before each heartbeat."""

    def __init__(self, auth: Auth) -> None:
        self._asked = time.monotonic()
        self._stream = auth.auth.WatchRevocations(WatchRevocationsRequest(), metadata=service_bearer())
        self.told: list[Told] = []
        self.beats: list[Heartbeat] = []

    async def up_to_date(self) -> set[Told]:
        """All that was told before the first heartbeat which speaks of this moment or a later one."""
        now = time.monotonic() - self._asked
        while not self.beats or self.beats[-1].elapsed.ToNanoseconds() / 1e9 < now:
            await self.next()
        return set(self.told)

    async def next(self) -> None:
        news = await asyncio.wait_for(self._stream.read(), 20)
        assert news is not grpc.aio.EOF, await self._stream.code()
        self.told += [(RevocationKind.Name(one.kind)[16:], one.subject_id) for one in news.revocations]
        if news.HasField("heartbeat"):
            self.beats.append(news.heartbeat)

    def cancel(self) -> None:
        self._stream.cancel()


@asynccontextmanager
async def watching(auth: Auth) -> AsyncIterator[Watch]:
    watch = Watch(auth)
    while not watch.beats:
        await watch.next()
    yield watch
    watch.cancel()


async def change(auth: Auth, statement: str, *args: object) -> None:
    """What an operator, or a way of the service that is not thought of yet, does to the rows."""
    await fetch(auth.database.owner_url, statement, *args)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_log_out_is_told_before_the_heartbeat_that_speaks_of_it(auth: Auth) -> None:
    await auth.sign_up()
    async with watching(auth) as watch:
        for _ in range(5):
            answer = await auth.log_in()
            await auth.log_out(answer.tokens)
            assert ("SESSION_ENDED", answer.session.id) in await watch.up_to_date()
        assert len(watch.told) == 5


async def test_a_heartbeat_does_not_run_ahead_of_news_that_are_held_up(
    servers: Servers, auth_database: TestDatabase
) -> None:
    """The connection that listens is held: nothing is told on it, so nothing may be said of this time either."""
    async with proxied(servers.postgres.port) as proxy:
        through = TestDatabase(
            url=auth_database.url.replace(f":{servers.postgres.port}/", f":{proxy.port}/"),
            owner_url=auth_database.owner_url,
        )
        async with running_auth(through, auth_config(through, servers.redis.url)) as auth, watching(auth) as watch:
            tokens = await auth.sign_up()
            assert len(proxy.hold(b"LISTEN")) == 1
            await auth.log_out(tokens.tokens)
            assert ("SESSION_ENDED", tokens.session.id) in await watch.up_to_date()


async def test_who_comes_later_is_told_first_what_ended_before(auth: Auth) -> None:
    ended = await auth.sign_up()
    await auth.log_out(ended.tokens)
    async with watching(auth) as watch:
        assert watch.told == [("SESSION_ENDED", ended.session.id)]


async def test_a_replica_tells_what_another_one_ended_and_what_ended_before_its_start(
    auth: Auth, servers: Servers
) -> None:
    first, second = await auth.sign_up(), await auth.log_in()
    await auth.log_out(first.tokens)
    config = auth_config(auth.database, servers.redis.url, AUTH_MASTER_KEY=auth.config.master_key)
    async with running_auth(auth.database, config) as other, watching(other) as watch:
        await auth.log_out(second.tokens)
        assert await watch.up_to_date() == {("SESSION_ENDED", one.session.id) for one in (first, second)}


async def test_what_commits_just_after_the_read_at_the_start_is_heard(
    auth: Auth, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who read first and listened then would miss it, and say that all has been told."""
    made = await auth.sign_up()
    list_recent, has_read, go_on = store.list_recent, asyncio.Event(), asyncio.Event()

    async def slow_list_recent(*args):
        found = [each async for each in list_recent(*args)]
        has_read.set()
        await go_on.wait()
        for each in found:
            yield each

    monkeypatch.setattr(store, "list_recent", slow_list_recent)
    config = auth_config(auth.database, servers.redis.url, AUTH_MASTER_KEY=auth.config.master_key)
    async with running_auth(auth.database, config) as other:
        await has_read.wait()
        await auth.log_out(made.tokens)
        go_on.set()
        async with watching(other) as watch:
            assert await watch.up_to_date() == {("SESSION_ENDED", made.session.id)}


@asynccontextmanager
async def rules(auth: Auth) -> AsyncIterator[Accounts]:
    async with accounts(auth.config) as found:
        yield found


async def test_other_roles_are_told(auth: Auth) -> None:
    """R40."""
    made = await auth.sign_up()
    async with watching(auth) as watch, rules(auth) as operator:
        await operator.grant_roles("ada@example.com", ["admin"])
        assert await watch.up_to_date() == {("USER_CHANGED", made.user.id)}


SESSION_CHANGES = {
    "UPDATE sessions SET expire_time = now() + interval '1 minute' WHERE user_id = $1": "SESSION_CHANGED",
    "UPDATE sessions SET scopes = '{chat.read}' WHERE user_id = $1": "SESSION_CHANGED",
    "UPDATE sessions SET revoke_time = now(), revoke_reason = 'REVOKED' WHERE user_id = $1": "SESSION_ENDED",
    "DELETE FROM sessions WHERE user_id = $1": "SESSION_ENDED",
}


@pytest.mark.parametrize(("statement", "kind"), SESSION_CHANGES.items())
async def test_whatever_takes_from_a_session_is_told(auth: Auth, statement: str, kind: str) -> None:
    made = await auth.sign_up()
    async with watching(auth) as watch:
        await change(auth, statement, made.user.id)
        assert await watch.up_to_date() == {(kind, made.session.id)}


async def test_a_suspended_user_and_one_who_is_gone_are_told(auth: Auth) -> None:
    """R21."""
    ada, bob = await auth.sign_up(), await auth.sign_up("bob@example.com")
    async with watching(auth) as watch:
        await change(auth, "UPDATE users SET state = 'SUSPENDED' WHERE id = $1", ada.user.id)
        assert await watch.up_to_date() == {("USER_CHANGED", ada.user.id)}
        await change(auth, "DELETE FROM users WHERE id = $1", bob.user.id)
        assert {("USER_CHANGED", bob.user.id), ("SESSION_ENDED", bob.session.id)} <= await watch.up_to_date()


async def test_what_takes_nothing_away_is_not_told(auth: Auth) -> None:
    made = await auth.sign_up()
    async with watching(auth) as watch:
        await change(auth, "UPDATE users SET display_name = 'Ada', revision = 2 WHERE id = $1", made.user.id)
        await change(auth, "UPDATE sessions SET expire_time = now() + interval '1 year', assurance = 2")
        await change(auth, "UPDATE sessions SET revoke_time = now(), revoke_reason = 'REVOKED'")
        await change(auth, "UPDATE sessions SET revoke_reason = 'LOG_OUT'")
        await change(auth, "DELETE FROM sessions")
        assert await watch.up_to_date() == {("SESSION_ENDED", made.session.id)}


async def many_sessions(auth: Auth, user: User, count: int) -> None:
    await change(
        auth,
        "INSERT INTO sessions (id, user_id, device_label, user_agent, address, auth_methods, expire_time) "
        "SELECT gen_random_uuid(), $1, '', '', '', '{pwd}', now() + interval '1 day' FROM generate_series(1, $2)",
        user.id,
        count,
    )


async def test_thousands_that_one_statement_ends_are_all_told_now_and_to_who_comes_later(auth: Auth) -> None:
    made = await auth.sign_up()
    await many_sessions(auth, made.user, 6_000)
    async with watching(auth) as watch:
        await change(auth, "UPDATE sessions SET revoke_time = now(), revoke_reason = 'REVOKED'")
        assert len(await watch.up_to_date()) == 6_001
    async with watching(auth) as later:
        assert set(later.told) == set(watch.told)


async def test_what_ended_while_the_connection_was_lost_is_told_when_it_is_back(auth: Auth) -> None:
    made = await auth.sign_up()
    backends = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%cache_epochs%'"
    )
    async with watching(auth) as watch:
        for _ in range(3):
            answer = await auth.log_in()
            await fetch(auth.database.url, backends)
            await auth.log_out(answer.tokens)
            assert ("SESSION_ENDED", answer.session.id) in await watch.up_to_date()
        assert ("SESSION_ENDED", made.session.id) not in watch.told


async def test_another_key_is_told_at_once(auth: Auth) -> None:
    async with watching(auth) as watch:
        before = watch.beats[-1].key_set_version
        await change(
            auth,
            "INSERT INTO signing_keys (kid, algorithm, public_jwk, private_key_sealed, state) "
            """SELECT 'other', algorithm, public_jwk || '{"kid": "other"}', NULL, 'RETIRING' """
            "FROM signing_keys",
        )
        while watch.beats[-1].key_set_version == before:
            await watch.next()
        assert before


async def test_a_heartbeat_has_the_epoch_of_the_cache_and_auths_clock(auth: Auth) -> None:
    [row] = await fetch(auth.database.url, "SELECT epoch::text, server_id FROM cache_epochs")
    async with watching(auth) as watch:
        beat = watch.beats[-1]
        assert (beat.cache_epoch.epoch, beat.cache_epoch.server_id) == (row["epoch"], row["server_id"])
        assert beat.cache_epoch.age.seconds >= 3600
        assert abs(beat.as_of_time.ToNanoseconds() / 1e9 - time.time()) < 20
        epoch = await fetch(
            auth.database.url, "UPDATE cache_epochs SET epoch = gen_random_uuid() RETURNING epoch::text"
        )
        await watch.up_to_date()
        assert watch.beats[-1].cache_epoch.epoch == epoch[0][0]


async def test_a_watcher_that_does_not_keep_up_is_ended_and_may_begin_anew(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await auth.sign_up()
    await many_sessions(auth, made.user, 2_000)
    with monkeypatch.context() as narrow:
        narrow.setattr(revocations, "_MAX_WAITING", 10)
        async with watching(auth) as watch:
            await change(auth, "UPDATE sessions SET revoke_time = now(), revoke_reason = 'REVOKED'")
            refused = await failure(_read_on(watch))
            assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "WATCHER_TOO_SLOW")
    async with watching(auth) as again:
        assert len(again.told) == 2_001


async def test_a_stream_ends_with_its_replica_and_says_to_try_another(
    auth_database: TestDatabase, servers: Servers
) -> None:
    """F18: long before the grace of the calls in flight is over."""
    config = auth_config(auth_database, servers.redis.url, AUTH_SHUTDOWN_GRACE_SECONDS=60)
    async with asyncio.timeout(30), AsyncExitStack() as stack:
        async with server.build(config) as listening:
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{listening.port}"))
            watch = await stack.enter_async_context(watching(Auth(listening, channel, auth_database, config)))
        refused = await failure(_read_on(watch))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
    assert refused.retry_seconds


async def test_who_leaves_is_forgotten(auth: Auth) -> None:
    async with watching(auth):
        await until(lambda: metrics.revocation_watchers._value.get() == 1)
    await until(lambda: metrics.revocation_watchers._value.get() == 0)


async def test_so_many_may_watch_and_no_more(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "_MAX_WATCHERS", 1)
    async with watching(auth):
        refused = await failure(_read_on(Watch(auth)))
        assert refused.reason == "OVERLOADED"
        assert refused.retry_seconds


async def test_what_no_living_token_has_missed_is_removed_and_the_rest_stays(auth: Auth) -> None:
    first, second = await auth.sign_up(), await auth.log_in()
    for answer in (first, second):
        await auth.log_out(answer.tokens)
    await change(
        auth,
        "UPDATE revocations SET create_time = now() - interval '3 hours' WHERE subject_id = $1",
        first.session.id,
    )
    [clean_up] = [task for task in tasks(timedelta(days=1), "") if task.query.name == "revocations.delete_old"]
    rows = await fetch(auth.database.url, clean_up.query.text, 10, *clean_up.args)
    assert rows[0][0] == 1
    left = await fetch(auth.database.url, "SELECT subject_id::text FROM revocations")
    assert [row[0] for row in left] == [second.session.id]


async def _read_on(watch: Watch) -> None:
    while True:
        await watch.next()

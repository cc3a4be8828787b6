"""A service of somebody else's verifies tokens itself, as strictly as its revocation feed is up to date."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from redis.asyncio import Redis

from auth_service import server
from auth_service.server import accounts
from protos.auth.v1 import admin_service_pb2, admin_service_pb2_grpc
from protos.auth.v1.revocations_pb2 import Heartbeat, Revocation, WatchRevocationsResponse
from shared import clock, ids, metrics
from shared.embedded import free_port
from shared.errors import Unauthenticated, Unavailable
from shared.grpc import access, feed
from shared.grpc.auth_client import Watched
from shared.grpc.sessions import WhenSilent
from shared.grpc.verifier import LocalVerifier
from shared.grpc.verifying import VerifyingInterceptor, verifying
from tests.auth import processes
from tests.auth.forge import forge
from tests.authtest import SERVICE_KEY, Auth, bearer
from tests.grpc_errors import failure
from tests.orders import running_orders
from tests.proxies import Proxy, proxied
from tests.servers import Servers, TestDatabase, fetch, make_master_key

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


@asynccontextmanager
async def local(auth: Auth, key: str = SERVICE_KEY, **options: object) -> AsyncIterator[LocalVerifier]:
    async with verifying(auth_target=f"127.0.0.1:{auth.server.port}", audience="chat", key=key, **options) as verifier:
        yield verifier


def feed_of(verifier: LocalVerifier) -> feed.RevocationFeed:
    return verifier._sessions._feed  # type: ignore[attr-defined]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def up_to_date(verifier: LocalVerifier) -> None:
    """Until the feed says that it knows all that was acknowledged before this moment."""
    now = clock.monotonic()
    await until(lambda: feed_of(verifier)._as_of >= now)


def found_by(source: str) -> float:
    return metrics.token_sources.labels(source)._value.get()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_knows_its_callers_in_calls_of_every_kind(auth: Auth, kind: str) -> None:
    made = await auth.sign_up()
    async with local(auth) as verifier, running_orders(verifier) as orders:
        asked, fed = found_by("auth"), found_by("feed")
        assert await orders.who(made.tokens.access_token, kind) == [made.user.id, made.session.id]
        assert (found_by("auth") - asked, found_by("feed") - fed) == (0, 1)
        refused = await failure(orders.who("", kind))
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


async def test_what_is_no_good_token_is_refused_without_asking(auth: Auth) -> None:
    """R26-R31, R50."""
    forger = await forge(auth, (await auth.sign_up()).tokens)
    bad = {
        "rubbish": "MALFORMED",
        forger.good + "=": "MALFORMED",
        forger.good[:-4] + "AAAA": "INVALID",
        forger.token(aud=["auth"]): "INVALID",
        forger.token(iss="another"): "INVALID",
        forger.token(exp=int(clock.timestamp()) - 6): "EXPIRED",
        forger.token(iat=int(clock.timestamp()) + 60): "INVALID",
        forger.token(nbf=int(clock.timestamp()) + 60): "INVALID",
        forger.token(sid=None): "INVALID",
        forger.token(roles="admin"): "INVALID",
        forger.token(acr="aal9"): "INVALID",
    }
    async with local(auth) as verifier, running_orders(verifier) as orders:
        asked = metrics.batch_size.labels("verify")._sum.get()
        for token, reason in bad.items():
            refused = await failure(orders.who(token))
            assert (refused.reason, refused.facts) == ("UNAUTHENTICATED", {"inactive_reason": reason})
        assert metrics.batch_size.labels("verify")._sum.get() == asked


async def test_what_only_auth_can_tell_is_asked(auth: Auth) -> None:
    async with local(auth) as verifier, running_orders(verifier) as orders:
        asked = metrics.batch_size.labels("verify")._sum.get()
        refused = await failure(orders.who("parley_key_of_a_machine"))
        assert refused.reason == "UNAUTHENTICATED"
        assert metrics.batch_size.labels("verify")._sum.get() == asked + 1


async def test_methods_that_declare_nothing_are_for_users_or_for_nobody(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    async with local(auth) as verifier, running_orders(verifier, undeclared=None) as orders:
        assert (await failure(orders.who(tokens.access_token))).reason == "PERMISSION_DENIED"


async def test_methods_that_declare_their_access_are_open_to_whom_they_name(auth: Auth) -> None:
    made = await auth.sign_up()
    health = health_pb2.DESCRIPTOR.services_by_name["Health"]
    declaring = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
    assert access.declared(health) == {}
    rules = access.declared(declaring)
    assert rules["/auth.v1.AdminService/BatchGetUsers"].role == "service"
    async with local(auth) as verifier, serving(verifier, services=[declaring, health]) as channel:
        admin = admin_service_pb2_grpc.AdminServiceStub(channel)
        request = admin_service_pb2.BatchGetUsersRequest()
        refused = await failure(admin.BatchGetUsers(request, metadata=bearer(made.tokens)))
        assert refused.facts == {"required_role": "service"}
        assert (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())).status


@asynccontextmanager
async def serving(verifier: LocalVerifier, **options: object) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server(interceptors=[VerifyingInterceptor(verifier, **options)])
    health = HealthServicer()
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    admin_service_pb2_grpc.add_AdminServiceServicer_to_server(admin_service_pb2_grpc.AdminServiceServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(0)


async def test_a_log_out_is_refused_as_soon_as_the_feed_knows_of_it(auth: Auth) -> None:
    """R20: a heartbeat says that the feed knows; where it says so, the session is refused without asking."""
    await auth.sign_up()
    async with local(auth) as verifier:
        for _ in range(5):
            tokens = (await auth.log_in()).tokens
            assert await verifier.verify(tokens.access_token)
            await auth.log_out(tokens)
            await up_to_date(verifier)
            with pytest.raises(Exception, match="valid access token") as refused:
                await verifier.verify(tokens.access_token)
            assert refused.value.facts == {"inactive_reason": "REVOKED"}


async def test_what_ended_before_the_service_began_is_refused(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    await auth.log_out(tokens)
    async with local(auth) as verifier, running_orders(verifier) as orders:
        assert (await failure(orders.who(tokens.access_token))).facts == {"inactive_reason": "REVOKED"}


async def test_other_roles_count_though_the_token_has_the_former_ones(auth: Auth) -> None:
    """R40."""
    made = await auth.sign_up()
    async with local(auth) as verifier, running_orders(verifier) as orders, accounts(auth.config) as operator:
        assert (await orders.who(made.tokens.access_token))[2:] == []
        for roles in (["admin"], []):
            await operator.grant_roles("ada@example.com", roles)
            await up_to_date(verifier)
            assert (await orders.who(made.tokens.access_token))[2:] == roles


async def test_a_suspended_user_is_refused_until_reinstated(auth: Auth, servers: Servers) -> None:
    """R21."""
    made = await auth.sign_up()
    async with local(auth) as verifier, running_orders(verifier) as orders, Redis.from_url(servers.redis.url) as redis:
        for state in ("SUSPENDED", "ACTIVE"):
            await fetch(auth.database.url, "UPDATE users SET state = $1", state)
            await redis.delete(f"parley:user:{made.user.id}")
            await up_to_date(verifier)
            if state == "ACTIVE":
                assert await orders.who(made.tokens.access_token)
            else:
                refused = await failure(orders.who(made.tokens.access_token))
                assert refused.facts == {"inactive_reason": "USER_INACTIVE"}


async def test_the_feed_goes_on_after_an_interruption_and_misses_nothing(auth: Auth) -> None:
    made = await auth.sign_up()
    async with proxied(auth.server.port) as proxy, through(proxy) as verifier:
        assert await verifier.verify(made.tokens.access_token)
        proxy.lead_to(free_port())
        await auth.log_out(made.tokens)
        proxy.lead_to(auth.server.port)
        await up_to_date(verifier)
        assert feed_of(verifier).ended(UUID(made.session.id))


@asynccontextmanager
async def through(proxy: Proxy, **options: object) -> AsyncIterator[LocalVerifier]:
    target = f"127.0.0.1:{proxy.port}"
    async with verifying(auth_target=target, audience="chat", key=SERVICE_KEY, **options) as verifier:
        yield verifier


async def test_valid_callers_are_served_while_auth_is_away_and_no_longer_than_the_silence(auth: Auth) -> None:
    """R50, F25: within the silence the feed is believed; after it, who asks gets no answer, and so refuses."""
    tokens = (await auth.sign_up()).tokens
    async with proxied(auth.server.port) as proxy, through(proxy) as verifier, running_orders(verifier) as orders:
        await up_to_date(verifier)
        proxy.lead_to(free_port())
        assert await orders.who(tokens.access_token)
        await until(lambda: feed_of(verifier).silent)
        refused = await failure(orders.who(tokens.access_token))
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
        proxy.lead_to(auth.server.port)
        await up_to_date(verifier)
        assert await orders.who(tokens.access_token)


@pytest.mark.parametrize("when_silent", WhenSilent)
async def test_without_heartbeats_it_asks_or_refuses_as_it_was_told(auth: Auth, when_silent: WhenSilent) -> None:
    """Auth answers, but tells nothing: it cannot hear Postgres."""
    tokens = (await auth.sign_up()).tokens
    async with local(auth, when_silent=when_silent) as verifier, running_orders(verifier) as orders:
        feed_of(verifier)._as_of -= feed.SILENCE_SECONDS
        assert feed_of(verifier).silent
        if when_silent is WhenSilent.ASK:
            asked = found_by("auth")
            assert await orders.who(tokens.access_token)
            assert found_by("auth") == asked + 1
        else:
            refused = await failure(orders.who(tokens.access_token))
            assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")


async def test_a_service_whose_key_is_wrong_asks_about_every_token(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    async with local(auth, key=make_master_key()) as verifier, running_orders(verifier) as orders:
        assert await orders.who(tokens.access_token)
        await auth.log_out(tokens)
        assert (await failure(orders.who(tokens.access_token))).facts == {"inactive_reason": "REVOKED"}


async def test_news_that_were_long_on_their_way_are_known_to_be_old(auth: Auth) -> None:
    """A heartbeat that a stalled connection delivers late must not pass for one of now."""
    async with local(auth) as verifier:
        fed = feed_of(verifier)
        assert not fed.silent
        late = Heartbeat(elapsed=Duration(seconds=1), key_set_version="x")
        fed._learn(Watched(clock.monotonic() - 60, WatchRevocationsResponse(heartbeat=late)))
        assert fed.silent


async def test_a_revocation_of_a_kind_that_is_not_known_ends_the_stream(auth: Auth) -> None:
    """A newer auth may tell of more: what cannot be understood must not be followed by a heartbeat that counts."""
    async with local(auth) as verifier:
        unknown = WatchRevocationsResponse(revocations=[Revocation(kind=99, subject_id=str(ids.new_id()))])
        with pytest.raises(Unavailable):
            feed_of(verifier)._learn(Watched(clock.monotonic(), unknown))


async def test_a_key_that_auth_withdraws_counts_no_more_and_a_new_one_does(auth: Auth) -> None:
    """Emergency removal: a remembered token of the former key is refused, one of the new key is taken."""
    former = (await auth.sign_up()).tokens
    async with local(auth) as verifier, running_orders(verifier) as orders:
        assert await orders.who(former.access_token)
        known = verifier._signatures._told
        async with server.signing_keys(auth.config) as rotation:
            await rotation.rotate(None, emergency=True)
        await until(lambda: verifier._signatures._told != known)
        assert (await failure(orders.who(former.access_token))).facts == {"inactive_reason": "INVALID"}
        assert await orders.who((await auth.log_in()).tokens.access_token)
        await until(lambda: verifier._signatures._current)
        fed = found_by("feed")
        assert await orders.who((await auth.log_in()).tokens.access_token)
        assert found_by("feed") == fed + 1


async def test_tokens_of_unknown_keys_make_one_fetch_a_second_at_most(auth: Auth) -> None:
    made = await auth.sign_up()
    forger = await forge(auth, made.tokens)
    async with local(auth) as verifier, running_orders(verifier) as orders:
        before = metrics.key_set_fetches.labels("fetched")._value.get()
        began = clock.monotonic()
        forged = [forger.token(header={"kid": f"unknown-{number}"}) for number in range(100)]
        failures = await asyncio.gather(*(failure(orders.who(token)) for token in forged))
        assert {one.facts["inactive_reason"] for one in failures} == {"INVALID"}
        assert await orders.who(made.tokens.access_token)
        fetched = metrics.key_set_fetches.labels("fetched")._value.get() - before
        assert fetched <= 1 + (clock.monotonic() - began)


async def test_expiry_is_by_auths_clock(
    auth_database: TestDatabase, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F24: a service whose clock is 90 seconds off accepts no token for longer, and none for shorter."""
    key, real = make_master_key(), clock.timestamp
    async with processes.serving(
        auth_database,
        servers.redis.url,
        AUTH_MASTER_KEY=key,
        AUTH_SERVICE_KEYS=SERVICE_KEY,
        AUTH_ACCESS_TOKEN_MINUTES="0.2",
    ) as (auth, _):
        await auth.sign_up()
        for seconds in (-90, 90):
            monkeypatch.setattr(clock, "timestamp", lambda: real() + seconds)  # noqa: B023
            async with verifying(
                auth_target=f"127.0.0.1:{auth.server.port}", audience="chat", key=SERVICE_KEY
            ) as verifier:
                tokens = (await auth.log_in()).tokens
                fed = found_by("feed")
                assert await verifier.verify(tokens.access_token)
                assert found_by("feed") == fed + 1
                end = tokens.access_token_expire_time.seconds + seconds
                monkeypatch.setattr(clock, "timestamp", lambda: end + 4)  # noqa: B023
                assert await verifier.verify(tokens.access_token)
                monkeypatch.setattr(clock, "timestamp", lambda: end + 6)  # noqa: B023
                with pytest.raises(Unauthenticated):
                    await verifier.verify(tokens.access_token)

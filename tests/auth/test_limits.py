"""Rate limits: failures count, right passwords do not, and an attacker cannot lock the owner out (R10)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from redis.asyncio import Redis

from auth_service.limits import CONSECUTIVE_FAILURES
from protos.auth.v1.auth_service_pb2 import LogInRequest, SignUpRequest
from shared.embedded import LocalRedis, free_port, scratch_folder
from tests.auth.addresses import calling_from
from tests.authtest import PASSWORD, Auth, auth_config, running_auth
from tests.grpc_errors import Failure, failure
from tests.servers import Servers, TestDatabase, fetch

pytestmark = pytest.mark.usefixtures("patient_redis")

ADA = "ada@example.com"
PAIR = 10
ACCOUNT = 45


async def guess(auth: Auth, email: str = ADA) -> Failure:
    return await failure(auth.log_in(email, "not the password"))


async def guesses(auth: Auth, count: int, email: str = ADA) -> list[str]:
    return [(await guess(auth, email)).reason for _ in range(count)]


@pytest.mark.parametrize("email", [ADA, "nobody@example.com"])
async def test_after_ten_wrong_passwords_an_address_must_wait_and_is_told_how_long(auth: Auth, email: str) -> None:
    """R10, R11: an unknown account is no different."""
    await auth.sign_up()
    assert await guesses(auth, PAIR, email) == ["INVALID_CREDENTIALS"] * PAIR
    failed = await guess(auth, email)
    assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    assert failed.facts == {"limit": "failures_by_account_and_address"}
    assert failed.retry_seconds is not None
    assert 0 < failed.retry_seconds <= 15 * 60
    assert failed.trailers["grpc-retry-pushback-ms"] == str(int(failed.retry_seconds * 1000))
    assert (await failure(auth.log_in(email))).reason == "RATE_LIMITED"


async def test_every_spelling_of_an_email_has_one_budget(auth: Auth) -> None:
    await auth.sign_up()
    for spelling in ("ada@example.com", "ADA@example.com", "Ada@EXAMPLE.com", "aDa@example.com", "adA@Example.com"):
        assert await guesses(auth, 2, spelling) == ["INVALID_CREDENTIALS"] * 2
    assert await guesses(auth, 1, "AdA@ExAmPlE.com") == ["RATE_LIMITED"]


async def test_the_owner_logs_in_from_elsewhere_while_an_attacker_must_wait(auth: Auth) -> None:
    await auth.sign_up()
    async with calling_from("127.0.0.2", auth) as attacker:
        assert await guesses(attacker, PAIR + 1) == ["INVALID_CREDENTIALS"] * PAIR + ["RATE_LIMITED"]
        assert (await auth.log_in()).session.address == "127.0.0.1"
        assert (await failure(attacker.log_in())).reason == "RATE_LIMITED"


async def test_an_attack_from_many_addresses_ends_at_the_accounts_budget_and_spares_the_known_address(
    auth: Auth,
) -> None:
    """R10: far fewer than 100 failures whatever the addresses, and no lock-out where the owner has been before."""
    await auth.sign_up()
    for number in range(2, 2 + ACCOUNT // 9):
        async with calling_from(f"127.0.0.{number}", auth) as attacker:
            assert await guesses(attacker, 9) == ["INVALID_CREDENTIALS"] * 9
    async with calling_from("127.0.0.99", auth) as attacker:
        failed = await guess(attacker)
        assert (failed.reason, failed.facts) == ("RATE_LIMITED", {"limit": "failures_by_account"})
        assert (await failure(attacker.log_in())).reason == "RATE_LIMITED"
        assert (await auth.log_in()).user.email == ADA
        assert (await attacker.log_in()).user.email == ADA  # the owner's right password has ended the count


async def test_consecutive_failures_end_below_a_hundred_though_redis_forgets_and_the_owner_still_logs_in(
    auth: Auth, servers: Servers
) -> None:
    """R10: counted for an email, with an account or without, and the address that the owner has used stays open."""
    await auth.sign_up()
    for accounts, email in enumerate((ADA, "nobody@example.com"), start=1):
        async with calling_from("127.0.0.2", auth) as attacker:
            for _ in range(CONSECUTIVE_FAILURES // PAIR):
                assert await guesses(attacker, PAIR, email) == ["INVALID_CREDENTIALS"] * PAIR
                await forget_limits(servers)
            await until_noted(auth, accounts)
            failed = await guess(attacker, email)
            assert (failed.reason, failed.facts) == ("RATE_LIMITED", {"limit": "consecutive_failures_by_account"})
    assert (await auth.log_in()).user.email == ADA
    async with calling_from("127.0.0.2", auth) as traveller:
        assert (await traveller.log_in()).user.email == ADA


async def forget_limits(servers: Servers) -> None:
    async with Redis.from_url(servers.redis.url) as redis:
        keys = [key async for key in redis.scan_iter("parley:limit*")]
        await redis.delete(*keys)


async def until_noted(auth: Auth, accounts: int) -> None:
    """So many accounts have used up their budget: a failure is noted after its answer."""
    query = "SELECT FROM log_in_failures WHERE failures >= $1"
    async with asyncio.timeout(10):
        while len(await fetch(auth.database.url, query, CONSECUTIVE_FAILURES)) < accounts:
            await asyncio.sleep(0.01)


async def test_a_right_password_ends_the_count_of_the_wrong_ones_before_it(auth: Auth) -> None:
    await auth.sign_up()
    for _ in range(3):
        assert await guesses(auth, PAIR - 1) == ["INVALID_CREDENTIALS"] * (PAIR - 1)
        assert (await auth.log_in()).user.email == ADA


async def test_right_passwords_never_use_up_a_budget(auth: Auth) -> None:
    """Fifty at once, five times what failures may be."""
    await auth.sign_up()
    answers = await asyncio.gather(*(auth.log_in() for _ in range(50)))
    assert len({answer.session.id for answer in answers}) == 50


async def test_a_burst_of_wrong_passwords_is_held_to_the_budget(auth: Auth) -> None:
    """The budget is asked when the hash begins, so a burst passes it by no more than the hashes under way."""
    await auth.sign_up()
    calls = [asyncio.ensure_future(guess(auth)) for _ in range(60)]
    reasons = [failed.reason for failed in await asyncio.gather(*calls)]
    assert set(reasons) == {"INVALID_CREDENTIALS", "RATE_LIMITED"}
    assert PAIR <= reasons.count("INVALID_CREDENTIALS") <= PAIR + 4


async def test_one_accounts_failures_do_not_touch_another(auth: Auth) -> None:
    await auth.sign_up()
    await auth.sign_up("eve@example.com")
    await guesses(auth, PAIR + 1)
    assert (await auth.log_in("eve@example.com")).user.email == "eve@example.com"


async def test_replicas_share_the_budget(auth: Auth) -> None:
    await auth.sign_up()
    async with running_auth(auth.database, auth.config) as replica:
        assert await guesses(auth, PAIR // 2) + await guesses(replica, PAIR // 2) == ["INVALID_CREDENTIALS"] * PAIR
        assert await guesses(auth, 1) + await guesses(replica, 1) == ["RATE_LIMITED"] * 2


async def test_neither_an_email_nor_an_address_stands_in_redis(auth: Auth, servers: Servers) -> None:
    await auth.sign_up()
    await guess(auth)
    async with Redis.from_url(servers.redis.url) as redis:
        keys = [key async for key in redis.scan_iter("parley:limit*")]
        assert any(b"failures_by_account" in key for key in keys)
        assert not [key for key in keys if b"example.com" in key or b"127.0.0.1" in key]
        assert not [key for key in keys if await redis.ttl(key) < 0]


@asynccontextmanager
async def limited(servers: Servers, database: TestDatabase, **settings: object) -> AsyncIterator[Auth]:
    async with running_auth(database, auth_config(database, servers.redis.url, **settings)) as auth:
        yield auth


async def test_one_address_logs_in_only_so_often_a_minute_whatever_it_says_of_itself(
    servers: Servers, auth_database: TestDatabase
) -> None:
    """R43: x-forwarded-for and its like choose no bucket."""
    async with limited(servers, auth_database, AUTH_LOG_INS_PER_ADDRESS_PER_MINUTE=3) as auth:
        await auth.sign_up()
        for _ in range(3):
            await auth.log_in()
        request = LogInRequest(email=ADA, password=PASSWORD)
        for name in ("x-forwarded-for", "x-real-ip", "forwarded", "x-user-id"):
            failed = await failure(auth.auth.LogIn(request, metadata=((name, "10.0.0.1"),)))
            assert (failed.reason, failed.facts) == ("RATE_LIMITED", {"limit": "log_ins_by_address"})
        async with calling_from("127.0.0.2", auth) as elsewhere:
            assert (await elsewhere.log_in()).session.address == "127.0.0.2"


async def test_behind_a_gateway_of_ours_each_caller_has_a_budget(servers: Servers, auth_database: TestDatabase) -> None:
    """R43: the gateway is believed, and what its caller wrote before it is not."""
    settings = {"AUTH_LOG_INS_PER_ADDRESS_PER_MINUTE": 2, "AUTH_TRUSTED_PROXIES": "127.0.0.0/8"}
    async with limited(servers, auth_database, **settings) as auth:
        await auth.sign_up()
        request = LogInRequest(email=ADA, password=PASSWORD)
        for said in ("198.51.100.1", "1.2.3.4, 198.51.100.1"):
            answer = await auth.auth.LogIn(request, metadata=(("x-forwarded-for", said),))
            assert answer.session.address == "198.51.100.1"
        failed = await failure(auth.auth.LogIn(request, metadata=(("x-forwarded-for", "9.9.9.9, 198.51.100.1"),)))
        assert failed.facts == {"limit": "log_ins_by_address"}
        answer = await auth.auth.LogIn(request, metadata=(("x-forwarded-for", "2001:db8::1"),))
        assert answer.session.address == "2001:db8::1"


async def test_one_address_signs_up_only_so_often_an_hour_and_repeats_are_free(
    servers: Servers, auth_database: TestDatabase
) -> None:
    async with limited(servers, auth_database, AUTH_SIGN_UPS_PER_ADDRESS_PER_HOUR=2) as auth:
        for _ in range(4):
            first = await auth.sign_up(request_id="once")
        await auth.sign_up("eve@example.com")
        failed = await failure(auth.sign_up("mallory@example.com"))
        assert (failed.reason, failed.facts) == ("RATE_LIMITED", {"limit": "sign_ups_by_address"})
        assert (await auth.sign_up(request_id="once")).user == first.user
        async with calling_from("127.0.0.2", auth) as elsewhere:
            request = SignUpRequest(email="mallory@example.com", password=PASSWORD)
            assert (await elsewhere.auth.SignUp(request)).user.email == "mallory@example.com"
        assert len(await fetch(auth_database.url, "SELECT id FROM users")) == 3


async def test_repeats_of_a_sign_up_count_as_log_ins_do(servers: Servers, auth_database: TestDatabase) -> None:
    async with limited(servers, auth_database, AUTH_LOG_INS_PER_ADDRESS_PER_MINUTE=3) as auth:
        for _ in range(4):
            await auth.sign_up(request_id="once")
        assert (await failure(auth.sign_up(request_id="once"))).facts == {"limit": "log_ins_by_address"}


async def test_without_redis_each_server_counts_by_itself(auth_database: TestDatabase) -> None:
    """R58: no valid user is denied, and the budget holds."""
    with scratch_folder() as folder:
        redis = LocalRedis(Path(folder) / "redis", free_port(), password="x")
        redis.start()
        try:
            async with running_auth(auth_database, auth_config(auth_database, redis.url)) as auth:
                await auth.sign_up()
                redis.kill()
                assert (await auth.log_in()).user.email == ADA
                assert await guesses(auth, PAIR + 1) == ["INVALID_CREDENTIALS"] * PAIR + ["RATE_LIMITED"]
        finally:
            redis.stop()

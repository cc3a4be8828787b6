"""Hashing: bounded, out of everybody's way, and with present parameters (R51, R52)."""

import asyncio
import threading
import unicodedata

import bcrypt
import grpc
import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from auth_service import passwords
from auth_service.passwords import Passwords
from protos.auth.v1.auth_service_pb2 import LogInRequest
from shared import clock
from shared.errors import Overloaded
from tests.auth.hash_vectors import BOMBS, VECTORS
from tests.authtest import PASSWORD, Auth, auth_config, running_auth
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, fetch

THREADS = 2


def hash_threads() -> int:
    return sum(thread.name.startswith("argon2") for thread in threading.enumerate())


def hashing() -> float:
    return REGISTRY.get_sample_value("parley_hash_queue") or 0.0


async def queued(hasher: Passwords, count: int) -> None:
    async with asyncio.timeout(10):
        while hasher._queued < count:
            await asyncio.sleep(0)


@pytest.fixture
async def narrow(servers: Servers, auth_database: TestDatabase):
    """Auth with one hashing thread."""
    async with running_auth(auth_database, auth_config(auth_database, servers.redis.url, AUTH_HASH_THREADS=1)) as auth:
        yield auth


async def test_tokens_are_verified_while_log_ins_are_hashed_on_a_few_threads(
    servers: Servers, auth_database: TestDatabase
) -> None:
    config = auth_config(auth_database, servers.redis.url, AUTH_HASH_THREADS=THREADS)
    async with running_auth(auth_database, config) as auth:
        token = (await auth.sign_up()).tokens.access_token
        log_ins = [asyncio.ensure_future(auth.log_in()) for _ in range(20)]
        meanwhile, most_threads = 0, 0
        while not all(log_in.done() for log_in in log_ins):
            assert (await auth.verify(token)).active
            meanwhile += not any(log_in.done() for log_in in log_ins[10:])
            most_threads = max(most_threads, hash_threads())
        assert len({(await log_in).session.id for log_in in log_ins}) == 20
        assert meanwhile > 0
        assert 1 <= most_threads <= THREADS


async def test_what_the_queue_cannot_hold_is_refused_at_once_with_when_to_come_back(
    narrow: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R52, R60."""
    monkeypatch.setattr(passwords, "_MAX_QUEUE", 5)
    calls = [failure(narrow.log_in(f"nobody{number}@example.com")) for number in range(30)]
    failures = await asyncio.gather(*calls)
    refused = [failed for failed in failures if failed.reason != "INVALID_CREDENTIALS"]
    assert 0 < len(refused) <= 25
    for failed in refused:
        assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert failed.retry_seconds is not None
        assert failed.retry_seconds >= 0.1
        assert failed.trailers["grpc-retry-pushback-ms"] == str(int(failed.retry_seconds * 1000))
    assert hashing() == 0
    assert (await narrow.sign_up()).user.id


async def test_a_call_whose_time_is_shorter_than_the_queue_is_refused_early(narrow: Auth) -> None:
    """R59: refused before its deadline, not by it, and it waits in nobody's way."""
    waiting = [asyncio.ensure_future(failure(narrow.log_in(f"nobody{number}@example.com"))) for number in range(60)]
    async with asyncio.timeout(10):
        while hashing() < 30:
            await narrow.verify("")
    request = LogInRequest(email="late@example.com", password=PASSWORD)
    failed = await failure(narrow.auth.LogIn(request, timeout=0.3))
    assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert {(await call).reason for call in waiting} == {"INVALID_CREDENTIALS"}


async def test_a_place_is_held_until_the_hash_ends_though_its_caller_has_left() -> None:
    """R52: else callers who leave could have any number of hashes under way."""
    hasher = Passwords(threads=1)
    began, go_on = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        assert go_on.wait(10)

    leaving = asyncio.create_task(hasher._run(work, hasher._own))
    await asyncio.to_thread(began.wait, 10)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    next_one = asyncio.create_task(hasher.hash("a password"))
    await queued(hasher, 2)
    assert hasher._free.locked()
    assert not next_one.done()
    assert hashing() == 2
    go_on.set()
    assert (await next_one).startswith("$argon2id$")
    assert not hasher._free.locked()
    hasher.close()


async def test_a_caller_who_leaves_the_queue_leaves_no_gap_in_it() -> None:
    hasher = Passwords(threads=1)
    go_on = threading.Event()
    first = asyncio.create_task(hasher._run(lambda: go_on.wait(10), hasher._own))
    waiting = [asyncio.create_task(hasher.hash("a password")) for _ in range(5)]
    await queued(hasher, 6)
    for task in waiting[:3]:
        task.cancel()
    go_on.set()
    results = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [False] + [True] * 3 + [False] * 2
    assert (hasher._queued, hasher._free._value) == (0, 1)
    hasher.close()


async def test_who_has_waited_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our patience is not the caller's deadline."""
    monkeypatch.setattr(passwords, "_PATIENCE_SECONDS", 0.1)
    hasher = Passwords(threads=1)
    go_on = threading.Event()
    first = asyncio.create_task(hasher._run(lambda: go_on.wait(10), hasher._own))
    await queued(hasher, 1)
    with pytest.raises(Overloaded) as refused:
        await hasher.hash("a password")
    assert refused.value.retry_after == 1.0
    go_on.set()
    assert await first
    assert (hasher._queued, hasher._free._value) == (0, 1)
    hasher.close()


async def test_a_refusal_before_the_hash_gives_the_place_back_without_a_hash() -> None:
    hasher = Passwords(threads=1)
    before = REGISTRY.get_sample_value("parley_hash_seconds_count")

    async def refuse() -> None:
        raise Overloaded

    for _ in range(3):
        with pytest.raises(Overloaded):
            await hasher.verify(None, "a password", refuse)
    assert REGISTRY.get_sample_value("parley_hash_seconds_count") == before
    assert (hasher._queued, hasher._free._value) == (0, 1)
    hasher.close()


async def test_a_hash_with_former_parameters_is_renewed_by_the_log_in_that_proves_the_password(auth: Auth) -> None:
    """R51."""
    await auth.sign_up()
    former = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    await fetch(auth.database.url, "UPDATE users SET password_hash = $1", former)
    await failure(auth.log_in(password="not the password"))
    assert await stored(auth) == former
    await auth.log_in()
    async with asyncio.timeout(10):
        while (renewed := await stored(auth)) == former:
            await auth.verify("")
    assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await auth.log_in()
    assert await stored(auth) == renewed


async def test_a_hash_that_bcrypt_cut_short_is_renewed_from_the_whole_password(auth: Auth) -> None:
    """R04: from then on every byte counts, also those that bcrypt had not looked at."""
    await auth.sign_up()
    password = "a phrase of seventy-two bytes and then a few more words that bcrypt never saw"
    former = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    await fetch(auth.database.url, "UPDATE users SET password_hash = $1", former)
    await auth.log_in(password=password)
    async with asyncio.timeout(10):
        while (renewed := await stored(auth)) == former:
            await auth.verify("")
    assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await auth.log_in(password=password)
    for other in (password[:72], password[:-1], password + "!"):
        assert (await failure(auth.log_in(password=other))).reason == "INVALID_CREDENTIALS"


async def test_imported_hashes_have_half_of_the_threads_and_keep_nobody_with_an_own_hash_waiting() -> None:
    """R52, F27: one of them may take 128 MiB, so no more than half of the threads' number are in memory at once."""
    hasher = Passwords(threads=4)
    at_work, go_on = threading.Semaphore(0), threading.Event()

    def work() -> None:
        at_work.release()
        assert go_on.wait(10)

    foreign = [asyncio.create_task(hasher._run(work, hasher._foreign)) for _ in range(20)]
    for _ in range(2):
        assert await asyncio.to_thread(at_work.acquire, timeout=10)
    for password in ("one", "another", "and a third"):
        assert await hasher.verify(await hasher.hash(password), password, nothing)
    assert not at_work.acquire(blocking=False)
    go_on.set()
    await asyncio.gather(*foreign)
    assert (hasher._queued, hasher._free._value, hasher._foreign.places[0]._value) == (0, 4, 2)
    hasher.close()


async def test_a_hash_of_another_function_waits_among_its_like() -> None:
    hasher = Passwords(threads=1)
    go_on = threading.Event()
    running = asyncio.create_task(hasher._run(lambda: go_on.wait(10), hasher._own))
    await queued(hasher, 1)
    kinds = [VECTORS[kind] for kind in ("bcrypt $2y$", "Django's PBKDF2-SHA256", "Argon2i")]
    checks = [asyncio.create_task(hasher.verify(foreign, password, nothing)) for password, foreign in kinds]
    own = asyncio.create_task(hasher.verify(None, "a password", nothing))
    await queued(hasher, 5)
    assert (hasher._own.queued, hasher._foreign.queued) == (2, 3)
    go_on.set()
    assert await running
    assert await asyncio.gather(*checks, own) == [True, True, True, False]
    hasher.close()


async def test_a_cancelled_wait_for_an_imported_hash_gives_each_place_back() -> None:
    hasher = Passwords(threads=1)
    go_on = threading.Event()
    running = asyncio.create_task(hasher._run(lambda: go_on.wait(10), hasher._own))
    await queued(hasher, 1)
    waiting = [asyncio.create_task(hasher._run(lambda: None, hasher._foreign)) for _ in range(3)]
    await queued(hasher, 4)
    for task in waiting:  # the first has a place among its like and waits for a thread, the others for both
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    go_on.set()
    assert await running
    assert (hasher._queued, hasher._free._value, hasher._foreign.places[0]._value) == (0, 1, 1)
    hasher.close()


async def test_a_rush_on_imported_hashes_fills_half_of_the_queue_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """R52."""
    monkeypatch.setattr(passwords, "_MAX_QUEUE", 6)
    hasher = Passwords(threads=1)
    go_on = threading.Event()
    tasks = [asyncio.create_task(hasher._run(lambda: go_on.wait(10), hasher._foreign)) for _ in range(9)]
    await queued(hasher, 3)
    own = asyncio.create_task(hasher.hash("a password"))
    await queued(hasher, 4)
    go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, Overloaded) for result in results] == [False] * 3 + [True] * 6
    assert (await own).startswith("$argon2id$")
    hasher.close()


async def test_a_wrong_password_is_answered_no_sooner_than_is_set_and_a_right_one_at_once() -> None:
    """R11: else an imported hash that takes long to check tells that its account exists."""
    hasher = Passwords(threads=1, failure_seconds=0.3)
    own = await hasher.hash("the password")
    for text, password in ((own, "wrong"), (None, "wrong"), (VECTORS["bcrypt $2y$"][1], "wrong")):
        began = clock.monotonic()
        assert not await hasher.verify(text, password, nothing)
        assert clock.monotonic() - began >= 0.3
    hasher._failure_seconds = 1e6
    assert await hasher.verify(own, "the password", nothing)
    hasher.close()


async def nothing() -> None:
    """What comes before a hash that nothing forbids."""


async def test_a_hash_that_cannot_be_read_or_costs_too_much_fits_no_password(auth: Auth) -> None:
    await auth.sign_up()
    bombs = [BOMBS[kind] for kind in ("Argon2id of 8 GiB", "bcrypt of cost 31", "scrypt of N = 2^31")]
    for phc in (*bombs, "", "rubbish", "$argon2id$v=19$m=19456,t=2,p=1$", "$2b$12$" + "x" * 53):
        await fetch(auth.database.url, "UPDATE users SET password_hash = $1", phc)
        assert (await failure(auth.log_in())).reason == "INVALID_CREDENTIALS"


async def stored(auth: Auth) -> str:
    [row] = await fetch(auth.database.url, "SELECT password_hash FROM users")
    return str(row["password_hash"])


@given(st.text(max_size=200))
def test_all_normal_forms_of_a_password_are_one_password(text: str) -> None:
    """R05, and none of them is refused where another is accepted."""
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    assert {passwords.normalise(form) for form in forms} == {passwords.normalise(text)}
    objections = {passwords.objection(form, email="ada@example.com", display_name=text) for form in (*forms, text)}
    assert len(objections) == 1


@pytest.mark.parametrize(
    "password",
    [
        *("lovelace1815", "LOVELACE!", "ada.lovelace@example.com", "Ada Lovelace", "adalovelace", "lovelace-lovelace"),
        *("example.com", "Example2026", "examplelovelace", "countess of", "the Countess!", "l o v e l a c e lovelace1"),
        *("parley-2026", "Parley Parley", "parleyauth", "my.parley", "chat-service", "AuthService1", "\uff30arley123"),
    ],
)
def test_little_more_than_the_users_own_data_or_the_services_name_is_no_password(password: str) -> None:
    """R08."""
    email, display_name = "ada.lovelace@example.com", "Ada, the Countess of Lovelace"
    assert "little more than" in (passwords.objection(password, email=email, display_name=display_name) or "")


@pytest.mark.parametrize("password", ["lovelace and babbage", "example of thrift", "county seat", "a parley at dawn"])
def test_a_password_may_have_a_word_of_ones_own_beside_others(password: str) -> None:
    email, display_name = "ada.lovelace@example.com", "Ada, the Countess of Lovelace"
    assert passwords.objection(password, email=email, display_name=display_name) is None

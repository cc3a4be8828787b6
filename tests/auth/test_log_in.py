"""LogIn: a new session for the right password, and one answer to everything else."""

import unicodedata
from uuid import UUID

import grpc
from prometheus_client import REGISTRY

from protos.auth.v1.auth_service_pb2 import LogInRequest, LogInResponse, SignUpRequest
from tests.authtest import PASSWORD, Auth, bearer
from tests.grpc_errors import failure
from tests.servers import fetch

DIFFERENT = [
    ("x" * 72 + "a", "x" * 72 + "b"),
    ("é" * 64 + "a", "é" * 64 + "b"),
    ("é" * 127 + "a", "é" * 127 + "b"),
    ("a good password a", "a good password b"),
    ("a good password", "a good password "),
    ("a good password", "A good password"),
    ("before\0and after", "before\0or after"),
    ("before\0and after", "before"),
]
SAME = [
    ("caf\u00e9 au lait", "cafe\u0301 au lait"),
    ("ﬁne passwords", "fine passwords"),
    ("\uff46\uff55\uff4c\uff4c width", "full width"),
    ("①②③④⑤⑥⑦⑧⑨ and more", "123456789 and more"),
    ("\u212bngström units", "\u00c5ngström units"),
    ("한국어 비밀번호", unicodedata.normalize("NFD", "한국어 비밀번호")),
]


async def log_in(auth: Auth, email: str = "ada@example.com", password: str = PASSWORD, **rest: str) -> LogInResponse:
    return await auth.auth.LogIn(LogInRequest(email=email, password=password, **rest))


def hashes() -> float:
    return REGISTRY.get_sample_value("parley_hash_seconds_count") or 0.0


async def test_a_log_in_starts_a_session_for_the_account(auth: Auth) -> None:
    made = await auth.sign_up(display_name="Ada")
    logged_in = await log_in(auth, email="ADA@example.com", device_label="Ada's tablet")
    assert logged_in.user == made.user
    assert logged_in.session.device_label == "Ada's tablet"
    assert logged_in.session.address == "127.0.0.1"
    assert list(logged_in.session.auth_methods) == ["pwd"]
    assert logged_in.session.current
    verified = await auth.verify(logged_in.tokens.access_token)
    assert (verified.active, verified.session_id) == (True, logged_in.session.id)
    assert list(verified.auth_methods) == ["pwd"]
    [event] = await fetch(auth.database.url, "SELECT session_id::text, address FROM audit_events WHERE type = 'LOG_IN'")
    assert tuple(event) == (logged_in.session.id, "127.0.0.1")


async def test_each_log_in_has_a_new_session_id(auth: Auth) -> None:
    """R18."""
    made = await auth.sign_up()
    answers = [await auth.log_in() for _ in range(3)]
    session_ids = [made.session.id, *(answer.session.id for answer in answers)]
    assert len(set(session_ids)) == 4
    assert sorted(session_ids) == session_ids
    assert {UUID(session_id).version for session_id in session_ids} == {7}
    tokens = {answer.tokens.refresh_token for answer in answers} | {answer.tokens.access_token for answer in answers}
    assert len(tokens) == 6


async def test_the_clients_user_agent_is_kept_up_to_256_characters(auth: Auth) -> None:
    await auth.sign_up()
    options = [("grpc.primary_user_agent", "a-long-name/" + "1" * 300)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{auth.server.port}", options=options) as channel:
        logged_in = await log_in(Auth(auth.server, channel, auth.database, auth.config))
    assert logged_in.session.user_agent == ("a-long-name/" + "1" * 300)[:256]


async def test_a_wrong_password_an_unknown_email_and_a_suspended_account_look_the_same(auth: Auth) -> None:
    """R11, R13: code, message and every byte of the details."""
    await auth.sign_up()
    await auth.sign_up(email="suspended@example.com")
    await fetch(auth.database.url, "UPDATE users SET state = 'SUSPENDED' WHERE email = 'suspended@example.com'")
    await auth.sign_up(email="passwordless@example.com")
    await fetch(auth.database.url, "UPDATE users SET password_hash = NULL WHERE email = 'passwordless@example.com'")
    failures = [
        await failure(log_in(auth, password="not the password")),
        await failure(log_in(auth, email="nobody@example.com")),
        await failure(log_in(auth, email="suspended@example.com")),
        await failure(log_in(auth, email="passwordless@example.com")),
    ]
    assert (failures[0].code, failures[0].reason) == (grpc.StatusCode.UNAUTHENTICATED, "INVALID_CREDENTIALS")
    assert all(failed.seen == failures[0].seen for failed in failures)
    assert len(await fetch(auth.database.url, "SELECT id FROM sessions")) == 3


async def test_an_unknown_email_costs_the_same_hash_as_a_wrong_password(auth: Auth) -> None:
    """R11: one hash each, so their times cannot tell them apart."""
    await auth.sign_up()
    before = hashes()
    await failure(log_in(auth, password="not the password"))
    assert hashes() - before == 1
    await failure(log_in(auth, email="nobody@example.com"))
    assert hashes() - before == 2


async def test_an_account_suspended_at_any_time_cannot_log_in_until_it_is_reinstated(auth: Auth) -> None:
    """R13."""
    await auth.sign_up()
    await fetch(auth.database.url, "UPDATE users SET state = 'SUSPENDED'")
    assert (await failure(auth.log_in())).reason == "INVALID_CREDENTIALS"
    await fetch(auth.database.url, "UPDATE users SET state = 'ACTIVE'")
    assert (await auth.log_in()).session.id


async def test_two_passwords_that_differ_anywhere_do_not_pass_for_each_other(auth: Auth) -> None:
    """R04: at byte 73, at byte 129, in the last byte, in case, after a NUL."""
    for number, (chosen, tried) in enumerate(DIFFERENT):
        email = f"ada{number}@example.com"
        await auth.auth.SignUp(SignUpRequest(email=email, password=chosen))
        assert (await failure(log_in(auth, email=email, password=tried))).reason == "INVALID_CREDENTIALS"
        assert (await log_in(auth, email=email, password=chosen)).user.email == email


async def test_every_way_to_type_a_password_works_whichever_it_was_chosen_in(auth: Auth) -> None:
    """R05: NFKC, as NIST advises; documented in the proto."""
    for number, (chosen, tried) in enumerate([*SAME, *(pair[::-1] for pair in SAME)]):
        assert chosen != tried
        email = f"ada{number}@example.com"
        await auth.auth.SignUp(SignUpRequest(email=email, password=chosen))
        assert (await log_in(auth, email=email, password=tried)).user.email == email


async def test_an_overlong_password_is_refused_before_it_is_hashed_whoever_it_is_for(auth: Auth) -> None:
    """R06."""
    await auth.sign_up()
    before = hashes()
    for email in ("ada@example.com", "nobody@example.com"):
        for password in ("x" * 129, "é" * 129, "ﬃ" * 43, "x" * 1_000_000):
            failed = await failure(log_in(auth, email=email, password=password))
            assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
            assert failed.violations == {"password": "must have at most 128 characters"}
    assert hashes() == before


async def test_all_that_is_wrong_is_told_at_once(auth: Auth) -> None:
    failed = await failure(log_in(auth, email="ada", password="", device_label="x" * 101))
    assert set(failed.violations) == {"email", "password", "device_label"}


async def test_an_account_comes_from_the_email_not_from_a_token_sent_along(auth: Auth) -> None:
    """R18, R43: whoever calls LogIn as somebody becomes who the password says."""
    eve = await auth.sign_up(email="eve@example.com")
    await auth.sign_up()
    request = LogInRequest(email="ada@example.com", password=PASSWORD)
    logged_in = await auth.auth.LogIn(request, metadata=bearer(eve.tokens))
    assert logged_in.user.email == "ada@example.com"
    assert logged_in.session.id != eve.session.id

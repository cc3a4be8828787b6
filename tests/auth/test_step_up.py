"""Reauthenticate: a fresh proof, in a new session that takes the place of the present one (R18, R24)."""

import asyncio

import grpc
from prometheus_client import REGISTRY

from protos.auth.v1.auth_service_pb2 import LogInRequest
from protos.auth.v1.factors_pb2 import ReauthenticateRequest, ReauthenticateResponse
from protos.auth.v1.resources_pb2 import Tokens
from tests.auth.factors import ADA, Owner, enroll, succeeded
from tests.authtest import PASSWORD, Auth, bearer
from tests.grpc_errors import failure
from tests.servers import fetch

MAKE_STALE = "UPDATE sessions SET auth_time = now() - interval '1 hour' WHERE id = $1::uuid"


async def reauthenticate(auth: Auth, tokens: Tokens, password: str = PASSWORD, **proof: str) -> ReauthenticateResponse:
    return await auth.account.Reauthenticate(ReauthenticateRequest(password=password, **proof), metadata=bearer(tokens))


def hashes() -> float:
    return REGISTRY.get_sample_value("parley_hash_seconds_count") or 0.0


async def test_a_password_is_enough_where_there_is_no_second_factor(auth: Auth) -> None:
    made = await auth.sign_up(device_label="Ada's phone")
    fresh = await reauthenticate(auth, made.tokens)
    assert fresh.session.id != made.session.id
    assert fresh.session.device_label == "Ada's phone"
    assert (fresh.session.assurance_level, list(fresh.session.auth_methods)) == (1, ["pwd"])
    verified = await auth.verify(fresh.tokens.access_token)
    assert (verified.active, verified.session_id) == (True, fresh.session.id)


async def test_it_opens_what_asks_for_a_fresh_proof(auth: Auth) -> None:
    """R24."""
    await auth.sign_up()
    stale = await auth.log_in()
    await fetch(auth.database.url, MAKE_STALE, stale.session.id)
    assert (await failure(enroll(auth, stale.tokens))).reason == "STEP_UP_REQUIRED"
    fresh = await reauthenticate(auth, stale.tokens)
    assert (await enroll(auth, fresh.tokens)).secret


async def test_the_former_session_has_ended_when_it_answers(auth: Auth) -> None:
    """R18, R20: access token, refresh token, and why."""
    made = await auth.sign_up()
    assert (await auth.verify(made.tokens.access_token)).active
    fresh = await reauthenticate(auth, made.tokens)
    assert not (await auth.verify(made.tokens.access_token)).active
    assert (await failure(auth.refresh(made.tokens.refresh_token))).reason == "REFRESH_TOKEN_INVALID"
    [row] = await fetch(auth.database.url, "SELECT revoke_reason FROM sessions WHERE id = $1::uuid", made.session.id)
    assert row["revoke_reason"] == "REPLACED"
    assert (await auth.refresh(fresh.tokens.refresh_token)).tokens.access_token


async def test_sixteen_at_once_give_one_session(auth: Auth) -> None:
    made = await auth.sign_up()
    calls = (reauthenticate(auth, made.tokens) for _ in range(16))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert succeeded(answers) == 1
    alive = await fetch(auth.database.url, "SELECT FROM sessions WHERE revoke_time IS NULL")
    assert len(alive) == 1


async def test_an_account_with_a_second_factor_needs_both(owner: Owner) -> None:
    """R13."""
    before = hashes()
    failed = await failure(reauthenticate(owner.auth, owner.tokens))
    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SECOND_FACTOR_REQUIRED")
    assert hashes() == before  # and it is told before the password is looked at
    failed = await failure(reauthenticate(owner.auth, owner.tokens, totp_code=owner.wrong_code()))
    assert failed.reason == "SECOND_FACTOR_INVALID"
    failed = await failure(reauthenticate(owner.auth, owner.tokens, "not the password", totp_code=owner.code()))
    assert failed.reason == "INVALID_CREDENTIALS"
    assert (await owner.auth.verify(owner.tokens.access_token)).active
    fresh = await reauthenticate(owner.auth, owner.tokens, totp_code=owner.code())
    assert (fresh.session.assurance_level, list(fresh.session.auth_methods)) == (2, ["pwd", "otp", "mfa"])


async def test_a_wrong_password_spends_no_code(owner: Owner) -> None:
    code = owner.recovery_codes[0]
    await failure(reauthenticate(owner.auth, owner.tokens, "not the password", recovery_code=code))
    assert (await reauthenticate(owner.auth, owner.tokens, recovery_code=code)).HasField("tokens")


async def test_a_session_of_one_factor_becomes_one_of_two(auth: Auth, owner: Owner) -> None:
    """One that began before there was a second factor."""
    await fetch(auth.database.url, "UPDATE sessions SET assurance = 1, auth_methods = '{pwd}'")
    fresh = await reauthenticate(auth, owner.tokens, totp_code=owner.code())
    assert fresh.session.assurance_level == 2


async def test_it_is_limited_as_a_log_in_is(auth: Auth) -> None:
    """R10: by the same budget, so that neither is a way around the other."""
    made = await auth.sign_up()
    for _ in range(5):
        await failure(reauthenticate(auth, made.tokens, "not the password"))
        await failure(auth.log_in(password="not the password"))
    assert (await failure(reauthenticate(auth, made.tokens))).reason == "RATE_LIMITED"
    assert (await failure(auth.log_in())).reason == "RATE_LIMITED"


async def test_a_second_factor_that_the_account_does_not_have_proves_nothing(auth: Auth) -> None:
    made = await auth.sign_up()
    failed = await failure(reauthenticate(auth, made.tokens, totp_code="123456"))
    assert failed.reason == "SECOND_FACTOR_INVALID"


async def test_another_users_session_is_not_touched(auth: Auth) -> None:
    """R38: the caller's token names the account, whatever the password is."""
    eve = await auth.sign_up("eve@example.com")
    made = await auth.sign_up()
    await reauthenticate(auth, eve.tokens)
    assert (await auth.verify(made.tokens.access_token)).active


async def test_a_log_in_with_a_session_of_the_same_account_ends_that_session(auth: Auth) -> None:
    """R18."""
    made = await auth.sign_up()
    answer = await auth.auth.LogIn(LogInRequest(email=ADA, password=PASSWORD), metadata=bearer(made.tokens))
    assert answer.session.id != made.session.id
    assert not (await auth.verify(made.tokens.access_token)).active
    assert (await failure(auth.refresh(made.tokens.refresh_token))).reason == "REFRESH_TOKEN_INVALID"


async def test_a_log_in_ends_no_session_of_somebody_else_and_none_for_a_bad_token(auth: Auth) -> None:
    """R18, R43."""
    eve, made = await auth.sign_up("eve@example.com"), await auth.sign_up()
    request = LogInRequest(email=ADA, password=PASSWORD)
    for token in (eve.tokens.access_token, made.tokens.access_token[:-4] + "AAAA", made.tokens.refresh_token, "x"):
        assert (await auth.auth.LogIn(request, metadata=bearer(token))).HasField("tokens")
    for tokens in (eve.tokens, made.tokens):
        assert (await auth.verify(tokens.access_token)).active


async def test_a_wrong_password_ends_no_session(auth: Auth) -> None:
    made = await auth.sign_up()
    request = LogInRequest(email=ADA, password="not the password")
    assert (await failure(auth.auth.LogIn(request, metadata=bearer(made.tokens)))).reason == "INVALID_CREDENTIALS"
    assert (await auth.verify(made.tokens.access_token)).active


async def test_log_ins_at_once_with_one_session_all_succeed_and_it_ends(auth: Auth) -> None:
    made = await auth.sign_up()
    request = LogInRequest(email=ADA, password=PASSWORD)
    answers = await asyncio.gather(*(auth.auth.LogIn(request, metadata=bearer(made.tokens)) for _ in range(8)))
    assert len({answer.session.id for answer in answers}) == 8
    assert not (await auth.verify(made.tokens.access_token)).active

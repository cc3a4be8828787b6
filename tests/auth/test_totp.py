"""Authenticator apps: enrolled with a fresh proof, counted from their confirmation on, each code good once."""

import asyncio
import base64
from urllib.parse import parse_qs, unquote, urlsplit

import grpc
import pyotp
import pytest

from auth_service import totp_codes
from auth_service.config import AuthConfig
from protos.auth.v1.account_service_pb2 import ListSessionsRequest
from protos.auth.v1.factors_pb2 import DisableTotpRequest, DisableTotpResponse
from protos.auth.v1.resources_pb2 import Tokens
from shared.crypto import KEY_ID_BYTES
from tests.auth.factors import (
    ADA,
    STEP,
    Owner,
    Watch,
    confirm,
    enroll,
    forget_limits,
    regenerate,
    second_factors,
    succeeded,
    with_app,
)
from tests.authtest import Auth, auth_config, bearer, running_auth
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, fetch, make_master_key

# RFC 6238 appendix B, SHA-1, the last six digits of eight.
VECTORS = [
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
    (20000000000, "353130"),
]
MAKE_STALE = "UPDATE sessions SET auth_time = now() - interval '1 hour' WHERE id = $1::uuid"


async def disable(auth: Auth, tokens: Tokens, **proof: str) -> DisableTotpResponse:
    return await auth.account.DisableTotp(DisableTotpRequest(**proof), metadata=bearer(tokens))


async def events(auth: Auth) -> list[str]:
    rows = await fetch(auth.database.url, "SELECT type FROM audit_events ORDER BY create_time, id")
    return [row["type"] for row in rows if row["type"] not in ("SIGN_UP", "LOG_IN")]


@pytest.mark.parametrize(("moment", "code"), VECTORS)
def test_codes_are_those_of_the_standard(moment: int, code: str, watch: Watch) -> None:
    secret = base64.b32encode(b"12345678901234567890")
    watch.turn(moment - watch.moment.timestamp())
    assert totp_codes.matching_step(secret, code) == moment // STEP


async def test_an_app_is_enrolled_confirmed_and_asked_for(auth: Auth, watch: Watch) -> None:
    made = await auth.sign_up()
    enrolled = await enroll(auth, made.tokens)
    uri = urlsplit(enrolled.otpauth_uri)
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", f"/Parley:{ADA}")
    assert parse_qs(uri.query) == {"secret": [enrolled.secret], "issuer": ["Parley"]}
    assert len(base64.b32decode(enrolled.secret)) == 20
    assert (await auth.log_in()).HasField("tokens")  # nothing is asked for yet
    assert not (await second_factors(auth, made.tokens)).totp_enabled

    confirmed = await confirm(auth, made.tokens, pyotp.TOTP(enrolled.secret).at(watch.moment))
    assert len(set(confirmed.recovery_codes)) == 10
    assert (await auth.log_in()).HasField("challenge")
    told = await second_factors(auth, made.tokens)
    assert (told.totp_enabled, told.recovery_code_count) == (True, 10)
    assert told.HasField("totp_confirm_time")
    assert await events(auth) == ["TOTP_ENABLED"]


async def test_the_session_that_confirms_has_proven_two_factors(auth: Auth, watch: Watch) -> None:
    """At once for whoever asks VerifyToken, and in the next access token."""
    owner = await with_app(auth, watch)
    verified = await auth.verify(owner.tokens.access_token)
    assert (verified.assurance_level, list(verified.auth_methods)) == (2, ["pwd", "otp", "mfa"])
    renewed = await auth.refresh(owner.tokens.refresh_token)
    assert (await auth.verify(renewed.tokens.access_token)).assurance_level == 2


async def test_other_sessions_stay_unless_they_are_to_end(auth: Auth, watch: Watch) -> None:
    """R24: one factor was enough for them."""
    made = await auth.sign_up()
    other = await auth.log_in()
    for revoke in (False, True):
        enrolled = await enroll(auth, made.tokens)
        code = pyotp.TOTP(enrolled.secret).at(watch.moment)
        await confirm(auth, made.tokens, code, revoke_other_sessions=revoke)
        assert (await auth.verify(other.tokens.access_token)).active is not revoke
        assert (await auth.verify(made.tokens.access_token)).active
    listed = await auth.account.ListSessions(ListSessionsRequest(), metadata=bearer(made.tokens))
    assert [session.id for session in listed.sessions] == [made.session.id]
    reasons = await fetch(auth.database.url, "SELECT revoke_reason FROM sessions WHERE id = $1::uuid", other.session.id)
    assert reasons[0]["revoke_reason"] == "FACTOR_CHANGED"


async def test_a_new_phone_takes_the_place_of_the_old_one_when_it_is_confirmed(owner: Owner) -> None:
    enrolled = await enroll(owner.auth, owner.tokens)
    assert (await owner.complete()).HasField("tokens")  # the old one still counts
    owner.watch.turn()
    replaced = await confirm(owner.auth, owner.tokens, pyotp.TOTP(enrolled.secret).at(owner.watch.moment))
    assert list(replaced.recovery_codes) == []  # those that were written down stay good
    owner.watch.turn()
    assert (await failure(owner.complete())).reason == "SECOND_FACTOR_INVALID"
    owner.secret = enrolled.secret
    assert (await owner.complete()).HasField("tokens")
    assert (await owner.complete(recovery_code=owner.recovery_codes[0])).HasField("tokens")


async def test_an_earlier_enrolment_is_void_and_none_can_be_confirmed_late(auth: Auth, watch: Watch) -> None:
    made = await auth.sign_up()
    assert (await failure(confirm(auth, made.tokens, "123456"))).reason == "SECOND_FACTOR_NOT_FOUND"
    first, second = (await enroll(auth, made.tokens)).secret, (await enroll(auth, made.tokens)).secret
    failed = await failure(confirm(auth, made.tokens, pyotp.TOTP(first).at(watch.moment)))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "SECOND_FACTOR_INVALID")
    await fetch(auth.database.url, "UPDATE totp_secrets SET pending_expire_time = now()")
    failed = await failure(confirm(auth, made.tokens, pyotp.TOTP(second).at(watch.moment)))
    assert failed.reason == "SECOND_FACTOR_NOT_FOUND"


async def test_sixteen_confirmations_at_once_are_one(auth: Auth, watch: Watch) -> None:
    made = await auth.sign_up()
    code = pyotp.TOTP((await enroll(auth, made.tokens)).secret).at(watch.moment)
    answers = await asyncio.gather(*(confirm(auth, made.tokens, code) for _ in range(16)), return_exceptions=True)
    assert succeeded(answers) == 1
    assert (await second_factors(auth, made.tokens)).recovery_code_count == 10


async def test_a_code_of_the_step_before_or_after_is_good_and_none_further_off(owner: Owner) -> None:
    for steps in (-2, 2):
        assert (await failure(owner.complete(totp_code=owner.code(steps)))).reason == "SECOND_FACTOR_INVALID"
    owner.watch.turn(2 * STEP)
    for steps in (-1, 0, 1):
        assert (await owner.complete(totp_code=owner.code(steps))).HasField("tokens")


async def test_a_code_is_good_once_and_none_before_it_afterwards(owner: Owner) -> None:
    """F23: also for another log-in, and when a phone's clock is behind."""
    owner.watch.turn()
    code, older = owner.code(), owner.code(-1)
    assert (await owner.complete(totp_code=code)).HasField("tokens")
    for used in (code, older):
        assert (await failure(owner.complete(totp_code=used))).reason == "SECOND_FACTOR_INVALID"


async def test_one_code_in_sixteen_log_ins_at_once_opens_one(owner: Owner, servers: Servers) -> None:
    """R14, F23, and what Kratos's one-time secrets let pass under READ COMMITTED: here one UPDATE moves the step on."""
    for _ in range(5):
        challenges = await asyncio.gather(*(owner.challenge() for _ in range(16)))
        calls = (owner.complete(challenge, totp_code=owner.code()) for challenge in challenges)
        assert succeeded(await asyncio.gather(*calls, return_exceptions=True)) == 1
        owner.watch.turn()
        await forget_limits(servers)
    assert (await owner.complete()).HasField("tokens")


async def test_the_code_that_confirmed_the_app_is_used_up(owner: Owner) -> None:
    assert (await failure(owner.complete(totp_code=owner.code(-1)))).reason == "SECOND_FACTOR_INVALID"


async def test_an_app_is_given_up_with_one_of_its_codes_and_the_recovery_codes_go_with_it(owner: Owner) -> None:
    failed = await failure(disable(owner.auth, owner.tokens, totp_code=owner.wrong_code()))
    assert failed.reason == "SECOND_FACTOR_INVALID"
    await disable(owner.auth, owner.tokens, totp_code=owner.code())
    told = await second_factors(owner.auth, owner.tokens)
    assert (told.totp_enabled, told.recovery_code_count) == (False, 0)
    assert (await owner.auth.log_in()).HasField("tokens")
    failed = await failure(disable(owner.auth, owner.tokens, totp_code=owner.code(1)))
    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SECOND_FACTOR_NOT_FOUND")
    assert await events(owner.auth) == ["TOTP_ENABLED", "SECOND_FACTOR_FAILED", "TOTP_DISABLED"]


async def test_a_session_of_one_factor_changes_no_factor(auth: Auth, watch: Watch) -> None:
    """It began, fresh as it is, before there was a second one."""
    made = await auth.sign_up()
    other = await auth.log_in()
    secret = (await enroll(auth, made.tokens)).secret
    await confirm(auth, made.tokens, pyotp.TOTP(secret).at(watch.moment))
    watch.turn()
    code = pyotp.TOTP(secret).at(watch.moment)
    failed = [
        await failure(disable(auth, other.tokens, totp_code=code)),
        await failure(enroll(auth, other.tokens)),
        await failure(regenerate(auth, other.tokens)),
    ]
    assert [each.reason for each in failed] == ["STEP_UP_REQUIRED"] * 3
    assert [each.facts for each in failed] == [{"assurance_level": "2"}] * 3
    assert (await second_factors(auth, made.tokens)).totp_enabled


async def test_only_a_fresh_session_enrols_or_gives_up_an_app(owner: Owner) -> None:
    """R24."""
    fresh, stale = await owner.complete(), await owner.complete(recovery_code=owner.recovery_codes[0])
    await fetch(owner.auth.database.url, MAKE_STALE, stale.session.id)
    failed = [
        await failure(enroll(owner.auth, stale.tokens)),
        await failure(disable(owner.auth, stale.tokens, recovery_code=owner.recovery_codes[1])),
    ]
    assert [each.reason for each in failed] == ["STEP_UP_REQUIRED"] * 2
    assert [each.facts for each in failed] == [{"max_age_seconds": "600"}] * 2
    assert (await enroll(owner.auth, fresh.tokens)).secret


async def test_one_users_codes_are_nothing_to_another(owner: Owner) -> None:
    """R38."""
    eve = await with_app(owner.auth, owner.watch, "eve@example.com")
    assert (await failure(owner.complete(totp_code=eve.code()))).reason == "SECOND_FACTOR_INVALID"
    assert (await failure(owner.complete(recovery_code=eve.recovery_codes[0]))).reason == "SECOND_FACTOR_INVALID"
    assert (await second_factors(owner.auth, eve.tokens)).recovery_code_count == 10


async def test_the_database_holds_no_secret_that_makes_codes(owner: Owner) -> None:
    """The row is sealed for this user alone."""
    [row] = await fetch(owner.auth.database.url, "SELECT secret_sealed FROM totp_secrets")
    assert owner.secret.encode() not in row["secret_sealed"]
    eve = await with_app(owner.auth, owner.watch, "eve@example.com")
    await fetch(
        owner.auth.database.url,
        "UPDATE totp_secrets SET secret_sealed = $1 WHERE user_id = $2::uuid",
        row["secret_sealed"],
        eve.user.id,
    )
    assert (await failure(eve.complete(totp_code=owner.code()))).reason == "SECOND_FACTOR_INVALID"


async def test_a_change_of_the_master_key_takes_no_app_away(
    servers: Servers, auth_database: TestDatabase, watch: Watch
) -> None:
    """What the former key sealed is sealed anew, and the former key can go."""
    old, new = make_master_key(), make_master_key()

    def config(present: str, former: str | None = None) -> AuthConfig:
        return auth_config(auth_database, servers.redis.url, AUTH_MASTER_KEY=present, AUTH_FORMER_MASTER_KEY=former)

    async with running_auth(auth_database, config(old)) as auth:
        owner = await with_app(auth, watch)
    async with running_auth(auth_database, config(new, old)) as auth:
        present = auth.config.key_ring.sealing("totp secrets").present_id
        async with asyncio.timeout(30):
            while await sealing_key(auth) != present:
                await asyncio.sleep(0.02)
    async with running_auth(auth_database, config(new)) as auth:
        owner.auth = auth
        assert (await owner.complete()).HasField("tokens")
        assert (await owner.complete(recovery_code=owner.recovery_codes[0])).HasField("tokens")


async def sealing_key(auth: Auth) -> bytes:
    [row] = await fetch(auth.database.url, "SELECT secret_sealed FROM totp_secrets")
    return row["secret_sealed"][:KEY_ID_BYTES]


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "\u0661" * 6, "-12345", "123.456"])
async def test_what_is_no_code_is_told_so_and_is_no_attempt(owner: Owner, code: str) -> None:
    failed = await failure(confirm(owner.auth, owner.tokens, code))
    assert failed.violations == {"totp_code": "must be 6 digits"}
    failed = await failure(owner.complete(totp_code=code))
    assert failed.violations == {"totp_code": "must be 6 digits"}
    assert "SECOND_FACTOR_FAILED" not in await events(owner.auth)


async def test_a_code_may_be_typed_with_the_space_that_apps_show(owner: Owner) -> None:
    code = owner.code()
    assert (await owner.complete(totp_code=f"{code[:3]} {code[3:]}")).HasField("tokens")

"""CompleteLogIn: a challenge and a second factor make one session, and one of the two alone makes none (R13, F23)."""

import asyncio
import base64

import grpc
import pytest
from argon2 import PasswordHasher

from auth_service import challenge_tokens, refresh_tokens
from protos.auth.v1 import factors_pb2, one_time_pb2
from protos.auth.v1.account_service_pb2 import RevokeOtherSessionsRequest
from protos.auth.v1.auth_service_pb2 import LogInRequest, SignUpRequest
from protos.auth.v1.factors_pb2 import CompleteLogInRequest
from tests.auth.addresses import calling_from
from tests.auth.factors import ADA, Owner, Watch, complete, confirm, enroll, forget_limits, succeeded, with_app
from tests.authtest import PASSWORD, Auth, bearer
from tests.grpc_errors import failure
from tests.servers import Servers, fetch

PAIR = 10
ATTEMPTS = 5


async def sessions(owner: Owner) -> int:
    rows = await fetch(owner.auth.database.url, "SELECT FROM sessions WHERE user_id = $1::uuid", owner.user.id)
    return len(rows)


async def test_a_log_in_without_its_second_factor_is_a_challenge_and_no_session(owner: Owner) -> None:
    """R13, and Zitadel CVE-2025-64103: nothing that it tells opens anything."""
    before = await sessions(owner)
    answer = await owner.auth.auth.LogIn(LogInRequest(email=ADA, password=PASSWORD, device_label="phone"))
    assert list(answer.challenge.second_factors) == [
        factors_pb2.SECOND_FACTOR_TOTP,
        factors_pb2.SECOND_FACTOR_RECOVERY_CODE,
    ]
    assert answer.challenge.HasField("expire_time")
    token = answer.challenge.challenge_token
    assert await sessions(owner) == before
    assert not (await owner.auth.verify(token)).active
    assert (await failure(owner.auth.refresh(token))).reason == "REFRESH_TOKEN_INVALID"
    completed = await complete(owner.auth, token, totp_code=owner.code())
    assert completed.user.email == ADA
    assert completed.session.device_label == "phone"
    verified = await owner.auth.verify(completed.tokens.access_token)
    assert (verified.session_id, verified.assurance_level) == (completed.session.id, 2)
    assert list(verified.auth_methods) == ["pwd", "otp", "mfa"]


async def test_a_challenge_is_exchanged_once(owner: Owner) -> None:
    challenge = await owner.challenge()
    await owner.complete(challenge)
    failed = await failure(owner.complete(challenge, recovery_code=owner.recovery_codes[0]))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CHALLENGE_INVALID")


async def test_of_sixteen_at_once_with_a_right_code_each_one_gets_the_session(owner: Owner) -> None:
    """F23: ten different codes, each right. Without the DELETE that consumes the challenge: five sessions."""
    before = await sessions(owner)
    challenge = await owner.challenge()
    proofs = [{"recovery_code": code} for code in owner.recovery_codes] + [{"totp_code": owner.code()}] * 6
    calls = (owner.complete(challenge, **proof) for proof in proofs)
    assert succeeded(await asyncio.gather(*calls, return_exceptions=True)) == 1
    assert await sessions(owner) == before + 1


async def test_two_hundred_wrong_codes_in_a_burst_get_five_checks_of_a_challenge(owner: Owner) -> None:
    """R14, F23, Zitadel CVE-2024-32868: counted before they are checked."""
    challenge = await owner.challenge()
    calls = (failure(owner.complete(challenge, totp_code=owner.wrong_code())) for _ in range(200))
    reasons = [failed.reason for failed in await asyncio.gather(*calls)]
    assert reasons.count("SECOND_FACTOR_INVALID") == ATTEMPTS
    assert set(reasons) == {"SECOND_FACTOR_INVALID", "CHALLENGE_INVALID"}
    assert (await failure(owner.complete(challenge))).reason == "CHALLENGE_INVALID"
    assert (await owner.complete()).HasField("tokens")  # and a right code later works


async def test_two_hundred_wrong_codes_in_a_burst_over_many_challenges_get_ten_checks(
    owner: Owner, servers: Servers
) -> None:
    """R10, R14, F23: whoever has the password cannot guess the code, and cannot lock the owner out."""
    async with calling_from("127.0.0.2", owner.auth) as attacker:
        challenges = [(await attacker.log_in()).challenge for _ in range(50)]
        calls = [
            failure(complete(attacker, challenge.challenge_token, totp_code=owner.wrong_code()))
            for challenge in challenges
            for _ in range(4)
        ]
        reasons = [failed.reason for failed in await asyncio.gather(*calls)]
        assert reasons.count("SECOND_FACTOR_INVALID") == PAIR
        assert reasons.count("RATE_LIMITED") == 200 - PAIR
        failed = await failure(complete(attacker, challenges[0].challenge_token, totp_code=owner.code()))
        assert failed.reason in ("RATE_LIMITED", "CHALLENGE_INVALID")
        assert failed.facts in ({"limit": "codes_by_account_and_address"}, {})
        assert (await owner.complete()).session.address == "127.0.0.1"  # the owner, meanwhile and elsewhere
        paper = {"recovery_code": owner.recovery_codes[0]}
        token = (await attacker.log_in()).challenge.challenge_token
        assert (await complete(attacker, token, **paper)).HasField("tokens")  # what cannot be guessed is never shut
        await forget_limits(servers)
        owner.watch.turn()
        token = (await attacker.log_in()).challenge.challenge_token
        assert (await complete(attacker, token, totp_code=owner.code())).HasField("tokens")


async def test_ninety_wrong_codes_in_a_row_shut_out_strangers_for_good_and_never_the_owner(
    owner: Owner, servers: Servers
) -> None:
    """R10: kept in Postgres, where no flush of Redis clears it."""
    async with calling_from("127.0.0.2", owner.auth) as attacker:
        token = (await attacker.log_in()).challenge.challenge_token
        await failure(complete(attacker, token, totp_code=owner.wrong_code()))
        [counted] = await fetch(owner.auth.database.url, "UPDATE log_in_failures SET failures = 90 RETURNING failures")
        assert counted["failures"] == 90
        await forget_limits(servers)
        failed = await failure(complete(attacker, token, totp_code=owner.code()))
        assert (failed.reason, failed.facts) == ("RATE_LIMITED", {"limit": "consecutive_codes_by_account"})
        assert (await owner.complete()).HasField("tokens")
        owner.watch.turn()
        assert (await complete(attacker, token, totp_code=owner.code())).HasField("tokens")


async def test_an_old_challenge_is_void(owner: Owner) -> None:
    challenge = await owner.challenge()
    lifetime = await fetch(
        owner.auth.database.url,
        "SELECT extract(epoch FROM expire_time - create_time)::int AS it FROM log_in_challenges",
    )
    assert lifetime[0]["it"] == 300
    await fetch(owner.auth.database.url, "UPDATE log_in_challenges SET expire_time = now()")
    assert (await failure(owner.complete(challenge))).reason == "CHALLENGE_INVALID"


VOIDING = {
    "suspended": "UPDATE users SET state = 'SUSPENDED'",
    "deleted": "UPDATE users SET state = 'DELETED', purge_time = now()",
    "gone": "DELETE FROM users",
}


@pytest.mark.parametrize("change", VOIDING)
async def test_a_challenge_is_void_once_the_account_is_not_what_it_was(owner: Owner, change: str) -> None:
    """R13, R21: and no attempt and no code is spent on it."""
    challenge = await owner.challenge()
    await fetch(owner.auth.database.url, VOIDING[change])
    failed = await failure(owner.complete(challenge))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CHALLENGE_INVALID")
    rows = await fetch(owner.auth.database.url, "SELECT attempts_left FROM log_in_challenges")
    assert [row["attempts_left"] for row in rows] in ([ATTEMPTS], [])


async def test_a_change_of_the_password_voids_a_challenge(owner: Owner) -> None:
    """Also where no session ended with it."""
    challenge = await owner.challenge()
    await fetch(owner.auth.database.url, "UPDATE users SET password_change_time = now()")
    assert (await failure(owner.complete(challenge))).reason == "CHALLENGE_INVALID"
    change = one_time_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password="another walk in the rain")
    challenge = await owner.challenge()
    await owner.auth.account.ChangePassword(change, metadata=bearer(owner.tokens))
    assert (await failure(owner.complete(challenge))).reason == "CHALLENGE_INVALID"


async def test_ending_the_other_sessions_voids_a_challenge_too(owner: Owner) -> None:
    challenge = await owner.challenge()
    await owner.auth.account.RevokeOtherSessions(RevokeOtherSessionsRequest(), metadata=bearer(owner.tokens))
    assert (await failure(owner.complete(challenge))).reason == "CHALLENGE_INVALID"


async def test_a_change_of_factors_voids_a_challenge(owner: Owner) -> None:
    challenge = await owner.challenge()
    owner.secret = (await enroll(owner.auth, owner.tokens)).secret
    await confirm(owner.auth, owner.tokens, owner.code())
    owner.watch.turn()
    failed = await failure(owner.complete(challenge, recovery_code=owner.recovery_codes[0]))
    assert failed.reason == "CHALLENGE_INVALID"
    challenge = await owner.challenge()
    disable = factors_pb2.DisableTotpRequest(totp_code=owner.code())
    await owner.auth.account.DisableTotp(disable, metadata=bearer(owner.tokens))
    assert (await failure(owner.complete(challenge))).reason == "CHALLENGE_INVALID"


async def test_a_hash_that_is_renewed_voids_nothing(owner: Owner) -> None:
    """R51: the password is the same one."""
    outdated = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    await fetch(owner.auth.database.url, "UPDATE users SET password_hash = $1", outdated)
    challenge = await owner.challenge()
    async with asyncio.timeout(10):
        while (await fetch(owner.auth.database.url, "SELECT password_hash FROM users"))[0]["password_hash"] == outdated:
            await asyncio.sleep(0)
    assert (await owner.complete(challenge)).HasField("tokens")


async def test_a_suspended_account_gets_no_challenge(owner: Owner) -> None:
    await fetch(owner.auth.database.url, "UPDATE users SET state = 'SUSPENDED'")
    assert (await failure(owner.auth.log_in())).reason == "INVALID_CREDENTIALS"


async def test_a_wrong_password_tells_nothing_of_second_factors(owner: Owner) -> None:
    """R11."""
    await owner.auth.sign_up("eve@example.com")
    failures = [
        await failure(owner.auth.log_in(email, "not the password"))
        for email in (ADA, "eve@example.com", "nobody@example.com")
    ]
    assert failures[0].reason == "INVALID_CREDENTIALS"
    assert all(failed.seen == failures[0].seen for failed in failures)


async def test_what_is_wrong_with_a_challenge_is_not_told(owner: Owner) -> None:
    """R11: malformed, another's id, another's secret, a token of another kind: one answer."""
    challenge = await owner.challenge()
    token = challenge_tokens.read(challenge.challenge_token)
    assert token is not None
    other = challenge_tokens.new()
    forged = [
        challenge_tokens.write(other),
        challenge_tokens.write(type(token)(token.id, other.secret)),
        challenge_tokens.write(type(token)(other.id, token.secret)),
        challenge_tokens.PREFIX,
        challenge_tokens.PREFIX + base64.urlsafe_b64encode(b"x" * 49).decode(),
        challenge.challenge_token[:-4],
        challenge.challenge_token + "=",
        "\u00e9" * 64,
        owner.tokens.refresh_token[: challenge_tokens.MAX_LENGTH],
    ]
    failures = [await failure(complete(owner.auth, text, totp_code=owner.code())) for text in forged]
    assert failures[0].reason == "CHALLENGE_INVALID"
    assert all(failed.seen == failures[0].seen for failed in failures)
    assert refresh_tokens.PREFIX != challenge_tokens.PREFIX
    assert (await owner.complete(challenge)).HasField("tokens")


async def test_another_users_challenge_is_not_completed_by_ones_own_code(owner: Owner) -> None:
    """R38."""
    eve = await with_app(owner.auth, owner.watch, "eve@example.com")
    challenge = await owner.challenge()
    assert (await failure(owner.complete(challenge, totp_code=eve.code()))).reason == "SECOND_FACTOR_INVALID"


async def test_a_repeated_sign_up_gives_no_session_for_the_password_alone(auth: Auth, watch: Watch) -> None:
    """R13: its first answer was a session, but there was no second factor then."""
    request = SignUpRequest(email=ADA, password=PASSWORD, request_id="once")
    made = await auth.auth.SignUp(request)
    assert (await auth.auth.SignUp(request)).session == made.session
    enrolled = await enroll(auth, made.tokens)
    owner = Owner(auth, watch, made.user, made.tokens, enrolled.secret)
    await confirm(auth, made.tokens, owner.code())
    assert (await failure(auth.auth.SignUp(request))).reason == "EMAIL_TAKEN"
    await fetch(auth.database.url, "UPDATE sessions SET assurance = 1")
    assert (await failure(auth.auth.SignUp(request))).reason == "EMAIL_TAKEN"


async def test_a_session_that_began_before_the_second_factor_goes_on_as_it_was(auth: Auth, watch: Watch) -> None:
    before = await auth.sign_up()
    other = await auth.log_in()
    enrolled = await enroll(auth, other.tokens)
    await confirm(auth, other.tokens, Owner(auth, watch, before.user, other.tokens, enrolled.secret).code())
    renewed = await auth.refresh(before.tokens.refresh_token)
    verified = await auth.verify(renewed.tokens.access_token)
    assert (verified.active, verified.assurance_level) == (True, 1)


async def test_all_that_is_wrong_is_told_at_once(auth: Auth) -> None:
    failed = await failure(auth.auth.CompleteLogIn(CompleteLogInRequest()))
    assert set(failed.violations) == {"challenge_token", "proof"}
    failed = await failure(complete(auth, "x" * 129, recovery_code="x" * 65))
    assert set(failed.violations) == {"challenge_token", "recovery_code"}


async def test_a_log_in_takes_the_place_of_the_session_that_it_is_made_with(owner: Owner) -> None:
    """R18, Keycloak CVE-2025-12390: a new id, and the old session has ended."""
    token = (await owner.challenge()).challenge_token
    request = CompleteLogInRequest(challenge_token=token, totp_code=owner.code())
    completed = await owner.auth.auth.CompleteLogIn(request, metadata=bearer(owner.tokens))
    assert not (await owner.auth.verify(owner.tokens.access_token)).active
    assert (await failure(owner.auth.refresh(owner.tokens.refresh_token))).reason == "REFRESH_TOKEN_INVALID"
    assert (await owner.auth.verify(completed.tokens.access_token)).active


async def test_a_challenge_ends_no_session(owner: Owner) -> None:
    """R18: nothing takes the place of the present session yet."""
    request = LogInRequest(email=ADA, password=PASSWORD)
    answer = await owner.auth.auth.LogIn(request, metadata=bearer(owner.tokens))
    assert answer.HasField("challenge")
    assert (await owner.auth.verify(owner.tokens.access_token)).active

"""What is proven by mail: verification, reset, change of address, deletion (R07, R11, R13, R14, R21-R24, R30, F23)."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from protos.auth.v1 import one_time_pb2 as pb
from protos.auth.v1.account_service_pb2 import GetProfileRequest
from protos.auth.v1.resources_pb2 import USER_STATE_DELETED, Tokens
from tests.auth.factors import Watch, with_app
from tests.authtest import PASSWORD, Auth, auth_config, bearer, running_auth
from tests.grpc_errors import Failure, failure
from tests.mailtest import Mailbox, Received, mailbox
from tests.servers import Servers, TestDatabase, fetch

ADA, EVE = "ada@example.com", "eve@example.com"
NEW = "another walk in the rain"


@pytest.fixture
def box() -> Any:
    with mailbox() as running:
        yield running


@pytest.fixture
async def mailing(servers: Servers, auth_database: TestDatabase, box: Mailbox) -> AsyncIterator[Auth]:
    settings = {
        "AUTH_SMTP_URL": f"{box.url}?tls=none",
        "AUTH_MAIL_FROM": "no-reply@example.com",
        "AUTH_NEW_DEVICE_MAIL": False,
        "AUTH_LINK_URL": "https://app.example/{action}?token={token}",
    }
    async with running_auth(auth_database, auth_config(auth_database, servers.redis.url, **settings)) as auth:
        yield auth


def token_in(mail: Received) -> str:
    found = re.search(r"token=(\S+)", mail.text)
    assert found
    return found[1]


def code_in(mail: Received) -> str:
    found = re.search(r"\b\d{8}\b", mail.text)
    assert found
    return found[0]


async def profile(auth: Auth, tokens: Tokens) -> Any:
    return (await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(tokens))).user


async def asked(auth: Auth, email: str = ADA) -> str:
    answer = await auth.auth.RequestPasswordReset(pb.RequestPasswordResetRequest(email=email))
    return answer.request_token


async def reset(auth: Auth, **proof: str) -> Any:
    return await auth.auth.ResetPassword(pb.ResetPasswordRequest(new_password=NEW, **proof))


async def test_an_address_is_verified_by_the_link_or_by_the_code(mailing: Auth, box: Mailbox) -> None:
    for number, email in enumerate((ADA, EVE)):
        tokens = (await mailing.sign_up(email)).tokens
        assert not (await profile(mailing, tokens)).email_verified
        request = pb.RequestEmailVerificationRequest()
        request_token = (await mailing.auth.RequestEmailVerification(request, metadata=bearer(tokens))).request_token
        mail = await box.next_to(email)
        by_code = {"request_token": request_token, "code": code_in(mail)}
        proof = by_code if number else {"token": token_in(mail)}
        await mailing.auth.VerifyEmail(pb.VerifyEmailRequest(**proof))
        assert (await profile(mailing, tokens)).email_verified
        again = await failure(mailing.auth.VerifyEmail(pb.VerifyEmailRequest(**proof)))
        assert again.reason == "ONE_TIME_CODE_INVALID"


async def test_a_reset_ends_every_sign_in_tells_the_owner_and_signs_nobody_in(mailing: Auth, box: Mailbox) -> None:
    """R22."""
    made, other = await mailing.sign_up(), await mailing.log_in()
    await asked(mailing)
    mail = await box.next_to(ADA)
    assert "https://app.example/password-reset?token=" in mail.text
    await reset(mailing, token=token_in(mail))
    for tokens in (made.tokens, other.tokens):
        assert not (await mailing.verify(tokens.access_token)).active
        assert (await failure(mailing.refresh(tokens.refresh_token))).reason == "REFRESH_TOKEN_INVALID"
    assert (await failure(mailing.log_in())).reason == "INVALID_CREDENTIALS"
    assert (await mailing.log_in(password=NEW)).user.email == ADA
    assert "new password" in (await box.next_to(ADA, 2)).text


async def test_asking_tells_nobody_whether_an_account_exists(mailing: Auth, box: Mailbox) -> None:
    """R11: the answer has a request token of the same form, and a wrong code the same refusal."""
    await mailing.sign_up()
    known, unknown = await asked(mailing), await asked(mailing, "nobody@example.com")
    assert (len(known), known[:10]) == (len(unknown), unknown[:10])
    refusals = [await failure(reset(mailing, request_token=token, code="00000000")) for token in (known, unknown)]
    first, second = ((refused.code, refused.reason, refused.facts) for refused in refusals)
    assert first == second
    await box.next_to(ADA)
    assert not box.to("nobody@example.com")


async def test_of_sixteen_who_use_a_code_at_once_one_succeeds(mailing: Auth, box: Mailbox) -> None:
    """R14, F23."""
    await mailing.sign_up()
    request_token = await asked(mailing)
    mail = await box.next_to(ADA)
    proofs = [{"token": token_in(mail)}, {"request_token": request_token, "code": code_in(mail)}]
    outcomes = await asyncio.gather(
        *(reset(mailing, **proofs[number % 2]) for number in range(16)), return_exceptions=True
    )
    assert sum(isinstance(outcome, pb.ResetPasswordResponse) for outcome in outcomes) == 1


async def test_of_two_hundred_wrong_codes_in_a_burst_five_are_looked_at(mailing: Auth, box: Mailbox) -> None:
    """F23: the budget is the code's own, so that the right one does not count any more either."""
    await mailing.sign_up()
    request_token = await asked(mailing)
    right = code_in(await box.next_to(ADA))
    wrong = [f"{number:08}" for number in range(201) if f"{number:08}" != right][:200]
    calls = [failure(reset(mailing, request_token=request_token, code=code)) for code in wrong]
    refused: list[Failure] = await asyncio.gather(*calls)
    assert {one.reason for one in refused} == {"ONE_TIME_CODE_INVALID"}
    (row,) = await fetch(mailing.database.url, "SELECT guesses FROM one_time_codes")
    assert row["guesses"] == 5
    assert (await failure(reset(mailing, request_token=request_token, code=right))).reason == "ONE_TIME_CODE_INVALID"


async def test_a_code_is_good_for_ten_minutes_and_a_new_request_replaces_it(mailing: Auth, box: Mailbox) -> None:
    """R14."""
    await mailing.sign_up()
    first = await asked(mailing)
    former = await box.next_to(ADA)
    second = await asked(mailing)
    latter = await box.next_to(ADA, 2)
    for proof in ({"token": token_in(former)}, {"request_token": first, "code": code_in(former)}):
        assert (await failure(reset(mailing, **proof))).reason == "ONE_TIME_CODE_INVALID"
    move = (
        "UPDATE one_time_codes SET create_time = create_time - interval '10 min', expire_time = now() - interval '1 s'"
    )
    await fetch(mailing.database.url, move)
    for proof in ({"token": token_in(latter)}, {"request_token": second, "code": code_in(latter)}):
        assert (await failure(reset(mailing, **proof))).reason == "ONE_TIME_CODE_INVALID"


async def test_a_proof_is_good_for_its_purpose_alone(mailing: Auth, box: Mailbox) -> None:
    """R30."""
    tokens = (await mailing.sign_up()).tokens
    await asked(mailing)
    token = token_in(await box.next_to(ADA))
    for call in (
        mailing.auth.VerifyEmail(pb.VerifyEmailRequest(token=token)),
        mailing.auth.ConfirmEmailChange(pb.ConfirmEmailChangeRequest(token=token)),
        mailing.auth.RestoreAccount(pb.RestoreAccountRequest(token=token)),
        reset(mailing, token=tokens.refresh_token),
        reset(mailing, token=f"{token}="),
    ):
        assert (await failure(call)).reason == "ONE_TIME_CODE_INVALID"
    assert (await failure(mailing.refresh(token))).reason == "REFRESH_TOKEN_INVALID"
    await reset(mailing, token=token)


async def test_a_suspended_account_gets_no_mail_and_its_codes_are_dead(mailing: Auth, box: Mailbox) -> None:
    """R13, R21."""
    await mailing.sign_up()
    await asked(mailing)
    token = token_in(await box.next_to(ADA))
    await fetch(mailing.database.url, "UPDATE users SET state = 'SUSPENDED'")
    assert (await failure(reset(mailing, token=token))).reason == "ONE_TIME_CODE_INVALID"
    await asked(mailing)
    await mailing.sign_up(EVE)
    await asked(mailing, EVE)
    await box.next_to(EVE)
    assert len(box.to(ADA)) == 1


async def test_a_password_is_changed_with_the_present_one_and_other_devices_are_out(
    mailing: Auth, box: Mailbox
) -> None:
    """R07, R22."""
    made, other = await mailing.sign_up(), await mailing.log_in()

    async def change(current: str, new: str = NEW) -> Any:
        request = pb.ChangePasswordRequest(current_password=current, new_password=new)
        return await mailing.account.ChangePassword(request, metadata=bearer(made.tokens))

    assert (await failure(change("not the password"))).reason == "INVALID_CREDENTIALS"
    assert (await failure(change(PASSWORD, "password123"))).reason == "INVALID_FIELDS"
    assert (await failure(change(PASSWORD, ADA))).reason == "INVALID_FIELDS"
    assert (await mailing.verify(other.tokens.access_token)).active
    assert (await change(PASSWORD)).revoked_count == 1
    assert (await mailing.verify(made.tokens.access_token)).active
    assert not (await mailing.verify(other.tokens.access_token)).active
    assert (await mailing.log_in(password=NEW)).user.email == ADA
    assert "new password" in (await box.next_to(ADA)).text


async def test_an_address_is_changed_by_a_proof_from_the_new_one_and_the_former_is_told(
    mailing: Auth, box: Mailbox
) -> None:
    """R24."""
    tokens = (await mailing.sign_up()).tokens
    change = pb.ChangeEmailRequest(new_email="Countess@Example.com")
    await mailing.account.ChangeEmail(change, metadata=bearer(tokens))
    mail = await box.next_to("countess@example.com")
    await mailing.auth.ConfirmEmailChange(pb.ConfirmEmailChangeRequest(token=token_in(mail)))
    assert not (await mailing.verify(tokens.access_token)).active
    assert (await failure(mailing.log_in())).reason == "INVALID_CREDENTIALS"
    assert (await mailing.log_in("countess@example.com")).user.email_verified
    assert "another email address" in (await box.next_to(ADA)).text


async def test_a_taken_address_is_not_told_apart_when_it_is_asked_for(mailing: Auth, box: Mailbox) -> None:
    """R11."""
    tokens = (await mailing.sign_up()).tokens
    await mailing.sign_up(EVE)
    answer = await mailing.account.ChangeEmail(pb.ChangeEmailRequest(new_email=EVE), metadata=bearer(tokens))
    assert answer.request_token
    await asked(mailing)
    await box.next_to(ADA)
    assert not box.to(EVE)


async def test_what_needs_a_fresh_sign_in_is_refused_to_an_old_one(mailing: Auth) -> None:
    """R24."""
    tokens = (await mailing.sign_up()).tokens
    await fetch(mailing.database.url, "UPDATE sessions SET auth_time = now() - interval '11 min'")
    metadata = bearer(tokens)
    for call in (
        mailing.account.ChangeEmail(pb.ChangeEmailRequest(new_email=EVE), metadata=metadata),
        mailing.account.DeleteAccount(pb.DeleteAccountRequest(), metadata=metadata),
    ):
        refused = await failure(call)
        assert (refused.reason, refused.facts) == ("STEP_UP_REQUIRED", {"max_age_seconds": "600"})


async def test_a_deleted_account_is_out_at_once_looks_unknown_and_can_be_taken_back(
    mailing: Auth, box: Mailbox
) -> None:
    """R11, R13, R21."""
    made = await mailing.sign_up()
    answer = await mailing.account.DeleteAccount(pb.DeleteAccountRequest(), metadata=bearer(made.tokens))
    assert answer.user.state == USER_STATE_DELETED
    assert answer.user.purge_time.seconds - answer.user.update_time.seconds == 30 * 86_400
    assert not (await mailing.verify(made.tokens.access_token)).active
    assert (await failure(mailing.refresh(made.tokens.refresh_token))).reason == "REFRESH_TOKEN_INVALID"
    assert (await failure(mailing.log_in())).reason == "INVALID_CREDENTIALS"
    mail = await box.next_to(ADA)
    assert not re.search(r"\b\d{8}\b", mail.text)
    await mailing.auth.RestoreAccount(pb.RestoreAccountRequest(token=token_in(mail)))
    assert (await mailing.log_in()).user.id == made.user.id
    assert not (await mailing.verify(made.tokens.access_token)).active


async def test_an_account_whose_grace_is_over_is_erased_and_its_address_is_free(mailing: Auth) -> None:
    """R36: whoever registers the address next sees nothing of it."""
    made = await mailing.sign_up()
    await mailing.account.DeleteAccount(pb.DeleteAccountRequest(), metadata=bearer(made.tokens))
    await fetch(mailing.database.url, "UPDATE users SET purge_time = now() - interval '1 s'")
    await erased(mailing)
    again = await mailing.sign_up()
    assert again.user.id != made.user.id
    assert not (await mailing.verify(made.tokens.access_token)).active
    rows = await fetch(mailing.database.url, "SELECT address FROM audit_events WHERE user_id = $1", made.user.id)
    assert {row["address"] for row in rows} == {""}


async def erased(auth: Auth) -> None:
    """What the clean-up does, which runs once a minute."""
    from auth_service.store import users  # noqa: PLC0415 - its statement alone is of interest here

    rows = await fetch(auth.database.url, users.queries.erase.text, 500, "parley:user:")
    assert rows[0][0] == 1


async def test_an_account_gets_five_mails_an_hour_and_an_unknown_address_is_refused_as_soon(mailing: Auth) -> None:
    await mailing.sign_up()
    for email in (ADA, "nobody@example.com"):
        for _ in range(5):
            await asked(mailing, email)
        refused = await failure(asked(mailing, email))
        assert (refused.reason, refused.facts) == ("RATE_LIMITED", {"limit": "mails_by_account"})


async def link(auth: Auth, **fields: str) -> Any:
    return await auth.auth.LogInWithLink(pb.LogInWithLinkRequest(**fields))


async def test_a_mailed_link_or_code_signs_in_once(mailing: Auth, box: Mailbox) -> None:
    """R13, R14."""
    await mailing.sign_up()
    for count, by_code in enumerate((False, True), start=1):
        request = pb.RequestLogInLinkRequest(email="ADA@example.com")
        request_token = (await mailing.auth.RequestLogInLink(request)).request_token
        mail = await box.next_to(ADA, count)
        proof = {"request_token": request_token, "code": code_in(mail)} if by_code else {"token": token_in(mail)}
        answer = await link(mailing, device_label="phone", **proof)
        assert (answer.session.device_label, list(answer.session.auth_methods)) == ("phone", ["otp"])
        assert (await mailing.verify(answer.tokens.access_token)).active
        assert (await failure(link(mailing, **proof))).reason == "ONE_TIME_CODE_INVALID"


async def test_a_link_to_sign_in_is_dead_once_the_account_is(mailing: Auth, box: Mailbox) -> None:
    """R13, R21."""
    await mailing.sign_up()
    await mailing.auth.RequestLogInLink(pb.RequestLogInLinkRequest(email=ADA))
    token = token_in(await box.next_to(ADA))
    await fetch(mailing.database.url, "UPDATE users SET state = 'SUSPENDED'")
    assert (await failure(link(mailing, token=token))).reason == "ONE_TIME_CODE_INVALID"


async def test_a_link_is_one_factor(mailing: Auth, box: Mailbox, watch: Watch) -> None:
    """R13: an account with a second factor gets a challenge and no session."""
    await with_app(mailing, watch)
    before = len(await fetch(mailing.database.url, "SELECT FROM sessions"))
    await mailing.auth.RequestLogInLink(pb.RequestLogInLinkRequest(email=ADA))
    answer = await link(mailing, token=token_in(await box.next_to(ADA)))
    assert answer.challenge.challenge_token
    assert not answer.HasField("tokens")
    assert len(await fetch(mailing.database.url, "SELECT FROM sessions")) == before

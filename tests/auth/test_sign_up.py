"""SignUp: the account it makes, whom it refuses, and what a repeat of it gets."""

import asyncio
from uuid import UUID

import grpc
from prometheus_client import REGISTRY
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from auth_service import passwords
from protos.auth.v1.auth_service_pb2 import SignUpRequest, SignUpResponse
from protos.auth.v1.resources_pb2 import USER_STATE_ACTIVE
from tests.authtest import PASSWORD, Auth
from tests.grpc_errors import Failure, failure
from tests.servers import fetch

INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def sign_up(auth: Auth, email: str = "ada@example.com", password: str = PASSWORD, **rest: str) -> SignUpResponse:
    return await auth.auth.SignUp(SignUpRequest(email=email, password=password, **rest))


async def refused(auth: Auth, **fields: str) -> Failure:
    failed = await failure(sign_up(auth, **fields))
    assert failed.domain == "auth.parley"
    return failed


async def test_no_account_exists_after_the_first_start(auth: Auth) -> None:
    """R12."""
    assert await fetch(auth.database.url, "SELECT id FROM users") == []


async def test_a_sign_up_makes_an_account_and_signs_it_in(auth: Auth) -> None:
    made = await sign_up(auth, email=" Ada@Example.COM".strip(), display_name="Ada", device_label="Ada's phone")
    assert made.user.email == "ada@example.com"
    assert made.user.display_name == "Ada"
    assert made.user.state == USER_STATE_ACTIVE
    assert list(made.user.roles) == []
    assert made.user.create_time == made.user.update_time
    assert made.session.device_label == "Ada's phone"
    assert made.session.address == "127.0.0.1"
    assert made.session.user_agent.startswith("grpc-python")
    assert list(made.session.auth_methods) == ["pwd"]
    assert made.session.current
    assert not made.session.HasField("revoke_time")
    assert (UUID(made.user.id).version, UUID(made.session.id).version) == (7, 7)
    verified = await auth.verify(made.tokens.access_token)
    assert (verified.active, verified.user_id, verified.session_id) == (True, made.user.id, made.session.id)
    assert verified.expire_time == made.tokens.access_token_expire_time


async def test_the_password_is_stored_as_argon2id_with_the_recommended_parameters(auth: Auth) -> None:
    """R51, and nothing of what a client holds stands in the database."""
    made = await sign_up(auth)
    [row] = await fetch(auth.database.url, "SELECT password_hash FROM users")
    assert row["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    tables = ("users", "sessions", "user_tokens", "audit_events", "signing_keys")
    stored = "".join([str(await fetch(auth.database.url, f"SELECT t::text FROM {name} t")) for name in tables])
    assert made.session.id in stored
    for secret in (PASSWORD, made.tokens.access_token, made.tokens.refresh_token):
        assert secret not in stored


async def test_a_sign_up_leaves_an_event(auth: Auth) -> None:
    """R48."""
    made = await sign_up(auth)
    [event] = await fetch(auth.database.url, "SELECT type, user_id::text, session_id::text, address FROM audit_events")
    assert tuple(event) == ("SIGN_UP", made.user.id, made.session.id, "127.0.0.1")


async def test_a_taken_email_is_refused_in_any_spelling(auth: Auth) -> None:
    await sign_up(auth, email="Ada@example.com")
    for spelling in ("ada@example.com", "ADA@example.com", "Ada@EXAMPLE.com"):
        failed = await refused(auth, email=spelling, display_name="Another")
        assert (failed.code, failed.reason) == (grpc.StatusCode.ALREADY_EXISTS, "EMAIL_TAKEN")
    assert [row["display_name"] for row in await fetch(auth.database.url, "SELECT display_name FROM users")] == [""]


async def test_a_domain_is_taken_in_its_ascii_and_its_international_form(auth: Auth) -> None:
    await sign_up(auth, email="ada@bücher.example.com")
    assert (await refused(auth, email="ada@xn--bcher-kva.example.com")).reason == "EMAIL_TAKEN"


async def test_of_sign_ups_racing_for_one_email_one_succeeds(auth: Auth) -> None:
    racing = [sign_up(auth, display_name=str(number)) for number in range(8)]
    answers = await asyncio.gather(*racing, return_exceptions=True)
    winners = [answer for answer in answers if isinstance(answer, SignUpResponse)]
    assert len(winners) == 1
    codes = [answer.code() for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert codes == [grpc.StatusCode.ALREADY_EXISTS] * 7
    rows = await fetch(auth.database.url, "SELECT display_name FROM users")
    assert [row["display_name"] for row in rows] == [winners[0].user.display_name]


OVER_THE_LIMIT = [
    ("email", ""),
    ("email", "ada"),
    ("email", "ada@"),
    ("email", "ada@nowhere"),
    ("email", "ada@@example.com"),
    ("email", "ada@exa mple.com"),
    ("email", "ada\0@example.com"),
    ("email", "ada@example.com\r\nbcc: eve@example.com"),
    ("email", "Ada <ada@example.com>"),
    ("email", "a@" + "b" * 60 + ".c" * 96 + ".com"),
    ("password", ""),
    ("password", "7 chars"),
    ("password", "x" * 129),
    ("password", "x" * 100_000),
    ("display_name", "x" * 101),
    ("display_name", "Ada\0"),
    ("display_name", "Ada\nLovelace"),
    ("display_name", "Ada\x7f"),
    ("display_name", "Ada\x85Lovelace"),
    ("device_label", "x" * 101),
    ("device_label", "phone\0"),
    ("request_id", "x" * 65),
    ("request_id", "id\0"),
]


async def test_a_field_over_its_limit_is_refused_by_its_name(auth: Auth) -> None:
    """R45, R06."""
    for field, value in OVER_THE_LIMIT:
        failed = await refused(auth, **{field: value})
        assert (failed.code, failed.reason) == (INVALID, "INVALID_FIELDS")
        assert (value, list(failed.violations)) == (value, [field])
    assert await fetch(auth.database.url, "SELECT id FROM users") == []


async def test_all_that_is_wrong_is_told_at_once(auth: Auth) -> None:
    failed = await refused(
        auth, email="ada", password="short", display_name="\t", device_label="x" * 101, request_id="x" * 65
    )
    assert set(failed.violations) == {"email", "password", "display_name", "device_label", "request_id"}
    assert all(f"{field}: {why}" in failed.message for field, why in failed.violations.items())


async def test_fields_at_their_limits_are_kept_as_they_are(auth: Auth) -> None:
    """R45: lengths count code points."""
    email = "a" * 64 + "@" + "b" * 60 + ".c" * 62 + ".com"
    assert len(email) == 64 + 1 + 60 + 124 + 4
    made = await sign_up(
        auth,
        email=email,
        display_name="👩🏽" * 50,
        device_label="\u202e" * 100,
        request_id="é" * 64,
        password="x" * 127 + "é",
    )
    assert made.user.email == email
    assert made.user.display_name == "👩🏽" * 50
    assert made.session.device_label == "\u202e" * 100


async def test_a_password_of_any_composition_is_accepted_and_works(auth: Auth) -> None:
    """R01, R03, R06."""
    compositions = (
        *("8 chars!", "90817263545", " " * 12, "👾" * 8, "x" * 64, "ça, c'est à moi"),
        *("'; drop table users; --", "tab\tand\0nul"),
    )
    for number, password in enumerate(compositions):
        email = f"ada{number}@example.com"
        made = await sign_up(auth, email=email, password=password)
        assert (await auth.log_in(email, password)).user.id == made.user.id


async def test_a_common_password_is_refused_with_the_reason(auth: Auth) -> None:
    """R02."""
    for password in ("password1", "PASSWORD1", "baseball", "11111111"):
        failed = await refused(auth, password=password)
        assert failed.violations == {"password": "is one of the most common passwords: choose another"}


def test_every_long_enough_entry_of_the_shipped_list_is_refused_in_either_case() -> None:
    """R02, at the rule, for there are thousands."""
    common = [word for word in FREQUENCY_LISTS["passwords"] if len(word) >= passwords.MIN_LENGTH]
    assert len(common) > 10_000
    forms = [form for word in common for form in (word, word.upper())]
    assert [form for form in forms if passwords.objection(form, email="", display_name="") is None] == []


async def test_the_products_name_and_the_users_own_data_are_no_passwords(auth: Auth) -> None:
    """R08."""
    own = {"email": "long.local.part@example.com", "display_name": "Ada Lovelace"}
    for password in ("parley123", "ParleyAuth", "long.local.part", "Long.Local.Part@example.com", "lovelace1815"):
        assert list((await refused(auth, password=password, **own)).violations) == ["password"]


async def test_lengths_are_counted_after_normalisation(auth: Auth) -> None:
    """R01, R05: 128 letters are 256 code points with their accents apart, and eight ligatures are more than eight."""
    decomposed = "e\u0301" * 128
    await sign_up(auth, password=decomposed)
    assert (await auth.log_in(password="é" * 128)).user.email == "ada@example.com"
    assert list((await refused(auth, password="ﬃ" * 43)).violations) == ["password"]


async def test_a_repeat_with_its_request_id_gets_the_account_and_session_of_the_first_call(auth: Auth) -> None:
    first = await sign_up(auth, request_id="sign-up-1", display_name="Ada")
    again = await sign_up(auth, request_id="sign-up-1", display_name="Not Ada", email="ADA@example.com")
    assert again.user == first.user
    assert again.session == first.session
    for tokens in (first.tokens, again.tokens):
        assert (await auth.verify(tokens.access_token)).session_id == first.session.id
    assert len(await fetch(auth.database.url, "SELECT id FROM sessions")) == 1


async def test_a_repeat_costs_one_hash_as_a_log_in_does(auth: Auth) -> None:
    """R52: a sign-up that is repeated must be no cheaper way than log-in to keep the cores busy."""
    await sign_up(auth, request_id="sign-up-1")
    before = REGISTRY.get_sample_value("parley_hash_seconds_count") or 0.0
    await sign_up(auth, request_id="sign-up-1")
    assert REGISTRY.get_sample_value("parley_hash_seconds_count") == before + 1


async def test_a_repeat_after_refreshes_gets_tokens_that_are_good_now(auth: Auth) -> None:
    first = await sign_up(auth, request_id="sign-up-1")
    second = await auth.refresh(first.tokens.refresh_token)
    third = await auth.refresh(second.tokens.refresh_token)
    again = await sign_up(auth, request_id="sign-up-1")
    assert again.tokens.refresh_token == third.tokens.refresh_token
    renewed = await auth.refresh(again.tokens.refresh_token)
    assert (await auth.verify(renewed.tokens.access_token)).session_id == first.session.id


async def test_repeats_that_race_with_their_first_call_get_one_account_and_session(auth: Auth) -> None:
    answers = await asyncio.gather(*(sign_up(auth, request_id="sign-up-1") for _ in range(8)))
    assert len({(answer.user.id, answer.session.id, answer.tokens.refresh_token) for answer in answers}) == 1
    assert len(await fetch(auth.database.url, "SELECT id FROM users")) == 1
    assert len(await fetch(auth.database.url, "SELECT id FROM sessions")) == 1


async def test_a_repeat_with_another_password_is_a_reused_request_id(auth: Auth) -> None:
    await sign_up(auth, request_id="sign-up-1")
    failed = await refused(auth, request_id="sign-up-1", password="another good password")
    assert (failed.code, failed.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_repeats_are_no_way_to_guess_a_password(auth: Auth) -> None:
    """R10: a wrong password counts here as it does at log-in."""
    await sign_up(auth, request_id="sign-up-1")
    reasons = [(await refused(auth, request_id="sign-up-1", password=f"a wrong guess {n}")).reason for n in range(11)]
    assert reasons == ["REQUEST_ID_REUSED"] * 10 + ["RATE_LIMITED"]
    assert (await failure(auth.log_in())).reason == "RATE_LIMITED"


async def test_a_repeat_without_its_request_id_finds_the_email_taken(auth: Auth) -> None:
    await sign_up(auth, request_id="sign-up-1")
    for request_id in ("", "sign-up-2"):
        assert (await refused(auth, request_id=request_id)).reason == "EMAIL_TAKEN"


async def test_a_repeat_after_the_session_has_ended_finds_the_email_taken(auth: Auth) -> None:
    first = await sign_up(auth, request_id="sign-up-1")
    await auth.log_out(first.tokens)
    assert (await refused(auth, request_id="sign-up-1")).reason == "EMAIL_TAKEN"


async def test_a_repeat_for_a_suspended_account_begins_nothing(auth: Auth) -> None:
    """R13."""
    await sign_up(auth, request_id="sign-up-1")
    await fetch(auth.database.url, "UPDATE users SET state = 'SUSPENDED'")
    assert (await failure(sign_up(auth, request_id="sign-up-1"))).reason == "REQUEST_ID_REUSED"


async def test_an_account_made_anew_with_an_email_has_nothing_of_the_former_one(auth: Auth) -> None:
    """R36: the id is who somebody is, not the email."""
    former = await sign_up(auth)
    await fetch(auth.database.url, "DELETE FROM users")
    anew = await sign_up(auth)
    assert anew.user.id != former.user.id
    assert (await failure(auth.refresh(former.tokens.refresh_token))).reason == "REFRESH_TOKEN_INVALID"


async def test_a_sign_up_may_say_the_language_of_mails(auth: Auth) -> None:
    assert (await auth.sign_up(locale="pt-BR")).user.locale == "pt-BR"
    assert (await auth.sign_up("eve@example.com")).user.locale == ""
    for wrong in ("x" * 36, "de\n"):
        assert list((await failure(auth.sign_up("ida@example.com", locale=wrong))).violations) == ["locale"]

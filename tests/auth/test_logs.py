"""What a real process writes while a user comes and goes: every call, and no secret (R47, R48)."""

import asyncio
from typing import Any

from protos.auth.v1.account_service_pb2 import GetProfileRequest, ListSessionsRequest, UpdateProfileRequest
from protos.auth.v1.auth_service_pb2 import LogInRequest, LogOutRequest, SignUpRequest
from tests.auth.processes import serving
from tests.authtest import PASSWORD, Auth, bearer
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, fetch

WRONG = "wrong-but-still-somebodys-secret"
NAME = "Ada\u2028the\u202elovely"


async def test_a_whole_flow_leaves_one_line_a_call_and_no_secret(auth_database: TestDatabase, servers: Servers) -> None:
    secrets = {PASSWORD, WRONG, NAME, "ada@example.com"}
    async with serving(auth_database, servers.redis.url, LOG_LEVEL="DEBUG") as (auth, process):
        request = SignUpRequest(email="ada@example.com", password=PASSWORD, display_name=NAME, device_label=NAME)
        made = await auth.auth.SignUp(request, metadata=(("x-request-id", "the-sign-up"),))
        me = bearer(made.tokens)
        await auth.account.GetProfile(GetProfileRequest(), metadata=me)
        await auth.account.UpdateProfile(UpdateProfileRequest(user={"display_name": NAME + "!"}), metadata=me)
        await auth.account.ListSessions(ListSessionsRequest(), metadata=me)
        renewed = (await auth.refresh(made.tokens.refresh_token)).tokens
        later = (await auth.refresh(renewed.refresh_token)).tokens
        await failure(auth.refresh(made.tokens.refresh_token))  # a theft, for it is two generations old
        logged_in = await auth.log_in()
        held = (made.tokens, renewed, later, logged_in.tokens)
        secrets |= {token for tokens in held for token in (tokens.access_token, tokens.refresh_token)}
        await asyncio.gather(*(auth.verify(tokens.access_token) for tokens in held))
        await go_wrong(auth)
        await auth.log_out(logged_in.tokens)
        await fetch(auth_database.owner_url, "DROP TABLE users CASCADE")
        await failure(auth.auth.SignUp(request, metadata=(("x-request-id", "the-accident"),)))
        assert await process.stop() == 0

    assert [secret for secret in secrets if secret in process.text] == []
    parts = {part for secret in secrets for part in secret.split(".") if len(part) > 30}
    assert [part for part in parts if part in process.text] == []

    calls = [event for event in process.events if event["event"] == "rpc"]
    assert [shown(call) for call in calls] == [
        ("SignUp", "OK", ""),
        ("GetProfile", "OK", ""),
        ("UpdateProfile", "OK", ""),
        ("ListSessions", "OK", ""),
        ("RefreshToken", "OK", ""),
        ("RefreshToken", "OK", ""),
        ("RefreshToken", "UNAUTHENTICATED", "REFRESH_TOKEN_REUSED"),
        ("LogIn", "OK", ""),
        *[("VerifyToken", "OK", "")] * 4,
        ("LogIn", "UNAUTHENTICATED", "INVALID_CREDENTIALS"),
        ("LogIn", "INVALID_ARGUMENT", "INVALID_FIELDS"),
        ("SignUp", "ALREADY_EXISTS", "EMAIL_TAKEN"),
        ("VerifyToken", "OK", ""),
        ("RefreshToken", "UNAUTHENTICATED", "REFRESH_TOKEN_INVALID"),
        ("GetProfile", "UNAUTHENTICATED", "UNAUTHENTICATED"),
        ("LogOut", "OK", ""),
        ("SignUp", "INTERNAL", "INTERNAL"),
    ]
    for call in calls:
        assert call["method"].startswith("/auth.v1.")
        assert call["milliseconds"] > 0
        assert call["address"] == "127.0.0.1"
        assert call["timestamp"].endswith("Z")
    assert calls[0]["request_id"] == "the-sign-up"
    assert calls[1]["user_id"] == made.user.id
    assert calls[1]["session_id"] == made.session.id
    assert len({call["request_id"] for call in calls}) == len(calls)
    [accident] = [event for event in process.events if event["event"] == "unexpected failure"]
    assert accident["request_id"] == calls[-1]["request_id"] == "the-accident"
    [theft] = [event for event in process.events if event["event"] == "refresh token reused"]
    assert theft["session_id"] == made.session.id


async def go_wrong(auth: Auth) -> None:
    await failure(auth.log_in(password=WRONG))
    await failure(auth.auth.LogIn(LogInRequest(email="ada@example.com", password=WRONG, device_label=NAME * 100)))
    await failure(auth.auth.SignUp(SignUpRequest(email="ada@example.com", password=WRONG)))
    await auth.verify(WRONG)
    await failure(auth.refresh(WRONG))
    await failure(auth.account.GetProfile(GetProfileRequest(), metadata=bearer(WRONG)))


def shown(call: dict[str, Any]) -> tuple[str, str, str]:
    return call["method"].rpartition("/")[2], call["code"], call["reason"]


async def test_no_value_of_a_caller_can_begin_a_line_of_the_log(auth_database: TestDatabase, servers: Servers) -> None:
    """R47: in JSON no line ends but ours."""
    async with serving(auth_database, servers.redis.url) as (auth, process):
        for request_id in ('quote"and\\backslash', "{}", "caf\u00e9".encode("unicode_escape").decode()):
            call = auth.auth.LogOut(LogOutRequest(), metadata=(("x-request-id", request_id),))
            assert (await failure(call)).request_id == request_id
        await auth.verify('"}\n{"event": "forged"}')
        assert await process.stop() == 0
    events = process.events
    assert "forged" not in {event["event"] for event in events}
    assert [event["request_id"] for event in events if event["event"] == "rpc"][:2] == ['quote"and\\backslash', "{}"]


async def test_a_log_for_people_shows_no_secret_of_an_accident_either(
    auth_database: TestDatabase, servers: Servers
) -> None:
    """R47: a traceback with its local variables would show the request, password and all."""
    async with serving(auth_database, servers.redis.url, LOG_FORMAT="console") as (auth, process):
        await fetch(auth_database.owner_url, "DROP TABLE users CASCADE")
        await failure(auth.sign_up())
        assert await process.stop() == 0
    assert "UndefinedTableError" in process.text
    assert PASSWORD not in process.text
    assert "ada@example.com" not in process.text

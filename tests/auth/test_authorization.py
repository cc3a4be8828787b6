"""envoy.service.auth.v3.Authorization/Check: what a gateway is told of a request (R43, R50)."""

import asyncio
import base64
import json

import asyncpg
import grpc
import pytest
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from auth_service.rpc.authorization import IDENTITY_HEADERS
from protos.options.v1 import access_pb2
from shared.calls import Principal
from shared.errors import Unauthenticated
from shared.grpc.server import Service, listen
from tests.auth.forge import forge
from tests.authtest import Auth
from tests.grpc_errors import code_of, failure
from tests.servers import fetch

PROFILE = "/auth.v1.AccountService/GetProfile"


async def check(
    auth: Auth,
    token: str | None = None,
    path: str = PROFILE,
    extensions: dict[str, str] | None = None,
    **headers: str,
) -> external_auth_pb2.CheckResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        sent["authorization"] = f"Bearer {token}"
    http = {"method": "POST", "path": path, "headers": sent}
    request = external_auth_pb2.CheckRequest(
        attributes={"request": {"http": http}, "context_extensions": extensions or {}}
    )
    return await external_auth_pb2_grpc.AuthorizationStub(auth.channel).Check(request)


def told(answer: external_auth_pb2.CheckResponse) -> dict[str, str]:
    """The headers that an admitted request goes on with."""
    assert answer.WhichOneof("http_response") == "ok_response"
    assert answer.status.code == 0
    options = answer.ok_response.headers
    assert {option.append_action for option in options} <= {option.OVERWRITE_IF_EXISTS_OR_ADD for option in options}
    return {option.header.key: option.header.value for option in options}


def refused(answer: external_auth_pb2.CheckResponse) -> dict[str, str]:
    """The headers of a refusal."""
    assert answer.WhichOneof("http_response") == "denied_response"
    assert answer.status.code != 0
    return {option.header.key: option.header.value for option in answer.denied_response.headers}


async def test_a_good_token_is_answered_with_whose_it_is(auth: Auth) -> None:
    made = await auth.sign_up()
    answer = await check(auth, made.tokens.access_token)
    assert told(answer) == {
        "x-user-id": made.user.id,
        "x-session-id": made.session.id,
        "x-session-kind": "SIGN_IN",
        "x-assurance-level": "1",
    }


async def test_roles_and_scopes_are_those_of_this_moment(auth: Auth) -> None:
    """R40."""
    made = await auth.sign_up()
    await fetch(auth.database.url, "UPDATE users SET roles = '{admin,service}'")
    await fetch(auth.database.url, "UPDATE sessions SET scopes = '{chat.read,chat.write}'")
    answer = told(await check(auth, made.tokens.access_token))
    assert (answer["x-roles"], answer["x-scopes"]) == ("admin,service", "chat.read,chat.write")


async def test_a_token_has_to_be_for_the_audience_that_the_gateways_route_names(auth: Auth) -> None:
    """R31; where it names none, for auth."""
    made = await auth.sign_up()
    f = await forge(auth, made.tokens)
    for_chat = f.token(aud=["chat"])
    admitted = [(f.good, {}), (f.good, {"audience": "chat"}), (for_chat, {"audience": "chat"})]
    denied = [(for_chat, {}), (for_chat, {"audience": "auth"}), (f.good, {"audience": "mail"})]
    for token, extensions in admitted:
        told(await check(auth, token, extensions=extensions))
    for token, extensions in denied:
        refused(await check(auth, token, extensions=extensions))


async def test_every_identity_header_is_set_or_taken_away(auth: Auth) -> None:
    """R43: what a caller sends under such a name never arrives."""
    made = await auth.sign_up()
    forged = dict.fromkeys((name.replace("-", "_") for name in IDENTITY_HEADERS), "forged")
    for answer in (
        await check(auth, made.tokens.access_token, **forged),
        await check(auth, path="/auth.v1.AuthService/LogIn", **forged),
    ):
        values = told(answer)
        assert "forged" not in values.values()
        assert sorted([*values, *answer.ok_response.headers_to_remove]) == sorted(IDENTITY_HEADERS)


async def test_without_a_token_http_gets_401_and_a_status_in_json(auth: Auth) -> None:
    """RFC 6750 section 3.1: who sent no token is told no error."""
    answer = await check(auth, content_type="application/json")
    headers, body = refused(answer), json.loads(answer.denied_response.body)
    assert answer.denied_response.status.code == 401
    assert headers == {"content-type": "application/json", "www-authenticate": 'Bearer realm="parley"'}
    assert body["code"] == answer.status.code == grpc.StatusCode.UNAUTHENTICATED.value[0]
    assert body["details"][0]["reason"] == "UNAUTHENTICATED"
    assert body["details"][0]["domain"] == "auth.parley"


async def test_grpc_gets_the_same_status_as_from_a_service(auth: Auth) -> None:
    made = await auth.sign_up()
    await auth.log_out(made.tokens)
    for kind in ("application/grpc", "application/grpc+proto", "application/grpc;x=y"):
        answer = await check(auth, made.tokens.access_token, content_type=kind)
        packed = refused(answer)["grpc-status-details-bin"]
        status = status_pb2.Status.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
        assert status.message == answer.denied_response.body
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        assert (info.reason, info.metadata["inactive_reason"]) == ("UNAUTHENTICATED", "REVOKED")
    web = await check(auth, made.tokens.access_token, content_type="application/grpc-web+proto")
    assert refused(web)["content-type"] == "application/json"


async def test_no_bad_token_passes(auth: Auth) -> None:
    """R26, R50: the challenge says why (RFC 6750 section 3)."""
    made = await auth.sign_up()
    f = await forge(auth, made.tokens)
    bad = {
        "rubbish": "MALFORMED",
        f"{f.good},Bearer {f.good}": "MALFORMED",  # the header twice, as a proxy joins it
        f"{f.good}=": "MALFORMED",
        "x" * 5_000: "MALFORMED",
        f.token(exp=1_000_000_000): "EXPIRED",
        f.token(iss="somebody else"): "INVALID",
    }
    for token, reason in bad.items():
        answer = await check(auth, token)
        assert answer.denied_response.status.code == 401
        challenge = f'Bearer realm="parley", error="invalid_token", error_description="{reason}"'
        assert refused(answer)["www-authenticate"] == challenge
    for value in (f.good, f"Basic {f.good}", f"Bearer{f.good}", "Bearer", ""):
        assert refused(await check(auth, authorization=value))["www-authenticate"] == 'Bearer realm="parley"'


async def test_a_revoked_session_is_refused_at_once(auth: Auth) -> None:
    """R20."""
    await auth.sign_up()
    for _ in range(20):
        tokens = (await auth.log_in()).tokens
        told(await check(auth, tokens.access_token))
        await auth.log_out(tokens)
        refused(await check(auth, tokens.access_token))


OPEN = ["SignUp", "LogIn", "RefreshToken", "GetJwks"]
TRICKS = [
    "//auth.v1.AuthService/LogIn",
    "/auth.v1.AuthService//LogIn",
    "/auth.v1.AuthService%2FLogIn",
    "/auth.v1.AuthService%2fLogIn",
    "auth.v1.AuthService/LogIn",
    "/auth.v1.authservice/login",
    "/AUTH.V1.AUTHSERVICE/LOGIN",
    "/auth.v1.AuthService/LogIn/",
    "/auth.v1.AuthService/LogIn/..",
    "/auth.v1.AuthService/LogIn/../../auth.v1.AccountService/GetProfile",
    "/auth.v1.AuthService/LogIn?",
    "/auth.v1.AuthService/LogIn?x=/auth.v1.AuthService/LogIn",
    "/auth.v1.AuthService/LogIn#",
    "/auth.v1.AuthService/LogIn;",
    "/auth.v1.AuthService/LogIn\0",
    " /auth.v1.AuthService/LogIn",
    "/auth.v1.AuthService/LogI",
    "/auth.v1.AuthService/",
    "/auth.v1.AuthService/VerifyToken",
    "/auth.v1.AuthService/BatchVerifyTokens",
    "/auth.v1.AuthService/LogOut",
    "/envoy.service.auth.v3.Authorization/Check",
    "/grpc.health.v1.Health/Check",
    "/",
    "",
]


async def test_what_end_users_call_without_a_token_passes_with_nobody_behind_it(auth: Auth) -> None:
    for name in OPEN:
        assert told(await check(auth, path=f"/auth.v1.AuthService/{name}")) == {}


async def test_no_other_path_and_no_other_spelling_passes_without_a_token(auth: Auth) -> None:
    """grpc-go CVE-2026-33186: a rule must not be passed by a path that is written in another way."""
    for path in TRICKS:
        assert (await check(auth, path=path)).WhichOneof("http_response") == "denied_response", path


async def test_an_empty_request_is_refused(auth: Auth) -> None:
    """R50."""
    stub = external_auth_pb2_grpc.AuthorizationStub(auth.channel)
    refused(await stub.Check(external_auth_pb2.CheckRequest()))


async def test_a_token_that_nobody_can_verify_now_is_refused_with_503(auth: Auth) -> None:
    """R50: the row of the session cannot be read."""
    made = await auth.sign_up()
    connection = await asyncpg.connect(auth.database.owner_url)
    try:
        async with asyncio.timeout(20), connection.transaction():
            await connection.execute("LOCK TABLE sessions")
            answer = await check(auth, made.tokens.access_token)
    finally:
        await connection.close()
    assert answer.denied_response.status.code == 503
    assert refused(answer)["retry-after"] == "1"
    details = json.loads(answer.denied_response.body)["details"]
    assert [detail["@type"].rpartition(".")[2] for detail in details] == ["ErrorInfo", "RetryInfo"]


async def test_an_accident_in_verification_admits_nobody(auth: Auth) -> None:
    """R50: a gateway takes a failed Check for a refusal."""
    made = await auth.sign_up()
    await fetch(auth.database.owner_url, "ALTER TABLE sessions RENAME TO gone")
    assert await code_of(check(auth, made.tokens.access_token)) is grpc.StatusCode.INTERNAL


class Nobody:
    async def verify(self, _: str) -> Principal:
        raise Unauthenticated


class Foreign:
    async def Check(self, request, context):  # noqa: N802, ARG002 - the RPC's method
        return external_auth_pb2.CheckResponse()


@pytest.mark.parametrize("access", [access_pb2.ACCESS_PUBLIC, access_pb2.ACCESS_USER])
async def test_the_server_says_who_may_call_a_service_whose_proto_cannot(access: access_pb2.Access.ValueType) -> None:
    service = Service(
        descriptor=external_auth_pb2.DESCRIPTOR.services_by_name["Authorization"],
        add=lambda server: external_auth_pb2_grpc.add_AuthorizationServicer_to_server(Foreign(), server),
        access=access,
    )
    server = await listen("127.0.0.1", 0, [service], Nobody(), domain="auth.parley", reflect=False)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            check = external_auth_pb2_grpc.AuthorizationStub(channel).Check(external_auth_pb2.CheckRequest())
            if access == access_pb2.ACCESS_PUBLIC:
                assert await check == external_auth_pb2.CheckResponse()
            else:
                assert (await failure(check)).reason == "UNAUTHENTICATED"
    finally:
        await server.stop(0)


async def test_its_health_is_that_of_auth(auth: Auth) -> None:
    request = health_pb2.HealthCheckRequest(service="envoy.service.auth.v3.Authorization")
    answer = await health_pb2_grpc.HealthStub(auth.channel).Check(request)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING

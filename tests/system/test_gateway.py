"""Both services behind a real Envoy: gRPC, gRPC-Web and JSON over HTTP (R43, R50, R57)."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from auth_service.rpc.authorization import IDENTITY_HEADERS
from protos.auth.v1.account_service_pb2 import GetProfileRequest, GetProfileResponse
from protos.auth.v1.auth_service_pb2 import LogInRequest, LogInResponse
from protos.chat.v1 import conversation_service_pb2 as conversations_pb2
from protos.chat.v1 import conversation_service_pb2_grpc as conversations_grpc
from shared.service_keys import PREFIX
from tests.auth import http2, processes
from tests.auth.test_authorization import TRICKS
from tests.authtest import PASSWORD, Auth, auth_config, bearer, running_auth
from tests.chattest import Chat, chat_config, running_chat
from tests.grpc_errors import code_of, failure
from tests.servers import Servers, TestDatabase, fetch, fresh_database, make_master_key
from tests.system.gateways import (
    ECHO_METHODS,
    STREAM,
    TELL,
    TELL_ANYBODY,
    Echo,
    EchoMessage,
    Envoy,
    frames,
    running_echo,
    running_envoy,
)
from tools import envoy

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUTH, ACCOUNT = "/auth.v1.AuthService", "/auth.v1.AccountService"
CONVERSATIONS = "/chat.v1.ConversationService"
LOG_IN = f'{{"email": "ada@example.com", "password": "{PASSWORD}"}}'
FORGED = dict.fromkeys(IDENTITY_HEADERS, "forged") | {
    "x-forwarded-for": "192.0.2.66",
    "x-real-ip": "192.0.2.66",
    "forwarded": "for=192.0.2.66",
    "x-envoy-external-address": "192.0.2.66",
    "x-envoy-upstream-rq-timeout-ms": "7",
    "x-envoy-retry-on": "5xx",
}


@dataclass(frozen=True)
class Behind:
    """Two replicas of each service, Envoy before them, and one before an echo in the place of chat."""

    auth: list[Auth]
    chat: list[Chat]
    envoy: Envoy
    echo: Echo
    before_echo: Envoy

    async def token(self) -> str:
        """The access token of a new session of Ada's."""
        return (await self.auth[0].log_in()).tokens.access_token


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Behind]:
    folder = tmp_path_factory.mktemp("gateway")
    async with AsyncExitStack() as held:
        enter = held.enter_async_context
        auth_database, chat_database = [await enter(fresh_database(servers, name)) for name in ("auth", "chat")]
        config = auth_config(auth_database, servers.redis.url, AUTH_TRUSTED_PROXIES="127.0.0.1/32")
        auth = [await enter(running_auth(auth_database, config)) for _ in range(2)]
        targets = [f"127.0.0.1:{one.server.port}" for one in auth]
        chat_settings = chat_config(chat_database, servers.redis.url, f"ipv4:{','.join(targets)}")
        chat = [await enter(running_chat(chat_database, chat_settings)) for _ in range(2)]
        await auth[0].sign_up()
        echo = await enter(running_echo())
        both = await enter(running_envoy(folder / "both", targets, [f"127.0.0.1:{one.server.port}" for one in chat]))
        before_echo = await enter(running_envoy(folder / "echo", targets, [echo.target], ECHO_METHODS))
        yield Behind(auth, chat, both, echo, before_echo)


async def test_plain_http_does_the_main_job_in_json(behind: Behind) -> None:
    http = behind.envoy.http
    made = await http(f"{AUTH}/SignUp", f'{{"email": "bob@example.com", "password": "{PASSWORD}"}}')
    assert (made.status, made.headers["content-type"]) == (200, "application/json")
    token = made.json["tokens"]["accessToken"]
    profile = await http(f"{ACCOUNT}/GetProfile", token=token)
    assert profile.json["user"]["email"] == "bob@example.com"
    created = await http(f"{CONVERSATIONS}/CreateConversation", '{"conversation": {"title": "Plans"}}', token)
    conversation_id = created.json["conversation"]["id"]
    message = f'{{"conversation_id": "{conversation_id}", "role": "ROLE_USER", "parts": [{{"text": "Hello"}}]}}'
    sent = await http("/chat.v1.MessageService/SendMessage", message, token)
    assert sent.json["message"]["parts"] == [{"text": "Hello"}]
    listed = await http("/chat.v1.MessageService/ListMessages", f'{{"conversationId": "{conversation_id}"}}', token)
    assert [one["position"] for one in listed.json["messages"]] == ["1"]


async def test_grpc_does_it_as_without_a_gateway(behind: Behind) -> None:
    async with behind.envoy.stubs() as through:
        tokens = (await through.log_in()).tokens
        stub = conversations_grpc.ConversationServiceStub(through.channel)
        request = conversations_pb2.CreateConversationRequest(conversation={"title": "Plans"})
        made = (await stub.CreateConversation(request, metadata=bearer(tokens))).conversation
        found = await stub.GetConversation(
            conversations_pb2.GetConversationRequest(conversation_id=made.id), metadata=bearer(tokens)
        )
        assert found.conversation == made
        missing = conversations_pb2.GetConversationRequest(conversation_id=tokens_user(made.id))
        failed = await failure(stub.GetConversation(missing, metadata=bearer(tokens)))
        assert (failed.code, failed.reason) == (grpc.StatusCode.NOT_FOUND, "CONVERSATION_NOT_FOUND")


def tokens_user(text: str) -> str:
    """An id that is nobody's."""
    return text[:-12] + "0" * 12


async def test_grpc_web_does_it_from_a_page_of_an_allowed_origin_alone(behind: Behind) -> None:
    answer = await behind.envoy.web(f"{AUTH}/LogIn", LogInRequest(email="ada@example.com", password=PASSWORD))
    (_, message), (is_trailers, trailers) = frames(answer.body)
    assert (answer.status, is_trailers, b"grpc-status:0" in trailers) == (200, True, True)
    token = LogInResponse.FromString(message).tokens.access_token
    answer = await behind.envoy.web(f"{ACCOUNT}/GetProfile", GetProfileRequest(), token)
    assert GetProfileResponse.FromString(next(frames(answer.body))[1]).user.email == "ada@example.com"
    for origin, allowed in (("http://localhost:3000", True), ("https://example.com", False), ("null", False)):
        asked = {"access_control_request_method": "POST", "access_control_request_headers": "x-grpc-web"}
        preflight = await behind.envoy.http(f"{AUTH}/LogIn", None, method="OPTIONS", origin=origin, **asked)
        assert (preflight.headers.get("access-control-allow-origin") == origin) is allowed


async def test_without_a_good_token_every_protocol_refuses_in_its_own_words(behind: Behind) -> None:
    for path in (f"{ACCOUNT}/GetProfile", f"{CONVERSATIONS}/ListConversations"):
        refused = await behind.envoy.http(path)
        assert (refused.status, refused.reason, refused.json["code"]) == (401, "UNAUTHENTICATED", 16)
        assert refused.headers["www-authenticate"] == 'Bearer realm="parley"'
        refused = await behind.envoy.http(path, token="rubbish")
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
        refused = await behind.envoy.web(path, GetProfileRequest())
        assert (refused.status, refused.headers["grpc-status"]) == (401, "16")
    async with behind.envoy.stubs() as through:
        failed = await failure(through.account.GetProfile(GetProfileRequest(), metadata=bearer("rubbish")))
        direct = await failure(behind.auth[0].account.GetProfile(GetProfileRequest(), metadata=bearer("rubbish")))
        same = (direct.code, direct.message, direct.reason, direct.domain, direct.facts)
        assert (failed.code, failed.message, failed.reason, failed.domain, failed.facts) == same


async def test_a_services_own_refusal_is_told_over_http_too(behind: Behind) -> None:
    wrong = await behind.envoy.http(f"{AUTH}/LogIn", LOG_IN.replace("correct", "incorrect"))
    assert (wrong.status, wrong.reason) == (401, "INVALID_CREDENTIALS")
    empty = await behind.envoy.http(f"{AUTH}/LogIn")
    assert (empty.status, empty.reason) == (400, "INVALID_FIELDS")
    assert [it["field"] for it in empty.json["details"][1]["fieldViolations"]] == ["email", "password"]
    for body in ("{", "[]", '{"email": 1}', "\xff"):
        broken = await behind.envoy.http(f"{AUTH}/LogIn", body.encode("latin-1"))
        assert (broken.status, broken.json["code"]) == (400, 3)


async def test_a_revoked_session_is_refused_at_once(behind: Behind) -> None:
    """R20."""
    async with behind.envoy.stubs() as through:
        for _ in range(20):
            tokens = (await through.log_in()).tokens
            await through.account.GetProfile(GetProfileRequest(), metadata=bearer(tokens))
            await through.log_out(tokens)
            refused = await behind.envoy.http(f"{CONVERSATIONS}/ListConversations", token=tokens.access_token)
            assert (refused.status, refused.reason) == (401, "UNAUTHENTICATED")


async def test_who_calls_is_what_auth_says_and_never_what_the_caller_says(behind: Behind) -> None:
    """R43."""
    signed_in = await behind.auth[0].log_in()
    token = signed_in.tokens.access_token
    async with behind.before_echo.stubs() as through:
        tell = through.channel.unary_unary(TELL, EchoMessage.SerializeToString, EchoMessage.FromString)
        await tell(EchoMessage(text="x"), metadata=(*bearer(token), *FORGED.items(), ("x_user_id", "forged")))
    over_grpc = behind.echo.seen()
    await behind.before_echo.http(TELL, token=token, **FORGED | {"x_user-id": "forged"})
    for seen in (over_grpc, behind.echo.seen()):
        assert seen["x-user-id"] == signed_in.user.id
        assert seen["x-session-id"] == signed_in.session.id
        assert seen["x-session-kind"] == "SIGN_IN"
        assert seen["x-assurance-level"] == "1"
        assert "authorization" in seen
        assert not [name for name, value in seen.items() if value in ("forged", *FORGED.values()) or "_" in name]
        assert not {"x-roles", "x-scopes", "x-actor-id", "x-real-ip", "forwarded"} & seen.keys()


async def test_nobody_is_behind_a_call_without_a_token(behind: Behind) -> None:
    """R43, also where a token is sent along to a method that asks for none."""
    for token in ("", await behind.token()):
        assert (await behind.before_echo.http(TELL_ANYBODY, token=token, **FORGED)).status == 200
        assert not set(IDENTITY_HEADERS) & behind.echo.seen().keys()


async def test_the_address_is_the_one_that_the_gateway_sees(behind: Behind) -> None:
    """R43: one address, whatever was sent; for a caller on loopback Envoy writes its machine's own."""
    answers = [await behind.envoy.http(f"{AUTH}/LogIn", LOG_IN, **headers) for headers in ({}, FORGED)]
    first, second = (answer.json["session"]["address"] for answer in answers)
    assert first == second
    await behind.before_echo.http(TELL_ANYBODY, **FORGED)
    assert behind.echo.seen()["x-forwarded-for"] == first


async def test_a_call_has_a_deadline_though_its_caller_set_none(behind: Behind) -> None:
    """R59."""
    await behind.before_echo.http(TELL_ANYBODY)
    async with behind.before_echo.stubs() as through:
        tell = through.channel.unary_unary(TELL_ANYBODY, EchoMessage.SerializeToString, EchoMessage.FromString)
        await tell(EchoMessage())
        await tell(EchoMessage(), timeout=10)
    over_http, over_grpc, own = behind.echo.seconds_left[-3:]
    assert 0 < over_http <= envoy.UNARY_SECONDS
    assert 10 < over_grpc <= envoy.UNARY_SECONDS
    assert 0 < own < 11


async def test_a_stream_passes_as_it_comes(behind: Behind) -> None:
    """What comes last is only sent once the first message has arrived: who held it back would wait for ever."""
    token = await behind.token()
    async with behind.before_echo.stubs() as through:
        open_stream = through.channel.unary_stream(STREAM, EchoMessage.SerializeToString, EchoMessage.FromString)
        stream = open_stream(EchoMessage(), metadata=bearer(token), timeout=20)
        assert (await stream.read()).text == "first"
        behind.echo.go_on.set()
        assert (await stream.read()).text == "last"
        assert await stream.read() is grpc.aio.EOF
    behind.echo.go_on.clear()
    lines = _lines(behind, token)
    assert await asyncio.to_thread(next, lines) == b'{"text":"first"}\n'
    behind.echo.go_on.set()
    assert (await asyncio.to_thread(next, lines)).strip() == b'{"text":"last"}'
    behind.echo.go_on.clear()


def _lines(behind: Behind, token: str):
    connection = behind.before_echo.connect()
    connection.request("POST", STREAM, "{}", {"authorization": f"Bearer {token}"})
    response = connection.getresponse()
    yield response.readline()
    yield response.readline()
    connection.close()


async def test_a_stream_without_a_good_token_is_refused(behind: Behind) -> None:
    behind.echo.paths.clear()
    async with behind.before_echo.stubs() as through:
        stream = through.channel.unary_stream(STREAM, EchoMessage.SerializeToString, EchoMessage.FromString)
        assert await code_of(stream(EchoMessage(), timeout=20).read()) is grpc.StatusCode.UNAUTHENTICATED
    assert behind.echo.paths == []


async def test_no_other_spelling_of_a_path_leads_anywhere(behind: Behind) -> None:
    """grpc-go CVE-2026-33186. The tricks are those that Check refuses, on a method that needs no token."""
    behind.echo.metadata.clear()
    token = (b"authorization", f"Bearer {await behind.token()}"[:120].encode())
    tricks = [path.replace("auth.v1.AuthService/LogIn", "chat.v1.EchoService/TellAnybody") for path in TRICKS]
    assert sum("TellAnybody" in path for path in tricks) > 10
    port = behind.before_echo.gateway.port
    calls = [http2.call(port, path, b"", headers) for path in tricks for headers in ([], [token])]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    # Some get no answer: the connection is closed.
    assert {type(answer) for answer in answers} <= {bytes, asyncio.IncompleteReadError}
    assert behind.echo.metadata == []
    await behind.before_echo.http(TELL_ANYBODY)
    assert len(behind.echo.metadata) == 1


async def test_what_is_for_callers_inside_has_no_way_in(behind: Behind) -> None:
    """R57: introspection, the services' own methods, health and reflection, for an administrator too."""
    made = await behind.auth[0].sign_up("root@example.com")
    await fetch(
        behind.auth[0].database.url, "UPDATE users SET roles = '{admin,service}' WHERE email = 'root@example.com'"
    )
    inside = [
        f"{AUTH}/VerifyToken",
        f"{AUTH}/BatchVerifyTokens",
        f"{AUTH}/WatchRevocations",
        "/auth.v1.AdminService/BatchGetUsers",
        "/envoy.service.auth.v3.Authorization/Check",
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ]
    async with behind.envoy.stubs() as through:
        for path in inside:
            call = through.channel.unary_unary(path)(b"", metadata=bearer(made.tokens))
            assert (path, await code_of(call)) == (path, grpc.StatusCode.UNIMPLEMENTED)
            over_http = await behind.envoy.http(path, token=made.tokens.access_token)
            assert (path, over_http.status, over_http.json["code"]) == (path, 404, 12)


async def test_every_other_method_has_a_way_in(behind: Behind) -> None:
    """Without a token: what is public objects to its empty request, all else to the missing token."""
    async with behind.envoy.stubs() as through:
        for method in envoy.passed():
            path = f"/{method.containing_service.full_name}/{method.name}"
            call = through.channel.stream_stream(path)(iter([b""]), timeout=20)
            assert await _outcome(call) is not grpc.StatusCode.UNIMPLEMENTED, path


async def _outcome(call: grpc.aio.StreamStreamCall) -> grpc.StatusCode:
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_both_replicas_of_each_service_get_calls(behind: Behind) -> None:
    token = await behind.token()
    calls = (behind.envoy.http(f"{CONVERSATIONS}/ListConversations", token=token) for _ in range(40))
    assert {answer.status for answer in await asyncio.gather(*calls)} == {200}
    for one in (*behind.auth, *behind.chat):
        await _until(behind.envoy.child.output, f'"upstream":"127.0.0.1:{one.server.port}"')


async def test_a_body_that_is_too_large_is_refused_before_it_is_held(behind: Behind) -> None:
    """R64: over 8 MiB as JSON by Envoy, over 4 MiB as a message by the service."""
    status = await _status_or_reset(behind.before_echo, TELL_ANYBODY, '{"text": "' + "x" * 9_000_000 + '"}')
    assert status in (413, None)
    async with behind.envoy.stubs() as through:
        large = LogInRequest(email="x" * 5_000_000)
        assert await code_of(through.auth.LogIn(large)) is grpc.StatusCode.RESOURCE_EXHAUSTED


async def _status_or_reset(through: Envoy, path: str, body: str) -> int | None:
    """The status, or None where Envoy closed the connection while the body was still being sent."""
    try:
        return (await through.http(path, body)).status
    except ConnectionError:
        return None


async def test_no_token_stands_in_the_log(behind: Behind) -> None:
    """R47."""
    token = await behind.token()
    await behind.envoy.http(f"{ACCOUNT}/GetProfile", token=token, x_request_id="to-be-found")
    log = await _until(behind.envoy.child.output, "to-be-found")
    assert token not in log
    assert token.rpartition(".")[2] not in log


async def _until(read: Callable[[], str], text: str) -> str:
    async with asyncio.timeout(10):
        while text not in read():
            await asyncio.sleep(0.05)
    return read()


async def test_while_auth_is_away_nobody_is_let_in(
    servers: Servers, behind: Behind, tmp_path: Path, auth_database: TestDatabase
) -> None:
    """R50: the gateway fails closed, and says that it is of no use."""
    token = await behind.token()
    config = auth_config(auth_database, servers.redis.url)
    async with AsyncExitStack() as held:
        auth = await held.enter_async_context(running_auth(auth_database, config))
        target = f"127.0.0.1:{auth.server.port}"
        async with running_envoy(tmp_path, [target], [behind.echo.target], ECHO_METHODS) as alone:
            await held.aclose()
            behind.echo.paths.clear()
            refused = await alone.http(TELL, token=token)
            assert (refused.status, refused.json["code"]) == (503, 14)
            away = await alone.http(f"{AUTH}/LogIn", LOG_IN)
            assert (away.status, away.json) == (
                503,
                {"code": 14, "message": "The service cannot be reached: try again."},
            )
            async with alone.stubs() as through:
                call = through.channel.unary_unary(TELL)(b"", metadata=bearer(token))
                assert await code_of(call) is grpc.StatusCode.UNAVAILABLE
            assert behind.echo.paths == []
            async with asyncio.timeout(20):
                while (await alone.http("/healthz", None, method="GET")).status != 503:
                    await asyncio.sleep(0.05)


async def test_an_auth_that_protects_introspection_answers_a_gateway_with_a_service_key_alone(
    servers: Servers, behind: Behind, tmp_path: Path, auth_database: TestDatabase
) -> None:
    """RFC 7662 section 2.1."""
    key = make_master_key()
    protected = {"AUTH_PROTECT_INTROSPECTION": True, "AUTH_SERVICE_KEYS": key}
    config = auth_config(auth_database, servers.redis.url, **protected)
    async with running_auth(auth_database, config) as auth:
        token = (await auth.sign_up()).tokens.access_token
        for presented, status in ((f"{PREFIX}{key}", 200), (f"{PREFIX}{make_master_key()}", 503), ("", 503)):
            target = f"127.0.0.1:{auth.server.port}"
            async with running_envoy(tmp_path, [target], [behind.echo.target], ECHO_METHODS, presented) as before:
                assert (await before.http(TELL, token=token)).status == status


async def test_a_replica_that_is_killed_costs_nobody_a_read(
    servers: Servers, behind: Behind, tmp_path: Path, auth_database: TestDatabase
) -> None:
    """R60: neither those that it had in its hands, nor those that would have been its next."""
    key = make_master_key()
    async with (
        processes.serving(auth_database, servers.redis.url, AUTH_MASTER_KEY=key) as (doomed, served),
        running_auth(auth_database, auth_config(auth_database, servers.redis.url, AUTH_MASTER_KEY=key)) as staying,
    ):
        reading = asyncio.create_task(served.until("never"))
        [port] = [event["port"] for event in served.events if event["event"] == "serving"]
        targets = [f"127.0.0.1:{port}", f"127.0.0.1:{staying.server.port}"]
        async with running_envoy(tmp_path, targets, [behind.echo.target]) as before, before.stubs() as through:
            await doomed.sign_up()
            tokens = (await through.log_in()).tokens
            numbers = iter(range(600))

            async def read() -> None:
                for number in numbers:
                    if number == 200:
                        os.kill(served._process.pid, signal.SIGKILL)
                    await through.account.GetProfile(GetProfileRequest(), metadata=bearer(tokens))

            await asyncio.gather(*(read() for _ in range(8)))
            await _until(before.child.output, f'"upstream":"{targets[0]}"')
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_envoy_itself_accepts_the_configuration(behind: Behind, tmp_path: Path) -> None:
    config = envoy.configure(behind.envoy.gateway, tmp_path, envoy.passed())
    command = [Path(sys.executable).parent / "envoy", "--mode", "validate", "--config-path", config]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()

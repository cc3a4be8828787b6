"""Both services over TLS, with a certificate of its own for each."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from structlog.typing import EventDict

from chat_service import server as chat_server
from protos.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from protos.chat.v1 import conversation_service_pb2, conversation_service_pb2_grpc
from shared.grpc import channels, runtime
from tests.auth import processes
from tests.authtest import PASSWORD, auth_config, bearer
from tests.authtest import server as auth_server
from tests.certificates import Identity, Side, certificate_of, credentials, shown_at
from tests.chattest import chat_config
from tests.servers import Servers, TestDatabase, fresh_database
from tools.certificates import CA, CERTIFICATE, KEY, Authority

OURS, NEXT = Authority.new("Ours"), Authority.new("Next")


@pytest.fixture
async def chat_database(servers: Servers) -> AsyncIterator[TestDatabase]:
    async with fresh_database(servers, "chat") as database:
        yield database


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read again many times a second."""
    for module in (runtime, channels):
        monkeypatch.setattr(module, "RELOAD_SECONDS", 0.02)


@dataclass
class Both:
    """Auth, which asks for certificates, and chat, which has one, with the files of each."""

    auth_port: int
    chat_port: int
    auth_side: Side
    chat_side: Side
    chat_to_auth: Side

    async def create(self, token: str) -> None:
        """A call to chat, for which chat asks auth."""
        request = conversation_service_pb2.CreateConversationRequest()
        async with grpc.aio.secure_channel(f"127.0.0.1:{self.chat_port}", credentials(OURS)) as channel:
            stub = conversation_service_pb2_grpc.ConversationServiceStub(channel)
            await stub.CreateConversation(request, metadata=bearer(token), timeout=10)


@pytest.fixture
async def both(
    auth_database: TestDatabase, chat_database: TestDatabase, servers: Servers, tmp_path: Path
) -> AsyncIterator[Both]:
    auth_side = Side(tmp_path / "auth").put(OURS.issue("auth", "127.0.0.1"), OURS)
    chat_side = Side(tmp_path / "chat").put(OURS.issue("chat", "127.0.0.1"))
    to_auth = Side(tmp_path / "chat-to-auth", "auth").put(OURS.issue("chat"), OURS)
    auth = auth_config(
        auth_database,
        servers.redis.url,
        AUTH_ALLOW_PLAINTEXT=False,
        AUTH_TLS_CERTIFICATE_FILE=auth_side.folder / CERTIFICATE,
        AUTH_TLS_KEY_FILE=auth_side.folder / KEY,
        AUTH_TLS_CLIENT_CA_FILE=auth_side.folder / CA,
    )
    async with auth_server.build(auth) as auth_listening:
        chat = chat_config(
            chat_database,
            servers.redis.url,
            f"127.0.0.1:{auth_listening.port}",
            allow_plaintext=False,
            tls_certificate_file=chat_side.folder / CERTIFICATE,
            tls_key_file=chat_side.folder / KEY,
            auth_ca_file=to_auth.folder / CA,
            auth_certificate_file=to_auth.folder / CERTIFICATE,
            auth_key_file=to_auth.folder / KEY,
        )
        async with chat_server.build(chat) as chat_listening:
            yield Both(auth_listening.port, chat_listening.port, auth_side, chat_side, to_auth)


async def sign_up(port: int, identity: Identity | None) -> str:
    """An access token, for who shows this certificate."""
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials(OURS, identity)) as channel:
        request = auth_service_pb2.SignUpRequest(email="ada@example.com", password=PASSWORD)
        answer = await auth_service_pb2_grpc.AuthServiceStub(channel).SignUp(request, timeout=20)
    return str(answer.tokens.access_token)


async def test_chat_shows_auth_its_certificate_and_who_shows_none_does_not_reach_auth(both: Both) -> None:
    """R54."""
    for stranger in (None, NEXT.issue("chat")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await sign_up(both.auth_port, stranger)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    await both.create(await sign_up(both.auth_port, OURS.issue("gateway")))


async def test_certificates_and_the_ca_change_without_a_restart_and_no_call_fails(
    both: Both, logs: list[EventDict]
) -> None:
    """R54; first both CAs are believed, then the new certificates are shown, then the new CA alone is believed."""
    token = await sign_up(both.auth_port, OURS.issue("gateway"))
    done = asyncio.Event()

    async def call_all_the_while() -> int:
        calls = 0
        while not done.is_set():
            await both.create(token)
            calls += 1
        return calls

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        calling = group.create_task(call_all_the_while())
        both.auth_side.put(None, OURS, NEXT)
        both.chat_to_auth.put(None, OURS, NEXT)
        await both_renewed(logs, 1)
        await both.create(token)
        shown = NEXT.issue("auth", "127.0.0.1")
        both.auth_side.put(shown)
        both.chat_to_auth.put(NEXT.issue("chat"))
        await both_renewed(logs, 2)
        assert await shown_at(both.auth_port) == certificate_of(shown)
        await both.create(token)
        both.auth_side.put(None, NEXT)
        both.chat_to_auth.put(None, NEXT)
        await both_renewed(logs, 3)
        await both.create(token)
        done.set()
    assert calling.result() > 0
    assert not await is_let_in(both.auth_port, OURS.issue("gateway"))
    assert await is_let_in(both.auth_port, NEXT.issue("gateway"))


async def both_renewed(logs: list[EventDict], times: int) -> None:
    """Wait until auth, and chat for its way to auth, have taken new files so many times."""
    while [line["side"] for line in logs if line["event"] == "certificates renewed"].count("server") < times:
        await asyncio.sleep(0.01)
    while [line["side"] for line in logs if line["event"] == "certificates renewed"].count("auth") < times:
        await asyncio.sleep(0.01)


async def is_let_in(port: int, identity: Identity) -> bool:
    """Whether auth takes a new connection from who shows this."""
    believed = grpc.ssl_channel_credentials(OURS.certificate + NEXT.certificate, identity[1], identity[0])
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", believed, options=options) as channel:
        try:
            await auth_service_pb2_grpc.AuthServiceStub(channel).GetJwks(auth_service_pb2.GetJwksRequest(), timeout=10)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - nobody else fails here
            return False
        return True


def settings_of(side: Side) -> dict[str, str]:
    return {
        "APP_ENV": "production",
        "AUTH_ALLOW_PLAINTEXT": "false",
        "AUTH_TLS_CERTIFICATE_FILE": str(side.folder / CERTIFICATE),
        "AUTH_TLS_KEY_FILE": str(side.folder / KEY),
        "AUTH_TLS_CLIENT_CA_FILE": str(side.folder / CA),
    }


async def test_a_process_of_auth_takes_new_certificates_by_itself(
    auth_database: TestDatabase, servers: Servers, tmp_path: Path
) -> None:
    """R54, as operators run it: in production and with the pauses that it has there."""
    side = Side(tmp_path / "auth").put(OURS.issue("auth", "127.0.0.1"), OURS)
    async with processes.serving(auth_database, servers.redis.url, **settings_of(side)) as (_, served):
        port = next(line["port"] for line in served.events if line["event"] == "serving")
        await sign_up(port, OURS.issue("gateway"))
        shown = NEXT.issue("auth", "127.0.0.1")
        side.put(shown, NEXT)
        await served.until("certificates renewed")
        async with asyncio.timeout(30):
            while await shown_at(port) != certificate_of(shown):
                await asyncio.sleep(0.1)
            while await is_let_in(port, OURS.issue("gateway")):
                await asyncio.sleep(0.1)
        assert await is_let_in(port, NEXT.issue("gateway"))


async def test_files_that_cannot_be_used_keep_the_service_from_starting_but_not_its_migrations(
    auth_database: TestDatabase, servers: Servers, tmp_path: Path
) -> None:
    side = Side(tmp_path / "auth").put((OURS.issue("auth")[0], OURS.issue("auth")[1]), OURS)
    settings = processes.environment(auth_database, servers.redis.url, **settings_of(side))
    ended = await processes.run(settings, "serve")
    key = side.folder / KEY
    assert (ended.code, ended.last_line) == (2, f"AUTH_TLS_KEY_FILE {key} does not belong to the certificate beside it")
    key.unlink()
    ended = await processes.run(settings, "serve")
    assert (ended.code, ended.last_line) == (2, f"AUTH_TLS_KEY_FILE {key} cannot be read (No such file or directory)")
    migrated = await processes.run(settings | {"AUTH_MIGRATION_DATABASE_URL": auth_database.owner_url}, "migrate")
    assert migrated.code == 0

"""Both services together, as a gateway's back end uses them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest

from chat_service import server as chat_server
from chat_service.config import ChatConfig
from protos.auth.v1.auth_service_pb2 import BatchVerifyTokensRequest, VerifyTokenRequest
from protos.chat.v1 import (
    conversation_service_pb2,
    conversation_service_pb2_grpc,
    message_service_pb2,
    message_service_pb2_grpc,
    resources_pb2,
)
from tests.auth import processes
from tests.auth.forge import forge
from tests.authtest import SERVICE_KEY, Auth, auth_config, bearer, running_auth
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, fresh_database, make_master_key


@pytest.fixture
async def chat_database(servers: Servers) -> AsyncIterator[TestDatabase]:
    async with fresh_database(servers, "chat") as database:
        yield database


def chat_config(database: TestDatabase, redis_url: str, auth_port: int) -> ChatConfig:
    values = {
        "port": 0,
        "ops_port": 0,
        "database_url": database.url,
        "master_key": make_master_key(),
        "REDIS_URL": redis_url,
        "auth_target": f"127.0.0.1:{auth_port}",
        "service_key": SERVICE_KEY,
        "shutdown_grace_seconds": 0,
    }
    return ChatConfig.model_validate(values)


class Chat:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.conversations = conversation_service_pb2_grpc.ConversationServiceStub(channel)
        self.messages = message_service_pb2_grpc.MessageServiceStub(channel)

    async def create(self, token: str) -> resources_pb2.Conversation:
        request = conversation_service_pb2.CreateConversationRequest()
        return (await self.conversations.CreateConversation(request, metadata=bearer(token), timeout=10)).conversation

    async def send(self, token: str, conversation: str, text: str) -> resources_pb2.Message:
        request = message_service_pb2.SendMessageRequest(
            conversation_id=conversation, role=resources_pb2.ROLE_USER, parts=[resources_pb2.Part(text=text)]
        )
        return (await self.messages.SendMessage(request, metadata=bearer(token), timeout=10)).message


@pytest.fixture
async def chat(auth: Auth, chat_database: TestDatabase, servers: Servers) -> AsyncIterator[Chat]:
    config = chat_config(chat_database, servers.redis.url, auth.server.port)
    async with (
        chat_server.build(config) as listening,
        grpc.aio.insecure_channel(f"127.0.0.1:{listening.port}") as channel,
    ):
        yield Chat(channel)


async def test_the_main_job(auth: Auth, chat: Chat) -> None:
    tokens = (await auth.sign_up()).tokens
    conversation = await chat.create(tokens.access_token)
    for text in ("Hello", "Is anybody there?"):
        await chat.send(tokens.access_token, conversation.id, text)
    listing = message_service_pb2.ListMessagesRequest(conversation_id=conversation.id)
    page = await chat.messages.ListMessages(listing, metadata=bearer(tokens))
    assert [(one.position, one.parts[0].text) for one in page.messages] == [(1, "Hello"), (2, "Is anybody there?")]
    renewed = (await auth.refresh(tokens.refresh_token)).tokens
    assert (await chat.send(renewed.access_token, conversation.id, "Still here")).position == 3
    await auth.log_out(renewed)
    refused = await failure(chat.create(renewed.access_token))
    assert (refused.code, refused.facts["inactive_reason"]) == (grpc.StatusCode.UNAUTHENTICATED, "REVOKED")


async def test_chat_refuses_the_very_next_call_after_log_out(auth: Auth, chat: Chat) -> None:
    """R20."""
    await auth.sign_up()
    for _ in range(20):
        tokens = (await auth.log_in()).tokens
        await chat.create(tokens.access_token)
        await auth.log_out(tokens)
        assert (await failure(chat.create(tokens.access_token))).code is grpc.StatusCode.UNAUTHENTICATED


async def test_chat_takes_tokens_that_are_for_chat_and_have_its_scope(auth: Auth, chat: Chat) -> None:
    """R31."""
    forged = await forge(auth, (await auth.sign_up()).tokens)
    assert (await chat.create(forged.token(aud=["chat"], scope="chat.write"))).id
    refused = await failure(chat.create(forged.token(aud=["auth"])))
    assert (refused.reason, refused.facts) == ("UNAUTHENTICATED", {"inactive_reason": "INVALID"})
    refused = await failure(chat.create(forged.token(scope="chat.read")))
    assert (refused.reason, refused.facts) == ("PERMISSION_DENIED", {"required_scope": "chat.write"})


async def test_chat_refuses_what_it_cannot_have_verified_and_recovers_with_auth(
    auth_database: TestDatabase, chat_database: TestDatabase, servers: Servers
) -> None:
    """F25: it serves valid callers for the seconds of the silence, then fails closed, and goes on when auth is back."""
    config = auth_config(auth_database, servers.redis.url)
    async with AsyncExitStack() as stack:
        async with running_auth(auth_database, config) as auth:
            port = auth.server.port
            tokens = (await auth.sign_up()).tokens
            listening = await stack.enter_async_context(
                chat_server.build(chat_config(chat_database, servers.redis.url, port))
            )
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{listening.port}"))
            chat = Chat(channel)
            await chat.create(tokens.access_token)
        assert await _works(chat, tokens.access_token)
        async with asyncio.timeout(10):
            while await _works(chat, tokens.access_token):
                await asyncio.sleep(0.05)
        refused = await failure(chat.create(tokens.access_token))
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
        again = auth_config(auth_database, servers.redis.url, AUTH_MASTER_KEY=config.master_key, AUTH_PORT=port)
        async with running_auth(auth_database, again), asyncio.timeout(10):
            while not await _works(chat, tokens.access_token):
                await asyncio.sleep(0.05)


async def test_two_processes_of_auth_accept_none_of_ten_thousand_after_log_out(
    auth_database: TestDatabase, servers: Servers
) -> None:
    """R20, with nothing shared but Postgres and Redis."""
    key = make_master_key()
    async with (
        processes.serving(auth_database, servers.redis.url, AUTH_MASTER_KEY=key) as (first, first_process),
        processes.serving(auth_database, servers.redis.url, AUTH_MASTER_KEY=key) as (second, second_process),
        processes.listening_to(first_process, second_process),
    ):
        await first.sign_up()
        tokens = []
        for _ in range(10):  # as many at once as a slow machine hashes in time
            tokens += [one.tokens for one in await asyncio.gather(*(first.log_in() for _ in range(10)))]
        batch = BatchVerifyTokensRequest(access_tokens=[one.access_token for one in tokens])
        for server in (first, second):
            assert all(result.active for result in (await server.auth.BatchVerifyTokens(batch)).results)
        await asyncio.gather(*(second.log_out(one) for one in tokens))
        accepted, asked = 0, 0
        for _ in range(50):
            for server in (first, second):
                results = (await server.auth.BatchVerifyTokens(batch)).results
                accepted, asked = accepted + sum(result.active for result in results), asked + len(results)
        single = VerifyTokenRequest(access_token=tokens[0].access_token)
        answers = await asyncio.gather(*(server.auth.VerifyToken(single) for server in (first, second)))
        assert (accepted, asked) == (0, 10_000)
        assert not any(answer.active for answer in answers)


async def _works(chat: Chat, token: str) -> bool:
    try:
        await chat.create(token)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - nothing else may come while auth is away
        return False
    return True

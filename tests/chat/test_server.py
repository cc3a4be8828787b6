import asyncio
import urllib.request

import asyncpg
import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos.auth.v1 import auth_service_pb2
from shared.embedded import free_port
from tests.chattest import StandInAuth, chat_config, running_chat, running_stand_in_auth
from tests.grpc_errors import failure
from tests.servers import fetch

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ("ConversationService", "MessageService", "ComponentService", "InteractionService")


async def test_it_serves_what_the_protos_say_and_says_that_it_is_healthy(chat):
    health = health_pb2_grpc.HealthStub(chat.channel)
    for name in ("", *(f"chat.v1.{service}" for service in SERVICES), "postgres", "redis"):
        assert (await health.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING, name


async def test_while_auth_is_gone_calls_are_refused_and_soon_after_it_is_back_they_are_served(servers, chat_database):
    port = free_port()
    config = chat_config(chat_database, servers.redis.url, f"127.0.0.1:{port}")
    async with running_chat(chat_database, config) as chat:
        ada = chat.person()
        async with running_stand_in_auth(port):
            await ada.converse()
        refused = await failure(ada.converse())
        assert (refused.code, refused.reason) == (StatusCode.UNAVAILABLE, "UNAVAILABLE")
        assert refused.retry_seconds
        health = health_pb2_grpc.HealthStub(chat.channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == SERVING
        async with running_stand_in_auth(port), asyncio.timeout(5):
            while not await converses(ada):
                await asyncio.sleep(0.05)


async def converses(person):
    try:
        await person.converse()
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_a_token_that_is_not_active_is_refused_with_the_reason(chat, ada, monkeypatch):
    inactive = auth_service_pb2.VerifyTokenResponse(active=False, inactive_reason="INACTIVE_REASON_REVOKED")
    monkeypatch.setattr(StandInAuth, "_result", lambda *_: inactive)
    refused = await failure(ada.converse())
    assert (refused.code, refused.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert refused.facts == {"inactive_reason": "REVOKED"}


async def test_what_the_tables_lack_shows_as_an_internal_error_and_heals(chat, ada):
    await fetch(chat.database.owner_url, "ALTER TABLE components RENAME TO elsewhere")
    conversation = await ada.converse()
    assert (await failure(ada.build(conversation))).code is StatusCode.INTERNAL
    await fetch(chat.database.owner_url, "ALTER TABLE elsewhere RENAME TO components")
    assert (await ada.build(conversation)).version == 1


async def test_the_role_that_serves_makes_no_tables(chat):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(chat.database.url, "CREATE TABLE mine (id integer)")


async def test_queries_and_batches_are_measured(servers, chat_database, auth_target):
    port = free_port()
    config = chat_config(chat_database, servers.redis.url, auth_target, ops_port=port)
    async with running_chat(chat_database, config) as chat:
        ada = chat.person()
        await ada.say(await ada.converse())
        url = f"http://127.0.0.1:{port}/metrics"
        page = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    for measure in ('query="chat_messages.append"', 'batch="append"', 'method="/chat.v1.MessageService/SendMessage"'):
        assert measure in page

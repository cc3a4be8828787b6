"""A chat service in the process of a test, the auth that it asks, and the people who use it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc

from chat_service import server
from chat_service.config import ChatConfig
from protos.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from protos.auth.v1 import resources_pb2 as auth_resources_pb2
from protos.chat.v1 import (
    component_service_pb2,
    component_service_pb2_grpc,
    conversation_service_pb2,
    conversation_service_pb2_grpc,
    interaction_service_pb2,
    interaction_service_pb2_grpc,
    message_service_pb2,
    message_service_pb2_grpc,
    resources_pb2,
)
from shared import ids
from shared.grpc.server import GrpcServer
from tests.servers import TestDatabase, make_master_key

SERVICES = [
    service
    for module in (conversation_service_pb2, message_service_pb2, component_service_pb2, interaction_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
]
USER = resources_pb2.ROLE_USER
ASSISTANT = resources_pb2.ROLE_ASSISTANT


# Sign-ins that the stand-in auth no longer believes.
ENDED: set[str] = set()


class StandInAuth(auth_service_pb2_grpc.AuthServiceServicer):
    """Believes every token of the form user:session, so that a test can be anybody."""

    async def BatchVerifyTokens(self, request, context):  # noqa: N802, ARG002 - the RPC's method
        results = [self._result(*token.split(":")) for token in request.access_tokens]
        return auth_service_pb2.BatchVerifyTokensResponse(results=results)

    def _result(self, user_id, session_id, *roles):
        if session_id in ENDED:
            revoked = auth_resources_pb2.INACTIVE_REASON_REVOKED
            return auth_service_pb2.VerifyTokenResponse(active=False, inactive_reason=revoked)
        result = auth_service_pb2.VerifyTokenResponse(active=True, user_id=user_id, session_id=session_id, roles=roles)
        result.expire_time.FromDatetime(datetime.now(UTC) + timedelta(minutes=10))
        return result


class Person:
    """One sign-in of a user: every RPC of chat as a method, with the bearer token and a request by keywords."""

    def __init__(self, channel: grpc.aio.Channel, user_id: UUID, session_id: UUID) -> None:
        self.user_id, self.session_id = str(user_id), str(session_id)
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {user_id}:{session_id}"),)
        self._calls = dict(_calls(channel))

    def __getattr__(self, rpc: str) -> Callable[..., Any]:
        request_class, call = self._calls[rpc]
        return lambda request=None, **fields: call(request or request_class(**fields), metadata=self._metadata)

    def elsewhere(self) -> "Person":
        """The same user on another sign-in."""
        return Person(self._channel, UUID(self.user_id), ids.new_id())

    async def converse(self, **fields: Any) -> resources_pb2.Conversation:
        """A conversation of this user's."""
        request = resources_pb2.Conversation(**fields)
        return (await self.CreateConversation(conversation=request)).conversation

    async def say(
        self, conversation: resources_pb2.Conversation, text: str = "Hello", **fields: Any
    ) -> resources_pb2.Message:
        """A message of this user's."""
        request = message(conversation, text, **fields)
        return (await self.SendMessage(request)).message

    async def build(
        self, conversation: resources_pb2.Conversation, name: str = "App.tsx", request_id: str = "", **fields: Any
    ) -> resources_pb2.Component:
        """A component in a conversation."""
        wanted = {"type": "text/tsx", "content": "first", **fields}
        component = resources_pb2.Component(conversation_id=conversation.id, name=name, **wanted)
        return (await self.CreateComponent(component=component, request_id=request_id)).component


@dataclass
class Chat:
    """One chat service, with what a test needs to look behind it."""

    server: GrpcServer
    channel: grpc.aio.Channel
    database: TestDatabase
    config: ChatConfig
    users: dict[str, UUID] = field(default_factory=dict)

    def person(self, name: str = "ada") -> Person:
        """A new sign-in of the user of that name."""
        return Person(self.channel, self.users.setdefault(name, ids.new_id()), ids.new_id())


def message(
    conversation: resources_pb2.Conversation | str, text: str = "Hello", **fields: Any
) -> message_service_pb2.SendMessageRequest:
    """A request to append a text."""
    conversation_id = conversation if isinstance(conversation, str) else conversation.id
    values = {"role": USER, "parts": [resources_pb2.Part(text=text)], **fields}
    return message_service_pb2.SendMessageRequest(conversation_id=conversation_id, **values)


def texts(messages: Iterable[resources_pb2.Message]) -> list[str]:
    return [one.parts[0].text for one in messages]


def chat_config(database: TestDatabase, redis_url: str, auth_target: str, **overrides: object) -> ChatConfig:
    values = {
        "port": 0,
        "ops_port": 0,
        "database_url": database.url,
        "master_key": make_master_key(),
        "REDIS_URL": redis_url,
        "auth_target": auth_target,
        "shutdown_grace_seconds": 0,
        "allow_plaintext": True,
        **overrides,
    }
    return ChatConfig.model_validate(values | {f"CHAT_{name}".upper(): value for name, value in values.items()})


@asynccontextmanager
async def running_stand_in_auth(port: int = 0) -> AsyncIterator[str]:
    stand_in = grpc.aio.server()
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(StandInAuth(), stand_in)
    port = stand_in.add_insecure_port(f"127.0.0.1:{port}")
    await stand_in.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await stand_in.stop(None)


@asynccontextmanager
async def running_chat(database: TestDatabase, config: ChatConfig) -> AsyncIterator[Chat]:
    async with server.build(config) as listening, grpc.aio.insecure_channel(f"127.0.0.1:{listening.port}") as channel:
        yield Chat(listening, channel, database, config)


async def gather(*calls: Any) -> list[Any]:
    """All answers, failures among them as AioRpcError."""

    async def settle(call: Any) -> Any:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            return error

    return await asyncio.gather(*(settle(call) for call in calls))


def _calls(channel: grpc.aio.Channel) -> Iterable[tuple[str, tuple[Any, Any]]]:
    stubs = (
        (conversation_service_pb2, conversation_service_pb2_grpc.ConversationServiceStub),
        (message_service_pb2, message_service_pb2_grpc.MessageServiceStub),
        (component_service_pb2, component_service_pb2_grpc.ComponentServiceStub),
        (interaction_service_pb2, interaction_service_pb2_grpc.InteractionServiceStub),
    )
    for module, stub in stubs:
        made = stub(channel)
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield method.name, (method.input_type._concrete_class, getattr(made, method.name))

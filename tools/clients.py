"""Stubs of both services on channels of their own, for the commands that call a running stack."""

import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import uvloop

from protos.auth.v1 import account_service_pb2_grpc, auth_service_pb2, auth_service_pb2_grpc
from protos.auth.v1.resources_pb2 import Tokens, User
from protos.chat.v1 import (
    component_service_pb2_grpc,
    conversation_service_pb2_grpc,
    interaction_service_pb2_grpc,
    message_service_pb2_grpc,
)
from tools import channels
from tools.folder import Stack
from tools.ui import Failure

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Every service by its subject."""

    auth: auth_service_pb2_grpc.AuthServiceStub
    accounts: account_service_pb2_grpc.AccountServiceStub
    conversations: conversation_service_pb2_grpc.ConversationServiceStub
    messages: message_service_pb2_grpc.MessageServiceStub
    components: component_service_pb2_grpc.ComponentServiceStub
    interactions: interaction_service_pb2_grpc.InteractionServiceStub


@dataclass(slots=True, kw_only=True)
class Person:
    """Somebody who is signed in."""

    email: str
    user: User
    tokens: Tokens

    @property
    def bearer(self) -> tuple[tuple[str, str], ...]:
        """The metadata that says who calls."""
        return (("authorization", f"Bearer {self.tokens.access_token}"),)


@contextlib.asynccontextmanager
async def clients(stack: Stack) -> AsyncIterator[Clients]:
    """Connect to both services."""
    async with (
        channels.concurrent(stack.auth_target, stack.tls_dir) as auth,
        channels.concurrent(stack.chat_target, stack.tls_dir) as chat,
    ):
        yield Clients(
            auth=auth_service_pb2_grpc.AuthServiceStub(auth),
            accounts=account_service_pb2_grpc.AccountServiceStub(auth),
            conversations=conversation_service_pb2_grpc.ConversationServiceStub(chat),
            messages=message_service_pb2_grpc.MessageServiceStub(chat),
            components=component_service_pb2_grpc.ComponentServiceStub(chat),
            interactions=interaction_service_pb2_grpc.InteractionServiceStub(chat),
        )


async def log_in(to: Clients, email: str, password: str) -> Person:
    """A new session of an account."""
    answer = await to.auth.LogIn(auth_service_pb2.LogInRequest(email=email, password=password, device_label="tools"))
    return Person(email=email, user=answer.user, tokens=answer.tokens)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run calls to their end; one that fails and should not ends the command with a sentence."""
    try:
        return uvloop.run(work)
    except grpc.aio.AioRpcError as error:
        raise _failure(error) from None
    except ExceptionGroup as group:
        first = next(_leaves(group))
        if isinstance(first, grpc.aio.AioRpcError):
            raise _failure(first) from None
        raise


def _failure(error: grpc.aio.AioRpcError) -> Failure:
    return Failure(f"A call failed that should not: {error.code().name}: {error.details()}")


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error

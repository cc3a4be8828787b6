"""Who watches a conversation: what is told, in order, and where to go on."""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

import grpc

from protos.chat.v1 import live_pb2, resources_pb2
from tests.chattest import Person

PATIENCE_SECONDS = 20


class Watch:
    """One stream of a conversation."""

    def __init__(self, person: Person, conversation: resources_pb2.Conversation | str, **begin: Any) -> None:
        conversation_id = conversation if isinstance(conversation, str) else conversation.id
        self.stream = person.WatchConversation(conversation_id=conversation_id, **begin)
        self.cursor: str = begin.get("cursor", "")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stream.cancel()

    async def next(self) -> live_pb2.WatchConversationResponse:
        """The next event."""
        told = await asyncio.wait_for(self.stream.read(), PATIENCE_SECONDS)
        assert told is not grpc.aio.EOF
        self.cursor = told.cursor
        return told

    async def take(self, count: int) -> list[live_pb2.WatchConversationResponse]:
        """So many events."""
        return [await self.next() for _ in range(count)]

    async def synced(self) -> list[live_pb2.WatchConversationResponse]:
        """All events until everything has been told."""
        events = []
        while (told := await self.next()).WhichOneof("event") != "synced":
            events.append(told)
        return events

    async def ends(self) -> grpc.aio.AioRpcError:
        """How the stream ends."""
        try:
            while True:
                await self.next()
        except grpc.aio.AioRpcError as error:
            return error


def what(event: live_pb2.WatchConversationResponse) -> Any:
    """What an event tells."""
    return getattr(event, str(event.WhichOneof("event")))


def kinds(events: Sequence[live_pb2.WatchConversationResponse]) -> list[str]:
    return [str(event.WhichOneof("event")) for event in events]


def revisions(events: Sequence[live_pb2.WatchConversationResponse]) -> list[int]:
    return [what(event).revision for event in events]

"""A chat service whose models are played by script, and streams of answers as a client reads them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from protos.chat.v1 import resources_pb2 as pb
from tests.chattest import Chat, chat_config, running_chat
from tests.providertest import Provider

QUEUED, RUNNING = pb.INTERACTION_STATE_QUEUED, pb.INTERACTION_STATE_RUNNING
COMPLETED, FAILED = pb.INTERACTION_STATE_COMPLETED, pb.INTERACTION_STATE_FAILED
CANCELLED, INTERRUPTED = pb.INTERACTION_STATE_CANCELLED, pb.INTERACTION_STATE_INTERRUPTED
PATIENCE = 20


@asynccontextmanager
async def generating_chat(database, redis_url, auth_target, provider: Provider, **overrides) -> AsyncIterator[Chat]:
    told = {"provider_url": provider.url, "provider_api_key": provider.key, "provider_model": "test", **overrides}
    async with running_chat(database, chat_config(database, redis_url, auth_target, **told)) as chat:
        yield chat


@dataclass
class Heard:
    """What came of a stream: the responses, and the failure that it ended with."""

    responses: list = field(default_factory=list)
    error: grpc.aio.AioRpcError | None = None

    @property
    def text(self):
        return "".join(one.delta.text for one in self.responses)

    @property
    def kinds(self):
        return [one.WhichOneof("event") for one in self.responses]

    @property
    def states(self):
        return [one.interaction.state for one in self.responses if one.HasField("interaction")]

    @property
    def messages(self):
        return [one.message for one in self.responses if one.HasField("message")]

    @property
    def last(self):
        return self.responses[-1].interaction

    @property
    def events(self):
        """The same for who asked and for who resumed."""
        return [(one.cursor, str(one)) for one in self.responses]


async def hear(stream, *, until=None, heard=None) -> Heard:
    """Read a stream to its end, or until so many events have come, and then leave."""
    heard = Heard() if heard is None else heard
    try:
        async with asyncio.timeout(PATIENCE):
            while until is None or len(heard.responses) < until:
                response = await stream.read()
                if response is grpc.aio.EOF:
                    await stream.code()
                    break
                heard.responses.append(response)
    except grpc.aio.AioRpcError as error:
        heard.error = error
    if until is not None:
        stream.cancel()
    return heard


async def hear_events(stream, count) -> Heard:
    """So many events of a stream that goes on."""
    heard = Heard()
    async with asyncio.timeout(PATIENCE):
        while len(heard.responses) < count:
            heard.responses.append(await stream.read())
    return heard


def text(said):
    return [pb.Part(text=said)]


async def state_of(person, interaction_id):
    return (await person.GetInteraction(interaction_id=interaction_id)).interaction.state

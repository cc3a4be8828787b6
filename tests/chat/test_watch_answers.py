"""Who watches a conversation reads an answer as it is written, whichever replica writes it, each piece once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from protos.chat.v1 import live_pb2
from protos.chat.v1 import resources_pb2 as pb
from tests.chat.generating import COMPLETED, RUNNING, generating_chat, hear, text
from tests.chat.watching import Watch, kinds
from tests.chattest import Chat, Person
from tests.providertest import Hold, Provider, Say, running_provider
from tests.servers import Servers, TestDatabase

WORDS = " ".join(f"word{number}" for number in range(60))


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as running:
        yield running


@pytest.fixture
async def chat(
    servers: Servers, chat_database: TestDatabase, auth_target: str, provider: Provider
) -> AsyncIterator[Chat]:
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider) as running:
        yield running


@pytest.fixture
async def twin(servers: Servers, chat: Chat, auth_target: str, provider: Provider) -> AsyncIterator[Chat]:
    async with generating_chat(chat.database, servers.redis.url, auth_target, provider) as running:
        yield running


def at(chat: Chat, person: Person) -> Person:
    return Person(chat.channel, person.user_id, person.session_id)


async def to_the_end(watch: Watch) -> list[live_pb2.WatchConversationResponse]:
    """All events up to the end of a run."""
    events = [await watch.next()]
    while events[-1].interaction.state != COMPLETED:
        events.append(await watch.next())
    return events


def said(events: list[live_pb2.WatchConversationResponse]) -> str:
    return "".join(event.delta.text for event in events)


async def test_an_answer_is_told_piece_by_piece_between_its_beginning_and_its_message(ada, provider):
    provider.answer(Say(WORDS, pace=0.01))
    conversation = await ada.converse()
    async with Watch(ada.elsewhere(), conversation) as watch:
        await watch.synced()
        heard = await hear(ada.Generate(conversation_id=conversation.id, parts=text("Go on")))
        events = await to_the_end(watch)
    assert said(events) == heard.text == WORDS
    [begun] = [n for n, event in enumerate(events) if event.interaction.state == RUNNING]
    [kept] = [n for n, event in enumerate(events) if event.message.role == pb.ROLE_ASSISTANT]
    assert {n for n, kind in enumerate(kinds(events)) if kind == "delta"} <= set(range(begun + 1, kept))
    assert {event.delta.interaction_id for event in events if event.HasField("delta")} == {heard.last.id}


async def test_an_answer_that_another_replica_writes_is_told_too(ada, twin, provider):
    """Its last pieces may be in the message alone, which has all of it."""
    provider.answer(Say(WORDS, pace=0.05))
    conversation = await ada.converse()
    async with Watch(at(twin, ada), conversation) as watch:
        await watch.synced()
        await hear(ada.Generate(conversation_id=conversation.id, parts=text("Go on")))
        events = await to_the_end(watch)
    assert WORDS.startswith(said(events))
    assert said(events)
    assert [event.message.parts[0].text for event in events if event.message.role == pb.ROLE_ASSISTANT] == [WORDS]


async def test_a_stream_that_is_cut_amid_an_answer_goes_on_with_the_next_piece(ada, twin, provider):
    go_on = asyncio.Event()
    provider.answer(Say("one two ", pace=0.05), Hold(go_on), Say("three", pace=0.05))
    conversation = await ada.converse()
    writing = ada.Generate(conversation_id=conversation.id, parts=text("Go on"))
    text_so_far, cursor = "", ""
    while text_so_far != "one two ":
        async with Watch(ada, conversation, cursor=cursor) as watch:
            while not (told := await watch.next()).HasField("delta"):
                pass
            text_so_far += told.delta.text
            cursor = watch.cursor
    async with Watch(at(twin, ada), conversation, cursor=cursor) as watch:
        go_on.set()
        events = await to_the_end(watch)
    assert (text_so_far + "three").startswith(text_so_far + said(events))
    await hear(writing)

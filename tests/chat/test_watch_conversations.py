"""WatchConversations: each conversation's latest state at least once after its last change, no revision twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Self

import grpc
import pytest
from grpc import StatusCode

from chat_service import user_watches
from chat_service.live import Live
from protos.chat.v1 import live_pb2
from protos.chat.v1 import resources_pb2 as pb
from tests.chat.watching import PATIENCE_SECONDS
from tests.chattest import Chat, Person, chat_config, running_chat
from tests.grpc_errors import failure
from tests.servers import Servers, fetch


class List:
    """What a client shows: every conversation as it was told last."""

    def __init__(self, person: Person, **begin: Any) -> None:
        self.stream = person.WatchConversations(**begin)
        self.cursor: str = begin.get("cursor", "")
        self.shown: dict[str, pb.Conversation] = {}
        self.told: list[pb.Conversation] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stream.cancel()

    async def next(self) -> live_pb2.WatchConversationsResponse:
        told = await asyncio.wait_for(self.stream.read(), PATIENCE_SECONDS)
        assert told is not grpc.aio.EOF
        self.cursor = told.cursor
        if told.HasField("conversation"):
            self.told.append(told.conversation)
            self.shown[told.conversation.id] = told.conversation
        return told

    async def synced(self) -> Self:
        while not (await self.next()).HasField("synced"):
            pass
        return self

    async def until(self, *conversations: pb.Conversation) -> Self:
        """Read on until all of these are shown as they are."""
        while any(self.shown.get(each.id) != each for each in conversations):
            await self.next()
        return self

    def check_once(self) -> None:
        revisions = [(each.id, each.revision) for each in self.told]
        assert len(revisions) == len(set(revisions))


@pytest.fixture
async def twin(chat: Chat, servers: Servers, auth_target: str) -> AsyncIterator[Chat]:
    config = chat_config(chat.database, servers.redis.url, auth_target)
    async with running_chat(chat.database, config) as running:
        yield running


def at(chat: Chat, person: Person) -> Person:
    return Person(chat.channel, person.user_id, person.session_id)


async def as_they_are(person: Person) -> list[pb.Conversation]:
    return list((await person.ListConversations(show_deleted=True, page_size=200)).conversations)


async def test_a_new_client_is_told_of_all_in_the_order_of_change_and_then_of_what_happens(ada, bob):
    made = [await ada.converse(title=str(number)) for number in range(120)]
    await bob.converse(title="not hers")
    await ada.say(made[0])
    async with List(ada) as listed:
        await listed.synced()
        assert [each.title for each in listed.told] == [str(number) for number in [*range(1, 120), 0]]
        new = await ada.converse(title="new")
        await ada.say(new)
        change = pb.Conversation(id=made[5].id, title="renamed")
        renamed = (await ada.UpdateConversation(conversation=change)).conversation
        gone = (await ada.DeleteConversation(conversation_id=made[6].id)).conversation
        await listed.until(renamed, gone)
        assert gone.state == pb.CONVERSATION_STATE_DELETED
        await listed.until(*await as_they_are(ada))
        listed.check_once()


async def test_from_now_on_a_client_waits_for_synced_and_reads_the_pages_itself(ada, chat):
    old = await ada.converse(title="old")
    long_ago = "UPDATE conversations SET update_time = now() - interval '1 day'"
    await fetch(chat.database.owner_url, long_ago)
    async with List(ada, only_new=True) as listed:
        await listed.synced()
        assert listed.told == []
        await ada.say(old)
        (changed,) = await as_they_are(ada)
        await listed.until(changed)


async def test_any_replica_tells_what_was_written_through_another(ada, twin):
    conversation = await ada.converse()
    async with List(at(twin, ada)) as listed:
        await listed.synced()
        for number in range(20):
            await ada.say(conversation, str(number))
            await listed.until(*await as_they_are(ada))
        listed.check_once()


async def test_lost_hints_cost_a_poll_and_nothing_else(ada, twin, monkeypatch):
    conversation = await ada.converse()
    async with List(at(twin, ada)) as listed:
        await listed.synced()
        monkeypatch.setattr(Live, "publish", lambda *_: None)
        await ada.say(conversation)
        new = await ada.converse(title="new")
        await listed.until(new, *await as_they_are(ada))
        listed.check_once()


async def test_a_stream_cut_after_any_event_goes_on_and_ends_with_all_as_it_is(ada, twin, monkeypatch, chat):
    """The overlap is short here, so that what a cursor does not cover would be missed."""
    monkeypatch.setattr(user_watches, "OVERLAP", timedelta(milliseconds=1))
    made = [await ada.converse(title=str(number)) for number in range(60)]
    apart = "UPDATE conversations SET update_time = now() - (70 - title::integer) * interval '1 minute'"
    await fetch(chat.database.owner_url, apart)
    shown: dict[str, pb.Conversation] = {}
    cursor = ""
    for number in range(60):
        async with List(at(twin, ada), cursor=cursor) as listed:
            for _ in range(2):  # what came last comes again, as it lies within the overlap
                await listed.next()
            shown |= listed.shown
            cursor = listed.cursor
        if number % 10 == 0:
            await ada.say(made[number])
    async with List(ada, cursor=cursor) as listed:
        await listed.synced()
        shown |= listed.shown
    assert shown == {each.id: each for each in await as_they_are(ada)}


async def test_a_change_that_commits_late_is_told_though_its_time_is_past(ada, chat):
    """Its transaction began before others that were told already."""
    late, other = await ada.converse(title="late"), await ada.converse(title="other")
    async with List(ada) as listed:
        await listed.synced()
        await ada.say(other)
        await listed.until(*await as_they_are(ada))
        a_minute_ago = """UPDATE conversations SET title = 'at last', revision = revision + 1,
            update_time = now() - interval '1 minute' WHERE id = $1"""
        await fetch(chat.database.owner_url, a_minute_ago, late.id)
        await listed.until(*await as_they_are(ada))
        assert listed.shown[late.id].title == "at last"
        listed.check_once()


async def test_racing_writers_through_two_replicas_end_with_all_shown_as_it_is(ada, chat, twin):
    made = [await ada.converse(title=str(number)) for number in range(10)]

    async def write(person: Person, conversation: pb.Conversation) -> None:
        for number in range(10):
            await person.say(conversation, str(number))
            change = pb.Conversation(id=conversation.id, title=f"{conversation.title} {number}")
            await person.UpdateConversation(conversation=change)

    people = [at(chat, ada.elsewhere()), at(twin, ada.elsewhere())]
    async with List(ada) as mine, List(at(twin, ada), only_new=True) as theirs:
        await asyncio.gather(*(write(person, each) for person in people for each in made))
        for listed in (mine, theirs):
            await listed.until(*await as_they_are(ada))
            listed.check_once()


@pytest.mark.parametrize("cursor", ["x", "AAAA", "A" * 18, "é"])
async def test_what_is_no_cursor_is_refused(ada, cursor):
    refused = await failure(ada.WatchConversations(cursor=cursor))
    assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, ["cursor"])


async def test_a_cursor_of_another_user_is_refused(ada, bob):
    async with List(ada) as listed:
        await listed.synced()
        refused = await failure(bob.WatchConversations(cursor=listed.cursor))
    assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, ["cursor"])


async def test_appends_stay_in_place_beside_the_index_that_finds_what_changed(ada, chat):
    """HOT: the hour of the last change is indexed, and an append leaves it as it was."""
    conversation = await ada.converse()
    await asyncio.gather(*(ada.say(conversation) for _ in range(100)))
    query = "SELECT active_hour = date_trunc('hour', update_time, 'UTC') AS same FROM conversations"
    assert [row["same"] for row in await fetch(chat.database.owner_url, query)] == [True]

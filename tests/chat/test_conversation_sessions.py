import asyncio
import random

import pytest
from grpc import StatusCode

from protos.chat.v1 import resources_pb2 as pb
from shared import ids
from tests.chat.sharing import ada, auth_target, bob, chat, chat_database  # noqa: F401 - one service for the file
from tests.grpc_errors import failure

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def links(person, **question):
    return list((await person.ListConversationSessions(**question)).conversation_sessions)


async def test_whatever_a_sign_in_writes_makes_it_take_part(ada):
    conversation = await ada.converse()
    assert await links(ada, conversation_id=conversation.id) == []
    writer, builder, runner, reader = (ada.elsewhere() for _ in range(4))
    await writer.say(conversation)
    await writer.say(conversation)
    await builder.build(conversation)
    run = pb.Interaction(conversation_id=conversation.id, model="m", state=pb.INTERACTION_STATE_FAILED)
    await runner.RecordInteraction(interaction=run)
    await reader.MarkRead(conversation_id=conversation.id, position=1)
    found = await links(ada, conversation_id=conversation.id)
    assert [link.session_id for link in found] == [p.session_id for p in (reader, runner, builder, writer)]
    assert [(link.read_position, link.unread_count) for link in found] == [(1, 1), (0, 2), (0, 2), (0, 2)]


async def test_a_batch_makes_its_sign_in_take_part(ada):
    conversation = await ada.converse()
    request = pb.Part(text="Hello")
    await ada.BatchSendMessages(conversation_id=conversation.id, requests=[{"role": 2, "parts": [request]}] * 3)
    assert [link.session_id for link in await links(ada, conversation_id=conversation.id)] == [ada.session_id]


async def test_reading_goes_forwards_only(ada):
    conversation = await ada.converse()
    for _ in range(5):
        await ada.say(conversation)
    first = (await ada.MarkRead(conversation_id=conversation.id, position=3)).conversation_session
    assert (first.read_position, first.unread_count) == (3, 2)
    again = (await ada.MarkRead(conversation_id=conversation.id, position=2)).conversation_session
    assert again == first
    last = (await ada.MarkRead(conversation_id=conversation.id, position=5)).conversation_session
    assert (last.read_position, last.unread_count) == (5, 0)
    assert last.create_time == first.create_time
    assert last.update_time.ToDatetime() > first.update_time.ToDatetime()


async def test_a_conversation_says_how_much_of_it_the_callers_own_session_has_not_read(ada, bob):
    read, unread, empty = [await ada.converse() for _ in range(3)]
    elsewhere = ada.elsewhere()
    for conversation in (read, unread):
        for _ in range(3):
            await elsewhere.say(conversation)
    await ada.MarkRead(conversation_id=read.id, position=2)

    async def counts(person):
        """By ListConversations, and by GetConversation."""
        page = await person.ListConversations()
        shown = [await person.GetConversation(conversation_id=one.id) for one in page.conversations]
        assert {one.conversation.id: one.unread_count for one in shown if one.unread_count} == page.unread_counts
        return dict(page.unread_counts)

    assert await counts(ada) == {read.id: 1, unread.id: 3}
    assert await counts(elsewhere) == {read.id: 3, unread.id: 3}
    assert [one.id for one in (await ada.ListConversations()).conversations] == [empty.id, unread.id, read.id]
    await elsewhere.MarkRead(conversation_id=unread.id, position=3)
    assert await counts(elsewhere) == {read.id: 3}
    assert await counts(ada) == {read.id: 1, unread.id: 3}
    assert await counts(bob) == {}


async def test_racing_marks_end_at_the_highest_position(ada):
    conversation = await ada.converse()
    for _ in range(20):
        await ada.say(conversation)
    positions = list(range(1, 21))
    random.Random(2).shuffle(positions)
    await asyncio.gather(*(ada.MarkRead(conversation_id=conversation.id, position=p) for p in positions))
    (link,) = await links(ada, conversation_id=conversation.id)
    assert link.read_position == 20


@pytest.mark.parametrize("position", [-1, 0, 2, 2**62])
async def test_a_position_that_is_not_there_cannot_have_been_read(ada, position):
    conversation = await ada.converse()
    await ada.say(conversation)
    refused = await failure(ada.MarkRead(conversation_id=conversation.id, position=position))
    assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, ["position"])


async def test_the_conversations_of_a_sign_in_are_listed_newest_link_first_in_pages(ada):
    conversations = [await ada.converse() for _ in range(5)]
    order = [2, 0, 4, 1, 3]
    for number in order:
        await ada.say(conversations[number])
        await ada.elsewhere().say(conversations[number])
    first = await ada.ListConversationSessions(session_id=ada.session_id, page_size=3)
    rest = await ada.ListConversationSessions(session_id=ada.session_id, page_size=3, page_token=first.next_page_token)
    found = [link.conversation_id for link in (*first.conversation_sessions, *rest.conversation_sessions)]
    assert found == [conversations[number].id for number in reversed(order)]
    assert rest.next_page_token == ""
    await ada.DeleteConversation(conversation_id=conversations[4].id)
    assert conversations[4].id not in [link.conversation_id for link in await links(ada, session_id=ada.session_id)]
    both = {"session_id": ada.session_id, "conversation_id": conversations[4].id}
    assert [link.conversation_id for link in await links(ada, **both)] == [conversations[4].id]


async def test_the_sign_ins_of_a_conversation_are_listed_in_pages(ada):
    conversation = await ada.converse()
    people = [ada.elsewhere() for _ in range(5)]
    for person in people:
        await person.say(conversation)
    first = await ada.ListConversationSessions(conversation_id=conversation.id, page_size=3)
    rest = await ada.ListConversationSessions(
        conversation_id=conversation.id, page_size=3, page_token=first.next_page_token
    )
    found = [link.session_id for link in (*first.conversation_sessions, *rest.conversation_sessions)]
    assert found == [person.session_id for person in reversed(people)]


async def test_everything_wrong_with_a_question_is_told_at_once(ada):
    refused = await failure(ada.ListConversationSessions(page_size=-1, page_token="x"))
    assert list(refused.violations) == ["conversation_id", "page_size", "page_token"]
    refused = await failure(ada.MarkRead(conversation_id="x"))
    assert list(refused.violations) == ["conversation_id", "position"]


async def test_a_conversation_that_is_not_there_is_not_found(ada):
    nowhere = str(ids.new_id())
    for call in (
        ada.ListConversationSessions(conversation_id=nowhere),
        ada.ListConversationSessions(conversation_id=nowhere, session_id=ada.session_id),
        ada.MarkRead(conversation_id=nowhere, position=1),
    ):
        refused = await failure(call)
        assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "CONVERSATION_NOT_FOUND")

"""Deleted conversations go for good after their purge_time, with all in them; F28."""

import asyncio

import pytest

from chat_service import cleanup
from protos.chat.v1 import resources_pb2 as pb
from shared import metrics
from shared.background import Background
from shared.cleanup import BATCH_ROWS
from shared.db import Database
from tests.chattest import message
from tests.grpc_errors import failure
from tests.servers import fetch

TABLES = (
    "conversations",
    "chat_messages",
    "conversation_branches",
    "conversation_sessions",
    "components",
    "component_versions",
    "ai_interactions",
    "ai_responses",
)


async def fill(person):
    conversation = await person.converse()
    await person.BatchSendMessages(conversation_id=conversation.id, requests=[message("")] * 5)
    said = (await person.ListMessages(conversation_id=conversation.id)).messages[2]
    await person.EditMessage(message_id=said.id, parts=[pb.Part(text="Other")])
    await person.BatchSendMessages(conversation_id=conversation.id, requests=[message("")] * 2)
    built = await person.build(conversation)
    await person.UpdateComponent(component=pb.Component(id=built.id, etag=built.etag, content="second"))
    await person.DeleteComponent(component_id=(await person.build(conversation, "gone")).id)
    run = pb.Interaction(conversation_id=conversation.id, model="m", state=pb.INTERACTION_STATE_COMPLETED)
    await person.RecordInteraction(interaction=run, response=pb.Response())
    return conversation


async def counts(chat):
    tables = ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in TABLES)
    return dict((await fetch(chat.database.owner_url, f"SELECT {tables}"))[0])


async def purge_time_comes(chat, *conversations):
    query = "UPDATE conversations SET purge_time = now() WHERE id::text = any($1)"
    await fetch(chat.database.owner_url, query, [conversation.id for conversation in conversations])


@pytest.fixture
async def database(chat):
    """The pool of another process, as the role that serves."""
    async with (
        Background() as background,
        Database.connect("cleaner", chat.database.url, chat.config.pool, background) as database,
    ):
        yield database


async def clean_up(database, passes=1):
    return [sum([await task.run(database) for task in cleanup.tasks()]) for _ in range(passes)]


async def test_a_conversation_goes_with_all_in_it_after_its_purge_time_and_nothing_else_does(ada, bob, chat, database):
    kept, undeleted, waiting, doomed = [await fill(ada) for _ in range(4)]
    his = await fill(bob)
    for conversation in (undeleted, waiting, doomed):
        await ada.DeleteConversation(conversation_id=conversation.id)
    await ada.UndeleteConversation(conversation_id=undeleted.id)
    before = await counts(chat)
    await purge_time_comes(chat, doomed)
    await clean_up(database)
    after = await counts(chat)
    assert after == {table: before[table] * 4 // 5 for table in TABLES}
    for person, conversation in ((ada, kept), (ada, undeleted), (ada, waiting), (bob, his)):
        assert len((await person.ListMessages(conversation_id=conversation.id)).messages) == 5
    assert (await failure(ada.GetConversation(conversation_id=doomed.id))).reason == "CONVERSATION_NOT_FOUND"
    assert await clean_up(database) == [0]


async def test_a_large_conversation_goes_in_small_batches(ada, chat, database):
    conversation = await ada.converse()
    requests = [message("")] * 100
    await asyncio.gather(
        *(ada.BatchSendMessages(conversation_id=conversation.id, requests=requests) for _ in range(BATCH_ROWS // 50))
    )
    await ada.DeleteConversation(conversation_id=conversation.id)
    await purge_time_comes(chat, conversation)
    task = cleanup.tasks()[0]
    assert await task._batch(database) == BATCH_ROWS
    assert (await counts(chat))["chat_messages"] == BATCH_ROWS
    assert (await counts(chat))["conversations"] == 1
    removed = metrics.cleanup_rows.labels("chat_messages.delete_purged")._value.get()
    await clean_up(database)
    assert metrics.cleanup_rows.labels("chat_messages.delete_purged")._value.get() == removed + BATCH_ROWS
    assert metrics.cleanup_backlog.labels("chat_messages.delete_purged")._value.get() == 0
    assert set((await counts(chat)).values()) == {0}


async def test_two_cleaners_at_once_remove_what_is_due_once(ada, chat, database):
    conversations = [await fill(ada) for _ in range(6)]
    for conversation in conversations[1:]:
        await ada.DeleteConversation(conversation_id=conversation.id)
    await purge_time_comes(chat, *conversations[1:])
    before = sum((await counts(chat)).values())
    removed = await asyncio.gather(*(clean_up(database, passes=3) for _ in range(4)))
    assert sum(map(sum, removed)) == before - before // 6
    assert sum((await counts(chat)).values()) == before // 6


async def test_the_conversation_goes_last(ada, chat, database):
    conversation = await fill(ada)
    await ada.DeleteConversation(conversation_id=conversation.id)
    await purge_time_comes(chat, conversation)
    *contents, last = cleanup.tasks()
    assert await last.run(database) == 0
    for task in reversed(contents):
        await task.run(database)
    await clean_up(database)
    assert set((await counts(chat)).values()) == {0}

"""F01, R46 and the invariant of chat_messages.sql: gapless positions, one message for a request_id, no deadlock."""

import asyncio
import random
from collections import Counter
from uuid import UUID

from chat_service.models import Message, NewMessage, Role
from chat_service.store.chat_messages import append
from shared.background import Background
from shared.db import Database
from tests.chattest import Person, chat_config, gather, message, running_chat
from tests.servers import fetch


async def messages_of(chat, conversation):
    """What is stored of a conversation, in the order of positions."""
    query = "SELECT id::text, position, depth, revision, request_id FROM chat_messages WHERE conversation_id = $1"
    return await fetch(chat.database.owner_url, f"{query} ORDER BY position", conversation.id)


async def test_64_writers_leave_no_gap_and_repeating_every_call_changes_nothing(ada, chat):
    conversation = await ada.converse()

    async def write(writer):
        return [await ada.say(conversation, f"{writer}.{n}", request_id=f"{writer}.{n}") for n in range(10)]

    first = await asyncio.gather(*map(write, range(64)))
    stored = await messages_of(chat, conversation)
    assert [row["position"] for row in stored] == list(range(1, 641))
    assert [row["depth"] for row in stored] == list(range(1, 641))
    assert [row["revision"] for row in stored] == list(range(2, 642))
    again = await asyncio.gather(*map(write, range(64)))
    assert again == first
    assert await messages_of(chat, conversation) == stored
    counted = (await ada.GetConversation(conversation_id=conversation.id)).conversation
    assert (counted.message_count, counted.revision) == (640, 641)


async def test_1600_racing_duplicates_of_200_requests_append_200_messages(ada, chat):
    conversation = await ada.converse()
    requests = [str(number) for number in range(200) for _ in range(8)]
    random.Random(1).shuffle(requests)
    answers = await gather(*(ada.say(conversation, name, request_id=name) for name in requests))
    assert {type(answer).__name__ for answer in answers} == {"Message"}
    assert len({(name, answer.id) for name, answer in zip(requests, answers, strict=True)}) == 200
    stored = await messages_of(chat, conversation)
    assert [row["position"] for row in stored] == list(range(1, 201))
    assert {row["request_id"] for row in stored} == set(requests)


async def test_duplicates_racing_through_two_replicas_append_one_message_each(ada, chat, servers, auth_target):
    conversation = await ada.converse()
    config = chat_config(chat.database, servers.redis.url, auth_target)
    async with running_chat(chat.database, config) as other:
        twin = Person(other.channel, ada.user_id, ada.session_id)
        for turn in range(20):
            names = [f"{turn}.{number}" for number in range(10)] * 4
            people = [ada, twin] * 20
            answers = await gather(
                *(person.say(conversation, name, request_id=name) for person, name in zip(people, names, strict=True))
            )
            assert {type(answer).__name__ for answer in answers} == {"Message"}
            assert len({(name, answer.id) for name, answer in zip(names, answers, strict=True)}) == 10
    stored = await messages_of(chat, conversation)
    assert [row["position"] for row in stored] == list(range(1, 201))


async def test_one_request_racing_with_other_content_is_one_message_and_refusals(ada, chat):
    conversation = await ada.converse()
    answers = await gather(*(ada.say(conversation, str(number), request_id="one") for number in range(32)))
    appended = [answer for answer in answers if type(answer).__name__ == "Message"]
    refused = [answer for answer in answers if answer not in appended]
    assert len(appended) == 1
    assert {error.code().name for error in refused} == {"ALREADY_EXISTS"}
    assert len(await messages_of(chat, conversation)) == 1


async def test_two_replicas_appending_to_the_same_conversations_never_wait_for_each_other(
    ada, chat, servers, auth_target
):
    conversations = [await ada.converse() for _ in range(12)]
    config = chat_config(chat.database, servers.redis.url, auth_target)
    async with running_chat(chat.database, config) as other:
        twin = Person(other.channel, ada.user_id, ada.session_id)
        calls = [
            person.say(conversation)
            for _ in range(25)
            for person, order in ((ada, conversations), (twin, conversations[::-1]))
            for conversation in order
        ]
        answers = await gather(*calls)
    assert Counter(type(answer).__name__ for answer in answers) == {"Message": 600}
    for conversation in conversations:
        stored = await messages_of(chat, conversation)
        assert [row["position"] for row in stored] == list(range(1, 51))
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert [row["deadlocks"] for row in await fetch(chat.database.owner_url, deadlocks)] == [0]


async def test_batches_that_meet_in_opposite_orders_never_wait_for_each_other(ada, chat):
    conversations = [UUID((await ada.converse()).id) for _ in range(40)]

    def batch(order):
        who = {"user_id": UUID(ada.user_id), "session_id": UUID(ada.session_id)}
        said = {"role": Role.USER, "parts": ("Hello",), "text_bytes": 5, "request_id": None}
        return [NewMessage(conversation_id=conversation, **who, **said) for conversation in order]

    async with (
        Background() as background,
        Database.connect("appender", chat.database.url, chat.config.pool, background) as database,
    ):
        for _ in range(10):
            orders = [random.sample(conversations, 40) for _ in range(6)]
            for outcomes in await asyncio.gather(*(append(database, batch(order)) for order in orders)):
                assert {type(outcome) for outcome in outcomes} == {Message}


async def test_racing_batches_stay_together_and_a_repeated_batch_gets_the_first_answer(ada, chat):
    conversation = await ada.converse()

    def batch(name):
        requests = [message("", f"{name}.{number}", request_id=f"{name}.{number}") for number in range(5)]
        return ada.BatchSendMessages(conversation_id=conversation.id, requests=requests)

    names = [str(number) for number in range(20) for _ in range(4)]
    answers = await gather(*(batch(name) for name in names), *(ada.say(conversation, "single") for _ in range(20)))
    assert {type(answer).__name__ for answer in answers} == {"BatchSendMessagesResponse", "Message"}
    for answer in answers[: len(names)]:
        positions = [one.position for one in answer.messages]
        assert positions == list(range(positions[0], positions[0] + 5))
    assert [row["position"] for row in await messages_of(chat, conversation)] == list(range(1, 121))


async def test_a_deletion_racing_with_appends_lets_each_be_appended_or_refused(ada, chat):
    for _ in range(10):
        conversation = await ada.converse()
        calls = [ada.say(conversation, str(number)) for number in range(20)]
        calls.insert(10, ada.DeleteConversation(conversation_id=conversation.id))
        answers = await gather(*calls)
        deleted = answers.pop(10).conversation
        appended = [answer for answer in answers if type(answer).__name__ == "Message"]
        assert deleted.message_count == len(appended) == len(await messages_of(chat, conversation))
        assert {error.code().name for error in answers if error not in appended} <= {"FAILED_PRECONDITION"}


async def test_a_reader_at_a_position_has_seen_everything_before_it(ada):
    conversation = await ada.converse()
    writing = asyncio.gather(*(ada.say(conversation, str(number)) for number in range(200)))
    highest = 0
    while highest < 200:
        page = await ada.ListMessages(conversation_id=conversation.id, page_size=200)
        assert [one.position for one in page.messages] == list(range(1, len(page.messages) + 1))
        assert len(page.messages) >= highest
        highest = len(page.messages)
    await writing


async def test_appends_update_their_conversations_in_place(ada, chat):
    """HOT: no index entry is written for a conversation's row, but for the hour of its last change."""
    conversation = await ada.converse()
    counts = "SELECT n_tup_upd AS all, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE relname = 'conversations'"
    updates = 0
    async with asyncio.timeout(20):
        while updates < 50:  # a connection reports what it did at most once a second
            await asyncio.gather(*(ada.say(conversation) for _ in range(10)))
            updates, in_place = (await fetch(chat.database.owner_url, counts))[0]
    assert in_place >= updates - 1  # an hour may have begun meanwhile

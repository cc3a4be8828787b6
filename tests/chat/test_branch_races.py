"""R46 and the invariants of conversation_branches.sql: edits, switches, sends and deletions at the same time."""

import asyncio
import random
from collections import Counter
from typing import Any
from uuid import UUID

import grpc
import pytest

from chat_service.models import NewMessage, Role
from chat_service.store import chat_messages, conversations
from protos.chat.v1 import resources_pb2 as pb
from shared.background import Background
from shared.db import Database
from tests.chat.trees import check_rows
from tests.chattest import Person, chat_config, gather, message, running_chat

OTHER = [pb.Part(text="Other")]


def outcomes(answers: list[Any]) -> Counter[str]:
    """How often what came of a call: OK, or the status."""
    return Counter(one.code().name if isinstance(one, grpc.aio.AioRpcError) else "OK" for one in answers)


def shuffled(*calls: list[Any]) -> list[Any]:
    mixed = [call for several in calls for call in several]
    random.Random(7).shuffle(mixed)
    return mixed


@pytest.fixture
async def people(ada, chat, servers, auth_target):
    """The same user through two replicas."""
    config = chat_config(chat.database, servers.redis.url, auth_target)
    async with running_chat(chat.database, config) as other:
        yield [ada, Person(other.channel, ada.user_id, ada.session_id)]


async def talk(person: Person, length: int = 6) -> tuple[pb.Conversation, list[pb.Message]]:
    conversation = await person.converse()
    requests = [message("", str(number)) for number in range(length)]
    said = await person.BatchSendMessages(conversation_id=conversation.id, requests=requests)
    return conversation, list(said.messages)


async def test_edits_racing_sends_leave_whole_paths_and_every_send_behind_the_edit_that_came_before(people, chat):
    for _ in range(4):
        conversation, said = await talk(people[0])
        edits = [people[n % 2].EditMessage(message_id=said[n % 6].id, parts=OTHER) for n in range(16)]
        sends = [people[n % 2].say(conversation, f"sent {n}") for n in range(40)]
        batches = [
            people[n % 2].BatchSendMessages(conversation_id=conversation.id, requests=[message("")] * 3)
            for n in range(8)
        ]
        assert outcomes(await gather(*shuffled(edits, sends, batches))) == {"OK": 64}
        await check_rows(chat, conversation.id)


async def test_switches_racing_sends_and_edits_leave_each_message_at_the_end_of_one_branch(people, chat):
    for _ in range(4):
        conversation, said = await talk(people[0])
        for one in said[::2]:
            await people[0].EditMessage(message_id=one.id, parts=OTHER)
        switches = [people[n % 2].SwitchBranch(conversation_id=conversation.id, branch=1 + n % 4) for n in range(24)]
        sends = [people[n % 2].say(conversation, f"sent {n}") for n in range(40)]
        edits = [people[n % 2].EditMessage(message_id=said[n].id, parts=OTHER) for n in range(4)]
        assert outcomes(await gather(*shuffled(switches, sends, edits))) == {"OK": 68}
        await check_rows(chat, conversation.id)


async def test_16_edits_with_one_request_id_make_one_branch_and_get_one_answer(people, chat):
    for _ in range(8):
        conversation, said = await talk(people[0])
        answers = await gather(
            *(people[n % 2].EditMessage(message_id=said[2].id, parts=OTHER, request_id="one") for n in range(16))
        )
        assert outcomes(answers) == {"OK": 16}
        assert len({answer.message.SerializeToString() for answer in answers}) == 1
        assert len((await people[0].ListBranches(conversation_id=conversation.id)).branches) == 2
        await check_rows(chat, conversation.id)


async def test_a_send_and_an_edit_racing_with_one_request_id_leave_one_of_them_and_refuse_the_other(people, chat):
    for _ in range(8):
        conversation, said = await talk(people[0])
        edits = [people[n % 2].EditMessage(message_id=said[2].id, parts=OTHER, request_id="one") for n in range(8)]
        sends = [people[n % 2].say(conversation, "Other", request_id="one") for n in range(8)]
        assert outcomes(await gather(*shuffled(edits, sends))) == {"OK": 8, "ALREADY_EXISTS": 8}
        now = (await people[0].GetConversation(conversation_id=conversation.id)).conversation
        assert now.message_count == 7
        await check_rows(chat, conversation.id)


async def test_an_edit_racing_a_deletion_comes_before_it_or_is_refused(people, chat):
    for _ in range(8):
        conversation, said = await talk(people[0])
        edits = [people[n % 2].EditMessage(message_id=said[2].id, parts=OTHER) for n in range(12)]
        ratings = [people[n % 2].SetFeedback(message_id=said[2].id, feedback=pb.Feedback(rating=1)) for n in range(4)]
        deletions = [people[n % 2].DeleteMessage(message_id=said[2].id) for n in range(3)]
        answers = await gather(*shuffled(edits, ratings, deletions))
        assert set(outcomes(answers)) <= {"OK", "FAILED_PRECONDITION"}
        tombstone = (await people[0].GetMessage(message_id=said[2].id)).message
        assert (list(tombstone.parts), tombstone.HasField("feedback")) == ([], False)
        assert tombstone.HasField("delete_time")
        written = [answer.message for answer in answers if hasattr(answer, "message")]
        assert all(one.revision <= tombstone.revision for one in written)
        await check_rows(chat, conversation.id)


async def test_an_edit_whose_caller_has_gone_is_whole_or_was_never(people, chat):
    """R46: a deadline that passes anywhere in an edit leaves no branch without its message, and nothing locked."""
    conversation, said = await talk(people[0])

    async def hurried(n: int) -> Any:
        request_class, call = people[0]._calls["EditMessage"]
        request = request_class(message_id=said[n % 6].id, parts=OTHER, request_id=str(n))
        return await call(request, metadata=people[0]._metadata, timeout=0.002 * (n % 16 + 1))

    answers = await gather(*(hurried(n) for n in range(48)))
    assert set(outcomes(answers)) <= {"OK", "DEADLINE_EXCEEDED"}
    again = await gather(
        *(people[1].EditMessage(message_id=said[n % 6].id, parts=OTHER, request_id=str(n)) for n in range(48))
    )
    assert outcomes(again) == {"OK": 48}
    kept = {answer.message.id for answer in answers if hasattr(answer, "message")}
    assert kept <= {answer.message.id for answer in again}
    assert len((await people[0].ListBranches(conversation_id=conversation.id, page_size=200)).branches) == 49
    await check_rows(chat, conversation.id)


async def test_a_deletion_of_the_conversation_racing_edits_lets_each_be_written_or_refused(people, chat):
    for _ in range(4):
        conversation, said = await talk(people[0])
        calls = [people[n % 2].EditMessage(message_id=said[n % 6].id, parts=OTHER) for n in range(16)]
        calls.insert(8, people[0].DeleteConversation(conversation_id=conversation.id))
        answers = await gather(*calls)
        assert set(outcomes(answers)) <= {"OK", "FAILED_PRECONDITION"}
        deleted = answers[8].conversation
        assert all(answer.message.revision < deleted.revision for answer in answers if hasattr(answer, "message"))
        await check_rows(chat, conversation.id)


async def test_edits_of_many_conversations_at_once_never_wait_for_each_other(people, chat):
    """Appends hold many conversations at once, edits one."""
    talks = [await talk(people[0], 2) for _ in range(8)]

    async def busy(person: Person, order: list[Any]) -> list[Any]:
        return await gather(
            *(person.say(conversation) for conversation, _ in order),
            *(person.EditMessage(message_id=said[0].id, parts=OTHER) for _, said in order),
        )

    found = await asyncio.gather(*(busy(people[n % 2], talks[:: 1 - 2 * (n % 2)]) for n in range(6)))
    assert outcomes([answer for answers in found for answer in answers]) == {"OK": 96}
    for conversation, _ in talks:
        await check_rows(chat, conversation.id)


async def test_what_belongs_to_a_branch_goes_to_its_end_whichever_branch_is_active(people, chat):
    """As the answer of a run does, that ends while the user is elsewhere."""
    ada = people[0]
    conversation, said = await talk(ada)
    for one in said[:3]:
        await ada.EditMessage(message_id=one.id, parts=OTHER)
    home = UUID(ada.user_id), UUID(conversation.id)

    async def answer(database: Database, branch: int) -> None:
        who = {"user_id": home[0], "conversation_id": home[1], "session_id": UUID(ada.session_id)}
        what = {"role": Role.ASSISTANT, "parts": ("answer",), "text_bytes": 6, "request_id": None}
        async with database.transaction() as tx:
            await conversations.lock(tx, *home)
            placed = await chat_messages.append_one(tx, NewMessage(**who, **what), branch)
        assert placed.branch == branch

    async with (
        Background() as background,
        Database.connect("answerer", chat.database.url, chat.config.pool, background) as database,
    ):
        calls = [ada.SwitchBranch(conversation_id=conversation.id, branch=1 + n % 4) for n in range(12)]
        calls += [ada.say(conversation) for _ in range(12)]
        await asyncio.gather(*shuffled(calls, [answer(database, 1 + n % 4) for n in range(24)]))
    await check_rows(chat, conversation.id)

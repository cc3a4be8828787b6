"""Deleted messages keep their places, and what a user thinks of a message."""

import pytest
from grpc import StatusCode

from protos.chat.v1 import resources_pb2 as pb
from tests.chat.sharing import ada, auth_target, bob, chat, chat_database  # noqa: F401 - one service for the file
from tests.chattest import ASSISTANT, USER, message
from tests.grpc_errors import failure
from tests.servers import fetch

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD, BAD = pb.FEEDBACK_RATING_GOOD, pb.FEEDBACK_RATING_BAD


async def delete(person, said):
    return (await person.DeleteMessage(message_id=said.id)).message


async def rate(person, said, rating=GOOD, comment=""):
    feedback = pb.Feedback(rating=rating, comment=comment)
    return (await person.SetFeedback(message_id=said.id, feedback=feedback)).message


async def listed(person, conversation, **question):
    return list((await person.ListMessages(conversation_id=conversation.id, **question)).messages)


async def test_a_deleted_message_keeps_its_place_and_loses_what_it_said(ada, chat):
    conversation = await ada.converse()
    said = [await ada.say(conversation, f"secret {n}") for n in range(3)]
    tombstone = await delete(ada.elsewhere(), said[1])
    kept = ("id", "conversation_id", "session_id", "position", "branch", "depth", "role", "create_time")
    assert [getattr(tombstone, name) for name in kept] == [getattr(said[1], name) for name in kept]
    assert list(tombstone.parts) == []
    assert tombstone.delete_time.ToDatetime() >= tombstone.create_time.ToDatetime()
    assert tombstone.revision == said[2].revision + 1
    assert (await ada.GetMessage(message_id=said[1].id)).message == tombstone
    for question in ({}, {"role": USER}, {"session_id": ada.session_id}):
        assert await listed(ada, conversation, **question) == [said[0], tombstone, said[2]]
    assert (await ada.say(conversation)).position == 4
    (stored,) = await fetch(
        chat.database.owner_url, "SELECT m::text AS row FROM chat_messages m WHERE id = $1", said[1].id
    )
    assert "secret" not in stored["row"]


async def test_deleting_twice_changes_nothing(ada):
    conversation = await ada.converse()
    tombstone = await delete(ada, await ada.say(conversation))
    before = (await ada.GetConversation(conversation_id=conversation.id)).conversation
    assert before.revision == tombstone.revision
    assert await delete(ada, tombstone) == tombstone
    assert (await ada.GetConversation(conversation_id=conversation.id)).conversation == before
    await ada.DeleteConversation(conversation_id=conversation.id)
    assert await delete(ada, tombstone) == tombstone


async def test_a_repeat_of_the_request_whose_message_was_deleted_gets_the_tombstone_and_brings_nothing_back(ada):
    conversation = await ada.converse()
    said = await ada.say(conversation, request_id="one")
    parts = [pb.Part(text="Other")]
    edited = (await ada.EditMessage(message_id=said.id, parts=parts, request_id="two")).message
    await delete(ada, edited)
    await delete(ada, said)
    tombstones = [(await ada.GetMessage(message_id=one.id)).message for one in (said, edited)]
    assert await ada.say(conversation, request_id="one") == tombstones[0]
    assert await ada.say(conversation, "what was said is forgotten", request_id="one") == tombstones[0]
    assert (await ada.EditMessage(message_id=said.id, parts=parts, request_id="two")).message == tombstones[1]
    batch = await ada.BatchSendMessages(conversation_id=conversation.id, requests=[message("", request_id="one")])
    assert list(batch.messages) == [tombstones[0]]
    assert (await failure(ada.say(conversation, role=ASSISTANT, request_id="one"))).reason == "REQUEST_ID_REUSED"
    assert (await failure(ada.say(conversation, request_id="two"))).reason == "REQUEST_ID_REUSED"


async def test_a_deleted_message_can_be_neither_edited_nor_rated(ada):
    conversation = await ada.converse()
    tombstone = await delete(ada, await ada.say(conversation))
    for call in (
        ada.EditMessage(message_id=tombstone.id, parts=[pb.Part(text="x")]),
        ada.SetFeedback(message_id=tombstone.id, feedback=pb.Feedback(rating=GOOD)),
    ):
        refused = await failure(call)
        assert (refused.code, refused.reason) == (StatusCode.FAILED_PRECONDITION, "MESSAGE_DELETED")


async def test_a_deleted_alternative_still_counts_and_leads_to_what_follows_it(ada):
    conversation = await ada.converse()
    said = await ada.say(conversation)
    await ada.EditMessage(message_id=said.id, parts=[pb.Part(text="Other")])
    await delete(ada, said)
    (other,) = await listed(ada, conversation)
    assert (other.sibling_index, other.sibling_count, other.previous_sibling_branch) == (2, 2, 1)
    (tombstone,) = await listed(ada, conversation, branch=1)
    assert (tombstone.sibling_index, tombstone.sibling_count, tombstone.next_sibling_branch) == (1, 2, 2)


async def test_a_page_of_tombstones_is_as_long_as_asked(ada):
    conversation = await ada.converse()
    for number in range(6):
        await delete(ada, await ada.say(conversation, str(number)))
    first = await ada.ListMessages(conversation_id=conversation.id, page_size=4)
    rest = await ada.ListMessages(conversation_id=conversation.id, page_size=4, page_token=first.next_page_token)
    assert [one.depth for one in (*first.messages, *rest.messages)] == [1, 2, 3, 4, 5, 6]


async def test_feedback_is_kept_with_the_message_and_changed_and_taken_back(ada):
    conversation = await ada.converse()
    said = await ada.say(conversation, role=ASSISTANT, request_id="one")
    rated = await rate(ada, said, BAD, "Wrong river \U0001f30a")
    assert (rated.feedback.rating, rated.feedback.comment) == (BAD, "Wrong river \U0001f30a")
    assert (rated.revision, list(rated.parts)) == (said.revision + 1, list(said.parts))
    assert await listed(ada, conversation) == [rated]
    assert (await ada.GetMessage(message_id=said.id)).message == rated
    assert await ada.say(conversation, role=ASSISTANT, request_id="one") == rated
    assert await rate(ada, said, BAD, "Wrong river \U0001f30a") == rated
    assert (await rate(ada, said, GOOD)).feedback == pb.Feedback(rating=GOOD)
    assert (await rate(ada, said, 0, "Only words")).feedback == pb.Feedback(comment="Only words")
    assert not (await rate(ada, said, 0, "")).HasField("feedback")
    assert not (await ada.SetFeedback(message_id=said.id)).message.HasField("feedback")
    (last,) = await listed(ada, conversation)
    assert not last.HasField("feedback")
    assert last.revision == said.revision + 4


async def test_a_deletion_takes_the_feedback_with_it(ada):
    conversation = await ada.converse()
    said = await ada.say(conversation)
    await rate(ada, said, BAD, "says who I am")
    assert not (await delete(ada, said)).HasField("feedback")
    (tombstone,) = await listed(ada, conversation)
    assert not tombstone.HasField("feedback")


async def test_a_deleted_conversation_takes_no_deletion_and_no_feedback(ada):
    conversation = await ada.converse()
    said = await ada.say(conversation)
    await ada.DeleteConversation(conversation_id=conversation.id)
    for call in (ada.DeleteMessage(message_id=said.id), ada.SetFeedback(message_id=said.id)):
        assert (await failure(call)).reason == "CONVERSATION_DELETED"


@pytest.mark.parametrize(
    ("feedback", "field"),
    [
        (pb.Feedback(rating=9), "feedback.rating"),
        (pb.Feedback(comment="x" * 2_001), "feedback.comment"),
        (pb.Feedback(comment="nul\0"), "feedback.comment"),
    ],
)
async def test_everything_wrong_with_a_feedback_is_told_at_once(ada, feedback, field):
    refused = await failure(ada.SetFeedback(message_id="x", feedback=feedback))
    assert list(refused.violations) == ["message_id", field]
    assert list((await failure(ada.DeleteMessage(message_id="x"))).violations) == ["message_id"]


async def test_a_comment_is_in_no_log(logs, ada):
    said = await ada.say(await ada.converse())
    await rate(ada, said, BAD, "a very secret comment")
    assert "secret" not in str(logs)

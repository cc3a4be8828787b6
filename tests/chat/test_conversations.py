import asyncio
from datetime import timedelta

import pytest
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from grpc import StatusCode

from protos.chat.v1 import resources_pb2 as pb
from tests.chat.sharing import ada, auth_target, bob, chat, chat_database  # noqa: F401 - one service for the file
from tests.chattest import gather
from tests.grpc_errors import failure
from tests.servers import fetch

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACTIVE, DELETED = pb.CONVERSATION_STATE_ACTIVE, pb.CONVERSATION_STATE_DELETED


def notes(**values):
    struct = Struct()
    struct.update(values)
    return struct


async def test_a_conversation_is_made_and_read_back(ada):
    made = await ada.converse(title="Plans", pinned=True, metadata=notes(model="small", depth={"of": [1, 2.5, None]}))
    read = (await ada.GetConversation(conversation_id=made.id)).conversation
    assert read == made
    assert (read.title, read.pinned, read.archived, read.state) == ("Plans", True, False, ACTIVE)
    assert (read.active_branch, read.message_count, read.revision) == (1, 0, 1)
    assert json_format.MessageToDict(read.metadata) == {"model": "small", "depth": {"of": [1, 2.5, None]}}
    assert read.etag
    assert not read.HasField("delete_time")


@pytest.mark.parametrize(
    "value", [1e300, -1.5e-300, 2**53, 0.1, -0.0, "\\u0000", 'quo"te', "\u2028\U0001f600", True, None, [[[]]], {"": {}}]
)
async def test_metadata_is_returned_as_it_was_sent(ada, value):
    made = await ada.converse(metadata=notes(value=value))
    read = (await ada.GetConversation(conversation_id=made.id)).conversation
    assert read.metadata == made.metadata == notes(value=value)


async def test_a_repeat_of_a_creation_returns_the_first_conversation_and_other_content_is_refused(ada):
    first = await ada.CreateConversation(conversation=pb.Conversation(title="Plans"), request_id="one")
    again = await ada.CreateConversation(conversation=pb.Conversation(title="Plans"), request_id="one")
    assert again == first
    refused = await failure(ada.CreateConversation(conversation=pb.Conversation(title="Other"), request_id="one"))
    assert (refused.code, refused.reason) == (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_a_repeat_is_known_after_the_conversation_has_changed(ada):
    first = (await ada.CreateConversation(conversation=pb.Conversation(title="Plans"), request_id="one")).conversation
    await ada.UpdateConversation(conversation=pb.Conversation(id=first.id, title="Better plans"))
    again = (await ada.CreateConversation(conversation=pb.Conversation(title="Plans"), request_id="one")).conversation
    assert (again.id, again.title) == (first.id, "Better plans")


async def test_a_request_id_is_one_users_own(ada, bob):
    first = (await ada.CreateConversation(request_id="one")).conversation
    other = (await bob.CreateConversation(request_id="one")).conversation
    assert first.id != other.id


async def test_racing_creations_with_one_request_id_make_one_conversation(ada):
    answers = await asyncio.gather(*(ada.CreateConversation(request_id="one") for _ in range(16)))
    assert len({answer.conversation.id for answer in answers}) == 1
    assert len((await ada.ListConversations()).conversations) == 1


async def test_everything_wrong_with_a_creation_is_told_at_once(ada):
    wrong = pb.Conversation(title="x" * 201, metadata=notes(big="x" * 17_000))
    refused = await failure(ada.CreateConversation(conversation=wrong, request_id="x" * 65))
    assert refused.code is StatusCode.INVALID_ARGUMENT
    assert refused.reason == "INVALID_FIELDS"
    assert set(refused.violations) == {"conversation.title", "conversation.metadata", "request_id"}


@pytest.mark.parametrize(
    "wrong",
    [
        pb.Conversation(title="nul\0"),
        pb.Conversation(metadata=notes(**{"nul\0": 1})),
        pb.Conversation(metadata=notes(deep=[{"nul": "\0"}])),
        pb.Conversation(metadata=notes(number=float("nan"))),
        pb.Conversation(metadata=notes(number=float("inf"))),
    ],
)
async def test_what_postgres_or_json_cannot_hold_is_refused(ada, wrong):
    assert (await failure(ada.CreateConversation(conversation=wrong))).code is StatusCode.INVALID_ARGUMENT


async def test_conversations_are_listed_newest_first_in_pages_that_a_new_one_does_not_disturb(ada):
    made = [await ada.converse(title=str(number)) for number in range(5)]
    first = await ada.ListConversations(page_size=2)
    await ada.converse(title="late")
    second = await ada.ListConversations(page_size=2, page_token=first.next_page_token)
    third = await ada.ListConversations(page_size=2, page_token=second.next_page_token)
    listed = [*first.conversations, *second.conversations, *third.conversations]
    assert [one.id for one in listed] == [one.id for one in reversed(made)]
    assert third.next_page_token == ""


@pytest.mark.parametrize("pinned", [None, True, False])
@pytest.mark.parametrize("archived", [None, True, False])
async def test_filters_choose_the_pinned_and_the_archived(ada, pinned, archived):
    made = [await ada.converse(pinned=p, archived=a) for p in (True, False) for a in (True, False)]
    filters = {name: value for name, value in (("pinned", pinned), ("archived", archived)) if value is not None}
    listed = (await ada.ListConversations(**filters)).conversations
    wanted = [c for c in reversed(made) if pinned in (None, c.pinned) and archived in (None, c.archived)]
    assert list(listed) == wanted


async def test_a_page_token_is_good_for_its_own_question_only(ada, bob):
    for _ in range(3):
        await ada.converse()
    token = (await ada.ListConversations(page_size=1)).next_page_token
    questions = [
        ada.ListConversations(page_token=token, show_deleted=True),
        ada.ListConversations(page_token=token, pinned=False),
        ada.ListConversations(page_token=token, archived=False),
        ada.ListMessages(page_token=token, session_id=ada.session_id),
        bob.ListConversations(page_token=token),
        ada.ListConversations(page_token=token[:-2] + "AA"),
        ada.ListConversations(page_token="not a token"),
    ]
    for question in questions:
        refused = await failure(question)
        assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, ["page_token"])


async def test_a_negative_page_size_and_a_bad_token_are_told_together(ada):
    refused = await failure(ada.ListConversations(page_size=-1, page_token="x"))
    assert list(refused.violations) == ["page_size", "page_token"]


async def test_an_update_without_a_mask_writes_what_is_set(ada):
    made = await ada.converse(title="Plans", pinned=True)
    changed = (await ada.UpdateConversation(conversation=pb.Conversation(id=made.id, archived=True))).conversation
    assert (changed.title, changed.pinned, changed.archived) == ("Plans", True, True)
    assert changed.revision == made.revision + 1
    assert changed.etag != made.etag
    assert changed == (await ada.GetConversation(conversation_id=made.id)).conversation


async def test_an_update_of_nothing_changes_nothing(ada):
    made = await ada.converse(title="Plans")
    assert (await ada.UpdateConversation(conversation=pb.Conversation(id=made.id))).conversation == made


async def test_a_mask_writes_its_fields_and_clears_those_that_are_not_set(ada):
    made = await ada.converse(title="Plans", pinned=True, metadata=notes(a=1))
    wanted = pb.Conversation(id=made.id, archived=True)
    mask = FieldMask(paths=["title", "metadata"])
    changed = (await ada.UpdateConversation(conversation=wanted, update_mask=mask)).conversation
    assert (changed.title, changed.pinned, changed.archived) == ("", True, False)
    assert not changed.metadata.fields


async def test_a_star_writes_all_writable_fields(ada):
    made = await ada.converse(title="Plans", pinned=True, metadata=notes(a=1))
    wanted = pb.Conversation(id=made.id, archived=True)
    changed = (await ada.UpdateConversation(conversation=wanted, update_mask=FieldMask(paths=["*"]))).conversation
    assert (changed.title, changed.pinned, changed.archived) == ("", False, True)


@pytest.mark.parametrize("path", ["id", "state", "message_count", "revision", "create_time", "etag", "user_id", "x"])
async def test_a_mask_cannot_reach_what_is_not_writable(ada, path):
    made = await ada.converse(title="Plans")
    wanted = pb.Conversation(id=made.id, message_count=7, revision=7)
    refused = await failure(ada.UpdateConversation(conversation=wanted, update_mask=FieldMask(paths=["title", path])))
    assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, ["update_mask"])
    assert (await ada.GetConversation(conversation_id=made.id)).conversation == made


async def test_of_two_updates_from_one_etag_the_second_is_refused(ada):
    made = await ada.converse()
    await ada.UpdateConversation(conversation=pb.Conversation(id=made.id, title="Mine", etag=made.etag))
    refused = await failure(
        ada.UpdateConversation(conversation=pb.Conversation(id=made.id, title="Yours", etag=made.etag))
    )
    assert (refused.code, refused.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
    assert (await ada.GetConversation(conversation_id=made.id)).conversation.title == "Mine"


async def test_messages_leave_the_etag_alone(ada):
    made = await ada.converse()
    await ada.say(made)
    changed = await ada.UpdateConversation(conversation=pb.Conversation(id=made.id, title="New", etag=made.etag))
    assert changed.conversation.title == "New"


@pytest.mark.parametrize("etag", ["x", "r", "r-1", "r99", "r1x", "v1", "r" + "9" * 40])
async def test_an_etag_that_never_was_does_not_match(ada, etag):
    made = await ada.converse()
    for change in ({"title": "New"}, {}):
        wanted = pb.Conversation(id=made.id, etag=etag, **change)
        assert (await failure(ada.UpdateConversation(conversation=wanted))).reason == "ETAG_MISMATCH"


async def test_a_deleted_conversation_can_be_read_and_undeleted_and_takes_no_other_change(ada):
    made = await ada.converse(title="Plans")
    said = await ada.say(made)
    built = await ada.build(made)
    deleted = (await ada.DeleteConversation(conversation_id=made.id)).conversation
    assert deleted.state == DELETED
    assert deleted.purge_time.ToDatetime() - deleted.delete_time.ToDatetime() == timedelta(days=30)
    assert (await ada.GetConversation(conversation_id=made.id)).conversation == deleted
    assert list((await ada.ListMessages(conversation_id=made.id)).messages) == [said]
    changes = [
        ada.UpdateConversation(conversation=pb.Conversation(id=made.id, title="New")),
        ada.UpdateConversation(conversation=pb.Conversation(id=made.id)),
        ada.SendMessage(conversation_id=made.id, role=1, parts=[pb.Part(text="more")]),
        ada.MarkRead(conversation_id=made.id, position=1),
        ada.UpdateComponent(component=pb.Component(id=built.id, etag=built.etag, content="x")),
        ada.DeleteComponent(component_id=built.id),
    ]
    for change in changes:
        refused = await failure(change)
        assert (refused.code, refused.reason) == (StatusCode.FAILED_PRECONDITION, "CONVERSATION_DELETED")
    undeleted = (await ada.UndeleteConversation(conversation_id=made.id)).conversation
    assert undeleted.state == ACTIVE
    assert not undeleted.HasField("delete_time")
    assert not undeleted.HasField("purge_time")
    assert (await ada.say(made)).position == 2


async def test_deleting_and_undeleting_again_change_nothing(ada):
    made = await ada.converse()
    assert (await ada.UndeleteConversation(conversation_id=made.id)).conversation == made
    deleted = await ada.DeleteConversation(conversation_id=made.id)
    assert (await ada.DeleteConversation(conversation_id=made.id)) == deleted


async def test_deleted_conversations_are_listed_where_they_are_asked_for(ada):
    kept, gone = await ada.converse(), await ada.converse()
    await ada.DeleteConversation(conversation_id=gone.id)
    assert [c.id for c in (await ada.ListConversations()).conversations] == [kept.id]
    assert [c.id for c in (await ada.ListConversations(show_deleted=True)).conversations] == [gone.id, kept.id]


async def test_after_its_purge_time_a_conversation_is_not_there_even_before_clean_up(ada, chat):
    made = await ada.converse()
    await ada.DeleteConversation(conversation_id=made.id)
    await fetch(chat.database.owner_url, "UPDATE conversations SET purge_time = now() WHERE id = $1", made.id)
    calls = [
        ada.GetConversation(conversation_id=made.id),
        ada.UndeleteConversation(conversation_id=made.id),
        ada.DeleteConversation(conversation_id=made.id),
        ada.ListMessages(conversation_id=made.id),
        ada.SendMessage(conversation_id=made.id, role=1, parts=[pb.Part(text="more")]),
        ada.MarkRead(conversation_id=made.id, position=1),
    ]
    assert {(await failure(call)).reason for call in calls} == {"CONVERSATION_NOT_FOUND"}
    assert list((await ada.ListConversations(show_deleted=True)).conversations) == []


async def test_many_reads_at_once_each_get_their_own(ada, bob):
    made = [await person.converse(title=str(number)) for person in (ada, bob) for number in range(10)]
    owners = [ada] * 10 + [bob] * 10
    answers = await gather(*(p.GetConversation(conversation_id=c.id) for p, c in zip(owners, made, strict=True)))
    assert [answer.conversation for answer in answers] == made
    strangers = await gather(
        *(p.GetConversation(conversation_id=c.id) for p, c in zip(owners[::-1], made, strict=True))
    )
    assert {error.code() for error in strangers} == {StatusCode.NOT_FOUND}


AN_ID = "01a20796-a815-7355-a321-6defae90d154"


@pytest.mark.parametrize("text", ["", "x", "123", AN_ID[:-1], "{" + AN_ID + "}"])
async def test_an_id_that_is_none_is_invalid(ada, text):
    refused = await failure(ada.GetConversation(conversation_id=text))
    assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, ["conversation_id"])

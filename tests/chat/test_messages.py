from datetime import UTC, datetime, timedelta

import pytest
from grpc import StatusCode

from protos.chat.v1 import resources_pb2 as pb
from shared import ids
from tests.chattest import ASSISTANT, USER, gather, message, texts
from tests.grpc_errors import failure
from tests.servers import fetch


async def test_a_message_is_appended_and_read_back(ada):
    conversation = await ada.converse()
    parts = [pb.Part(text="Hello"), pb.Part(text="Grüße \U0001f600 '\"\\ \u2028 \x01")]
    said = (await ada.SendMessage(conversation_id=conversation.id, role=USER, parts=parts)).message
    assert (await ada.GetMessage(message_id=said.id)).message == said
    assert list((await ada.ListMessages(conversation_id=conversation.id)).messages) == [said]
    assert (said.conversation_id, said.session_id, said.role) == (conversation.id, ada.session_id, USER)
    assert (said.position, said.branch, said.depth, said.revision) == (1, 1, 1, conversation.revision + 1)
    assert list(said.parts) == parts
    assert datetime.now(UTC) - said.create_time.ToDatetime(UTC) < timedelta(minutes=1)


async def test_positions_count_up_and_the_conversation_counts_along(ada):
    conversation = await ada.converse()
    said = [await ada.say(conversation, str(number)) for number in range(3)]
    assert [(one.position, one.depth, one.revision) for one in said] == [(1, 1, 2), (2, 2, 3), (3, 3, 4)]
    counted = (await ada.GetConversation(conversation_id=conversation.id)).conversation
    assert (counted.message_count, counted.revision) == (3, 4)
    assert counted.update_time.ToDatetime() >= said[-1].create_time.ToDatetime()


async def test_a_repeat_returns_the_first_message_whichever_session_sends_it(ada):
    conversation = await ada.converse()
    first = await ada.say(conversation, request_id="one")
    await ada.say(conversation, "between")
    assert await ada.say(conversation, request_id="one") == first
    assert await ada.elsewhere().say(conversation, request_id="one") == first
    assert (await ada.GetConversation(conversation_id=conversation.id)).conversation.message_count == 2


@pytest.mark.parametrize("other", [{"text": "Other"}, {"role": ASSISTANT}, {"parts": [pb.Part(text="Hello")] * 2}])
async def test_a_request_id_with_other_content_is_refused(ada, other):
    conversation = await ada.converse()
    await ada.say(conversation, request_id="one")
    refused = await failure(ada.say(conversation, request_id="one", **other))
    assert (refused.code, refused.reason) == (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert (await ada.GetConversation(conversation_id=conversation.id)).conversation.message_count == 1


async def test_a_repeat_is_answered_after_the_conversation_was_deleted(ada):
    conversation = await ada.converse()
    first = await ada.say(conversation, request_id="one")
    await ada.DeleteConversation(conversation_id=conversation.id)
    assert await ada.say(conversation, request_id="one") == first


async def test_a_request_id_is_one_conversations_own(ada):
    first, second = await ada.converse(), await ada.converse()
    assert (await ada.say(first, request_id="one")).id != (await ada.say(second, request_id="one")).id


async def test_everything_wrong_with_a_message_is_told_at_once(ada):
    parts = [pb.Part(text="fine"), pb.Part(text="nul\0"), pb.Part(text=""), pb.Part(), pb.Part(text="x" * 100_001)]
    refused = await failure(ada.SendMessage(conversation_id="x", role=9, parts=parts, request_id="x" * 65))
    assert refused.code is StatusCode.INVALID_ARGUMENT
    assert list(refused.violations) == [
        "conversation_id",
        "role",
        *(f"parts[{number}].text" for number in range(1, 5)),
        "request_id",
    ]


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ([], "parts"),
        ([pb.Part(text="x")] * 65, "parts"),
        ([pb.Part(text="\u20ac" * 100_000)] * 4, "parts"),
    ],
)
async def test_a_message_has_one_to_64_parts_and_a_million_bytes(ada, parts, field):
    conversation = await ada.converse()
    refused = await failure(ada.SendMessage(conversation_id=conversation.id, role=USER, parts=parts))
    assert list(refused.violations) == [field]


async def test_a_message_may_be_as_long_as_its_limit(ada):
    conversation = await ada.converse()
    parts = [pb.Part(text="x" * 100_000)] * 10
    said = (await ada.SendMessage(conversation_id=conversation.id, role=USER, parts=parts, request_id="a")).message
    again = (await ada.SendMessage(conversation_id=conversation.id, role=USER, parts=parts, request_id="a")).message
    assert said == again
    assert list((await ada.GetMessage(message_id=said.id)).message.parts) == parts


async def test_a_batch_is_appended_next_to_each_other_in_its_order(ada):
    conversation = await ada.converse()
    await ada.say(conversation)
    requests = [message("", str(number), request_id=str(number)) for number in range(100)]
    answer = await ada.BatchSendMessages(conversation_id=conversation.id, requests=requests)
    assert texts(answer.messages) == [str(number) for number in range(100)]
    assert [one.position for one in answer.messages] == list(range(2, 102))
    assert await ada.BatchSendMessages(conversation_id=conversation.id, requests=requests) == answer
    listed = await ada.ListMessages(conversation_id=conversation.id, page_size=200)
    assert list(listed.messages)[1:] == list(answer.messages)


async def test_a_batch_with_a_used_request_id_is_refused_as_a_whole(ada):
    conversation = await ada.converse()
    await ada.say(conversation, "used", request_id="used")
    batches = [
        [message("", "new", request_id="new"), message("", "used", request_id="used")],
        [message("", "new"), message("", "used", request_id="used")],
        [message("", "other", request_id="used")],
    ]
    for requests in batches:
        refused = await failure(ada.BatchSendMessages(conversation_id=conversation.id, requests=requests))
        assert refused.reason == "REQUEST_ID_REUSED"
    assert texts((await ada.ListMessages(conversation_id=conversation.id)).messages) == ["used"]
    assert (await ada.say(conversation)).position == 2


async def test_everything_wrong_with_a_batch_is_told_at_once(ada):
    requests = [
        message("", "fine", request_id="one"),
        message(str(ids.new_id()), "elsewhere"),
        message("", "", role=0, request_id="one"),
    ]
    conversation = await ada.converse()
    refused = await failure(ada.BatchSendMessages(conversation_id=conversation.id, requests=requests))
    assert list(refused.violations) == [
        "requests[1].conversation_id",
        "requests[2].role",
        "requests[2].parts[0].text",
        "requests[2].request_id",
    ]
    for count in (0, 101):
        too_many = ada.BatchSendMessages(conversation_id=conversation.id, requests=[message("")] * count)
        assert list((await failure(too_many)).violations) == ["requests"]


async def test_a_batch_into_nowhere_and_into_a_deleted_conversation_is_refused(ada):
    conversation = await ada.converse()
    nowhere = await failure(ada.BatchSendMessages(conversation_id=str(ids.new_id()), requests=[message("")]))
    assert nowhere.reason == "CONVERSATION_NOT_FOUND"
    await ada.DeleteConversation(conversation_id=conversation.id)
    deleted = await failure(ada.BatchSendMessages(conversation_id=conversation.id, requests=[message("")]))
    assert deleted.reason == "CONVERSATION_DELETED"


async def test_one_callers_bad_message_does_not_fail_those_committed_with_it(ada):
    fine, deleted = await ada.converse(), await ada.converse()
    await ada.say(fine, "used", request_id="used")
    await ada.DeleteConversation(conversation_id=deleted.id)
    calls = []
    for number in range(40):
        calls += [
            ada.say(fine, str(number)),
            ada.say(fine, "other", request_id="used"),
            ada.say(deleted, "late"),
            ada.say(pb.Conversation(id=str(ids.new_id())), "lost"),
        ]
    answers = await gather(*calls)
    assert {answers[i].code() for i in range(1, 160, 4)} == {StatusCode.ALREADY_EXISTS}
    assert {answers[i].code() for i in range(2, 160, 4)} == {StatusCode.FAILED_PRECONDITION}
    assert {answers[i].code() for i in range(3, 160, 4)} == {StatusCode.NOT_FOUND}
    assert sorted(answers[i].position for i in range(0, 160, 4)) == list(range(2, 42))


async def pages(person, **question):
    token, found = "", []
    while True:
        page = await person.ListMessages(page_token=token, **question)
        found.append(list(page.messages))
        token = page.next_page_token
        if not token:
            return found


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("filters", [(), ("role",), ("session_id",), ("role", "session_id")])
async def test_messages_are_paged_in_both_directions_by_role_and_session(ada, descending, filters):
    conversation, other = await ada.converse(), await ada.converse()
    elsewhere = ada.elsewhere()
    for number in range(12):
        person, role = (ada, elsewhere)[number % 2], (USER, ASSISTANT)[number // 2 % 2]
        await person.say(conversation, str(number), role=role)
        await ada.say(other, "other", role=role)
    chosen = {"role": ASSISTANT, "session_id": elsewhere.session_id}
    question = {name: chosen[name] for name in filters}
    found = await pages(ada, conversation_id=conversation.id, page_size=2, descending=descending, **question)
    wanted = [
        str(number)
        for number in range(12)
        if ("session_id" not in filters or number % 2) and ("role" not in filters or number // 2 % 2)
    ]
    assert texts(one for page in found for one in page) == (wanted[::-1] if descending else wanted)
    assert {len(page) for page in found[:-1]} <= {2}


@pytest.mark.parametrize("descending", [False, True])
async def test_all_that_one_sign_in_wrote_is_listed_over_conversations_in_the_order_of_time(ada, bob, descending):
    conversations = [await ada.converse() for _ in range(3)]
    elsewhere = ada.elsewhere()
    for number in range(9):
        await ada.say(conversations[number % 3], str(number), role=(USER, ASSISTANT)[number % 2])
        await elsewhere.say(conversations[number % 3], "elsewhere")
    await ada.DeleteConversation(conversation_id=conversations[1].id)
    question = {"session_id": ada.session_id, "descending": descending}
    everything = texts(one for page in await pages(ada, page_size=2, **question) for one in page)
    answers = texts(one for page in await pages(ada, page_size=2, role=ASSISTANT, **question) for one in page)
    wanted = [str(number) for number in range(9) if number % 3 != 1]
    assert everything == (wanted[::-1] if descending else wanted)
    assert answers == [text for text in everything if int(text) % 2]
    assert list((await bob.ListMessages(session_id=ada.session_id)).messages) == []


async def test_a_page_is_not_disturbed_by_messages_that_are_appended_meanwhile(ada):
    conversation = await ada.converse()
    for number in range(6):
        await ada.say(conversation, str(number))
    newest = await ada.ListMessages(conversation_id=conversation.id, page_size=4, descending=True)
    oldest = await ada.ListMessages(conversation_id=conversation.id, page_size=4)
    await ada.say(conversation, "late")
    older = await ada.ListMessages(
        conversation_id=conversation.id, page_size=4, descending=True, page_token=newest.next_page_token
    )
    newer = await ada.ListMessages(conversation_id=conversation.id, page_size=4, page_token=oldest.next_page_token)
    assert texts([*newest.messages, *older.messages]) == ["5", "4", "3", "2", "1", "0"]
    assert texts([*oldest.messages, *newer.messages]) == ["0", "1", "2", "3", "4", "5", "late"]


async def test_a_page_ends_before_its_text_would_pass_three_million_bytes(ada):
    conversation = await ada.converse()
    for number in range(8):
        parts = [pb.Part(text=str(number))] + [pb.Part(text="\u20ac" * 30_000)] * 10
        await ada.SendMessage(conversation_id=conversation.id, role=USER, parts=parts)
    for descending in (False, True):
        found = await pages(ada, conversation_id=conversation.id, descending=descending)
        assert [len(page) for page in found] == [3, 3, 2]
        assert texts(one for page in found for one in page) == [str(n) for n in range(8)][:: -1 if descending else 1]
    by_session = await pages(ada, session_id=ada.session_id, role=USER)
    assert [len(page) for page in by_session] == [3, 3, 2]


async def test_a_page_may_be_as_long_as_its_limit_and_is_not_cut_where_the_list_ends(ada):
    conversation = await ada.converse()
    for _ in range(3):
        await ada.SendMessage(conversation_id=conversation.id, role=USER, parts=[pb.Part(text="x" * 100_000)] * 10)
    page = await ada.ListMessages(conversation_id=conversation.id)
    assert (len(page.messages), page.next_page_token) == (3, "")


async def test_pages_hold_fifty_messages_and_at_most_two_hundred(ada):
    conversation = await ada.converse()
    for _ in range(3):
        await ada.BatchSendMessages(conversation_id=conversation.id, requests=[message("")] * 70)
    for asked, held in ((0, 50), (7, 7), (200, 200), (201, 200), (2**31 - 1, 200)):
        page = await ada.ListMessages(conversation_id=conversation.id, page_size=asked)
        assert len(page.messages) == held
        assert page.next_page_token


async def test_an_empty_conversation_has_no_messages_and_one_that_is_not_there_is_not_found(ada):
    conversation = await ada.converse()
    for question in ({}, {"role": USER}, {"session_id": ada.session_id}, {"descending": True}):
        page = await ada.ListMessages(conversation_id=conversation.id, **question)
        assert (list(page.messages), page.next_page_token) == ([], "")
        refused = await failure(ada.ListMessages(conversation_id=str(ids.new_id()), **question))
        assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "CONVERSATION_NOT_FOUND")


async def test_everything_wrong_with_a_list_is_told_at_once(ada):
    refused = await failure(ada.ListMessages(role=9, branch=-1, page_size=-1, page_token="x"))
    assert list(refused.violations) == ["conversation_id", "role", "branch", "page_size", "page_token"]
    refused = await failure(ada.ListMessages(conversation_id="x", session_id="y"))
    assert list(refused.violations) == ["conversation_id", "session_id"]


async def test_the_trunk_is_branch_one_and_there_is_no_other_at_first(ada):
    conversation = await ada.converse()
    said = await ada.say(conversation)
    assert list((await ada.ListMessages(conversation_id=conversation.id, branch=1)).messages) == [said]
    refused = await failure(ada.ListMessages(conversation_id=conversation.id, branch=2))
    assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "BRANCH_NOT_FOUND")
    refused = await failure(ada.ListMessages(session_id=ada.session_id, branch=1))
    assert list(refused.violations) == ["branch"]


async def test_a_page_token_of_messages_is_good_for_its_own_question_only(ada, bob):
    conversation, other = await ada.converse(), await ada.converse()
    for _ in range(3):
        await ada.say(conversation)
    token = (await ada.ListMessages(conversation_id=conversation.id, page_size=1)).next_page_token
    questions = [
        ada.ListMessages(conversation_id=other.id, page_token=token),
        ada.ListMessages(conversation_id=conversation.id, page_token=token, descending=True),
        ada.ListMessages(conversation_id=conversation.id, page_token=token, role=USER),
        ada.ListMessages(conversation_id=conversation.id, page_token=token, branch=1),
        ada.ListMessages(conversation_id=conversation.id, page_token=token, session_id=ada.session_id),
        bob.ListMessages(conversation_id=conversation.id, page_token=token),
    ]
    for question in questions:
        assert list((await failure(question)).violations) == ["page_token"]


async def test_a_message_is_in_no_log(logs, ada):
    conversation = await ada.converse(title="the title of a secret")
    await ada.say(conversation, "a very secret text", request_id="one")
    await failure(ada.say(conversation, "another secret text", request_id="one"))
    await failure(ada.say(conversation, "a secret with nul\0"))
    assert len([event for event in logs if event["event"] == "rpc"]) == 4
    assert "secret" not in str(logs)


async def test_an_unexpected_error_shows_nothing_of_the_message(ada, chat):
    conversation = await ada.converse()
    await fetch(chat.database.owner_url, "ALTER TABLE chat_messages ADD CONSTRAINT no CHECK (position < 1)")
    refused = await failure(ada.say(conversation, "a very secret text"))
    assert (refused.code, refused.reason) == (StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in str(refused)
    assert "chat_messages" not in str(refused)
    await fetch(chat.database.owner_url, "ALTER TABLE chat_messages DROP CONSTRAINT no")
    assert (await ada.say(conversation)).position == 1

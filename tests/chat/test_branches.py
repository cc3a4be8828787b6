"""Edits make branches and overwrite nothing; a page goes along a branch's whole path."""

import pytest
from grpc import StatusCode

from protos.chat.v1 import resources_pb2 as pb
from shared import ids
from tests.chattest import ASSISTANT, USER, message, texts
from tests.grpc_errors import failure
from tests.servers import fetch


async def edit(person, said, text="Other", **fields):
    parts = [pb.Part(text=text)]
    return (await person.EditMessage(message_id=said.id, parts=parts, **fields)).message


async def listed(person, conversation, **question):
    """All texts of a list, page by page."""
    token, found = "", []
    while True:
        page = await person.ListMessages(conversation_id=conversation.id, page_token=token, **question)
        found += [one.parts[0].text for one in page.messages]
        token = page.next_page_token
        if not token:
            return found


async def branches(person, conversation):
    return list((await person.ListBranches(conversation_id=conversation.id)).branches)


def place(said):
    """ "2 of 3", and where its neighbours are."""
    return said.sibling_index, said.sibling_count, said.previous_sibling_branch, said.next_sibling_branch


@pytest.fixture
async def talk(ada):
    """Four messages on the trunk: a question, an answer, and both again."""
    conversation = await ada.converse()
    said = [await ada.say(conversation, f"1.{n}", role=(ASSISTANT, USER)[n % 2]) for n in range(1, 5)]
    return conversation, said


@pytest.fixture
async def tree(ada, talk):
    """1: 1.1 1.2 1.3 1.4; 2 leaves after 1.2: 2.3 2.4; 3 leaves after 2.3: 3.4 3.5; 4 leaves after 1.1: 4.2."""
    conversation, trunk = talk
    second = [await edit(ada, trunk[2], "2.3"), await ada.say(conversation, "2.4", role=ASSISTANT)]
    third = [await edit(ada, second[1], "3.4"), await ada.say(conversation, "3.5")]
    return conversation, [*trunk, *second, *third, await edit(ada, trunk[1], "4.2")]


PATHS = {
    1: ["1.1", "1.2", "1.3", "1.4"],
    2: ["1.1", "1.2", "2.3", "2.4"],
    3: ["1.1", "1.2", "2.3", "3.4", "3.5"],
    4: ["1.1", "4.2"],
}


async def test_an_edit_stands_in_the_messages_place_on_a_branch_that_is_now_the_active_one(ada, talk):
    conversation, trunk = talk
    elsewhere = ada.elsewhere()
    edited = await edit(elsewhere, trunk[2])
    assert (edited.depth, edited.role, edited.branch, edited.position) == (3, USER, 2, 5)
    assert (edited.replaced_message_id, edited.session_id) == (trunk[2].id, elsewhere.session_id)
    assert await listed(ada, conversation) == ["1.1", "1.2", "Other"]
    after = await ada.say(conversation, "after")
    assert (after.branch, after.depth, after.replaced_message_id) == (2, 4, "")
    assert await listed(ada, conversation) == ["1.1", "1.2", "Other", "after"]
    assert await listed(ada, conversation, branch=1) == PATHS[1]
    now = (await ada.GetConversation(conversation_id=conversation.id)).conversation
    assert (now.active_branch, now.message_count, now.revision) == (2, 6, after.revision)


@pytest.mark.parametrize("role", [pb.ROLE_SYSTEM, USER, ASSISTANT, pb.ROLE_TOOL])
async def test_a_message_of_any_role_can_be_edited_and_keeps_it(ada, role):
    conversation = await ada.converse()
    said = await ada.say(conversation, role=role)
    edited = await edit(ada, said)
    assert (edited.role, edited.depth) == (role, 1)
    assert await listed(ada, conversation) == ["Other"]


@pytest.mark.parametrize("size", [1, 2, 50])
@pytest.mark.parametrize("branch", PATHS)
async def test_a_branch_is_listed_with_all_it_continues_in_both_directions_and_by_role_and_session(
    ada, tree, branch, size
):
    conversation, _ = tree
    question = {"branch": branch, "page_size": size}
    assert await listed(ada, conversation, **question) == PATHS[branch]
    assert await listed(ada, conversation, descending=True, **question) == PATHS[branch][::-1]
    by_session = {"session_id": ada.session_id, **question}
    assert await listed(ada, conversation, **by_session) == PATHS[branch]
    assert await listed(ada, conversation, descending=True, **by_session) == PATHS[branch][::-1]
    answers = [text for text in PATHS[branch] if int(text[2]) % 2 == 0]
    for kind in (question, by_session):
        assert await listed(ada, conversation, role=ASSISTANT, **kind) == answers
        assert await listed(ada, conversation, role=ASSISTANT, descending=True, **kind) == answers[::-1]


async def test_a_list_by_session_shows_no_message_of_other_branches_and_of_no_other_session(ada, talk):
    conversation, trunk = talk
    elsewhere = ada.elsewhere()
    await edit(elsewhere, trunk[1], "2.2")
    await ada.say(conversation, "2.3")
    for descending in (False, True):
        question = {"descending": descending, "page_size": 1}
        theirs = await listed(ada, conversation, session_id=elsewhere.session_id, **question)
        assert theirs == ["2.2"]
        hers = await listed(ada, conversation, session_id=ada.session_id, **question)
        assert hers == (["2.3", "1.1"] if descending else ["1.1", "2.3"])
        assert await listed(ada, conversation, branch=1, session_id=elsewhere.session_id, **question) == []
    everywhere = (await ada.ListMessages(session_id=ada.session_id)).messages
    assert texts(everywhere) == [*PATHS[1], "2.3"]


async def test_branches_are_listed_with_their_parents_forks_and_leaves_in_pages(ada, tree):
    conversation, said = tree
    found = await branches(ada, conversation)
    assert [(b.branch, b.parent, b.fork_depth, b.leaf_depth, b.message_count, b.active) for b in found] == [
        (1, 0, 0, 4, 4, False),
        (2, 1, 2, 4, 2, False),
        (3, 2, 3, 5, 2, False),
        (4, 1, 1, 2, 1, True),
    ]
    assert {b.conversation_id for b in found} == {conversation.id}
    assert [b.session_id for b in found] == ["", *[ada.session_id] * 3]
    assert [b.revision for b in found[1:]] == [said[n].revision - 1 for n in (4, 6, 8)]
    assert found[0].create_time == conversation.create_time
    first = await ada.ListBranches(conversation_id=conversation.id, page_size=3)
    rest = await ada.ListBranches(conversation_id=conversation.id, page_size=3, page_token=first.next_page_token)
    assert [*first.branches, *rest.branches] == found
    assert (len(first.branches), rest.next_page_token) == (3, "")


async def test_an_empty_conversation_has_its_trunk(ada):
    conversation = await ada.converse()
    (trunk,) = await branches(ada, conversation)
    assert (trunk.branch, trunk.leaf_depth, trunk.message_count, trunk.active) == (1, 0, 0, True)
    assert await listed(ada, conversation, branch=1, descending=True) == []


async def test_the_parent_is_the_branch_that_has_the_message_before_wherever_the_edit_was_made(ada, tree):
    """An edit of what a branch begins with, or shares, leaves where its alternatives do."""
    conversation, said = tree
    by_text = {one.parts[0].text: one for one in said}
    await edit(ada, by_text["2.3"], "5.3")
    await edit(ada, by_text["4.2"], "6.2")
    await edit(ada, by_text["1.1"], "7.1")
    await edit(ada, (await ada.ListMessages(conversation_id=conversation.id)).messages[0], "8.1")
    assert [(b.branch, b.parent, b.fork_depth) for b in (await branches(ada, conversation))[4:]] == [
        (5, 1, 2),
        (6, 1, 1),
        (7, 1, 0),
        (8, 1, 0),
    ]


async def test_a_message_says_which_of_how_many_alternatives_it_is_and_where_the_next_is(ada, tree):
    conversation, said = tree
    by_text = {one.parts[0].text: one for one in said}
    fifth = await edit(ada, by_text["2.3"], "5.3")
    assert place(fifth) == (3, 3, 2, 0)
    wanted = {
        "1.1": (1, 1, 0, 0),
        "1.2": (1, 2, 0, 4),
        "4.2": (2, 2, 1, 0),
        "1.3": (1, 3, 0, 2),
        "2.3": (2, 3, 1, 5),
        "5.3": (3, 3, 2, 0),
        "1.4": (1, 1, 0, 0),
        "2.4": (1, 2, 0, 3),
        "3.4": (2, 2, 2, 0),
        "3.5": (1, 1, 0, 0),
    }
    for one in [*said, fifth]:
        assert place((await ada.GetMessage(message_id=one.id)).message) == wanted[one.parts[0].text]
    for branch in (1, 2, 3, 4, 5):
        for question in ({}, {"descending": True, "page_size": 1}, {"session_id": ada.session_id}, {"role": USER}):
            page = await ada.ListMessages(conversation_id=conversation.id, branch=branch, **question)
            assert [place(one) for one in page.messages] == [wanted[one.parts[0].text] for one in page.messages]
    everywhere = (await ada.ListMessages(session_id=ada.session_id)).messages
    assert {one.parts[0].text: place(one) for one in everywhere} == wanted


async def test_alternatives_of_one_conversation_are_not_anothers(ada, bob):
    conversation, other = await ada.converse(), await ada.converse()
    his = await bob.converse()
    first, second = await ada.say(conversation), await ada.say(other)
    await edit(bob, await bob.say(his))
    await edit(ada, second)
    assert place((await ada.GetMessage(message_id=first.id)).message) == (1, 1, 0, 0)
    assert place((await ada.GetMessage(message_id=second.id)).message) == (1, 2, 0, 2)


async def test_switching_lets_new_messages_go_to_the_end_of_the_branch(ada, tree):
    conversation, _ = tree
    for number, branch in enumerate((2, 3, 1, 4, 4, 2)):
        switched = (await ada.SwitchBranch(conversation_id=conversation.id, branch=branch)).conversation
        assert switched.active_branch == branch
        before = await listed(ada, conversation)
        said = await ada.say(conversation, f"x{number}")
        assert (said.branch, said.depth) == (branch, len(before) + 1)
        assert await listed(ada, conversation) == [*before, f"x{number}"]
    assert await listed(ada, conversation, branch=2) == [*PATHS[2], "x0", "x5"]


async def test_switching_to_the_active_branch_changes_nothing(ada, tree):
    conversation, _ = tree
    before = (await ada.GetConversation(conversation_id=conversation.id)).conversation
    assert (await ada.SwitchBranch(conversation_id=conversation.id, branch=4)).conversation == before
    after = (await ada.SwitchBranch(conversation_id=conversation.id, branch=1)).conversation
    assert (after.revision, after.etag) == (before.revision + 1, before.etag)
    assert after.update_time.ToDatetime() > before.update_time.ToDatetime()


async def test_the_pages_of_a_list_stay_on_the_branch_that_was_active_at_its_first(ada, tree):
    conversation, _ = tree
    await ada.SwitchBranch(conversation_id=conversation.id, branch=3)
    for question in ({}, {"session_id": ada.session_id}, {"descending": True}):
        first = await ada.ListMessages(conversation_id=conversation.id, page_size=2, **question)
        await ada.SwitchBranch(conversation_id=conversation.id, branch=1)
        token = first.next_page_token
        rest = await ada.ListMessages(conversation_id=conversation.id, page_size=200, page_token=token, **question)
        found = texts([*first.messages, *rest.messages])
        assert found == (PATHS[3][::-1] if question.get("descending") else PATHS[3])
        await ada.SwitchBranch(conversation_id=conversation.id, branch=3)


async def test_a_branch_that_is_not_there_is_not_found(ada, tree):
    conversation, _ = tree
    for call in (
        ada.SwitchBranch(conversation_id=conversation.id, branch=5),
        ada.ListMessages(conversation_id=conversation.id, branch=5),
        ada.ListMessages(conversation_id=conversation.id, branch=2**31 - 1, role=USER),
        ada.ListMessages(conversation_id=conversation.id, branch=5, session_id=ada.session_id, descending=True),
    ):
        refused = await failure(call)
        assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "BRANCH_NOT_FOUND")


async def test_a_repeated_edit_returns_the_message_that_the_first_wrote_whichever_session_sends_it(ada, talk):
    conversation, trunk = talk
    first = await edit(ada, trunk[2], request_id="one")
    assert await edit(ada.elsewhere(), trunk[2], request_id="one") == first
    await ada.SwitchBranch(conversation_id=conversation.id, branch=1)
    assert await edit(ada, trunk[2], request_id="one") == first
    assert len(await branches(ada, conversation)) == 2
    now = (await ada.GetConversation(conversation_id=conversation.id)).conversation
    assert (now.active_branch, now.message_count) == (1, 5)
    await ada.DeleteConversation(conversation_id=conversation.id)
    assert await edit(ada, trunk[2], request_id="one") == first


async def test_a_request_id_that_named_another_request_is_refused(ada, talk):
    conversation, trunk = talk
    sent = await ada.say(conversation, "Other", request_id="sent")
    edited = await edit(ada, trunk[2], request_id="edited")
    for attempt in (
        edit(ada, trunk[2], "else", request_id="edited"),
        edit(ada, trunk[0], request_id="edited"),
        edit(ada, edited, request_id="edited"),
        edit(ada, sent, request_id="sent"),
        edit(ada, trunk[2], request_id="sent"),
        ada.say(conversation, "Other", request_id="edited"),
        ada.BatchSendMessages(
            conversation_id=conversation.id, requests=[message("", "Other", request_id="edited"), message("")]
        ),
    ):
        refused = await failure(attempt)
        assert (refused.code, refused.reason) == (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert len(await branches(ada, conversation)) == 2


async def test_a_deleted_conversation_takes_no_edit_and_no_switch(ada, talk):
    conversation, trunk = talk
    await ada.DeleteConversation(conversation_id=conversation.id)
    for call in (edit(ada, trunk[0]), ada.SwitchBranch(conversation_id=conversation.id, branch=1)):
        refused = await failure(call)
        assert (refused.code, refused.reason) == (StatusCode.FAILED_PRECONDITION, "CONVERSATION_DELETED")


async def test_a_conversation_has_a_thousand_branches_at_most(ada, chat, talk):
    conversation, trunk = talk
    query = "UPDATE conversations SET branch_count = $2 WHERE id = $1"
    await fetch(chat.database.owner_url, query, conversation.id, 999)
    last = await edit(ada, trunk[0], request_id="one")
    assert last.branch == 1000
    before = (await ada.GetConversation(conversation_id=conversation.id)).conversation
    refused = await failure(edit(ada, trunk[0]))
    assert (refused.code, refused.reason) == (StatusCode.FAILED_PRECONDITION, "TOO_MANY_BRANCHES")
    assert await edit(ada, trunk[0], request_id="one") == last
    assert (await ada.GetConversation(conversation_id=conversation.id)).conversation == before


async def test_everything_wrong_with_an_edit_a_switch_and_a_list_is_told_at_once(ada):
    refused = await failure(ada.EditMessage(message_id="x", parts=[pb.Part()], request_id="x" * 65))
    assert list(refused.violations) == ["message_id", "parts[0].text", "request_id"]
    refused = await failure(ada.SwitchBranch(conversation_id="x", branch=0))
    assert list(refused.violations) == ["conversation_id", "branch"]
    refused = await failure(ada.ListBranches(page_size=-1, page_token="x"))
    assert list(refused.violations) == ["conversation_id", "page_size", "page_token"]


async def test_what_is_not_there_is_not_found(ada):
    nowhere = str(ids.new_id())
    reasons = {
        "MESSAGE_NOT_FOUND": ada.EditMessage(message_id=nowhere, parts=[pb.Part(text="x")]),
        "CONVERSATION_NOT_FOUND": ada.SwitchBranch(conversation_id=nowhere, branch=1),
    }
    for reason, call in reasons.items():
        assert (await failure(call)).reason == reason
    assert (await failure(ada.ListBranches(conversation_id=nowhere))).reason == "CONVERSATION_NOT_FOUND"


async def test_a_path_of_many_branches_is_listed_wherever_its_pages_begin(ada):
    """Every message but the first was edited, and went on from there: a branch for each depth."""
    conversation = await ada.converse()
    await ada.say(conversation, "1")
    for depth in range(2, 31):
        await edit(ada, await ada.say(conversation, "first try"), str(depth))
    wanted = [str(depth) for depth in range(1, 31)]
    for size in (1, 4, 7, 30, 200):
        for descending in (False, True):
            found = await listed(ada, conversation, page_size=size, descending=descending)
            assert found == (wanted[::-1] if descending else wanted)
    assert await listed(ada, conversation, role=USER, page_size=7) == wanted
    assert await listed(ada, conversation, session_id=ada.session_id, page_size=7) == wanted

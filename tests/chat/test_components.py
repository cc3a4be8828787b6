import asyncio
from collections import Counter
from hashlib import sha256

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from protos.chat.v1 import resources_pb2 as pb
from shared import ids
from tests.chat.sharing import ada, auth_target, bob, chat, chat_database  # noqa: F401 - one service for the file
from tests.chattest import gather
from tests.grpc_errors import failure

pytestmark = pytest.mark.asyncio(loop_scope="module")


def change(component, content, etag=None):
    return pb.Component(id=component.id, content=content, etag=component.etag if etag is None else etag)


async def versions(person, component, **question):
    return (await person.ListComponentVersions(component_id=component.id, **question)).component_versions


async def test_a_component_is_made_with_its_first_version(ada):
    conversation = await ada.converse()
    content = "export default () => <p>\u00fc\U0001f600</p>"
    made = await ada.build(conversation, "src/App.tsx", content=content)
    assert (await ada.GetComponent(component_id=made.id)).component == made
    assert (made.name, made.type, made.version, made.content) == ("src/App.tsx", "text/tsx", 1, content)
    assert made.content_hash == sha256(content.encode()).hexdigest()
    assert (made.conversation_id, made.session_id) == (conversation.id, ada.session_id)
    assert made.create_time == made.update_time
    (version,) = await versions(ada, made)
    assert (version.version, version.content, version.session_id) == (1, content, ada.session_id)
    assert (await ada.GetConversation(conversation_id=conversation.id)).conversation.revision == 2


async def test_an_update_adds_a_version_and_keeps_the_former_one(ada):
    made = await ada.build(await ada.converse())
    elsewhere = ada.elsewhere()
    changed = (await elsewhere.UpdateComponent(component=change(made, "second"))).component
    assert (changed.version, changed.content, changed.session_id) == (2, "second", elsewhere.session_id)
    assert changed.etag != made.etag
    assert (await ada.GetComponent(component_id=made.id)).component == changed
    assert [(v.version, v.content) for v in await versions(ada, made)] == [(2, "second"), (1, "first")]
    first = (await ada.GetComponentVersion(component_id=made.id, version=1)).component_version
    assert (first.content, first.content_hash, first.session_id) == ("first", made.content_hash, ada.session_id)


async def test_of_16_racing_updates_from_one_etag_exactly_one_wins(ada):
    conversation = await ada.converse()
    made = await ada.build(conversation)
    answers = await gather(*(ada.UpdateComponent(component=change(made, str(number))) for number in range(16)))
    won = [answer for answer in answers if type(answer).__name__ == "UpdateComponentResponse"]
    lost = [answer for answer in answers if answer not in won]
    assert (len(won), {error.code() for error in lost}) == (1, {StatusCode.ABORTED})
    assert [v.content for v in await versions(ada, made)] == [won[0].component.content, "first"]
    assert (await ada.GetConversation(conversation_id=conversation.id)).conversation.revision == 3


async def test_content_equal_to_the_current_makes_no_version(ada):
    conversation = await ada.converse()
    made = await ada.build(conversation)
    assert (await ada.UpdateComponent(component=change(made, "first"))).component == made
    assert len(await versions(ada, made)) == 1
    assert (await ada.GetConversation(conversation_id=conversation.id)).conversation.revision == 2


@pytest.mark.parametrize("etag", ["x", "v", "v0", "v2", "v1x", "r1", "v-1"])
async def test_an_etag_that_is_not_the_present_one_is_refused(ada, etag):
    made = await ada.build(await ada.converse())
    for content in ("second", "first"):
        refused = await failure(ada.UpdateComponent(component=change(made, content, etag)))
        assert (refused.code, refused.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
    assert len(await versions(ada, made)) == 1


async def test_an_update_needs_an_etag_and_writes_content_alone(ada):
    made = await ada.build(await ada.converse())
    wrong = pb.Component(id="x", content="x" * 1_000_001)
    refused = await failure(ada.UpdateComponent(component=wrong, update_mask=FieldMask(paths=["name"])))
    assert list(refused.violations) == ["update_mask", "component.etag", "component.id", "component.content"]
    for paths in (["content"], ["*"], []):
        wanted = pb.Component(id=made.id, etag=made.etag, content=str(paths), name="Other", type="other", version=9)
        made = (await ada.UpdateComponent(component=wanted, update_mask=FieldMask(paths=paths))).component
        assert (made.name, made.type, made.content) == ("App.tsx", "text/tsx", str(paths))
    assert made.version == 4


async def test_everything_wrong_with_a_component_is_told_at_once(ada):
    wrong = pb.Component(conversation_id="x", name="x" * 201, type="", content="nul\0")
    refused = await failure(ada.CreateComponent(component=wrong, request_id="x" * 65))
    assert list(refused.violations) == [
        "component.conversation_id",
        "component.name",
        "component.type",
        "component.content",
        "request_id",
    ]
    refused = await failure(ada.CreateComponent(component=pb.Component(name="nul\0", type="x" * 101)))
    assert list(refused.violations) == ["component.conversation_id", "component.name", "component.type"]


async def test_content_may_be_as_long_as_its_limit_and_empty(ada):
    conversation = await ada.converse()
    for number, content in enumerate(("", "\u20ac" * 333_333)):
        made = await ada.build(conversation, str(number), content=content)
        assert (await ada.GetComponent(component_id=made.id)).component.content == content
    refused = await failure(ada.build(conversation, "long", content="\u20ac" * 333_334))
    assert list(refused.violations) == ["component.content"]


async def test_a_name_is_one_components_in_its_conversation_until_it_is_deleted(ada):
    conversation = await ada.converse()
    made = await ada.build(conversation)
    refused = await failure(ada.build(conversation))
    assert (refused.code, refused.reason) == (StatusCode.ALREADY_EXISTS, "COMPONENT_NAME_TAKEN")
    assert (await ada.build(await ada.converse())).name == made.name
    await ada.DeleteComponent(component_id=made.id)
    assert (await ada.build(conversation)).id != made.id


async def test_racing_creations_of_one_name_make_one_component(ada):
    conversation = await ada.converse()
    answers = await gather(*(ada.build(conversation, content=str(number)) for number in range(16)))
    codes = Counter(type(answer).__name__ for answer in answers)
    assert codes == {"Component": 1, "AioRpcError": 15}
    assert {a.code() for a in answers if type(a).__name__ == "AioRpcError"} == {StatusCode.ALREADY_EXISTS}


async def test_a_repeat_of_a_creation_returns_the_component_and_other_content_is_refused(ada):
    conversation = await ada.converse()
    answers = await asyncio.gather(*(ada.build(conversation, request_id="one") for _ in range(16)))
    assert {answer.SerializeToString() for answer in answers} == {answers[0].SerializeToString()}
    for other in ({"name": "Other.tsx"}, {"type": "other"}, {"content": "other"}):
        refused = await failure(ada.build(conversation, request_id="one", **other))
        assert (refused.code, refused.reason) == (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    changed = (await ada.UpdateComponent(component=change(answers[0], "second"))).component
    assert await ada.build(conversation, request_id="one") == changed
    await ada.DeleteConversation(conversation_id=conversation.id)
    assert await ada.build(conversation, request_id="one") == changed


async def test_components_are_listed_newest_first_by_type_and_session(ada):
    conversation, other = await ada.converse(), await ada.converse()
    elsewhere = ada.elsewhere()
    made = []
    for number in range(8):
        person = (ada, elsewhere)[number % 2]
        made.append(await person.build(conversation, str(number), type=("text/tsx", "text/css")[number // 2 % 2]))
        await ada.build(other, str(number))
    gone = (await ada.DeleteComponent(component_id=made[6].id)).component
    home = {"conversation_id": conversation.id}
    css, session = {"type": "text/css"}, {"session_id": elsewhere.session_id}

    async def listed(**question):
        first = await ada.ListComponents(page_size=3, **question)
        found = list(first.components)
        while first.next_page_token:
            first = await ada.ListComponents(page_size=3, page_token=first.next_page_token, **question)
            found += first.components
        return [one.name for one in found]

    assert await listed(**home) == ["7", "5", "4", "3", "2", "1", "0"]
    assert await listed(**home, **css) == ["7", "3", "2"]
    assert await listed(**home, show_deleted=True) == ["7", "6", "5", "4", "3", "2", "1", "0"]
    assert await listed(**home, **css, show_deleted=True) == ["7", "6", "3", "2"]
    assert await listed(**home, **session) == ["7", "5", "3", "1"]
    assert await listed(**home, **session, **css) == ["7", "3"]
    assert await listed(session_id=ada.session_id, conversation_id=conversation.id) == ["4", "2", "0"]
    assert await listed(**session, **css) == ["7", "3"]
    assert gone.name in await listed(session_id=ada.session_id, show_deleted=True)
    await ada.DeleteConversation(conversation_id=conversation.id)
    assert await listed(**session) == []
    assert len(await listed(**home)) == 7


async def test_who_writes_the_current_version_is_whom_it_is_listed_under(ada):
    made = await ada.build(await ada.converse())
    elsewhere = ada.elsewhere()
    await elsewhere.UpdateComponent(component=change(made, "second"))
    assert list((await ada.ListComponents(session_id=ada.session_id)).components) == []
    assert [c.id for c in (await ada.ListComponents(session_id=elsewhere.session_id)).components] == [made.id]


async def test_pages_of_components_and_versions_end_before_their_content_would_pass_three_million_bytes(ada):
    conversation = await ada.converse()
    for number in range(4):
        made = await ada.build(conversation, str(number), content=str(number) + "x" * 900_000)
    first = await ada.ListComponents(conversation_id=conversation.id)
    assert [one.name for one in first.components] == ["3", "2", "1"]
    second = await ada.ListComponents(conversation_id=conversation.id, page_token=first.next_page_token)
    assert ([one.name for one in second.components], second.next_page_token) == (["0"], "")
    for number in range(3):
        made = (await ada.UpdateComponent(component=change(made, str(number) + "y" * 900_000))).component
    page = await ada.ListComponentVersions(component_id=made.id)
    assert [one.version for one in page.component_versions] == [4, 3, 2]
    rest = await ada.ListComponentVersions(component_id=made.id, page_token=page.next_page_token)
    assert ([one.version for one in rest.component_versions], rest.next_page_token) == ([1], "")


async def test_a_deleted_component_can_be_read_and_takes_no_change(ada):
    made = await ada.build(await ada.converse())
    deleted = (await ada.DeleteComponent(component_id=made.id)).component
    assert deleted.HasField("delete_time")
    assert (await ada.GetComponent(component_id=made.id)).component == deleted
    assert (await ada.DeleteComponent(component_id=made.id)).component == deleted
    assert len(await versions(ada, made)) == 1
    refused = await failure(ada.UpdateComponent(component=change(made, "second")))
    assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "COMPONENT_NOT_FOUND")


async def test_what_is_not_there_is_not_found(ada):
    made = await ada.build(await ada.converse())
    nowhere = str(ids.new_id())
    reasons = {
        "COMPONENT_VERSION_NOT_FOUND": ada.GetComponentVersion(component_id=made.id, version=2),
        "COMPONENT_NOT_FOUND": ada.GetComponentVersion(component_id=nowhere, version=1),
        "CONVERSATION_NOT_FOUND": ada.ListComponents(conversation_id=nowhere),
    }
    for reason, call in reasons.items():
        refused = await failure(call)
        assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, reason)
    refused = await failure(ada.build(pb.Conversation(id=nowhere)))
    assert refused.reason == "CONVERSATION_NOT_FOUND"


async def test_everything_wrong_with_a_question_is_told_at_once(ada):
    refused = await failure(ada.ListComponents(type="nul\0", page_size=-1, page_token="x"))
    assert list(refused.violations) == ["conversation_id", "type", "page_size", "page_token"]
    refused = await failure(ada.GetComponentVersion(component_id="x", version=0))
    assert list(refused.violations) == ["component_id", "version"]
    refused = await failure(ada.ListComponentVersions(component_id="", page_token="x"))
    assert list(refused.violations) == ["component_id", "page_token"]


async def test_a_former_version_is_restored_as_a_new_one(ada):
    made = await ada.build(await ada.converse())
    changed = (await ada.UpdateComponent(component=change(made, "second"))).component
    elsewhere = ada.elsewhere()
    restored = (await elsewhere.RestoreComponentVersion(component_id=made.id, version=1, etag=changed.etag)).component
    assert (restored.version, restored.content, restored.content_hash) == (3, "first", made.content_hash)
    assert restored.session_id == elsewhere.session_id
    assert (await ada.GetComponent(component_id=made.id)).component == restored
    assert [(v.version, v.content) for v in await versions(ada, made)] == [(3, "first"), (2, "second"), (1, "first")]


async def test_restoring_what_is_current_makes_no_version(ada):
    conversation = await ada.converse()
    made = await ada.build(conversation)
    before = (await ada.GetConversation(conversation_id=conversation.id)).conversation
    assert (await ada.RestoreComponentVersion(component_id=made.id, version=1)).component == made
    assert len(await versions(ada, made)) == 1
    assert (await ada.GetConversation(conversation_id=conversation.id)).conversation == before


async def test_a_restoration_from_a_stale_etag_is_refused(ada):
    """R39. Of racing restorations and updates from one etag exactly one wins."""
    made = await ada.build(await ada.converse())
    changed = (await ada.UpdateComponent(component=change(made, "second"))).component
    refused = await failure(ada.RestoreComponentVersion(component_id=made.id, version=1, etag=made.etag))
    assert (refused.code, refused.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
    answers = await gather(
        *(ada.RestoreComponentVersion(component_id=made.id, version=1, etag=changed.etag) for _ in range(8)),
        *(ada.UpdateComponent(component=change(changed, str(number))) for number in range(8)),
    )
    assert len([answer for answer in answers if hasattr(answer, "component")]) == 1
    assert [v.version for v in await versions(ada, made)] == [3, 2, 1]


async def test_a_version_that_never_was_and_a_component_that_is_deleted_cannot_be_restored(ada):
    made = await ada.build(await ada.converse())
    refused = await failure(ada.RestoreComponentVersion(component_id=made.id, version=2))
    assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "COMPONENT_VERSION_NOT_FOUND")
    await ada.UpdateComponent(component=change(made, "second"))
    await ada.DeleteComponent(component_id=made.id)
    refused = await failure(ada.RestoreComponentVersion(component_id=made.id, version=1))
    assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "COMPONENT_NOT_FOUND")
    other = await ada.converse()
    built = await ada.build(other)
    await ada.DeleteConversation(conversation_id=other.id)
    refused = await failure(ada.RestoreComponentVersion(component_id=built.id, version=1))
    assert refused.reason == "CONVERSATION_DELETED"
    refused = await failure(ada.RestoreComponentVersion(component_id="x", version=0))
    assert list(refused.violations) == ["version", "component_id"]

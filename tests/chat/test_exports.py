"""ExportConversations: all that is kept, as a file that comes back as it was."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from grpc import StatusCode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat_service import exports
from protos.chat.v1 import resources_pb2 as res
from shared import ids
from tests.chat.sharing import ada, auth_target, bob, chat, chat_database  # noqa: F401 - one service for the file
from tests.chat.transfers import IMPORTED, exported, imported, records, verdicts
from tests.chattest import ASSISTANT, Chat, Person
from tests.grpc_errors import failure
from tests.servers import fetch

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What an import makes anew: ids, and when and at which revision it came here.
MADE_ANEW = {"id", "conversation_id", "message_id", "component_id", "replaces", "revision", "update_time"}
PARTS = [
    res.Part(text="Hello"),
    res.Part(image=res.Image(uri="https://example.com/a.png", media_type="image/png")),
    res.Part(file=res.File(uri="urn:isbn:0451450523", name="book.pdf")),
    res.Part(tool_call=res.ToolCall(id="1", name="sum", arguments='{"a": [1, 2]')),
    res.Part(tool_result=res.ToolResult(tool_call_id="1", content="3", is_error=True)),
]


def without_ids(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A file with each id replaced by the number of the conversation's record that it belongs to."""
    known: dict[str, int] = {}

    def numbered(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {
                name: numbered(item, name) for name, item in value.items() if name not in ("revision", "update_time")
            }
        if isinstance(value, list):
            return [numbered(item) for item in value]
        return known.setdefault(value, len(known)) if key in MADE_ANEW else value

    whole = [numbered(one) for one in told]
    ends = [number for number, one in enumerate(whole) if "end" in one]
    assert len(ends) == sum("conversation" in one for one in whole)
    return whole


async def fill(person: Person, *, title: str = "Plans") -> res.Conversation:
    """A conversation with something of everything."""
    metadata = Struct()
    metadata.update({"a": [1, 2.5, None, {"b": "é"}]})
    defaults = res.Conversation().model_defaults
    defaults.model, defaults.system_prompt = "m", "Be kind."
    defaults.parameters.temperature = 0.5
    defaults.parameters.tools.add(name="sum", description="Adds.").parameters.update({"type": "object"})
    conversation = await person.converse(title=title, pinned=True, metadata=metadata, model_defaults=defaults)
    value = res.Part()
    value.json.struct_value.update({"x": [1, "two", None, True, {}]})
    first = await person.say(conversation, parts=[*PARTS, value])
    answer = await person.say(conversation, "Answer", role=ASSISTANT)
    await person.elsewhere().say(conversation, "From another device")
    await person.EditMessage(message_id=first.id, parts=[res.Part(text="Hello again")])
    await person.say(conversation, "On the branch")
    await person.EditMessage(message_id=answer.id, parts=[res.Part(text="Better")])
    await person.SetFeedback(message_id=answer.id, feedback=res.Feedback(rating="FEEDBACK_RATING_BAD", comment="no"))
    gone = await person.say(conversation, "gone")
    await person.DeleteMessage(message_id=gone.id)
    await person.SwitchBranch(conversation_id=conversation.id, branch=2)
    built = await person.build(conversation)
    await person.UpdateComponent(component=res.Component(id=built.id, etag=built.etag, content="second\n\0"[:7]))
    await person.DeleteComponent(component_id=(await person.build(conversation, "gone")).id)
    await person.build(conversation, "gone", content="")
    run = res.Interaction(
        conversation_id=conversation.id,
        model="m",
        state=res.INTERACTION_STATE_COMPLETED,
        message_id=answer.id,
        usage=res.Usage(input_tokens=3, output_tokens=5, cost_micros=7, price_version="v1"),
    )
    response = res.Response(finish_reason="stop", usage=res.Usage(output_tokens=5))
    response.duration.FromTimedelta(timedelta(seconds=2))
    await person.RecordInteraction(interaction=run, response=response)
    failed = res.Interaction(conversation_id=conversation.id, model="m", state=res.INTERACTION_STATE_FAILED)
    failed.error.code, failed.error.message = "down", "It was down."
    await person.RecordInteraction(interaction=failed)
    await person.MarkRead(conversation_id=conversation.id, position=2)
    return (await person.GetConversation(conversation_id=conversation.id)).conversation


async def test_a_conversation_comes_back_as_it_was(ada: Person, bob: Person) -> None:
    """Branches, parts of every kind, tombstones, feedback, components with all versions, runs, and read marks."""
    await fill(ada)
    told = await records(ada)
    kinds = {next(name for name in one if name != "format") for one in told}
    assert kinds == {
        *("conversation", "branch", "message", "component", "component_version", "interaction", "session", "end")
    }
    (result,) = await imported(bob, await exported(ada), piece=1_000)
    assert result.verdict == IMPORTED, result.reasons
    again = await records(bob)
    assert without_ids(again) == without_ids(told)
    ids_before = {one["message"]["id"] for one in told if "message" in one}
    assert ids_before.isdisjoint(one["message"]["id"] for one in again if "message" in one)
    theirs = (await bob.GetConversation(conversation_id=result.conversation_id)).conversation
    assert (theirs.active_branch, theirs.message_count, theirs.pinned) == (2, 7, True)
    assert theirs.model_defaults.system_prompt == "Be kind."


async def test_an_imported_conversation_is_searched_listed_and_continued_like_its_original(
    ada: Person, bob: Person
) -> None:
    original = await fill(ada)
    (result,) = await imported(bob, await exported(ada))
    for branch in (1, 2, 3):
        hers = (await ada.ListMessages(conversation_id=original.id, branch=branch)).messages
        his = (await bob.ListMessages(conversation_id=result.conversation_id, branch=branch)).messages
        seen = [(one.position, one.depth, list(one.parts), one.sibling_index, one.sibling_count) for one in hers]
        assert [(one.position, one.depth, list(one.parts), one.sibling_index, one.sibling_count) for one in his] == seen
    copy = (await bob.GetConversation(conversation_id=result.conversation_id)).conversation
    assert (await bob.say(copy, "More")).position == 8


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
SCALAR = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)
STEP = st.one_of(
    st.tuples(st.just("say"), TEXT),
    st.tuples(st.just("edit"), st.integers(0, 30), TEXT),
    st.tuples(st.just("delete"), st.integers(0, 30)),
    st.tuples(st.just("switch"), st.integers(0, 30)),
    st.tuples(st.just("rate"), st.integers(0, 30), TEXT),
    st.tuples(st.just("build"), st.integers(0, 3), TEXT),
    st.tuples(st.just("json"), VALUE),
)


async def act(person: Person, conversation: res.Conversation, step: tuple[Any, ...]) -> None:
    acts = {"say": say, "json": say_json, "build": build, "switch": switch}
    await acts.get(step[0], change)(person, conversation, *step)


async def say(person: Person, conversation: res.Conversation, _: str, text: str) -> None:
    await person.say(conversation, text)


async def say_json(person: Person, conversation: res.Conversation, _: str, value: Any) -> None:
    part = res.Part()
    part.json.list_value.append(value)
    await person.say(conversation, parts=[part])


async def build(person: Person, conversation: res.Conversation, _: str, number: int, text: str) -> None:
    found = (await person.ListComponents(conversation_id=conversation.id)).components
    named = [one for one in found if one.name == str(number)]
    if named:
        await person.UpdateComponent(component=res.Component(id=named[0].id, etag=named[0].etag, content=text))
    else:
        await person.build(conversation, str(number), content=text)


async def switch(person: Person, conversation: res.Conversation, _: str, number: int) -> None:
    branches = (await person.ListBranches(conversation_id=conversation.id)).branches
    await person.SwitchBranch(conversation_id=conversation.id, branch=branches[number % len(branches)].branch)


async def change(person: Person, conversation: res.Conversation, kind: str, number: int, text: str = "") -> None:
    """Of one of the messages that are there, if it can be changed so."""
    said = (await person.ListMessages(conversation_id=conversation.id, page_size=200)).messages
    changeable = [one.id for one in said if not one.HasField("delete_time")]
    if not changeable:
        return
    message_id = changeable[number % len(changeable)]
    if kind == "edit":
        await person.EditMessage(message_id=message_id, parts=[res.Part(text=text)])
    elif kind == "delete":
        await person.DeleteMessage(message_id=message_id)
    else:
        feedback = res.Feedback(rating="FEEDBACK_RATING_GOOD", comment=text)
        await person.SetFeedback(message_id=message_id, feedback=feedback)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, min_size=1, max_size=12), piece=st.integers(1, 400))
async def test_whatever_is_done_to_a_conversation_an_export_of_its_import_is_the_same(
    chat: Chat, steps: list[tuple[Any, ...]], piece: int
) -> None:
    """The round trip, without loss: equal but for ids."""
    ada, bob = chat.person(str(ids.new_id())), chat.person(str(ids.new_id()))
    conversation = await ada.converse(title="Plans")
    for step in steps:
        await act(ada, conversation, step)
    told = await records(ada)
    assert verdicts(await imported(bob, await exported(ada), piece=piece)) == [IMPORTED]
    assert without_ids(await records(bob)) == without_ids(told)


async def test_deleted_conversations_are_in_it_where_they_are_wanted_and_come_back_deleted(
    ada: Person, bob: Person
) -> None:
    kept, deleted = await ada.converse(title="kept"), await ada.converse(title="deleted")
    await ada.DeleteConversation(conversation_id=deleted.id)
    assert [one["conversation"]["id"] for one in await records(ada) if "conversation" in one] == [kept.id]
    results = await imported(bob, await exported(ada, show_deleted=True))
    assert verdicts(results) == [IMPORTED, IMPORTED]
    assert [one.title for one in (await bob.ListConversations()).conversations] == ["kept"]
    found = (await bob.UndeleteConversation(conversation_id=results[0].conversation_id)).conversation
    assert found.title == "deleted"


async def test_one_conversation_can_be_taken_out_alone(ada: Person) -> None:
    wanted, _ = await fill(ada), await fill(ada)
    told = [one["conversation"]["id"] for one in await records(ada, conversation_id=wanted.id) if "conversation" in one]
    assert told == [wanted.id]


async def test_an_export_that_broke_off_goes_on_after_what_it_completed(ada: Person) -> None:
    for number in range(5):
        await ada.say(await ada.converse(title=str(number)))
    whole = await exported(ada)
    stream = ada.ExportConversations()
    data, token = b"", ""
    while whole[len(data) :].count(b'"end"') > 3:
        piece = await stream.read()
        data, token = data + piece.data, piece.next_page_token or token
    stream.cancel()
    assert data + await exported(ada, page_token=token) == whole
    refused = await failure(exported(ada, page_token=token, show_deleted=True))
    assert list(refused.violations) == ["page_token"]


async def test_an_export_of_much_is_read_in_pages_and_sent_in_pieces(chat: Chat, ada: Person) -> None:
    """R64: no message is large, whatever is in it."""
    conversation = await ada.converse()
    for _ in range(5):
        await ada.say(conversation, parts=[res.Part(text="\x01" * 99_000)] * 10)
    await ada.build(conversation, content="\x02" * 999_000)
    sizes = [len(piece.data) async for piece in ada.ExportConversations()]
    assert sum(sizes) > 5 * 6 * 990_000
    assert max(sizes) <= 1024 * 1024
    bob = chat.person("bob")
    assert verdicts(await imported(bob, await exported(ada))) == [IMPORTED]


async def test_an_export_is_whole_while_the_conversation_goes_on(ada: Person, bob: Person) -> None:
    conversation = await ada.converse()
    for number in range(300):
        await ada.say(conversation, str(number))

    async def go_on() -> None:
        for number in range(60):
            said = await ada.say(conversation, f"later {number}")
            await ada.EditMessage(message_id=said.id, parts=[res.Part(text="edited")])

    going_on = asyncio.ensure_future(go_on())
    files = [await exported(ada) for _ in range(4)]
    await going_on
    for number, data in enumerate(files):
        (result,) = await imported(bob, data, source=f"file {number}")
        assert result.verdict == IMPORTED, result.reasons


async def test_a_user_has_so_many_exports_at_once(ada: Person, bob: Person) -> None:
    for _ in range(20):
        conversation = await ada.converse()
        await ada.say(conversation, parts=[res.Part(text="x" * 100_000)] * 9)
    streams = [ada.ExportConversations() for _ in range(exports.STREAMS)]
    for stream in streams:
        await stream.read()
    refused = await failure(exported(ada))
    assert (refused.code, refused.reason) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
    assert await exported(bob) == b""
    for stream in streams:
        stream.cancel()


async def test_nothing_of_another_user_is_in_it(ada: Person, bob: Person) -> None:
    """R38, R42."""
    await fill(ada, title="hers")
    await fill(bob, title="his")
    assert b"hers" not in await exported(bob, show_deleted=True)
    assert json.loads((await exported(bob)).splitlines()[0])["conversation"]["title"] == "his"


async def test_a_run_that_has_not_ended_is_not_in_it(chat: Chat, ada: Person) -> None:
    await fill(ada)
    before = [one for one in await records(ada) if "interaction" in one]
    await fetch(
        chat.database.owner_url,
        "INSERT INTO ai_interactions (user_id, id, conversation_id, session_id, state, model, revision, busy_policy, "
        "branch, parameters) SELECT user_id, gen_random_uuid(), id, gen_random_uuid(), 1, 'm', 1, 1, 1, '{}' "
        "FROM conversations",
    )
    assert [one for one in await records(ada) if "interaction" in one] == before

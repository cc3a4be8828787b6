"""ImportConversations: files of our own and of other systems, each conversation as a whole or not at all, and once."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest
from grpc import StatusCode

from chat_service import cleanup, imports
from protos.auth.v1 import auth_service_pb2
from protos.chat.v1 import resources_pb2
from protos.chat.v1 import transfer_pb2 as pb
from shared import ids
from shared.background import Background
from shared.db import Database
from tests.chat.transfers import (
    ALREADY_THERE,
    CHANGED,
    CHATGPT,
    IMPORTED,
    OASST,
    PARLEY,
    REFUSED,
    exported,
    imported,
    lines,
    node,
    records,
    tree,
    verdicts,
)
from tests.chattest import ASSISTANT, USER, Chat, Person, StandInAuth, chat_config, running_chat, texts
from tests.grpc_errors import failure
from tests.servers import Servers, fetch


async def said(person: Person, conversation_id: str, branch: int = 0) -> list[str]:
    answer = await person.ListMessages(conversation_id=conversation_id, branch=branch)
    return texts(answer.messages)


async def one(person: Person, conversation: Any, format_: int = CHATGPT) -> pb.ConversationImportResult:
    data = json.dumps([conversation]).encode() if format_ == CHATGPT else lines([conversation])
    (result,) = await imported(person, data, format_)
    return result


async def test_a_tree_becomes_branches_with_every_message_and_the_current_one_active(ada: Person) -> None:
    conversation = tree(
        {"id": "root", "parent": None, "children": ["a"], "message": None},
        node("a", "root", "b1", "b2", "b3"),
        node("b1", "a", "c1", author={"role": "assistant"}),
        node("b2", "a", "c2", "c3", author={"role": "assistant"}),
        node("b3", "a", author={"role": "assistant"}),
        node("c1", "b1"),
        node("c2", "b2"),
        node("c3", "b2"),
        current="c3",
        is_archived=True,
    )
    result = await one(ada, conversation)
    assert (result.verdict, result.external_id, result.title) == (IMPORTED, "c1", "Plans")
    assert await said(ada, result.conversation_id) == ["a", "b2", "c3"]
    assert await said(ada, result.conversation_id, 1) == ["a", "b1", "c1"]
    branches = (await ada.ListBranches(conversation_id=result.conversation_id)).branches
    paths = [await said(ada, result.conversation_id, branch.branch) for branch in branches]
    assert paths == [["a", "b1", "c1"], ["a", "b2", "c2"], ["a", "b2", "c3"], ["a", "b3"]]
    found = (await ada.GetConversation(conversation_id=result.conversation_id)).conversation
    assert (found.message_count, found.archived, found.title) == (7, True, "Plans")
    assert found.create_time.ToDatetime(UTC) == datetime.fromtimestamp(1_700_000_000.25, UTC)
    second = (await ada.ListMessages(conversation_id=result.conversation_id)).messages[1]
    assert (second.sibling_index, second.sibling_count, second.role) == (2, 3, ASSISTANT)


async def test_an_imported_conversation_goes_on_as_any_other(ada: Person) -> None:
    result = await one(ada, tree(node("a", None, "b", "c"), node("b", "a"), node("c", "a"), current="c"))
    conversation = (await ada.GetConversation(conversation_id=result.conversation_id)).conversation
    new = await ada.say(conversation, "d")
    assert (new.position, new.depth, new.branch) == (4, 3, 2)
    edited = await ada.EditMessage(message_id=new.id, parts=[resources_pb2.Part(text="e")])
    assert edited.message.branch == 3
    assert await said(ada, result.conversation_id) == ["a", "c", "e"]


PARTS: list[tuple[dict[str, Any], dict[str, Any], resources_pb2.Part]] = [
    ({"content_type": "text", "parts": ["Hello"]}, {}, resources_pb2.Part(text="Hello")),
    (
        {
            "content_type": "multimodal_text",
            "parts": [{"content_type": "image_asset_pointer", "asset_pointer": "f://a b"}],
        },
        {},
        resources_pb2.Part(image=resources_pb2.Image(uri="urn:chatgpt:f%3A%2F%2Fa%20b")),
    ),
    (
        {"content_type": "code", "language": "python", "text": "1 + 1"},
        {"author": {"role": "assistant"}, "recipient": "python"},
        resources_pb2.Part(tool_call=resources_pb2.ToolCall(id="b", name="python", arguments="1 + 1")),
    ),
    (
        {"content_type": "execution_output", "text": "2"},
        {"author": {"role": "tool", "name": "python"}},
        resources_pb2.Part(tool_result=resources_pb2.ToolResult(tool_call_id="a", content="2")),
    ),
    ({"content_type": "code", "text": "1 + 1"}, {"author": {"role": "assistant"}}, resources_pb2.Part(text="1 + 1")),
    ({"content_type": "system_error", "name": "x", "text": "no"}, {}, resources_pb2.Part(text="no")),
]


@pytest.mark.parametrize(("content", "fields", "part"), PARTS, ids=lambda value: str(value)[:30])
async def test_what_chatgpt_says_has_its_kind_here(
    ada: Person, content: dict[str, Any], fields: dict[str, Any], part: resources_pb2.Part
) -> None:
    result = await one(ada, tree(node("a", None, "b"), node("b", "a", content=content, **fields), current="b"))
    assert result.verdict == IMPORTED, result.reasons
    last = (await ada.ListMessages(conversation_id=result.conversation_id)).messages[-1]
    assert list(last.parts) == [part]


async def test_what_has_no_kind_here_is_kept_as_json(ada: Person) -> None:
    content = {"content_type": "thoughts", "thoughts": [{"summary": "hm", "content": "well"}]}
    result = await one(ada, tree(node("a", None, content=content)))
    (message,) = (await ada.ListMessages(conversation_id=result.conversation_id)).messages
    assert message.parts[0].json.struct_value["content_type"] == "thoughts"


async def test_a_text_longer_than_a_part_is_several_parts(ada: Person) -> None:
    text = "é" * 250_001
    result = await one(ada, tree(node("a", None, text=text)))
    (message,) = (await ada.ListMessages(conversation_id=result.conversation_id)).messages
    assert [len(part.text) for part in message.parts] == [100_000, 100_000, 50_001]
    assert "".join(part.text for part in message.parts) == text


async def test_what_says_nothing_has_those_that_follow_take_its_place(ada: Person) -> None:
    empty = {"content_type": "text", "parts": [""]}
    conversation = tree(
        node("root", None, "s", content=empty, author={"role": "system"}),
        node("s", "root", "a", "b", content=None),
        node("a", "s"),
        node("b", "s", "n"),
        node("n", "b", "z", content=empty),
        node("z", "n"),
        current="n",
    )
    result = await one(ada, conversation)
    assert await said(ada, result.conversation_id) == ["b", "z"]
    assert await said(ada, result.conversation_id, 1) == ["a"]


OASST_TREE = {
    "message_tree_id": "t1",
    "tree_state": "ready_for_export",
    "prompt": {
        "message_id": "m1",
        "text": "Can you write a\nshort introduction?",
        "role": "prompter",
        "created_date": "2023-02-05T19:11:53.104000+00:00",
        "replies": [
            {
                "message_id": "m2",
                "parent_id": "m1",
                "text": "Sure",
                "role": "assistant",
                "replies": [{"message_id": "m4", "text": "Thanks", "role": "prompter", "replies": []}],
            },
            {"message_id": "m3", "text": "No", "role": "assistant"},
        ],
    },
}


async def test_an_oasst_tree_becomes_branches(ada: Person) -> None:
    result = await one(ada, OASST_TREE, OASST)
    assert (result.verdict, result.title) == (IMPORTED, "Can you write a short introduction?")
    assert await said(ada, result.conversation_id, 1) == ["Can you write a\nshort introduction?", "Sure", "Thanks"]
    assert (await said(ada, result.conversation_id, 2))[1:] == ["No"]
    (first, *_) = (await ada.ListMessages(conversation_id=result.conversation_id)).messages
    assert (first.role, first.create_time.ToDatetime(UTC)) == (USER, datetime(2023, 2, 5, 19, 11, 53, 104000, UTC))


async def test_what_was_imported_is_known_and_what_has_changed_is_told(chat: Chat, ada: Person, bob: Person) -> None:
    conversation = tree(node("a", None))
    first = await one(ada, conversation)
    again = await one(ada, conversation)
    assert (again.verdict, again.conversation_id) == (ALREADY_THERE, first.conversation_id)
    longer = await one(ada, tree(node("a", None, "b"), node("b", "a")))
    assert (longer.verdict, longer.conversation_id) == (CHANGED, first.conversation_id)
    assert await said(ada, first.conversation_id) == ["a"]
    data = json.dumps([conversation]).encode()
    assert verdicts(await imported(ada, data, CHATGPT, source="another account")) == [IMPORTED]
    assert (await one(bob, conversation)).verdict == IMPORTED
    assert len((await ada.ListConversations()).conversations) == 2


async def test_what_was_deleted_for_good_can_be_imported_again(chat: Chat, ada: Person) -> None:
    conversation = tree(node("a", None))
    first = await one(ada, conversation)
    await ada.DeleteConversation(conversation_id=first.conversation_id)
    assert (await one(ada, conversation)).verdict == ALREADY_THERE
    await fetch(chat.database.owner_url, "UPDATE conversations SET purge_time = now() WHERE purge_time IS NOT NULL")
    again = await one(ada, conversation)
    assert again.verdict == IMPORTED
    assert await said(ada, again.conversation_id) == ["a"]


async def test_ones_own_conversation_is_not_imported_beside_itself(ada: Person) -> None:
    conversation = await ada.converse(title="Plans")
    await ada.say(conversation)
    (result,) = await imported(ada, await exported(ada))
    assert (result.verdict, result.conversation_id) == (ALREADY_THERE, conversation.id)


async def test_imports_of_one_file_at_once_make_each_conversation_once(servers: Servers, chat: Chat) -> None:
    """R46, under races of two replicas."""
    data = json.dumps([tree(node("a", None), conversation_id=str(number)) for number in range(5)]).encode()
    config = chat_config(chat.database, servers.redis.url, chat.config.auth_target)
    person = chat.person("ada")
    async with running_chat(chat.database, config) as other:
        people = [Person(one.channel, UUID(person.user_id), ids.new_id()) for one in (chat, other)]
        answers = await asyncio.gather(*(imported(one, data, CHATGPT) for one in people * imports.STREAMS))
    told = [verdict for answer in answers for verdict in verdicts(answer)]
    assert (told.count(IMPORTED), set(told)) == (5, {IMPORTED, ALREADY_THERE})
    assert len((await person.ListConversations()).conversations) == 5


async def test_a_user_has_so_many_imports_at_once(ada: Person, bob: Person) -> None:
    """Bounded streams per user."""
    gate = asyncio.Event()

    async def held() -> Any:
        yield pb.ImportConversationsRequest(format=PARLEY)
        await gate.wait()

    streams = [ada.ImportConversations(held()) for _ in range(imports.STREAMS)]
    for stream in streams:
        await stream.read()
    refused = await failure(imported(ada, b""))
    assert (refused.code, refused.reason) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
    assert await imported(bob, b"") == []
    gate.set()
    for stream in streams:
        assert await stream.read() is grpc.aio.EOF
    assert await imported(ada, b"") == []


def long_file(messages: int, conversation_id: str = "") -> list[dict[str, Any]]:
    """A conversation of our own format that does not fit into one batch."""
    conversation = {"id": conversation_id or str(ids.new_id()), "message_count": messages, "create_time": NOW}
    said = [
        {
            "message": {
                "id": str(ids.new_id()),
                "position": n,
                "branch": 1,
                "depth": n,
                "role": "USER",
                "parts": [{"text": str(n)}],
                "session_id": SESSION,
                "create_time": NOW,
            }
        }
        for n in range(1, messages + 1)
    ]
    end = {"end": {"conversation_id": conversation["id"], "message_count": messages}}
    return [{"conversation": conversation}, *said, end]


NOW = "2026-01-02T03:04:05Z"
SESSION = str(ids.new_id())


async def test_a_large_conversation_is_seen_by_nobody_until_it_is_whole(chat: Chat, ada: Person) -> None:
    """R46: written in parts, shown at once."""
    told = lines(long_file(1_300))
    gate = asyncio.Event()

    async def half() -> Any:
        middle = len(told) * 3 // 4
        yield pb.ImportConversationsRequest(format=PARLEY, data=told[:middle])
        await gate.wait()
        yield pb.ImportConversationsRequest(data=told[middle:])

    stream = ada.ImportConversations(half())
    assert (await stream.read()).results == []
    rows = await fetch(chat.database.owner_url, "SELECT conversation_id FROM chat_messages")
    assert len(rows) >= 500
    hidden = str(rows[0]["conversation_id"])
    assert (await failure(ada.GetConversation(conversation_id=hidden))).reason == "CONVERSATION_NOT_FOUND"
    assert (await failure(ada.ListMessages(conversation_id=hidden))).reason == "CONVERSATION_NOT_FOUND"
    assert list((await ada.ListConversations(show_deleted=True)).conversations) == []
    assert list((await ada.ListMessages(session_id=SESSION)).messages) == []
    assert await exported(ada, show_deleted=True) == b""
    assert (await failure(ada.UndeleteConversation(conversation_id=hidden))).reason == "CONVERSATION_NOT_FOUND"
    gate.set()
    (result,) = (await stream.read()).results
    assert (result.verdict, result.conversation_id) == (IMPORTED, hidden)
    assert (await ada.GetConversation(conversation_id=hidden)).conversation.message_count == 1_300


async def test_an_import_that_broke_off_leaves_nothing_and_can_be_sent_again(chat: Chat, ada: Person) -> None:
    """R46, F28: clean-up lets what is under way be, and removes what is not."""
    told = lines(long_file(1_300))

    async def cut() -> Any:
        yield pb.ImportConversationsRequest(format=PARLEY, data=told[: len(told) * 3 // 4])
        await asyncio.Event().wait()

    stream = ada.ImportConversations(cut())
    await stream.read()
    await clean_up(chat)
    assert len(await fetch(chat.database.owner_url, "SELECT FROM chat_messages")) >= 500
    stream.cancel()
    assert verdicts(await imported(ada, told)) == [IMPORTED]
    await fetch(
        chat.database.owner_url,
        "UPDATE conversations SET update_time = now() - interval '2 hours' WHERE purge_time = '-infinity'",
    )
    for _ in range(2):
        await clean_up(chat)
    assert len(await fetch(chat.database.owner_url, "SELECT FROM conversations")) == 1
    assert len(await fetch(chat.database.owner_url, "SELECT FROM chat_messages")) == 1_300


async def clean_up(chat: Chat) -> None:
    async with (
        Background() as background,
        Database.connect("cleaner", chat.database.url, chat.config.pool, background) as database,
    ):
        for task in (*imports.tasks(), *cleanup.tasks()):
            await task.run(database)


async def test_who_was_abandoned_meanwhile_shows_nothing_half(chat: Chat, ada: Person) -> None:
    told = lines(long_file(1_300))
    gate = asyncio.Event()

    async def slow() -> Any:
        yield pb.ImportConversationsRequest(format=PARLEY, data=told[: len(told) // 2])
        await gate.wait()
        yield pb.ImportConversationsRequest(data=told[len(told) // 2 :])

    stream = ada.ImportConversations(slow())
    await stream.read()
    await fetch(chat.database.owner_url, "UPDATE conversations SET purge_time = now()")
    await clean_up(chat)
    gate.set()
    assert (await failure(stream.read())).reason == "CONFLICT"
    assert list((await ada.ListConversations()).conversations) == []


async def test_a_stream_ends_when_its_session_does(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """R20, for imports and exports: their callers are looked at again and again."""

    async def endless() -> Any:
        yield pb.ImportConversationsRequest(format=PARLEY)
        await asyncio.Event().wait()

    stream = ada.ImportConversations(endless())
    await stream.read()
    inactive = auth_service_pb2.VerifyTokenResponse(active=False, inactive_reason="INACTIVE_REASON_REVOKED")
    monkeypatch.setattr(StandInAuth, "_result", lambda *_: inactive)
    refused = await failure(stream.read())
    assert (refused.reason, refused.facts) == ("UNAUTHENTICATED", {"inactive_reason": "REVOKED"})


async def test_the_first_request_must_say_the_format_and_none_may_be_large(ada: Person) -> None:
    async def sent(*requests: pb.ImportConversationsRequest) -> Any:
        stream = ada.ImportConversations(iter(requests))
        while await stream.read() is not grpc.aio.EOF:
            pass

    first = pb.ImportConversationsRequest(format=PARLEY)
    assert list((await failure(sent(pb.ImportConversationsRequest()))).violations) == ["format"]
    other = pb.ImportConversationsRequest(format=OASST)
    assert list((await failure(sent(first, other))).violations) == ["format"]
    large = pb.ImportConversationsRequest(format=PARLEY, data=b" " * (1024 * 1024 + 1))
    assert list((await failure(sent(large))).violations) == ["data"]
    named = pb.ImportConversationsRequest(format=PARLEY, source="x" * 65)
    assert list((await failure(sent(named))).violations) == ["source"]


def broken(change: Any) -> bytes:
    """A file of our own with two conversations, of which the first is changed."""
    told = long_file(3)
    change(told)
    return lines([*told, *long_file(1)])


def message_of(told: list[dict[str, Any]], number: int) -> dict[str, Any]:
    return told[number]["message"]


OWN: dict[str, Any] = {
    "a gap in positions": lambda told: message_of(told, 3).update(position=4),
    "a position twice": lambda told: message_of(told, 3).update(position=2),
    "a huge position": lambda told: message_of(told, 3).update(position=2**62),
    "a negative position": lambda told: message_of(told, 1).update(position=-1),
    "a gap in depths": lambda told: message_of(told, 3).update(depth=4),
    "an unknown branch": lambda told: message_of(told, 3).update(branch=2),
    "an id twice": lambda told: message_of(told, 3).update(id=message_of(told, 2)["id"]),
    "an unknown role": lambda told: message_of(told, 1).update(role="GOD"),
    "no parts": lambda told: message_of(told, 1).update(parts=[]),
    "a part of no kind": lambda told: message_of(told, 1).update(parts=[{}]),
    "U+0000": lambda told: message_of(told, 1).update(parts=[{"text": "a\0"}]),
    "a URI that runs": lambda told: message_of(told, 1).update(parts=[{"image": {"uri": "javascript:alert(1)"}}]),
    "a text too long": lambda told: message_of(told, 1).update(parts=[{"text": "x" * 100_001}]),
    "deep JSON": lambda told: message_of(told, 1).update(parts=[{"json": json.loads("[" * 90 + "]" * 90)}]),
    "a deleted message that speaks": lambda told: message_of(told, 1).update(delete_time=NOW),
    "too few messages": lambda told: told.pop(3),
    "a wrong end": lambda told: told[-1]["end"].update(message_count=2),
    "no end": lambda told: told.pop(),
    "a wrong type": lambda told: message_of(told, 1).update(position="first"),
    "a number too large": lambda told: message_of(told, 1).update(position=2**70),
    "an active branch that is not there": lambda told: told[0]["conversation"].update(active_branch=2),
    "a title too long": lambda told: told[0]["conversation"].update(title="x" * 201),
    "metadata that is no object": lambda told: told[0]["conversation"].update(metadata=[1]),
    "too much metadata": lambda told: told[0]["conversation"].update(metadata={"x": "y" * 20_000}),
    "defaults of nothing known": lambda told: told[0]["conversation"].update(model_defaults={"model": 7}),
    "a hot temperature": lambda told: told[0]["conversation"].update(model_defaults=HOT),
    "an id that is none": lambda told: told[0]["conversation"].update(id="me"),
    "a time that is none": lambda told: told[0]["conversation"].update(create_time="yesterday"),
    "a branch of nobody": lambda told: told.insert(1, branch_line(2, 5, 1)),
    "a branch that leaves nowhere": lambda told: told.insert(1, branch_line(2, 1, 9)) or leaves(told),
    "a branch after messages": lambda told: told.insert(3, branch_line(2, 1, 1)),
    "a version without a component": lambda told: told.insert(4, version_line()),
    "a component without versions": lambda told: told.insert(4, component_line()),
    "a version too many": lambda told: told.__setitem__(
        slice(4, 4), [component_line(), version_line(), version_line(2)]
    ),
    "two components of one name": lambda told: told.__setitem__(
        slice(4, 4), [component_line(), version_line(), component_line(OTHER), version_line(1, OTHER)]
    ),
    "a run that runs": lambda told: told.insert(4, run_line(state="RUNNING")),
    "a run that costs less than nothing": lambda told: told.insert(4, run_line(usage={"cost_micros": -1})),
    "a sign-in that has read the future": lambda told: told.insert(
        4, {"session": {"session_id": SESSION, "read_position": 9, "create_time": NOW}}
    ),
    "a line of nothing": lambda told: told.insert(2, {}),
}
HOT = {"model": "m", "system_prompt": "", "parameters": {"temperature": 9.0}}
OTHER = str(ids.new_id())
COMPONENT = str(ids.new_id())


def branch_line(branch: int, parent: int, fork_depth: int) -> dict[str, Any]:
    told = {"branch": branch, "parent": parent, "fork_depth": fork_depth, "session_id": SESSION, "create_time": NOW}
    return {"branch": told}


def leaves(told: list[dict[str, Any]]) -> None:
    told[0]["conversation"]["branch_count"] = 2
    message_of(told, 4).update(branch=2, depth=10)


def component_line(component_id: str = COMPONENT) -> dict[str, Any]:
    told = {"id": component_id, "name": "App", "type": "text/plain", "version": 1, "session_id": SESSION}
    return {"component": told | {"create_time": NOW}}


def version_line(version: int = 1, component_id: str = COMPONENT) -> dict[str, Any]:
    told = {"component_id": component_id, "version": version, "content": "x", "session_id": SESSION, "create_time": NOW}
    return {"component_version": told}


def run_line(**fields: Any) -> dict[str, Any]:
    told = {"id": OTHER, "session_id": SESSION, "state": "COMPLETED", "model": "m", "create_time": NOW, "end_time": NOW}
    return {"interaction": told | fields}


@pytest.mark.parametrize("change", OWN.values(), ids=OWN.keys())
async def test_a_conversation_that_cannot_be_is_refused_with_a_reason_and_spoils_no_other(
    chat: Chat, ada: Person, change: Any
) -> None:
    results = await imported(ada, broken(change), piece=97)
    assert verdicts(results) == [REFUSED, IMPORTED], results
    assert results[0].reasons
    kept = [str(row["id"]) for row in await fetch(chat.database.owner_url, "SELECT id FROM conversations")]
    assert kept == [results[1].conversation_id]


DEEP = b'{"message_id": "a", "text": "x", "role": "prompter", "replies": ['
HOSTILE: dict[str, tuple[int, bytes, list[int]]] = {
    "nothing": (CHATGPT, b"", [REFUSED]),
    "not an array": (CHATGPT, b'{"a": 1}', [REFUSED]),
    "an empty array": (CHATGPT, b"[]", []),
    "not JSON": (CHATGPT, b"hello", [REFUSED]),
    "numbers": (CHATGPT, b"[1, 2]", [REFUSED] * 2),
    "arrays": (CHATGPT, b"[[1]]", [REFUSED]),
    "cut off": (CHATGPT, json.dumps([tree(node("a", None))]).encode()[:-20], [REFUSED]),
    "no mapping": (CHATGPT, b'[{"id": "x"}]', [REFUSED]),
    "no id": (CHATGPT, b'[{"mapping": {}}]', [REFUSED]),
    "wrong types": (CHATGPT, b'[{"id": "x", "mapping": {"a": []}}]', [REFUSED]),
    "a circle": (
        CHATGPT,
        json.dumps([tree(node("a", "b", "b"), node("b", "a", "a"), node("c", None))]).encode(),
        [REFUSED],
    ),
    "its own parent": (CHATGPT, json.dumps([tree(node("a", "a", "a"))]).encode(), [REFUSED]),
    "a missing parent": (CHATGPT, json.dumps([tree(node("a", "gone"))]).encode(), [REFUSED]),
    "a strange role": (CHATGPT, json.dumps([tree(node("a", None, author={"role": "x"}))]).encode(), [REFUSED]),
    "a time of no calendar": (CHATGPT, json.dumps([tree(node("a", None, create_time=1e300))]).encode(), [REFUSED]),
    "half a character": (CHATGPT, b'[{"id": "\\ud800", "mapping": {}}]', [REFUSED]),
    "U+0000": (CHATGPT, json.dumps([tree(node("a", None, text="a\0b"))]).encode(), [REFUSED]),
    "deep": (CHATGPT, b'[{"id": "x", "y": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]", [REFUSED]),
    "deep and cut off": (CHATGPT, b'[{"id": "x", "y": ' + b"[" * 100_000, [REFUSED]),
    "a string of 40 MB": (CHATGPT, b'[{"id": "' + b"x" * 40_000_000 + b'", "mapping": {}}]', [REFUSED]),
    "a million objects": (CHATGPT, b'[{"id": "x", "mapping": {}, "y": [' + b"{}," * 1_000_000 + b"1]}]", [REFUSED]),
    "too many messages": (
        CHATGPT,
        b'[{"id": "x", "mapping": {' + b",".join(b'"%d": {}' % number for number in range(20_001)) + b"}}]",
        [REFUSED],
    ),
    "too many branches": (
        CHATGPT,
        json.dumps([tree(node("a", None), *(node(f"b{n}", "a") for n in range(1_001)))]).encode(),
        [REFUSED],
    ),
    "a line of 40 MB": (PARLEY, b'{"conversation": "' + b"x" * 40_000_000 + b'"}\n', [REFUSED]),
    "lines of nothing": (PARLEY, b"\n \n\r\n", []),
    "lines of numbers": (PARLEY, b"1\n2\n", [REFUSED]),
    "deep lines": (PARLEY, b"[" * 100_000 + b"\n", [REFUSED]),
    "bytes of no text": (PARLEY, b"\xff\xfe\n", [REFUSED]),
    "a deep tree": (OASST, b'{"prompt": ' + DEEP * 5_000, [REFUSED]),
    "a reply twice": (OASST, lines([OASST_TREE]).replace(b"m3", b"m2"), [REFUSED]),
}


@pytest.mark.parametrize(("format_", "data", "expected"), HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_files_get_a_verdict_and_nothing_else_happens(
    chat: Chat, ada: Person, format_: int, data: bytes, expected: list[int]
) -> None:
    """R45."""
    results = await imported(ada, data, format_)
    assert verdicts(results) == expected, results
    assert all(result.reasons for result in results)
    assert await fetch(chat.database.owner_url, "SELECT FROM conversations WHERE purge_time IS NULL") == []


async def test_one_bad_conversation_of_a_file_spoils_no_other(ada: Person) -> None:
    good = [tree(node("a", None), conversation_id=str(n)) for n in range(3)]
    data = json.dumps([good[0], {"id": "bad"}, good[1], 7, good[2]]).encode()
    results = await imported(ada, data, CHATGPT, piece=50)
    assert verdicts(results) == [IMPORTED, REFUSED, IMPORTED, REFUSED, IMPORTED]
    assert len((await ada.ListConversations()).conversations) == 3


async def test_a_name_of_another_users_conversation_leads_nowhere(chat: Chat, ada: Person, bob: Person) -> None:
    """R38: neither by the id in the file, nor by ids of what is in it."""
    conversation = await ada.converse(title="Plans")
    message = await ada.say(conversation)
    (result,) = await imported(bob, await exported(ada))
    assert result.verdict == IMPORTED
    (mine,) = (await bob.ListMessages(conversation_id=result.conversation_id)).messages
    assert result.conversation_id != conversation.id
    assert mine.id != message.id
    assert (await failure(bob.GetMessage(message_id=message.id))).code is StatusCode.NOT_FOUND
    assert (await failure(bob.GetConversation(conversation_id=conversation.id))).code is StatusCode.NOT_FOUND


async def test_imported_conversations_stand_in_the_list_by_when_they_were_made(ada: Person) -> None:
    new = await ada.converse()
    old = [tree(node("a", None), conversation_id=str(n), create_time=1_600_000_000 + n) for n in (2, 1, 3)]
    results = await imported(ada, json.dumps(old).encode(), CHATGPT)
    in_order = [results[2], results[0], results[1]]
    listed = [one.id for one in (await ada.ListConversations()).conversations]
    assert listed == [new.id, *(result.conversation_id for result in in_order)]


async def test_no_file_is_from_the_future(ada: Person) -> None:
    told = long_file(1)
    told[0]["conversation"]["create_time"] = message_of(told, 1)["create_time"] = "9999-12-31T23:59:59Z"
    (result,) = await imported(ada, lines(told))
    found = (await ada.GetConversation(conversation_id=result.conversation_id)).conversation
    assert found.create_time.ToDatetime(UTC) <= datetime.now(UTC)


async def test_retention_spares_what_was_just_imported(ada: Person) -> None:
    """An old conversation is touched by its import."""
    result = await one(ada, tree(node("a", None)))
    found = (await ada.GetConversation(conversation_id=result.conversation_id)).conversation
    assert found.update_time.ToDatetime(UTC) > datetime.now(UTC) - timedelta(minutes=5)


async def test_all_of_a_conversation_comes_back_or_none(chat: Chat, ada: Person) -> None:
    """A record that the tables refuse late takes back what was written before it."""
    told = long_file(1_300)
    message_of(told, 1_299)["id"] = message_of(told, 1)["id"]
    results = await imported(ada, lines(told))
    assert verdicts(results) == [REFUSED]
    rows = await fetch(
        chat.database.owner_url, "SELECT purge_time <= now() AND purge_time > '-infinity' FROM conversations"
    )
    assert [row[0] for row in rows] == [True]
    assert await records(ada, show_deleted=True) == []

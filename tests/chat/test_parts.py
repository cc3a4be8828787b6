"""R45: parts of every kind come back as they were, or are refused."""

import math
from collections.abc import Iterator

import orjson
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import ListValue, NullValue, Struct, Value
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from chat_service import parts
from chat_service.models import File, Image, Json, ToolCall, ToolResult
from chat_service.rpc import json_values
from protos.chat.v1 import resources_pb2 as pb
from tests.chat.sharing import ada, auth_target, bob, chat, chat_database  # noqa: F401 - one service for the file
from tests.chattest import ASSISTANT, message
from tests.grpc_errors import failure

pytestmark = pytest.mark.asyncio(loop_scope="module")

VALUE = {"b": [1, -2.5, True, None, "\u00e9\U0001f600", {"": []}], "a": {"deep": {"er": [[]]}}}
ALL_KINDS = [
    pb.Part(text="Look"),
    pb.Part(image=pb.Image(uri="https://example.com/cat.png?size=2#top", media_type="image/png")),
    pb.Part(image=pb.Image(uri="data:image/png;base64,iVBORw0KGgo=")),
    pb.Part(file=pb.File(uri="urn:uuid:f81d4fae", media_type="text/plain; charset=utf-8", name="Gr\u00fc\u00dfe.txt")),
    pb.Part(tool_call=pb.ToolCall(id="call_1", name="weather", arguments='{"city": "Z\u00fcrich"')),
    pb.Part(tool_result=pb.ToolResult(tool_call_id="call_1", content="", is_error=True)),
    pb.Part(json=ParseDict(VALUE, Value())),
]


def of_json(value: object) -> pb.Part:
    return pb.Part(json=ParseDict(value, Value()))


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else 1


async def test_parts_of_all_kinds_come_back_as_they_were(ada):
    conversation = await ada.converse()
    said = await ada.say(conversation, parts=ALL_KINDS, role=ASSISTANT, request_id="one")
    assert list(said.parts) == ALL_KINDS
    assert (await ada.GetMessage(message_id=said.id)).message == said
    assert list((await ada.ListMessages(conversation_id=conversation.id)).messages) == [said]
    assert await ada.say(conversation, parts=ALL_KINDS, role=ASSISTANT, request_id="one") == said


@pytest.mark.parametrize("place", range(1, len(ALL_KINDS)))
async def test_a_request_id_with_another_part_is_refused(ada, place):
    conversation = await ada.converse()
    await ada.say(conversation, parts=ALL_KINDS, request_id="one")
    others = [*ALL_KINDS[:place], pb.Part(text="another"), *ALL_KINDS[place + 1 :]]
    assert (await failure(ada.say(conversation, parts=others, request_id="one"))).reason == "REQUEST_ID_REUSED"


async def test_everything_wrong_with_parts_is_told_at_once(ada):
    conversation = await ada.converse()
    wrong = {
        "image.uri image.media_type": pb.Part(image=pb.Image(media_type="png")),
        "image.uri": pb.Part(image=pb.Image(uri="https://example.com/nul\0")),
        "file.uri file.media_type file.name": pb.Part(
            file=pb.File(uri="https://x/" + "y" * 2_048, media_type="a/" + "b" * 100, name="line\nbreak")
        ),
        "file.name": pb.Part(file=pb.File(uri="urn:x:1", name="x" * 256)),
        "tool_call.id tool_call.name tool_call.arguments": pb.Part(
            tool_call=pb.ToolCall(name="x" * 201, arguments="x" * 100_001)
        ),
        "tool_call.arguments": pb.Part(tool_call=pb.ToolCall(id="1", name="x", arguments="nul\0")),
        "tool_result.tool_call_id tool_result.content": pb.Part(tool_result=pb.ToolResult(content="nul\0")),
        "json": pb.Part(json=Value(number_value=math.nan)),
        " json": pb.Part(json=Value(number_value=-math.inf)),
        "json ": of_json({"nul\0": 1}),
        " json ": of_json(["nul\0"]),
        "  json": of_json("x" * 100_001),
        "json  ": of_json(nested(33)),
    }
    refused = await failure(ada.say(conversation, parts=list(wrong.values())))
    assert refused.code is StatusCode.INVALID_ARGUMENT
    assert list(refused.violations) == [
        f"parts[{number}].{field}" for number, fields in enumerate(wrong) for field in fields.split()
    ]


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "JaVaScRiPt://example.com/%0aalert(1)",
        "file:///etc/passwd",
        "data:text/html,<script>",
        "data:image/png",
        "data:text/html;base64,PHNjcmlwdD4=",
        "https:example.com",
        "https://",
        "https:///path",
        "https://example.com/a b",
        "https://example.com/\u00e9",
        "https://example.com/\r\nx: y",
        'https://example.com/"onload="',
        "//example.com/x",
        "cat.png",
    ],
)
async def test_an_image_is_where_a_browser_can_show_it_and_nothing_runs(ada, uri):
    conversation = await ada.converse()
    refused = await failure(ada.say(conversation, parts=[pb.Part(image=pb.Image(uri=uri))]))
    assert list(refused.violations) == ["parts[0].image.uri"]


async def test_all_that_stands_in_parts_counts_against_the_message(ada):
    conversation = await ada.converse()
    picture = "data:image/png," + "x" * 999_985
    assert await ada.say(conversation, parts=[pb.Part(image=pb.Image(uri=picture))])
    too_many = [
        [pb.Part(image=pb.Image(uri=picture, media_type="image/png"))],
        [pb.Part(image=pb.Image(uri=picture)), pb.Part(text="x")],
        [pb.Part(tool_call=pb.ToolCall(id="1", name="x", arguments="x" * 100_000))] * 10,
        [pb.Part(tool_result=pb.ToolResult(tool_call_id="1", content="x" * 100_000))] * 10,
        [of_json([0] * 15_000)] * 2,
    ]
    for said in too_many:
        refused = await failure(ada.say(conversation, parts=said))
        assert list(refused.violations) == ["parts"]
    refused = await failure(ada.say(conversation, parts=[pb.Part(image=pb.Image(uri=picture + "x"))]))
    assert list(refused.violations) == ["parts[0].image.uri", "parts"]


async def test_a_page_of_json_fits_a_client_though_a_list_of_digits_grows_on_the_wire(ada):
    conversation = await ada.converse()
    for _ in range(5):
        await ada.say(conversation, parts=[of_json([0] * 14_000)] * 2)
    page = await ada.ListMessages(conversation_id=conversation.id)
    assert len(page.messages) == 3
    assert page.ByteSize() < 4 * 1024 * 1024


async def test_a_value_may_be_nested_as_deep_as_its_limit_wherever_it_is_shown(ada):
    conversation = await ada.converse()
    deep = of_json(nested(32))
    await ada.BatchSendMessages(conversation_id=conversation.id, requests=[message("", parts=[deep])])
    (found,) = (await ada.ListMessages(conversation_id=conversation.id)).messages
    assert list(found.parts) == [deep]


numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def as_value(value: object) -> Value:
    match value:
        case None:
            return Value(null_value=NullValue.NULL_VALUE)
        case bool():
            return Value(bool_value=value)
        case float():
            return Value(number_value=value)
        case str():
            return Value(string_value=value)
        case list():
            return Value(list_value=ListValue(values=map(as_value, value)))
        case dict():
            return Value(struct_value=Struct(fields={key: as_value(item) for key, item in value.items()}))
    raise AssertionError


@given(values)
def test_every_value_comes_back_exactly_and_weighs_no_less_than_on_the_wire(value):
    sent = as_value(value)
    text = json_values.dump(sent)
    back = json_values.load(text)
    assert back.SerializeToString(deterministic=True) == sent.SerializeToString(deterministic=True)
    assert json_values.dump(back) == text
    assert parts.weight([Json(text=text)]) >= sent.ByteSize() - 4


def every_kind(first: str, second: str, third: str, *, truth: bool) -> Iterator[object]:
    yield first
    yield Image(uri=first, media_type=second)
    yield File(uri=first, media_type=second, name=third)
    yield ToolCall(id=first, name=second, arguments=third)
    yield ToolResult(tool_call_id=first, content=second, is_error=truth)


@given(texts, texts, texts, st.booleans())
def test_what_is_stored_of_parts_is_read_back_exactly(first, second, third, truth):
    said = tuple(every_kind(first, second, third, truth=truth))
    assert parts.load(orjson.loads(parts.dump(said))) == said


async def test_messages_of_one_part_of_each_kind_are_listed(ada):
    conversation = await ada.converse()
    said = [await ada.say(conversation, parts=[part]) for part in ALL_KINDS]
    assert list((await ada.ListMessages(conversation_id=conversation.id)).messages) == said

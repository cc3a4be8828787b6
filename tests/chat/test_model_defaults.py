"""How models answer in a conversation by default, and other answers in the place of one."""

import pytest
from grpc import StatusCode

from protos.chat.v1 import parameters_pb2
from protos.chat.v1 import resources_pb2 as pb
from shared import ids
from tests.chat.generating import COMPLETED, generating_chat, hear, text
from tests.chattest import ASSISTANT, texts
from tests.grpc_errors import failure
from tests.providertest import Say, running_provider

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
DEFAULTS = parameters_pb2.ModelDefaults(
    system_prompt="Be brief.",
    parameters={"temperature": 0.0, "max_output_tokens": 9, "stop": ["END"], "tools": [{"name": "count"}]},
)


@pytest.fixture
async def provider():
    async with running_provider() as running:
        yield running


@pytest.fixture
async def chat(servers, chat_database, auth_target, provider):
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider) as running:
        yield running


async def test_defaults_are_kept_and_written_as_a_whole(ada):
    whole = parameters_pb2.ModelDefaults(
        model="other",
        system_prompt="Be brief.",
        parameters={
            "temperature": 0.5,
            "top_p": 0.5,
            "max_output_tokens": 5,
            "stop": ["a"],
            "seed": -1,
            "tools": [{"name": "count", "description": "Counts.", "parameters": SCHEMA}],
            "tool_choice": "count",
            "response_schema": SCHEMA,
        },
    )
    made = await ada.converse(model_defaults=whole)
    assert made.model_defaults == whole
    assert (await ada.GetConversation(conversation_id=made.id)).conversation == made
    changed = pb.Conversation(id=made.id, model_defaults=DEFAULTS)
    written = (await ada.UpdateConversation(conversation=changed)).conversation
    assert written.model_defaults.system_prompt == "Be brief."
    assert written.model_defaults.model == ""
    assert written.etag != made.etag
    request = {"conversation": pb.Conversation(id=made.id), "update_mask": {"paths": ["model_defaults"]}}
    assert not (await ada.UpdateConversation(**request)).conversation.HasField("model_defaults")


async def test_what_a_request_does_not_say_the_conversation_does(ada, provider):
    conversation = await ada.converse(model_defaults=DEFAULTS)
    request = {"conversation_id": conversation.id, "parts": text("?")}
    await hear(ada.Generate(**request))
    await hear(ada.Generate(**request, parameters={"temperature": 1.5, "stop": ["x"]}))
    first, second = (call.body for call in provider.calls)
    assert first["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (first["temperature"], first["max_tokens"], first["stop"]) == (0.0, 9, ["END"])
    assert (second["temperature"], second["max_tokens"], second["stop"]) == (1.5, 9, ["x"])
    assert first["tools"] == second["tools"] != []


async def test_what_is_wrong_with_defaults_is_told(ada):
    wrong = {"model": "x" * 201, "system_prompt": "x" * 32_001, "parameters": {"temperature": -1.0}}
    refused = await failure(ada.converse(model_defaults=wrong))
    assert set(refused.violations) == {
        "conversation.model_defaults.model",
        "conversation.model_defaults.system_prompt",
        "conversation.model_defaults.parameters.temperature",
    }


async def test_another_answer_is_written_in_place_of_one_on_a_branch_of_its_own(ada, provider):
    conversation = await ada.converse()
    provider.answer(Say("first"))
    request = {"conversation_id": conversation.id, "parts": text("Where?")}
    first = await hear(ada.Generate(**request))
    await ada.say(conversation, "And then?")
    provider.answer(Say("second"))
    again = {"conversation_id": conversation.id, "regenerate_message_id": first.messages[0].id, "request_id": "one"}
    second = await hear(ada.Generate(**again))
    assert second.last.state == COMPLETED
    [message] = second.messages
    assert (message.depth, message.branch, message.replaced_message_id) == (2, 2, first.messages[0].id)
    assert (message.sibling_index, message.sibling_count) == (2, 2)
    assert provider.calls[1].messages == [{"role": "user", "content": "Where?"}]
    listed = (await ada.ListMessages(conversation_id=conversation.id)).messages
    assert texts(listed) == ["Where?", "second"]
    trunk = (await ada.ListMessages(conversation_id=conversation.id, branch=1)).messages
    assert texts(trunk) == ["Where?", "first", "And then?"]
    assert [one.cursor for one in (await hear(ada.Generate(**again))).responses] == [
        one.cursor for one in second.responses
    ]
    assert len(provider.calls) == 2


async def test_only_an_answer_of_the_conversation_can_be_written_again(ada):
    conversation, other = await ada.converse(), await ada.converse()
    opening = await ada.say(conversation, role=ASSISTANT)
    asked = await ada.say(conversation)
    elsewhere = await ada.say(other, role=ASSISTANT)
    for message_id, code in (
        (opening.id, StatusCode.INVALID_ARGUMENT),
        (asked.id, StatusCode.INVALID_ARGUMENT),
        (elsewhere.id, StatusCode.NOT_FOUND),
        (str(ids.new_id()), StatusCode.NOT_FOUND),
    ):
        stream = ada.Generate(conversation_id=conversation.id, regenerate_message_id=message_id)
        assert (await failure(stream.read())).code is code
    both = ada.Generate(conversation_id=conversation.id, regenerate_message_id=asked.id, parts=text("x"))
    assert set((await failure(both.read())).violations) == {"parts"}
    assert (await ada.GetConversation(conversation_id=conversation.id)).conversation.active_branch == 1

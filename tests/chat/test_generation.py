"""Answers that the service has a model write: streamed, once for each request, in turn, resumed, cancelled."""

import asyncio
from contextlib import AsyncExitStack

import grpc
import pytest
from grpc import StatusCode

from protos.chat.v1 import resources_pb2 as pb
from protos.chat.v1.generation_pb2 import BUSY_POLICY_INTERRUPT, BUSY_POLICY_QUEUE
from shared import ids
from tests.chat.generating import (
    CANCELLED,
    COMPLETED,
    FAILED,
    INTERRUPTED,
    QUEUED,
    RUNNING,
    generating_chat,
    hear,
    hear_events,
    state_of,
    text,
)
from tests.chattest import ASSISTANT, USER, Person, texts
from tests.grpc_errors import failure
from tests.providertest import CallTool, Cut, Fail, Hold, Open, Say, Silence, running_provider
from tests.servers import fetch

SHORT = {"first_token_seconds": 0.3, "silence_seconds": 0.3, "answer_seconds": 5}


@pytest.fixture
async def provider():
    async with running_provider() as running:
        yield running


@pytest.fixture
async def chat(servers, chat_database, auth_target, provider):
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider) as running:
        yield running


async def test_an_answer_is_streamed_and_kept_as_a_message_with_what_it_used(ada, provider):
    provider.answer(Say("Moss grows well in the shade.", pace=0.02))
    conversation = await ada.converse()
    heard = await hear(ada.Generate(conversation_id=conversation.id, parts=text("Where does moss grow?")))
    assert heard.text == "Moss grows well in the shade."
    assert heard.kinds[0] == "interaction"
    assert heard.kinds[-2:] == ["message", "interaction"]
    assert set(heard.kinds[1:-2]) == {"delta"}
    assert heard.states == [RUNNING, COMPLETED]
    [message] = heard.messages
    assert (message.role, texts([message]), message.depth) == (ASSISTANT, [heard.text], 2)
    listed = (await ada.ListMessages(conversation_id=conversation.id)).messages
    assert texts(listed) == ["Where does moss grow?", heard.text]
    run = heard.last
    assert (run.message_id, run.model, run.response.finish_reason) == (message.id, "test", "stop")
    assert (run.usage.input_tokens, run.usage.output_tokens) == (4, 6)
    assert run.response.HasField("time_to_first_token")
    assert (await ada.GetInteraction(interaction_id=run.id)).interaction == run
    [call] = provider.calls
    assert call.messages == [{"role": "user", "content": "Where does moss grow?"}]


async def test_the_model_is_shown_the_conversation(ada, provider):
    conversation = await ada.converse()
    await ada.say(conversation, "Be brief.", role=pb.ROLE_SYSTEM)
    await ada.say(conversation, "Hello")
    await ada.say(conversation, "Hello!", role=ASSISTANT)
    await hear(ada.Generate(conversation_id=conversation.id, parts=text("And now?")))
    roles = [(one["role"], one["content"]) for one in provider.calls[0].messages]
    assert roles == [("system", "Be brief."), ("user", "Hello"), ("assistant", "Hello!"), ("user", "And now?")]
    await ada.say(conversation, "One more.")
    await hear(ada.Generate(conversation_id=conversation.id))
    assert provider.calls[1].messages[-1] == {"role": "user", "content": "One more."}


async def test_parameters_and_tools_reach_the_provider_and_tool_calls_come_back(ada, provider):
    conversation = await ada.converse()
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
    parameters = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 50,
        "stop": ["END"],
        "seed": 7,
        "tools": [{"name": "count", "description": "Counts.", "parameters": schema}],
        "tool_choice": "count",
        "response_schema": schema,
    }
    provider.answer(CallTool("count", '{"n": 3}'))
    request = {"conversation_id": conversation.id, "parts": text("Count"), "parameters": parameters}
    heard = await hear(ada.Generate(**request))
    body = provider.calls[0].body
    assert {name: body[name] for name in ("temperature", "top_p", "max_tokens", "stop", "seed")} == {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 50,
        "stop": ["END"],
        "seed": 7,
    }
    assert body["tools"][0]["function"] == {"name": "count", "description": "Counts.", "parameters": schema}
    assert body["tool_choice"] == {"type": "function", "function": {"name": "count"}}
    assert body["response_format"]["json_schema"]["schema"] == schema
    [message] = heard.messages
    assert message.parts[0].tool_call == pb.ToolCall(id="call_1", name="count", arguments='{"n": 3}')
    assert heard.last.response.finish_reason == "tool_calls"
    result = pb.Part(tool_result=pb.ToolResult(tool_call_id="call_1", content="1 2 3"))
    await ada.SendMessage(conversation_id=conversation.id, role=pb.ROLE_TOOL, parts=[result])
    await hear(ada.Generate(conversation_id=conversation.id))
    assert provider.calls[1].messages[-2:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "count", "arguments": '{"n": 3}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "1 2 3"},
    ]


async def test_sixteen_of_one_request_get_one_answer_that_was_written_once(ada, provider):
    conversation = await ada.converse()
    provider.answer(Say("Moss grows well in the shade.", pace=0.02))
    request = {"conversation_id": conversation.id, "parts": text("Where?"), "request_id": "one"}
    heard = await asyncio.gather(*(hear(ada.Generate(**request)) for _ in range(16)))
    assert heard[0].last.state == COMPLETED
    assert {str(one.events) for one in heard} == {str(heard[0].events)}
    assert len(provider.calls) == 1
    assert len((await ada.ListInteractions(conversation_id=conversation.id)).interactions) == 1
    assert (await ada.ListMessages(conversation_id=conversation.id)).messages[-1].position == 2
    again = await hear(ada.Generate(**request))
    assert again.events == heard[0].events
    refused = await hear(ada.Generate(**{**request, "parts": text("Else?")}))
    assert refused.error.code() is StatusCode.ALREADY_EXISTS


async def test_a_client_that_is_killed_at_any_event_gets_the_rest_and_nothing_twice(ada, provider):
    """Issue: the joined stream is identical, at every event."""
    conversation = await ada.converse()
    provider.answer(Say("Moss grows well in the shade of old trees.", pace=0.05))
    request = {"conversation_id": conversation.id, "parts": text("Where?"), "request_id": "one"}
    whole = await hear(ada.Generate(**request))
    count = len(whole.responses)
    assert count > 6
    for number in range(count + 1):
        first = await hear(ada.Generate(**request), until=number)
        cursor = first.responses[-1].cursor if number else ""
        rest = await hear(ada.ResumeInteraction(interaction_id=whole.last.id, cursor=cursor))
        assert first.events + rest.events == whole.events


async def test_a_client_that_leaves_in_the_middle_gets_the_rest_while_it_is_written(ada, provider):
    conversation = await ada.converse()
    go_on = asyncio.Event()
    provider.answer(Say("Moss grows "), Hold(go_on), Say("in the shade."))
    first = await hear(ada.Generate(conversation_id=conversation.id, parts=text("Where?")), until=2)
    interaction_id = first.responses[0].interaction.id
    assert (first.text, await state_of(ada, interaction_id)) == ("Moss grows ", RUNNING)
    resumed = ada.ResumeInteraction(interaction_id=interaction_id, cursor=first.responses[-1].cursor)
    go_on.set()
    rest = await hear(resumed)
    assert first.text + rest.text == "Moss grows in the shade."
    assert rest.states == [COMPLETED]


async def test_a_cancelled_answer_keeps_its_text(ada, provider):
    conversation = await ada.converse()
    never = asyncio.Event()
    provider.answer(Say("Moss grows "), Hold(never), Say("in the shade."))
    stream = ada.Generate(conversation_id=conversation.id, parts=text("Where?"))
    first = await hear_events(stream, 2)
    ended = (await ada.CancelInteraction(interaction_id=first.responses[0].interaction.id)).interaction
    assert ended.state == CANCELLED
    heard = await hear(stream, heard=first)
    assert (heard.text, heard.states) == ("Moss grows ", [RUNNING, CANCELLED])
    assert texts(heard.messages) == ["Moss grows "]
    assert ended == heard.last
    assert (ended.usage.input_tokens, ended.usage.output_tokens) > (0, 0)
    await provider.calls[0].gone.wait()
    assert (await ada.CancelInteraction(interaction_id=ended.id)).interaction == ended


async def test_while_an_answer_is_written_another_is_refused_or_waits_or_takes_its_place(ada, provider):
    conversation = await ada.converse()
    go_on = asyncio.Event()
    provider.answer(Say("one"), Hold(go_on))
    first = ada.Generate(conversation_id=conversation.id, parts=text("1"))
    begun = await hear_events(first, 2)
    refused = await hear(ada.Generate(conversation_id=conversation.id, parts=text("x")))
    assert refused.error.code() is StatusCode.FAILED_PRECONDITION
    provider.answer(Say("two"))
    provider.answer(Say("three"))
    queued = ada.Generate(conversation_id=conversation.id, parts=text("2"), busy_policy=BUSY_POLICY_QUEUE)
    waiting = await hear_events(queued, 1)
    assert waiting.states == [QUEUED]
    urgent = ada.Generate(conversation_id=conversation.id, parts=text("3"), busy_policy=BUSY_POLICY_INTERRUPT)
    third, interrupted, second = await asyncio.gather(
        hear(urgent), hear(first, heard=begun), hear(queued, heard=waiting)
    )
    assert (interrupted.text, interrupted.states) == ("one", [RUNNING, INTERRUPTED])
    assert (third.text, third.states) == ("two", [QUEUED, RUNNING, COMPLETED])
    assert (second.text, second.states) == ("three", [QUEUED, RUNNING, COMPLETED])
    shown = [[one["content"] for one in call.messages] for call in provider.calls]
    assert shown == [["1"], ["1", "one", "3"], ["1", "3", "one", "two", "2"]]
    replay = await hear(ada.ResumeInteraction(interaction_id=second.last.id))
    assert replay.events == second.events


async def test_a_run_that_waits_can_be_cancelled(ada, provider):
    conversation = await ada.converse()
    provider.answer(Say("one"), Hold(asyncio.Event()))
    first = ada.Generate(conversation_id=conversation.id, parts=text("1"))
    begun = await hear_events(first, 2)
    queued = ada.Generate(conversation_id=conversation.id, parts=text("2"), busy_policy=BUSY_POLICY_QUEUE)
    waiting = await hear_events(queued, 1)
    ended = (await ada.CancelInteraction(interaction_id=waiting.responses[0].interaction.id)).interaction
    assert (ended.state, ended.message_id) == (CANCELLED, "")
    assert (await hear(queued, heard=waiting)).states == [QUEUED, CANCELLED]
    await ada.CancelInteraction(interaction_id=begun.responses[0].interaction.id)


FAILURES = [
    ([Fail(401)], "provider_refused_us", ""),
    ([Fail(400, code="context_length_exceeded")], "context_length_exceeded", ""),
    ([Fail(500)], "http_500", ""),
    ([Silence()], "first_token_timeout", ""),
    ([Open(), Silence()], "first_token_timeout", ""),
    ([Say("Moss "), Silence()], "silence_timeout", "Moss "),
    ([Say("Moss "), Fail(500, code="broken")], "broken", "Moss "),
    ([Say("Moss "), Cut()], "cut_off", "Moss "),
    ([Say("Moss "), Cut(clean=True)], "cut_off", "Moss "),
]


@pytest.mark.parametrize("case", FAILURES, ids=lambda case: case[1])
async def test_what_a_provider_does_wrong_fails_the_run_and_keeps_what_it_had_said(
    servers, chat_database, auth_target, provider, case
):
    steps, code, kept = case
    provider.usual = tuple(steps)
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider, **SHORT) as chat:
        ada = chat.person("ada")
        conversation = await ada.converse()
        heard = await hear(ada.Generate(conversation_id=conversation.id, parts=text("Where?")))
    assert (heard.states, heard.text) == ([RUNNING, FAILED], kept)
    assert heard.last.error.code == code
    assert "scripted" not in heard.last.error.message
    assert texts(heard.messages) == ([kept] if kept else [])
    rows = await fetch(chat_database.owner_url, "SELECT error_code FROM ai_responses")
    assert [row["error_code"] for row in rows] == [code] * len(provider.calls)
    assert len(provider.calls) == (1 if kept or code == "context_length_exceeded" else 2)


async def test_another_provider_answers_where_the_first_does_not(servers, chat_database, auth_target, provider):
    async with running_provider() as second:
        provider.usual = (Fail(503),)
        more = f'[{{"name": "second", "url": "{second.url}", "api_key": "{second.key}", "models": ["test"]}}]'
        told = {"providers": more}
        async with generating_chat(chat_database, servers.redis.url, auth_target, provider, **told) as chat:
            ada = chat.person("ada")
            conversation = await ada.converse()
            heard = await hear(ada.Generate(conversation_id=conversation.id, parts=text("Where?")))
        assert (heard.last.state, heard.text) == (COMPLETED, "Moss grows well in the shade.")
        rows = await fetch(
            chat_database.owner_url, "SELECT provider, error_code, message_id FROM ai_responses ORDER BY id"
        )
        assert [tuple(row)[:2] for row in rows] == [("default", "http_503"), ("second", "")]
        assert [row["message_id"] is None for row in rows] == [True, False]


async def test_without_a_provider_or_with_an_unknown_model_the_caller_learns_why(
    servers, chat_database, auth_target, provider
):
    nobody = {"provider_url": None, "provider_model": None}
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider, **nobody) as chat:
        ada = chat.person("ada")
        conversation = await ada.converse()
        refused = await hear(ada.Generate(conversation_id=conversation.id, parts=text("Where?")))
        assert refused.error.code() is StatusCode.FAILED_PRECONDITION
        assert (await ada.ListMessages(conversation_id=conversation.id)).messages == []
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider) as chat:
        bob = chat.person("bob")
        request = {"conversation_id": (await bob.converse()).id, "parts": text("Where?"), "model": "other"}
        refused = await hear(bob.Generate(**request))
        assert refused.error.code() is StatusCode.FAILED_PRECONDITION


async def test_everything_wrong_with_a_request_is_told_at_once(ada):
    wrong = {
        "conversation_id": "x",
        "parts": [pb.Part(text="")],
        "request_id": "x" * 65,
        "model": "x" * 201,
        "busy_policy": 99,
        "parameters": {
            "temperature": 3.0,
            "top_p": 0.0,
            "max_output_tokens": 0,
            "stop": [""],
            "tools": [{"name": "no spaces"}, {"name": "twice"}, {"name": "twice"}],
            "tool_choice": "another",
        },
    }
    refused = await failure(ada.Generate(**wrong).read())
    assert set(refused.violations) == {
        "conversation_id",
        "parts[0].text",
        "request_id",
        "model",
        "busy_policy",
        "parameters.temperature",
        "parameters.top_p",
        "parameters.max_output_tokens",
        "parameters.stop[0]",
        "parameters.tools[0].name",
        "parameters.tools",
        "parameters.tool_choice",
    }
    conversation = await ada.converse()
    refused = await failure(ada.Generate(conversation_id=conversation.id).read())
    assert set(refused.violations) == {"parts"}
    for cursor in ("x", "9.1", "3.-1", "3.1.1", "3.99999999999999999999"):
        refused = await failure(ada.ResumeInteraction(interaction_id=conversation.id, cursor=cursor).read())
        assert set(refused.violations) == {"cursor"}


async def test_hostile_text_of_a_model_is_kept_readable(ada, provider):
    """R45: Postgres cannot hold U+0000, UTF-8 no half of a surrogate pair."""
    provider.answer(Say(chunks=("a\0b", "\ud83d", "ß\U0001f600", "\r\n")))
    conversation = await ada.converse()
    heard = await hear(ada.Generate(conversation_id=conversation.id, parts=text("?")))
    assert heard.text == "a�b�ß\U0001f600\r\n"
    assert texts(heard.messages) == [heard.text]


async def test_an_answer_without_a_word_has_no_message(ada, provider):
    provider.answer(Open())
    conversation = await ada.converse()
    heard = await hear(ada.Generate(conversation_id=conversation.id, parts=text("?")))
    assert (heard.kinds, heard.states) == (["interaction", "interaction"], [RUNNING, COMPLETED])
    assert heard.last.message_id == ""


async def test_an_answer_goes_on_in_a_conversation_that_is_deleted_meanwhile(ada, provider):
    go_on = asyncio.Event()
    provider.answer(Say("Moss "), Hold(go_on), Say("grows."))
    conversation = await ada.converse()
    stream = ada.Generate(conversation_id=conversation.id, parts=text("?"))
    begun = await hear_events(stream, 2)
    await ada.DeleteConversation(conversation_id=conversation.id)
    go_on.set()
    heard = await hear(stream, heard=begun)
    assert (heard.text, heard.states) == ("Moss grows.", [RUNNING, COMPLETED])
    await ada.UndeleteConversation(conversation_id=conversation.id)
    listed = (await ada.ListMessages(conversation_id=conversation.id)).messages
    assert [(one.role, one.parts[0].text) for one in listed] == [(USER, "?"), (ASSISTANT, "Moss grows.")]


async def test_a_service_that_ends_keeps_what_was_written_and_sends_readers_elsewhere(
    servers, chat_database, auth_target, provider
):
    """F18: streams end UNAVAILABLE with a hint when to come again, runs as INTERRUPTED with their text."""
    provider.answer(Say("Moss "), Hold(asyncio.Event()))
    user_id, session_id = ids.new_id(), ids.new_id()
    async with AsyncExitStack() as stack:
        grace = {"shutdown_grace_seconds": 0.5}
        async with generating_chat(chat_database, servers.redis.url, auth_target, provider, **grace) as chat:
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{chat.server.port}"))
            ada = Person(channel, user_id, session_id)
            conversation = await ada.converse()
            stream = ada.Generate(conversation_id=conversation.id, parts=text("?"))
            heard = await hear_events(stream, 2)
        await hear(stream, heard=heard)
    assert heard.error.code() is StatusCode.UNAVAILABLE
    assert ("grpc-retry-pushback-ms", "100") in tuple(heard.error.trailing_metadata())
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider) as chat:
        elsewhere = Person(chat.channel, user_id, session_id)
        request = {"interaction_id": heard.responses[0].interaction.id, "cursor": heard.responses[-1].cursor}
        rest = await hear(elsewhere.ResumeInteraction(**request))
        assert (rest.kinds, rest.states) == (["message", "interaction"], [INTERRUPTED])
        assert texts(rest.messages) == ["Moss "]

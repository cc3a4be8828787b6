import asyncio

import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from protos.chat.v1 import resources_pb2 as pb
from shared import ids
from tests.chat.sharing import ada, auth_target, bob, chat, chat_database  # noqa: F401 - one service for the file
from tests.chattest import ASSISTANT
from tests.grpc_errors import failure

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMPLETED, FAILED = pb.INTERACTION_STATE_COMPLETED, pb.INTERACTION_STATE_FAILED
CANCELLED, INTERRUPTED = pb.INTERACTION_STATE_CANCELLED, pb.INTERACTION_STATE_INTERRUPTED
USAGE = pb.Usage(
    input_tokens=10,
    output_tokens=2**62,
    cached_input_tokens=3,
    reasoning_tokens=4,
    cost_micros=5,
    price_version="2026-11-01",
)


def run(conversation, state=COMPLETED, **fields):
    return pb.Interaction(conversation_id=conversation.id, state=state, **{"model": "small-1", **fields})


def answer(**fields):
    values = {
        "model": "small-1-0815",
        "finish_reason": "stop",
        "usage": USAGE,
        "time_to_first_token": Duration(nanos=250_000_000),
        "duration": Duration(seconds=3, nanos=1_000),
    }
    return pb.Response(**{**values, **fields})


async def test_a_run_is_recorded_with_its_answer_and_read_back(ada):
    conversation = await ada.converse()
    said = await ada.say(conversation, "42", role=ASSISTANT)
    wanted = run(conversation, message_id=said.id)
    recorded = (await ada.RecordInteraction(interaction=wanted, response=answer())).interaction
    assert (await ada.GetInteraction(interaction_id=recorded.id)).interaction == recorded
    assert list((await ada.ListInteractions(conversation_id=conversation.id)).interactions) == [recorded]
    assert (recorded.state, recorded.model, recorded.message_id) == (COMPLETED, "small-1", said.id)
    assert (recorded.conversation_id, recorded.session_id) == (conversation.id, ada.session_id)
    assert recorded.usage == USAGE
    assert recorded.end_time == recorded.create_time
    assert not recorded.HasField("error")
    response = recorded.response
    assert (response.interaction_id, response.message_id) == (recorded.id, said.id)
    assert (response.model, response.finish_reason, response.usage) == ("small-1-0815", "stop", USAGE)
    assert (response.time_to_first_token.nanos, response.duration.seconds, response.duration.nanos) == (
        250_000_000,
        3,
        1_000,
    )
    assert (await ada.GetConversation(conversation_id=conversation.id)).conversation.revision == 3


async def test_a_failed_run_says_why_and_may_have_no_answer(ada):
    conversation = await ada.converse()
    wrong = pb.InteractionError(code="context_length_exceeded", message="Too long")
    recorded = (await ada.RecordInteraction(interaction=run(conversation, FAILED, error=wrong))).interaction
    assert (recorded.error, recorded.message_id) == (wrong, "")
    assert not recorded.HasField("response")
    assert (await ada.GetInteraction(interaction_id=recorded.id)).interaction == recorded
    for state in (FAILED, CANCELLED, INTERRUPTED):
        recorded = (await ada.RecordInteraction(interaction=run(conversation, state))).interaction
        assert (await ada.GetInteraction(interaction_id=recorded.id)).interaction == recorded


async def test_what_is_left_out_of_a_run_is_taken_from_its_answer_and_the_other_way_round(ada):
    conversation = await ada.converse()
    bare = pb.Response(usage=USAGE)
    recorded = (await ada.RecordInteraction(interaction=run(conversation), response=bare)).interaction
    assert (recorded.usage, recorded.response.model) == (USAGE, "small-1")
    assert not recorded.response.HasField("duration")
    own = pb.Usage(input_tokens=99)
    recorded = (await ada.RecordInteraction(interaction=run(conversation, usage=own), response=bare)).interaction
    assert (recorded.usage.input_tokens, recorded.response.usage) == (99, USAGE)


async def test_a_repeat_returns_the_first_run_and_other_content_is_refused(ada):
    conversation = await ada.converse()
    request = {"interaction": run(conversation), "response": answer(), "request_id": "one"}
    answers = await asyncio.gather(*(ada.RecordInteraction(**request) for _ in range(16)))
    assert {one.SerializeToString() for one in answers} == {answers[0].SerializeToString()}
    assert len((await ada.ListInteractions(conversation_id=conversation.id)).interactions) == 1
    others = [
        {"interaction": run(conversation, model="other")},
        {"interaction": run(conversation, CANCELLED)},
        {"interaction": run(conversation, usage=pb.Usage(input_tokens=1))},
        {"interaction": run(conversation, FAILED, error=pb.InteractionError(code="x"))},
        {"response": answer(finish_reason="length")},
        {"response": answer(duration=Duration(seconds=4))},
        {"interaction": run(conversation, CANCELLED), "response": None},
    ]
    for other in others:
        refused = await failure(ada.RecordInteraction(**{**request, **other}))
        assert (refused.code, refused.reason) == (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    await ada.DeleteConversation(conversation_id=conversation.id)
    assert await ada.RecordInteraction(**request) == answers[0]
    refused = await failure(ada.RecordInteraction(interaction=run(conversation), response=answer()))
    assert refused.reason == "CONVERSATION_DELETED"


async def test_a_message_must_be_one_of_the_conversations(ada, bob):
    conversation = await ada.converse()
    strange = [
        (await ada.say(await ada.converse())).id,
        (await bob.say(await bob.converse())).id,
        str(ids.new_id()),
    ]
    seen = set()
    for message_id in strange:
        request = ada.RecordInteraction(interaction=run(conversation, message_id=message_id), response=answer())
        refused = await failure(request)
        assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "MESSAGE_NOT_FOUND")
        seen.add(str(refused.seen))
    assert len(seen) == 1
    assert list((await ada.ListInteractions(conversation_id=conversation.id)).interactions) == []


async def test_everything_wrong_with_a_run_is_told_at_once(ada):
    wrong = pb.Interaction(
        conversation_id="x",
        state=pb.INTERACTION_STATE_RUNNING,
        model="",
        message_id="y",
        usage=pb.Usage(input_tokens=-1, cost_micros=-1, price_version="x" * 65),
        error=pb.InteractionError(message="x" * 2_001),
    )
    response = pb.Response(
        model="x" * 201,
        finish_reason="nul\0",
        usage=pb.Usage(output_tokens=-1),
        time_to_first_token=Duration(seconds=-1),
        duration=Duration(nanos=-1),
    )
    refused = await failure(ada.RecordInteraction(interaction=wrong, response=response, request_id="x" * 65))
    assert set(refused.violations) == {
        "interaction.conversation_id",
        "interaction.state",
        "interaction.model",
        "interaction.message_id",
        "interaction.usage.input_tokens",
        "interaction.usage.cost_micros",
        "interaction.usage.price_version",
        "interaction.error",
        "interaction.error.code",
        "interaction.error.message",
        "response.model",
        "response.finish_reason",
        "response.usage.output_tokens",
        "response.time_to_first_token",
        "response.duration",
        "request_id",
    }


@pytest.mark.parametrize("state", [0, pb.INTERACTION_STATE_QUEUED, pb.INTERACTION_STATE_RUNNING, 99])
async def test_a_run_that_has_not_ended_cannot_be_recorded(ada, state):
    refused = await failure(ada.RecordInteraction(interaction=run(await ada.converse(), state), response=answer()))
    assert list(refused.violations) == ["interaction.state"]


async def test_a_completed_run_has_an_answer_and_only_a_failed_one_an_error(ada):
    conversation = await ada.converse()
    assert list((await failure(ada.RecordInteraction(interaction=run(conversation)))).violations) == ["response"]
    strange = run(conversation, error=pb.InteractionError(code="x"))
    refused = await failure(ada.RecordInteraction(interaction=strange, response=answer()))
    assert list(refused.violations) == ["interaction.error"]


async def test_runs_are_listed_newest_first_by_conversation_and_by_session(ada):
    conversations = [await ada.converse(), await ada.converse()]
    elsewhere = ada.elsewhere()
    made = []
    for number in range(8):
        person = (ada, elsewhere)[number // 2 % 2]
        given = {} if number % 3 else {"response": answer(finish_reason=str(number))}
        wanted = run(conversations[number % 2], FAILED, model=str(number))
        made.append((await person.RecordInteraction(interaction=wanted, **given)).interaction)

    async def listed(**question):
        page = await ada.ListInteractions(page_size=2, **question)
        found = list(page.interactions)
        while page.next_page_token:
            page = await ada.ListInteractions(page_size=2, page_token=page.next_page_token, **question)
            found += page.interactions
        return found

    home, session = {"conversation_id": conversations[0].id}, {"session_id": elsewhere.session_id}
    assert await listed(**home) == [made[n] for n in (6, 4, 2, 0)]
    assert await listed(**session) == [made[n] for n in (7, 6, 3, 2)]
    assert await listed(**home, **session) == [made[n] for n in (6, 2)]
    await ada.DeleteConversation(conversation_id=conversations[0].id)
    assert await listed(**session) == [made[n] for n in (7, 3)]
    assert await listed(**home, **session) == [made[n] for n in (6, 2)]


async def test_a_conversation_without_runs_has_none_and_one_that_is_not_there_is_not_found(ada):
    conversation, nowhere = await ada.converse(), str(ids.new_id())
    for question in ({}, {"session_id": ada.session_id}):
        assert list((await ada.ListInteractions(conversation_id=conversation.id, **question)).interactions) == []
        refused = await failure(ada.ListInteractions(conversation_id=nowhere, **question))
        assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "CONVERSATION_NOT_FOUND")
    refused = await failure(ada.ListInteractions(page_size=-1))
    assert list(refused.violations) == ["conversation_id", "page_size"]

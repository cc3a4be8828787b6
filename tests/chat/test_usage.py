"""What was used, by day, model and user, and how much a user may use."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from grpc import StatusCode

from protos.chat.v1 import resources_pb2 as pb
from shared import ids
from tests.chat.generating import COMPLETED, generating_chat, hear, text
from tests.chattest import Person
from tests.grpc_errors import failure
from tests.providertest import Fail, Hold, Say, Used, running_provider
from tests.servers import fetch

MODEL = "gpt-5-mini"


@pytest.fixture
async def provider():
    async with running_provider() as running:
        yield running


@pytest.fixture
async def chat(servers, chat_database, auth_target, provider):
    told = {"provider_model": MODEL}
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider, **told) as running:
        yield running


async def ask(person, **fields):
    conversation = await person.converse()
    return await hear(person.Generate(conversation_id=conversation.id, parts=text("Where?"), **fields))


def today():
    return datetime.now(UTC).date()


async def test_every_attempt_is_in_the_ledger_with_its_tokens_its_times_and_its_cost(ada, chat, provider):
    provider.answer(Fail(503))
    provider.answer(Say("Moss."), Used(input=1_000_000, output=2_000, cached=600_000, reasoning=500))
    heard = await ask(ada)
    used = heard.last.usage
    assert (used.input_tokens, used.output_tokens, used.cached_input_tokens, used.reasoning_tokens) == (
        1_000_000,
        2_000,
        600_000,
        500,
    )
    assert used.cost_micros == 400_000 * 0.25 + 600_000 * 0.025 + 2_000 * 2
    assert used.price_version
    rows = await fetch(chat.database.owner_url, "SELECT * FROM ai_responses ORDER BY id")
    assert [(row["provider"], row["error_code"], row["finish_reason"]) for row in rows] == [
        ("default", "http_503", ""),
        ("default", "", "stop"),
    ]
    failed, answered = rows
    assert (failed["first_token_micros"], failed["input_tokens"], failed["cost_micros"]) == (None, 0, 0)
    assert 0 < answered["first_token_micros"] <= answered["duration_micros"]
    assert answered["cost_micros"] == used.cost_micros


async def test_usage_is_told_by_day_and_model_with_what_callers_recorded(ada, bob, provider):
    provider.usual = (Say("Moss."), Used(input=1_000, output=100))
    await ask(ada)
    await ask(ada)
    run = pb.Interaction(
        conversation_id=(await ada.converse()).id, model="own", state=COMPLETED, usage=pb.Usage(output_tokens=2**62)
    )
    for _ in range(3):
        await ada.RecordInteraction(interaction=run, response=pb.Response())
    days = (await ada.GetUsage()).days
    assert [(one.day, one.model, one.runs) for one in days] == [
        (today().isoformat(), "own", 3),
        (today().isoformat(), MODEL, 2),
    ]
    assert (days[1].usage.input_tokens, days[1].usage.output_tokens) == (2_000, 200)
    assert days[1].usage.cost_micros == 2 * (1_000 * 0.25 + 100 * 2)
    assert days[0].usage.output_tokens == 2**63 - 1
    first = await ada.GetUsage(page_size=1)
    second = await ada.GetUsage(page_size=1, page_token=first.next_page_token)
    assert [*first.days, *second.days] == list(days)
    assert second.next_page_token == ""
    assert (await bob.GetUsage()).days == []
    tomorrow = (today() + timedelta(days=1)).isoformat()
    assert (await ada.GetUsage(first_day=tomorrow, last_day=tomorrow)).days == []


async def test_a_request_that_is_repeated_and_a_run_that_is_recorded_twice_count_once(ada):
    conversation = await ada.converse()
    request = {"conversation_id": conversation.id, "parts": text("Where?"), "request_id": "one"}
    for _ in range(3):
        await hear(ada.Generate(**request))
    run = pb.Interaction(conversation_id=conversation.id, model="own", state=COMPLETED)
    for _ in range(2):
        await ada.RecordInteraction(interaction=run, response=pb.Response(), request_id="two")
    assert [(one.model, one.runs) for one in (await ada.GetUsage()).days] == [("own", 1), (MODEL, 1)]


async def test_administrators_see_what_each_user_used(ada, bob, chat):
    await ask(ada)
    await ask(bob)
    await ask(bob)
    refused = await failure(ada.ListUsageByUser())
    assert refused.code is StatusCode.PERMISSION_DENIED
    admin = Person(chat.channel, ids.new_id(), f"{ids.new_id()}:admin")
    users = (await admin.ListUsageByUser()).users
    assert sorted((one.user_id, one.runs) for one in users) == sorted([(ada.user_id, 1), (bob.user_id, 2)])
    first = await admin.ListUsageByUser(page_size=1)
    second = await admin.ListUsageByUser(page_size=1, page_token=first.next_page_token)
    assert [*first.users, *second.users] == list(users)


async def test_days_that_cannot_be_are_refused(ada):
    for span, field in (
        ({"first_day": "yesterday"}, "first_day"),
        ({"last_day": "2026-13-01"}, "last_day"),
        ({"first_day": "2026-02-02", "last_day": "2026-02-01"}, "first_day"),
        ({"first_day": "2020-01-01", "last_day": "2026-02-01"}, "first_day"),
    ):
        assert field in (await failure(ada.GetUsage(**span))).violations
    assert (await ada.GetUsage(last_day="0001-01-02")).days == []


@pytest.mark.parametrize(("quota", "fact"), [({"quota_runs": 2}, "runs"), ({"quota_tokens": 200}, "tokens")])
async def test_who_has_had_as_much_as_they_may_is_told_when_to_come_again(
    servers, chat_database, auth_target, provider, quota, fact
):
    provider.usual = (Say("Moss."), Used(input=90, output=10))
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider, **quota) as chat:
        ada, bob = chat.person("ada"), chat.person("bob")
        conversation = await ada.converse()
        request = {"conversation_id": conversation.id, "parts": text("Where?"), "request_id": "one"}
        first = await hear(ada.Generate(**request))
        await ask(ada)
        refused = await failure(ada.Generate(conversation_id=conversation.id, parts=text("More")).read())
        assert (refused.code, refused.reason) == (StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
        assert refused.facts["quota"] == fact
        assert 86_000 < refused.retry_seconds <= 86_400
        assert (await hear(ada.Generate(**request))).events == first.events
        assert (await ask(bob)).last.state == COMPLETED
        assert (await ada.ListMessages(conversation_id=conversation.id)).messages[-1].position == 2


async def test_a_quota_is_not_passed_by_asking_for_much_at_once(servers, chat_database, auth_target, provider):
    provider.usual = (Say("Moss."), Hold(asyncio.Event()))
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider, quota_runs=3) as chat:
        ada = chat.person("ada")
        conversations = [await ada.converse() for _ in range(8)]
        streams = [ada.Generate(conversation_id=one.id, parts=text("?")) for one in conversations]
        heard = await asyncio.gather(*(hear(stream, until=1) for stream in streams))
        assert sum(one.error is None for one in heard) == 3
        assert {one.error.code() for one in heard if one.error} == {StatusCode.RESOURCE_EXHAUSTED}

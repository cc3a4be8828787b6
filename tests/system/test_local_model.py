"""The small model of `make run`: it answers through Generate, offline, and comes and goes with the stack."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.protobuf.json_format import ParseDict

from protos.chat.v1 import generation_pb2, parameters_pb2
from protos.chat.v1 import resources_pb2 as pb
from shared import local_model as local_models
from shared.embedded import scratch_folder
from shared.local_model import LocalModel
from shared.processes import wait_until
from tests.chattest import ASSISTANT, Chat, Person, chat_config, running_chat, running_stand_in_auth
from tests.servers import Servers, fresh_database
from tests.system.test_run import left_behind, running
from tools import settings
from tools.folder import DataFolder
from tools.provider import Provider
from tools.stack import running_stack

PATIENCE = 120
CONTEXT_TOKENS = 400


@pytest.fixture
async def chat(servers: Servers, local_model: LocalModel) -> AsyncIterator[Chat]:
    told = {
        "provider_url": local_model.url,
        "provider_api_key": local_model.key,
        "provider_model": local_model.name,
        "provider_context_tokens": CONTEXT_TOKENS,
    }
    async with fresh_database(servers, "chat") as database, running_stand_in_auth() as target:
        config = chat_config(database, servers.redis.url, target, **told)
        async with running_chat(database, config) as running:
            yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch_folder() as path:
        yield path


@pytest.fixture
def ada(chat: Chat) -> Person:
    return chat.person("ada")


def ask(conversation: pb.Conversation, text: str, **told: Any) -> generation_pb2.GenerateRequest:
    parameters = ParseDict({"temperature": 0} | told, parameters_pb2.Parameters())
    return generation_pb2.GenerateRequest(
        conversation_id=conversation.id, parts=[pb.Part(text=text)], parameters=parameters
    )


async def heard(person: Person, request: generation_pb2.GenerateRequest) -> list[generation_pb2.GenerateResponse]:
    async with asyncio.timeout(PATIENCE):
        return [event async for event in person.Generate(request)]


def texts(events: list[generation_pb2.GenerateResponse]) -> list[str]:
    return [event.delta.text for event in events if event.HasField("delta")]


def message(events: list[generation_pb2.GenerateResponse]) -> pb.Message:
    [found] = [event.message for event in events if event.HasField("message")]
    return found


async def test_an_answer_streams_and_is_kept_with_what_it_used_and_cost(ada: Person, local_model: LocalModel) -> None:
    conversation = await ada.converse()
    events = await heard(ada, ask(conversation, "What is photosynthesis?", maxOutputTokens=24))
    assert len(texts(events)) > 5
    assert message(events).parts[0].text == "".join(texts(events))
    assert message(events).role == ASSISTANT
    done = events[-1].interaction
    assert (done.state, done.model) == (pb.INTERACTION_STATE_COMPLETED, local_model.name)
    assert (done.usage.output_tokens, done.usage.cost_micros) == (24, 0)
    assert done.usage.input_tokens > 10
    assert done.usage.price_version


async def test_an_answer_follows_a_schema(ada: Person) -> None:
    conversation = await ada.converse()
    schema = {"type": "object", "properties": {"plants": {"type": "integer"}}, "required": ["plants"]}
    events = await heard(ada, ask(conversation, "How many plants?", maxOutputTokens=40, responseSchema=schema))
    assert events[-1].interaction.state == pb.INTERACTION_STATE_COMPLETED
    assert isinstance(json.loads("".join(texts(events)))["plants"], int)


async def test_an_answer_that_is_cancelled_from_another_device_keeps_its_text(ada: Person) -> None:
    conversation = await ada.converse()
    events = []
    async with asyncio.timeout(PATIENCE):
        async for event in ada.Generate(ask(conversation, "Write a long story.", maxOutputTokens=800)):
            events.append(event)
            if event.HasField("delta") and len(texts(events)) == 3:
                interaction_id = events[0].interaction.id
                await ada.elsewhere().CancelInteraction(interaction_id=interaction_id)
    done = events[-1].interaction
    assert done.state == pb.INTERACTION_STATE_CANCELLED
    assert message(events).parts[0].text == "".join(texts(events))
    assert 0 < done.usage.output_tokens < 800


async def test_a_conversation_longer_than_the_model_may_read_is_answered_all_the_same(ada: Person) -> None:
    conversation = await ada.converse()
    for number in range(6):
        await ada.say(conversation, f"Plant {number}: " + "a fern in the shade, " * 20)
        await ada.say(conversation, "Good.", role=ASSISTANT)
    events = await heard(ada, ask(conversation, "How many plants are there?", maxOutputTokens=8))
    done = events[-1].interaction
    assert done.state == pb.INTERACTION_STATE_COMPLETED
    assert 120 < done.usage.input_tokens < CONTEXT_TOKENS


def test_it_is_there_from_the_start_of_a_stack_and_comes_back_when_it_dies(folder: Path) -> None:
    with running(folder / "state", PARLEY_LOCAL_MODEL="true") as run:
        stack = run.ready()
        assert stack.model == "smollm2-135m-instruct"
        assert stack.model_pid is not None
        os.kill(stack.model_pid, signal.SIGKILL)
        assert wait_until(lambda: "Model is back." in run.text(), 30), run.text()
        again = running_stack(run.data_dir)
        assert again is not None
        assert again.model_pid not in (None, stack.model_pid)
        shown = " ".join(" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
        assert (run.data_dir / "secrets" / "model-key").read_text() not in shown + run.text()
        assert run.end(signal.SIGINT) == 0
    assert left_behind(run.data_dir, again) == []


def test_one_that_does_not_start_costs_a_sentence_and_not_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local_models, "_PROGRAM", "a_program_that_is_not_there")
    data = DataFolder(folder)
    with data.locked():
        provider = Provider(settings.read({}), data, wanted=True)
        provider.begin()
        assert provider.await_ready() is None
    assert provider.model == ""
    told = capsys.readouterr().out
    assert "No module named a_program_that_is_not_there" in told
    assert "set CHAT_PROVIDER_URL" in told

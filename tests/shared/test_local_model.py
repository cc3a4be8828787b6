"""The local model as a real process; through Generate it speaks in tests/system/test_local_model.py."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest
from openai.types.chat import ChatCompletionChunk

from shared import local_model
from shared.embedded import EmbeddedError, free_port, scratch_folder
from shared.local_model import LocalModel
from shared.processes import command_line, wait_until
from tests.servers import ROOT

KEY = "a-key-of-the-model"


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch_folder() as path:
        yield path


@pytest.fixture
def model(local_model: LocalModel) -> LocalModel:
    return local_model


def client(model: LocalModel, key: str = "") -> openai.OpenAI:
    return openai.OpenAI(base_url=model.url, api_key=key or model.key, max_retries=0, timeout=30)


def test_it_listens_on_the_loopback_address_only_and_lists_the_model(model: LocalModel) -> None:
    listening = [it.laddr.ip for it in psutil.Process(model.pid).net_connections() if it.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]
    with client(model) as it:
        assert [each.id for each in it.models.list()] == [model.name]


def test_it_asks_for_its_key_which_does_not_show_in_the_list_of_processes(model: LocalModel) -> None:
    shown = command_line(model.pid)
    assert "shared.model_server" in shown
    assert model.key not in shown
    messages = [{"role": "user", "content": "Shade?"}]
    with client(model, "another") as it, pytest.raises(openai.AuthenticationError):
        it.chat.completions.create(model=model.name, messages=messages, max_tokens=1)  # type: ignore[arg-type]


def ask(model: LocalModel, text: str, **options: Any) -> list[ChatCompletionChunk]:
    with client(model) as it:
        messages = [{"role": "user", "content": text}]
        told = {"model": model.name, "messages": messages, "temperature": 0, "stream": True} | options
        return list(it.chat.completions.create(**told, stream_options={"include_usage": True}))


def said(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_it_answers_in_pieces_and_says_what_it_used(model: LocalModel) -> None:
    chunks = ask(model, "Name three plants that grow in the shade.", max_tokens=24)
    assert len([chunk for chunk in chunks if chunk.choices]) > 10
    assert said(chunks)
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens == 24
    assert usage.prompt_tokens > 10


def test_it_answers_by_a_schema(model: LocalModel) -> None:
    schema = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    chunks = ask(model, "How many plants?", max_tokens=40, response_format=form)
    assert isinstance(json.loads(said(chunks))["count"], int)


def test_a_prompt_longer_than_it_can_read_is_refused(model: LocalModel) -> None:
    with pytest.raises(openai.BadRequestError, match=str(model.context_tokens)):
        ask(model, "shade " * (model.context_tokens + 1))


def test_it_begins_without_waiting_and_stops_within_a_moment(folder: Path) -> None:
    model = LocalModel(folder, free_port(), key=KEY)
    model.begin()
    pid = model.pid
    assert model.running
    assert not model.ready
    model.stop()
    assert not model.running
    assert command_line(pid) == ""
    assert list(folder.glob("*.pid")) == []


def test_a_killed_parent_takes_the_model_with_it(folder: Path) -> None:
    port = free_port()
    program = (
        "import sys, time; from pathlib import Path; from shared.local_model import LocalModel\n"
        f"model = LocalModel(Path({str(folder)!r}), {port}, key='k'); model.start()\n"
        "print(model.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert "shared.model_server" in command_line(pid)
        parent.kill()
    assert wait_until(lambda: command_line(pid) == "", 20)


def test_one_that_hangs_after_its_parent_is_gone_is_ended_by_the_next(folder: Path) -> None:
    port = free_port()
    left = LocalModel(folder, port, key=KEY)
    left.start()
    os.kill(left.pid, signal.SIGSTOP)
    model = LocalModel(folder, port, key=KEY)
    try:
        model.start()
        assert not left.running
        assert model.ready
    finally:
        model.stop()


def test_a_taken_port_is_told(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedError, match=rf"The model did not start. Free port {port}, or choose another"):
            LocalModel(folder, port, key=KEY).start()


def test_without_its_packages_it_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LocalModel.available()
    monkeypatch.setattr(local_model, "_PACKAGES", ("xllamacpp", "a_package_that_is_not_there"))
    assert not LocalModel.available()

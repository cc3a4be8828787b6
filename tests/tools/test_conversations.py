"""`import-conversations` and `export-conversations`: files from and into a running chat."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.embedded import free_port
from tests.chat.transfers import imported, lines, node, records, tree
from tests.chattest import Chat, Person, chat_config, running_chat, running_stand_in_auth
from tests.servers import ROOT, Servers, fresh_database


@pytest.fixture
async def chat(servers: Servers) -> AsyncIterator[Chat]:
    async with (
        fresh_database(servers, "chat") as database,
        running_stand_in_auth() as target,
        running_chat(database, chat_config(database, servers.redis.url, target)) as chat,
    ):
        yield chat


async def run(chat: Chat, person: Person, *arguments: str, port: int | None = None) -> tuple[int | None, str]:
    command = [sys.executable, "-m", "tools", *arguments, "--target", f"127.0.0.1:{port or chat.server.port}"]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**os.environ, "TOKEN": f"{person.user_id}:{person.session_id}", "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_a_file_of_chatgpt_is_imported_and_what_cannot_be_is_written_down(chat: Chat, tmp_path: Path) -> None:
    ada, file = chat.person("ada"), tmp_path / "conversations.json"
    good = [tree(node("a", None), conversation_id=str(number)) for number in range(3)]
    file.write_text(json.dumps([*good, {"id": "bad", "title": "Bad"}]))
    code, output = await run(chat, ada, "import-conversations", str(file), "--format", "chatgpt")
    assert (code, "3 IMPORTED" in output, "1 REFUSED" in output) == (1, True, True), output
    (rejected,) = [json.loads(line) for line in (tmp_path / "conversations.json.rejected").read_text().splitlines()]
    assert (rejected["number"], rejected["external_id"], rejected["verdict"]) == (4, "", "REFUSED")
    assert rejected["reasons"]
    file.write_text(json.dumps(good))
    code, output = await run(chat, ada, "import-conversations", str(file), "--format", "chatgpt")
    assert (code, "3 ALREADY_THERE" in output) == (0, True), output
    assert not (tmp_path / "conversations.json.rejected").exists()


async def test_an_export_is_a_file_that_can_be_imported(chat: Chat, tmp_path: Path) -> None:
    ada, bob, file = chat.person("ada"), chat.person("bob"), tmp_path / "parley.jsonl"
    for number in range(3):
        await ada.say(await ada.converse(title=str(number)))
    code, output = await run(chat, ada, "export-conversations", str(file))
    assert code == 0, output
    assert [json.loads(line) for line in file.read_text().splitlines()] == await records(ada)
    code, output = await run(chat, bob, "import-conversations", str(file))
    assert (code, "3 IMPORTED" in output) == (0, True), output
    code, output = await run(chat, ada, "export-conversations", str(file))
    assert (code, "is there already" in output) == (2, True)


async def test_what_is_wrong_is_told_in_a_sentence(chat: Chat, tmp_path: Path) -> None:
    ada, missing, empty = chat.person("ada"), tmp_path / "missing", tmp_path / "empty"
    code, output = await run(chat, ada, "import-conversations", str(missing))
    assert (code, "There is no file" in output) == (2, True)
    empty.write_bytes(lines([]))
    code, output = await run(chat, ada, "import-conversations", str(empty), port=free_port())
    assert (code, "UNAVAILABLE" in output, "Traceback" in output) == (1, True, False), output
    assert await imported(ada, empty.read_bytes()) == []

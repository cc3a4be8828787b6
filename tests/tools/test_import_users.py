"""`import-users`: accounts of another system from a file, through interruptions, and what was refused written down."""

import asyncio
import json
import os
import sys
from collections import Counter
from contextlib import AsyncExitStack
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest

from protos.auth.v1.admin_service_pb2_grpc import AdminServiceStub
from protos.auth.v1.imports_pb2 import ImportUsersResponse
from shared.embedded import free_port
from shared.grpc import channels
from tests.auth.hash_vectors import VECTORS
from tests.authtest import Auth, auth_config, running_auth
from tests.servers import ROOT, Servers, TestDatabase, fetch
from tools import import_rows
from tools.import_rows import Batch, Report, Sender, batches


async def admin_token(auth: Auth) -> str:
    made = await auth.sign_up("admin@example.com")
    await fetch(auth.database.url, "UPDATE users SET roles = '{admin}' WHERE email = 'admin@example.com'")
    return str(made.tokens.access_token)


def lines(*rows: dict[str, Any] | str) -> bytes:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()


async def run(auth: Auth, token: str, *arguments: str) -> tuple[int | None, str]:
    target = f"127.0.0.1:{auth.server.port}"
    command = [sys.executable, "-m", "tools", "import-users", *arguments, "--source", "test", "--target", target]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**os.environ, "TOKEN": token, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_a_file_is_imported_and_every_line_that_is_no_account_is_written_down(auth: Auth, tmp_path: Path) -> None:
    file, ids, rejected = (tmp_path / name for name in ("users.jsonl", "ids.jsonl", "users.jsonl.rejected"))
    password, text = VECTORS["bcrypt $2b$"]
    full = {
        "external_id": "7",
        "email": "Ada@example.org",
        "email_verified": True,
        "display_name": "Ada",
        "password_hash": text,
        "roles": ["user"],
        "state": "ACTIVE",
        "locale": "en",
        "create_time": "2021-03-04T05:06:07+01:00",
    }
    bad = [
        "{",
        '{"external_id": "8"}',
        {"email": "x@example.org", "passwort": ""},
        {"email": "no address"},
        full | {"locale": "de"},
    ]
    file.write_bytes(lines(full, "", {"email": "bob@example.org"}, *bad))
    token = await admin_token(auth)
    code, output = await run(auth, token, str(file), "--ids", str(ids))
    assert (code, "5 rows are no accounts" in output) == (1, True), output
    told = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert sorted((line["line"], line["verdict"]) for line in told) == [
        *((4, "UNREADABLE"), (5, "UNREADABLE"), (6, "UNREADABLE")),
        *((7, "INVALID"), (8, "EXTERNAL_ID_REUSED")),
    ]
    assert all(line["reasons"] for line in told if line["verdict"] in ("UNREADABLE", "INVALID"))
    assert text not in rejected.read_text() + output
    made = {row["external_id"]: row["user_id"] for row in map(json.loads, ids.read_text().splitlines())}
    assert list(made) == ["7", "bob@example.org"]
    assert (await auth.log_in("ada@example.org", password)).user.id == made["7"]
    file.write_bytes(lines(full, {"email": "bob@example.org"}))
    code, output = await run(auth, token, str(file))
    assert (code, "2 ALREADY_IMPORTED" in output, rejected.exists()) == (0, True, False), output


async def test_what_keeps_an_import_from_beginning_is_told_in_a_sentence(auth: Auth, tmp_path: Path) -> None:
    file = tmp_path / "users.jsonl"
    code, output = await run(auth, "rubbish", str(file))
    assert (code, "There is no file" in output, "Traceback" in output) == (2, True, False), output
    file.write_bytes(lines({"email": "ada@example.org"}))
    for token, reason in (("rubbish", "UNAUTHENTICATED"), ((await auth.sign_up()).tokens.access_token, "PERMISSION")):
        code, output = await run(auth, token, str(file))
        assert (code, reason in output, "Traceback" in output) == (1, True, False), output
    code, output = await run(auth, token, str(file), "--ca", str(tmp_path / "absent.pem"))
    assert (code, "--ca" in output, "Traceback" in output) == (2, True, False), output


async def test_an_import_goes_on_where_it_was_after_the_service_has_restarted(
    servers: Servers, auth_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F18: each row is sent until it is answered, and is one account though its answer was lost."""
    monkeypatch.setattr(import_rows, "ROWS", 10)
    config = auth_config(auth_database, servers.redis.url, AUTH_PORT=free_port())
    answered, stopped = asyncio.Event(), asyncio.Event()
    report = Report(StringIO(), StringIO())

    def note(batch: Batch, response: ImportUsersResponse) -> None:
        report.note(batch, response)
        if report.verdicts.total() >= 50:
            answered.set()

    def waiting() -> Any:
        """The last rows are not there before the restart."""
        for number, batch in enumerate(batches(BytesIO(rows), "test", report)):
            if number > 30:
                assert stopped.is_set()
            yield batch

    rows = lines(*({"email": f"person{number}@example.org"} for number in range(600)))
    async with AsyncExitStack() as stack:
        async with running_auth(auth_database, config) as auth:
            token = await admin_token(auth)
            channel = await stack.enter_async_context(channels.connect(f"127.0.0.1:{config.port}", None))
            importing = asyncio.create_task(Sender(AdminServiceStub(channel), token, waiting()).run(note))
            await answered.wait()
            stopped.set()
        assert not importing.done()
        await stack.enter_async_context(running_auth(auth_database, config))
        await importing
    assert report.verdicts.total() == 600
    assert set(report.verdicts) <= {"IMPORTED", "ALREADY_IMPORTED"}
    assert isinstance(report.ids, StringIO)
    ids = Counter(json.loads(line)["user_id"] for line in report.ids.getvalue().splitlines())
    assert len(ids) == 600
    [count] = await fetch(auth_database.url, "SELECT count(*) FROM users WHERE email LIKE '%.org'")
    assert count[0] == 600


async def test_a_file_that_cannot_be_read_on_ends_the_import(auth: Auth) -> None:
    """It must not wait for answers to what was never sent."""

    def broken() -> Any:
        yield from batches(BytesIO(lines({"email": "ada@example.org"})), "test", report)
        raise OSError("the disk is gone")

    report = Report(StringIO(), None)
    sender = Sender(AdminServiceStub(auth.channel), await admin_token(auth), broken())
    async with asyncio.timeout(10):
        with pytest.raises(OSError, match="the disk is gone"):
            await sender.run(report.note)

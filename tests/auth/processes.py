"""Auth, and other services, as processes of their own, as operators run them."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import grpc

from shared.grpc.server import GrpcServer
from tests.authtest import Auth, auth_config
from tests.servers import ROOT, TestDatabase

START_SECONDS = 30
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Ended:
    code: int
    output: str
    errors: str

    @property
    def last_line(self) -> str:
        """What it ended with."""
        return self.errors.splitlines()[-1]


def environment(database: TestDatabase, redis_url: str, **settings: str) -> dict[str, str]:
    """Everything that a service needs, and nothing of what surrounds the tests."""
    config = auth_config(database, redis_url)
    return {
        "PATH": os.environ["PATH"],
        "AUTH_PORT": "0",
        "AUTH_OPS_PORT": "0",
        "AUTH_DATABASE_URL": database.url,
        "AUTH_MASTER_KEY": config.master_key.get_secret_value(),
        "REDIS_URL": redis_url,
        "AUTH_ALLOW_PLAINTEXT": "true",
        **settings,
    }


async def run(settings: dict[str, str], *arguments: str) -> Ended:
    """A command of the service that ends by itself."""
    process = await _start(settings, *arguments)
    output, errors = await asyncio.wait_for(process.communicate(), START_SECONDS)
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())


class Served:
    """A process that serves, and all that it has written so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._lines)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its log, which is JSON to the last line."""
        return [json.loads(line) for line in self.text.splitlines()]

    async def until(self, event: str) -> dict[str, Any]:
        """Read on to an event of the log."""
        assert self._process.stderr is not None
        while line := await self._line(self._process.stderr):
            self._lines.append(line.decode())
            if line.startswith(b"{") and json.loads(line)["event"] == event:
                return dict(json.loads(line))
            found = re.search(rf"{event}.*?port\S*=\S*?(\d+)", _COLOURS.sub("", line.decode()))
            if found and not line.startswith(b"{"):
                return {"event": event, "port": int(found[1])}
        raise AssertionError(f"no {event!r} in {self.text}")

    async def _line(self, source: asyncio.StreamReader) -> bytes:
        # Not wait_for: before Python 3.12 it may swallow the cancellation of whoever listens.
        async with asyncio.timeout(START_SECONDS):
            return await source.readline()

    async def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        """End it as an operator would, and read the rest."""
        self._process.send_signal(signal.SIGTERM)
        output, errors = await asyncio.wait_for(self._process.communicate(), START_SECONDS)
        self._lines.append(errors.decode())
        assert output == b""
        return self._process.returncode or 0


@asynccontextmanager
async def serving(database: TestDatabase, redis_url: str, **settings: str) -> AsyncIterator[tuple[Auth, Served]]:
    async with (
        started(environment(database, redis_url, **settings)) as (port, served),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        where = cast("GrpcServer", SimpleNamespace(port=port))
        yield Auth(where, channel, database, auth_config(database, redis_url)), served


@asynccontextmanager
async def started(settings: dict[str, str], service: str = "auth_service") -> AsyncIterator[tuple[int, Served]]:
    """A process that serves, and its port."""
    process = await _start(settings, "serve", service=service)
    served = Served(process)
    try:
        yield (await served.until("serving"))["port"], served
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def listening_to(*served: Served) -> AsyncIterator[None]:
    """Read what the processes write, or their pipes fill up and they wait."""
    readers = [asyncio.create_task(one.until("stopping")) for one in served]
    try:
        yield
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _start(
    settings: dict[str, str], *arguments: str, service: str = "auth_service"
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", service, *arguments),
        cwd=ROOT,
        env=settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )

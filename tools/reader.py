"""A client in a process of its own, for `demo` to kill: it has an answer written and passes on each event.

`python -m tools.reader` takes where, who and what as JSON on its input, and writes each event in hexadecimal digits.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import IO

from protos.chat.v1 import generation_pb2, interaction_service_pb2_grpc
from tools import channels
from tools.settings import ROOT
from tools.ui import Failure


@contextlib.contextmanager
def doomed_reader(told: Mapping[str, str | None]) -> Iterator[tuple[int, AsyncIterator[str]]]:
    """Start a client; its process id and the events that it sees. It is killed at the end, with kill -9."""
    command = [sys.executable, "-m", "tools.reader"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise Failure("The client has no pipes.")
        try:
            with process.stdin:
                process.stdin.write(json.dumps(told))
            yield process.pid, _lines(process.stdout)
        finally:
            process.kill()


async def _lines(output: IO[str]) -> AsyncIterator[str]:
    while line := await asyncio.to_thread(output.readline):
        yield line


async def _read(target: str, tls_dir: str | None, token: str, request: bytes) -> None:
    async with channels.concurrent(target, tls_dir) as channel:
        stub = interaction_service_pb2_grpc.InteractionServiceStub(channel)
        asked = generation_pb2.GenerateRequest.FromString(request)
        async for event in stub.Generate(asked, metadata=(("authorization", f"Bearer {token}"),)):
            print(event.SerializeToString().hex(), flush=True)


if __name__ == "__main__":
    given = json.load(sys.stdin)
    asyncio.run(_read(given["target"], given["tls_dir"], given["token"], bytes.fromhex(given["request"])))

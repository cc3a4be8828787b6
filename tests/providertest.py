"""A scripted, OpenAI-compatible server in the test's process: what a provider answers is told step by step.

Each call takes the next script that `answer` queued, else the one of its model (`models`), else `usual`. It counts and
keeps the calls. Whatever has not been sent when the client goes away is not sent: see `Call.gone`.
"""

import asyncio
import contextlib
import itertools
import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from openai import AsyncOpenAI

_LAST_CHUNK = b"0\r\n\r\n"
_TOKEN = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True)
class Say:
    """Text, a word a chunk, with so many seconds before each; with chunks given, exactly those."""

    text: str = ""
    pace: float = 0.0
    chunks: tuple[str, ...] = ()

    @property
    def pieces(self) -> Iterable[str]:
        return self.chunks or _TOKEN.findall(self.text)


@dataclass(frozen=True)
class CallTool:
    """A tool call, its arguments cut in two as providers do."""

    name: str
    arguments: str = "{}"
    id: str = "call_1"


@dataclass(frozen=True)
class Fail:
    """An error in place of an answer; once the answer has begun, an error in its stream."""

    status: int
    message: str = "The scripted model refuses."
    code: str | None = None
    retry_after: str | None = None


@dataclass(frozen=True)
class Open:
    """The head of the answer and the role, without a token."""


@dataclass(frozen=True)
class Cut:
    """The connection ends before the answer does; a clean cut looks like a proper end, without finish and [DONE]."""

    clean: bool = False


@dataclass(frozen=True)
class Silence:
    """Nothing more, for ever; the client has to lose patience. Before anything else: not even the head."""


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Hold:
    """Nothing more until the test sets the event."""

    until: asyncio.Event


@dataclass(frozen=True)
class Finish:
    """How the answer ends; a script without one ends with `stop`, or with `tool_calls` after a tool call."""

    reason: str


@dataclass(frozen=True)
class Used:
    """The tokens to report, in place of what was counted."""

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0


Step = Say | CallTool | Fail | Open | Cut | Silence | Wait | Hold | Finish | Used


def answer_json(value: object) -> Say:
    """An answer that is JSON, in small chunks."""
    text = json.dumps(value)
    return Say(chunks=tuple(text[begin : begin + 4] for begin in range(0, len(text), 4)))


@dataclass(eq=False)
class Call:
    """One request for an answer, and how far it came."""

    body: dict[str, Any]
    headers: dict[str, str]
    sent: list[str] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    """The script was played to its end."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """The connection is closed, by whichever side."""

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body["messages"])

    @property
    def text(self) -> str:
        """What has been sent of the answer."""
        return "".join(self.sent)


@dataclass
class Provider:
    """The far end of a model: `url` is its base URL, `calls` what was asked of it, the first one first."""

    port: int = 0
    key: str = "test-key"
    usual: tuple[Step, ...] = (Say("Moss grows well in the shade."),)
    models: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    _queued: deque[tuple[Step, ...]] = field(default_factory=deque)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def client(self, **options: Any) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=self.url, api_key=self.key, **options)

    def answer(self, *steps: Step) -> None:
        """Play these steps for the next call that has no script yet."""
        self._queued.append(steps)

    async def called(self, count: int = 1) -> Call:
        """The last of so many calls, once it is there."""
        async with asyncio.timeout(20):
            while len(self.calls) < count:
                await asyncio.sleep(0.005)
        return self.calls[count - 1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        # Who goes away is noticed at once, as a provider does that stops computing then.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, EOFError):
            head, body = await _request(reader)
            async with asyncio.TaskGroup() as group:
                answering = group.create_task(self._answer(head, body, writer))
                watching = group.create_task(_until_gone(reader, answering))
                answering.add_done_callback(lambda _: watching.cancel())
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, head: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if head.get("authorization") != f"Bearer {self.key}":
                await _plain(writer, 401, _error(Fail(401, "Incorrect API key.", "invalid_api_key")))
            elif head[":path"] == "/v1/models":
                await _plain(writer, 200, {"object": "list", "data": [_model(it) for it in self.models or ["test"]]})
            elif head[":path"] == "/v1/chat/completions":
                await self._complete(Call(json.loads(body), head), writer)
            else:
                await _plain(writer, 404, _error(Fail(404, "No such path.")))

    async def _complete(self, call: Call, writer: asyncio.StreamWriter) -> None:
        steps = self._queued.popleft() if self._queued else self.models.get(call.model, self.usual)
        self.calls.append(call)
        try:
            await _Answer(call, writer, f"chatcmpl-{len(self.calls)}").play(steps)
            call.done.set()
        finally:
            call.gone.set()


@dataclass
class _Answer:
    """One answer while it is made: as a stream of events, or whole."""

    call: Call
    writer: asyncio.StreamWriter
    id: str
    begun: bool = False
    tools: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None
    used: Used | None = None

    @property
    def streams(self) -> bool:
        return bool(self.call.body.get("stream"))

    async def play(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if not await self._take(step):
                return
        await self._end()

    async def _take(self, step: Step) -> bool:
        """Play one step; False where nothing comes after it."""
        match step:
            case Say():
                for piece in step.pieces:
                    await asyncio.sleep(step.pace)
                    await self._delta({"content": piece})
                    self.call.sent.append(piece)
            case CallTool():
                await self._call_tool(step)
            case Open():
                await self._open()
            case Finish() | Used():
                self._note(step)
            case Wait() | Hold():
                await _pause(step)
            case Fail() | Cut() | Silence():
                await self._break(step)
        return not isinstance(step, Fail | Cut | Silence)

    def _note(self, step: Finish | Used) -> None:
        if isinstance(step, Finish):
            self.reason = step.reason
        else:
            self.used = step

    async def _break(self, step: Fail | Cut | Silence) -> None:
        match step:
            case Fail() if self.begun:
                await self._event(_error(step))
                await _write(self.writer, _LAST_CHUNK)
            case Fail():
                headers = {} if step.retry_after is None else {"retry-after": step.retry_after}
                await _plain(self.writer, step.status, _error(step), headers)
            case Cut():
                if step.clean:
                    await self._open()
                    await _write(self.writer, _LAST_CHUNK)
                self.writer.close()
            case Silence():
                await asyncio.Event().wait()

    async def _call_tool(self, step: CallTool) -> None:
        index, half = len(self.tools), len(step.arguments) // 2
        function = {"name": step.name, "arguments": step.arguments}
        self.tools.append({"id": step.id, "type": "function", "function": function})
        begin = {"id": step.id, "type": "function", "function": function | {"arguments": step.arguments[:half]}}
        for part in (begin, {"function": {"arguments": step.arguments[half:]}}):
            await self._delta({"tool_calls": [{"index": index} | part]})

    async def _open(self) -> None:
        if self.streams and not self.begun:
            self.begun = True
            await _write(self.writer, _head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}))
            await self._chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])

    async def _delta(self, delta: dict[str, Any]) -> None:
        await self._open()
        await self._chunk([{"index": 0, "delta": delta, "finish_reason": None}])

    async def _chunk(self, choices: list[dict[str, Any]], **more: object) -> None:
        await self._event(self._described("chat.completion.chunk") | {"choices": choices} | more)

    async def _event(self, value: object) -> None:
        if self.streams:
            await _write_chunk(self.writer, f"data: {json.dumps(value)}\n\n")

    async def _end(self) -> None:
        reason = self.reason or ("tool_calls" if self.tools else "stop")
        await self._open()
        if not self.streams:
            message = {"role": "assistant", "content": self.call.text or None}
            whole = message | ({"tool_calls": self.tools} if self.tools else {})
            choices = [{"index": 0, "message": whole, "finish_reason": reason}]
            described = self._described("chat.completion") | {"choices": choices, "usage": self._usage()}
            await _plain(self.writer, 200, described)
            return
        await self._chunk([{"index": 0, "delta": {}, "finish_reason": reason}])
        if (self.call.body.get("stream_options") or {}).get("include_usage"):
            await self._chunk([], usage=self._usage())
        await _write_chunk(self.writer, "data: [DONE]\n\n")
        await _write(self.writer, _LAST_CHUNK)

    def _described(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": int(time.time()), "model": self.call.model}

    def _usage(self) -> dict[str, Any]:
        asked = sum(len(_TOKEN.findall(str(it.get("content") or ""))) for it in self.call.messages)
        used = self.used or Used(input=asked, output=len(self.call.sent))
        return {
            "prompt_tokens": used.input,
            "completion_tokens": used.output,
            "total_tokens": used.input + used.output,
            "prompt_tokens_details": {"cached_tokens": used.cached},
            "completion_tokens_details": {"reasoning_tokens": used.reasoning},
        }


@contextlib.asynccontextmanager
async def running_provider(*, key: str = "test-key") -> AsyncIterator[Provider]:
    provider = Provider(key=key)
    server = await asyncio.start_server(provider._serve, "127.0.0.1")
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        for writer in list(provider._writers):
            writer.transport.abort()
        async with asyncio.timeout(20):
            while provider._writers:
                await asyncio.sleep(0.005)


async def _request(reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    path = lines[0].split(" ")[1]
    pairs = (line.partition(":") for line in itertools.takewhile(bool, lines[1:]))
    head = {name.lower(): value.strip() for name, _, value in pairs} | {":path": path}
    return head, await reader.readexactly(int(head.get("content-length", "0")))


async def _until_gone(reader: asyncio.StreamReader, answering: asyncio.Task[None]) -> None:
    with contextlib.suppress(OSError):
        await reader.read()
    answering.cancel()


async def _plain(
    writer: asyncio.StreamWriter, status: int, value: object, headers: dict[str, str] | None = None
) -> None:
    body = json.dumps(value).encode()
    described = {"content-type": "application/json", "content-length": str(len(body))}
    await _write(writer, _head(status, described | (headers or {})) + body)


async def _write(writer: asyncio.StreamWriter, sent: bytes) -> None:
    writer.write(sent)
    await writer.drain()


async def _write_chunk(writer: asyncio.StreamWriter, text: str) -> None:
    sent = text.encode()
    await _write(writer, f"{len(sent):x}\r\n".encode() + sent + b"\r\n")


async def _pause(step: Wait | Hold) -> None:
    if isinstance(step, Wait):
        await asyncio.sleep(step.seconds)
    else:
        await step.until.wait()


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} Scripted",
        *(f"{name}: {value}" for name, value in headers.items()),
        "connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _error(failure: Fail) -> dict[str, Any]:
    return {"error": {"message": failure.message, "type": "scripted_error", "param": None, "code": failure.code}}


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "test"}

"""Leads through calls: shows what is asked, what comes back, and how long it took."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from rich.markup import escape

from tools.clients import Person
from tools.ui import Failure, console

_IDENTIFIER: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SECRETS: Final = (
    "password",
    "access_token",
    "refresh_token",
    "request_token",
    "code",
    "totp_code",
    "recovery_code",
    "challenge_token",
    "credential_json",
    "passkey_credential_json",
)
_LONGEST_VALUE: Final = 44
_LONGEST_LINE: Final = 150
_MILLISECONDS: Final = 1000

Asked = TypeVar("Asked", bound=Message)
Answer = TypeVar("Answer", bound=Message)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An answer that is a refusal: its status, its reason, and its words."""

    code: str
    reason: str
    words: str


class Guide:
    """Numbers the chapters and prints each call with its answer."""

    def __init__(self) -> None:
        """Begin before the first chapter."""
        self._chapter = 0

    def chapter(self, title: str) -> None:
        """A new subject."""
        self._chapter += 1
        console.print(f"\n[bold cyan]{self._chapter:2}[/bold cyan]  [bold]{title}[/bold]")

    async def call(
        self,
        name: str,
        method: "grpc.aio.UnaryUnaryMultiCallable[Asked, Answer]",
        request: Asked,
        tell: Callable[[Answer], str],
        *,
        by: Person | None = None,
    ) -> Answer:
        """One call, and the essence of its answer."""
        begin = time.perf_counter()
        answer = await method(request, metadata=by.bearer if by else None)
        _show(f"{name} {short(request)}", f"[green]{escape(tell(answer))}[/green]", begin)
        return answer

    async def refused(
        self,
        name: str,
        method: "grpc.aio.UnaryUnaryMultiCallable[Asked, Answer]",
        request: Asked,
        *,
        by: Person | None = None,
    ) -> Refused:
        """One call that has to be refused."""
        begin = time.perf_counter()
        try:
            await method(request, metadata=by.bearer if by else None)
        except grpc.aio.AioRpcError as error:
            found = _refusal(error)
            reason = "" if found.reason == found.code else f" {found.reason}"
            words = f"[yellow]{found.code}{reason}[/yellow]: {escape(found.words)}"
            _show(f"{name} {short(request)}", words, begin)
            return found
        raise Failure(f"{name} should have been refused, and was not.")

    def note(self, words: str, begin: float) -> None:
        """Something that happened beside the calls, and how long it took."""
        console.print(f"    ← {escape(words)} [dim]{_MILLISECONDS * (time.perf_counter() - begin):.1f} ms[/dim]")

    def tell(self, words: str) -> None:
        """What came of it, where no one answer says so."""
        console.print(f"    ← {escape(words)}", soft_wrap=True)

    def pen(self, name: str, request: Message) -> "Pen":
        """A call whose answer is a text that comes in pieces."""
        console.print(f"    {escape(f'{name} {short(request)}')}", soft_wrap=True)
        return Pen()

    async def together(
        self, what: str, calls: Sequence[Awaitable[Result]], tell: Callable[[Sequence[Result]], str]
    ) -> Sequence[Result]:
        """Many calls at once."""
        begin = time.perf_counter()
        answers = await asyncio.gather(*calls)
        _show(what, f"[green]{escape(tell(answers))}[/green]", begin)
        return answers


class Pen:
    """Writes a text as it comes, piece by piece."""

    def __init__(self) -> None:
        """Begin with the first line."""
        self._begin, self._first, self._open = time.perf_counter(), 0.0, False

    def write(self, text: str) -> None:
        """More of the text, on the line or below what was printed since `end`."""
        if text:
            self._first = self._first or time.perf_counter()
            lines = escape(text).replace("\n", "\n      ")
            console.print(f"{'' if self._open else '    → '}[green]{lines}[/green]", end="", soft_wrap=True)
            self._open = True

    def end(self) -> None:
        """No more for now; tells how long it took."""
        if self._open:
            first = _MILLISECONDS * (self._first - self._begin)
            whole = _MILLISECONDS * (time.perf_counter() - self._begin)
            console.print(f" [dim]{whole:.1f} ms, the first of it after {first:.1f}[/dim]", soft_wrap=True)
            self._open = False


def expect(refused: Refused, reason: str) -> None:
    """See to it that a refusal was the right one."""
    if refused.reason != reason:
        raise Failure(f"The refusal should have been {reason}, and was {refused.code} {refused.reason}.")


def short(request: Message) -> str:
    """A request as JSON on one line: ids by their ends, long texts cut, secrets hidden."""
    line = _short(json_format.MessageToDict(request, preserving_proto_field_name=True))
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"


def _short(value: object, name: str = "") -> str:
    match value:
        case dict():
            return "{" + ", ".join(f'"{key}": {_short(each, key)}' for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(_short(each) for each in value) + "]"
        case str() if name in _SECRETS:
            return '"…"'
        case str() if _IDENTIFIER.fullmatch(value):
            return f'"…{value[-6:]}"'
        case str():
            cut = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}…"
            return json.dumps(cut, ensure_ascii=False)
    return str(value).lower()  # a number, or a truth in JSON's spelling


def _show(asked: str, answer: str, begin: float) -> None:
    milliseconds = _MILLISECONDS * (time.perf_counter() - begin)
    console.print(f"    {escape(asked)}", soft_wrap=True)
    console.print(f"    → {answer} [dim]{milliseconds:.1f} ms[/dim]", soft_wrap=True)


def _refusal(error: grpc.aio.AioRpcError) -> Refused:
    status, info = rpc_status.from_call(cast(grpc.Call, error)), error_details_pb2.ErrorInfo()
    for detail in status.details if status else ():
        detail.Unpack(info)
    return Refused(code=error.code().name, reason=info.reason, words=error.details() or "")

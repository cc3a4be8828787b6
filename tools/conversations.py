"""`import-conversations` and `export-conversations`: a user's conversations from a file, and into one."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, TextIO

import grpc
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from protos.chat.v1 import transfer_pb2 as pb
from protos.chat.v1.conversation_service_pb2_grpc import ConversationServiceStub
from shared.config import PemFile, TlsFiles, Unusable
from shared.grpc import channels
from tools import clients
from tools.stack import running_stack
from tools.ui import Failure, Refusal, console, say

_PIECE: Final = 256 * 1024
_MAX_FAILURES: Final = 6
_PASSING: Final = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
_DONE: Final = (
    pb.CONVERSATION_IMPORT_VERDICT_IMPORTED,
    pb.CONVERSATION_IMPORT_VERDICT_ALREADY_THERE,
)

Token = Annotated[str, typer.Option("--token", "-t", help="The user's access token.", envvar="TOKEN")]
Target = Annotated[str | None, typer.Option(help="Chat as host:port; otherwise that of the running stack.")]
Ca = Annotated[Path | None, typer.Option(help="The CA of chat's certificate, where it speaks TLS.")]


class Format(StrEnum):
    """What a file is written in."""

    PARLEY = "parley"
    CHATGPT = "chatgpt"
    OASST = "oasst"


def import_conversations(
    file: Annotated[Path, typer.Argument(help="The file; `conversations.json` of ChatGPT, or JSON Lines.")],
    *,
    token: Token,
    format_: Annotated[Format, typer.Option("--format", help="What the file is written in.")] = Format.PARLEY,
    source: Annotated[str, typer.Option(help="A name for where it comes from; by default the format's.")] = "",
    target: Target = None,
    ca: Ca = None,
    rejected: Annotated[Path | None, typer.Option(help="Where what is not imported goes; FILE.rejected.")] = None,
) -> None:
    """Import conversations; run it again after an interruption, those that are there are known."""
    if not file.is_file():
        raise Refusal(f"There is no file {file}.")
    begin, refusals = time.monotonic(), rejected or file.with_name(f"{file.name}.rejected")
    with file.open("rb") as data, refusals.open("w") as out, _progress(file) as advance:
        report = Report(out)
        first = pb.ImportConversationsRequest(format=f"CONVERSATION_FORMAT_{format_.upper()}", source=source)  # type: ignore[arg-type]
        clients.run(_guarded(target, ca, lambda stub: _send(stub, token, data, first, report, advance), report))
    _tell(report, time.monotonic() - begin, refusals)


def export_conversations(
    file: Annotated[Path, typer.Argument(help="The file to write; JSON Lines.")],
    *,
    token: Token,
    deleted: Annotated[bool, typer.Option(help="Also deleted ones that can be undeleted.")] = False,
    target: Target = None,
    ca: Ca = None,
) -> None:
    """Export a user's conversations, with all that is in them."""
    if file.exists():
        raise Refusal(f"{file} is there already.")
    with file.open("wb") as out:
        request = pb.ExportConversationsRequest(show_deleted=deleted)
        clients.run(_guarded(target, ca, lambda stub: _fetch(stub, token, request, out), None))
    say(f"{file.stat().st_size:>12,} bytes in {file}")


@dataclass(slots=True)
class Report:
    """What became of the conversations: counted, and each that was not imported written down with the reasons.

    After a broken connection the file is sent again: what has been told is not told twice.
    """

    rejected: TextIO
    verdicts: Counter[str] = field(default_factory=Counter)
    told: int = 0

    def note(self, results: "list[pb.ConversationImportResult]") -> None:
        """What the server says."""
        for result in results:
            if result.number <= self.told:
                continue
            self.told = result.number
            verdict = pb.ConversationImportVerdict.Name(result.verdict).removeprefix("CONVERSATION_IMPORT_VERDICT_")
            self.verdicts[verdict] += 1
            if result.verdict not in _DONE:
                told = {"number": result.number, "external_id": result.external_id, "title": result.title}
                line = told | {"verdict": verdict, "reasons": list(result.reasons)}
                self.rejected.write(json.dumps(line, ensure_ascii=False) + "\n")

    @property
    def refused(self) -> int:
        """How many were not imported as the file has them."""
        return self.verdicts["REFUSED"] + self.verdicts["CHANGED"]


async def _send(
    stub: ConversationServiceStub,
    token: str,
    data: BinaryIO,
    first: pb.ImportConversationsRequest,
    report: Report,
    advance: Callable[[int], None],
) -> None:
    """The whole file, and again from its beginning where the connection broke."""
    for failures in range(1, _MAX_FAILURES + 1):
        data.seek(0)
        try:
            call = stub.ImportConversations(_pieces(data, first), metadata=_bearer(token))
            async for response in call:
                report.note(list(response.results))
                advance(response.received_bytes)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _PASSING or failures == _MAX_FAILURES:
                raise
            await asyncio.sleep(2**failures / 8)
        else:
            return


async def _pieces(data: BinaryIO, first: pb.ImportConversationsRequest) -> AsyncIterator[pb.ImportConversationsRequest]:
    yield first
    while piece := data.read(_PIECE):
        yield pb.ImportConversationsRequest(data=piece)


async def _fetch(
    stub: ConversationServiceStub, token: str, request: pb.ExportConversationsRequest, out: BinaryIO
) -> None:
    """The whole file; where the connection broke, on from the last conversation that was whole."""
    whole = failures = 0
    while True:
        try:
            async for piece in stub.ExportConversations(request, metadata=_bearer(token)):
                out.write(piece.data)
                if piece.next_page_token:
                    request.page_token, whole, failures = piece.next_page_token, out.tell(), 0
        except grpc.aio.AioRpcError as error:
            failures += 1
            if error.code() not in _PASSING or failures == _MAX_FAILURES:
                raise
            out.seek(whole)
            out.truncate()
            await asyncio.sleep(2**failures / 8)
        else:
            return


async def _guarded(
    target: str | None, ca: Path | None, work: Callable[[ConversationServiceStub], Any], report: Report | None
) -> None:
    """Work with a stub; what goes wrong is told in a sentence."""
    tls = TlsFiles(name="conversations", authority=PemFile("--ca", ca)) if ca else None
    try:
        async with channels.connect(target or _local(), tls) as channel:
            await work(ConversationServiceStub(channel))
    except Unusable as unusable:
        raise Refusal(str(unusable)) from None
    except grpc.aio.AioRpcError as error:
        done = f" after {report.told:,} conversations" if report else ""
        raise Failure(f"It broke off{done}: {error.code().name}: {error.details()} Run it again.") from None


def _tell(report: Report, seconds: float, refusals: Path) -> None:
    for verdict, count in sorted(report.verdicts.items()):
        say(f"{count:>12,} {verdict}")
    say(f"{report.verdicts.total():>12,} conversations in {seconds:.1f} s")
    if report.refused:
        raise Failure(f"{report.refused:,} conversations are not here as the file has them: {refusals} says why.")
    refusals.unlink()


@contextlib.contextmanager
def _progress(file: Path) -> Iterator[Callable[[int], None]]:
    """A bar as long as the file."""
    columns = (TextColumn("Conversations"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        shown = progress.add_task("Conversations", total=file.stat().st_size)
        yield lambda received: progress.update(shown, completed=received)


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _local() -> str:
    stack = running_stack()
    if stack is None:
        raise Refusal("No stack is running here: start one with `make run`, or say where chat is with --target.")
    return stack.chat_target

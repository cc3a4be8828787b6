"""`import-users`: accounts of another system, from a file of JSON Lines into the running auth service."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TextIO

import grpc
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from protos.auth.v1 import imports_pb2 as pb
from protos.auth.v1.admin_service_pb2_grpc import AdminServiceStub
from shared.config import PemFile, TlsFiles, Unusable
from shared.grpc import channels
from tools import clients
from tools.import_rows import Batch, Report, Sender, batches
from tools.stack import running_stack
from tools.ui import Failure, Refusal, console, say


def import_users(
    file: Annotated[Path, typer.Argument(help="JSON Lines, the fields of auth.v1.ImportRow by their names.")],
    *,
    source: Annotated[str, typer.Option(help="The name of the system that the rows come from.")],
    token: Annotated[str, typer.Option("--token", "-t", help="An administrator's access token.", envvar="TOKEN")],
    target: Annotated[str | None, typer.Option(help="Auth as host:port; otherwise that of the running stack.")] = None,
    ca: Annotated[Path | None, typer.Option(help="The CA of auth's certificate, where it speaks TLS.")] = None,
    rejected: Annotated[Path | None, typer.Option(help="Where rows without an account go; FILE.rejected.")] = None,
    ids: Annotated[Path | None, typer.Option(help="Where to write each row's external id with its user id.")] = None,
) -> None:
    """Import accounts with their passwords; run it again after an interruption, rows that are there are known."""
    if not file.is_file():
        raise Refusal(f"There is no file {file}.")
    begin, refusals = time.monotonic(), rejected or file.with_name(f"{file.name}.rejected")
    with file.open("rb") as lines, refusals.open("w") as out, _maybe(ids) as mapping, _progress(file) as advance:
        report = Report(out, mapping)
        work = _send(batches(lines, source, report), token, target or _local(), ca, Answers(report, advance))
        clients.run(work)
    _tell(report, time.monotonic() - begin, refusals)


@dataclass(frozen=True, slots=True)
class Answers:
    """What is done with each answer."""

    report: Report
    advance: Callable[[int], None]

    def note(self, batch: Batch, response: pb.ImportUsersResponse) -> None:
        """Write down what became of the rows, and show how far it is."""
        self.report.note(batch, response)
        self.advance(batch.end)


async def _send(waiting: Iterable[Batch], token: str, target: str, ca: Path | None, answers: Answers) -> None:
    tls = TlsFiles(name="import", authority=PemFile("--ca", ca)) if ca else None
    try:
        async with channels.connect(target, tls) as channel:
            await Sender(AdminServiceStub(channel), token, waiting).run(answers.note)
    except Unusable as unusable:
        raise Refusal(str(unusable)) from None
    except grpc.aio.AioRpcError as error:
        done = answers.report.verdicts.total()
        advice = "What was answered is done: run it again for the rest."
        raise Failure(f"It broke off after {done:,} rows: {error.code().name}: {error.details()} {advice}") from None


def _tell(report: Report, seconds: float, refusals: Path) -> None:
    for verdict, count in sorted(report.verdicts.items()):
        say(f"{count:>12,} {verdict}")
    say(f"{report.verdicts.total():>12,} rows in {seconds:.1f} s")
    if report.refused:
        raise Failure(f"{report.refused:,} rows are no accounts: {refusals} says why.")
    refusals.unlink()


@contextlib.contextmanager
def _progress(file: Path) -> Iterator[Callable[[int], None]]:
    """A bar as long as the file."""
    columns = (TextColumn("Accounts"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        shown = progress.add_task("Accounts", total=file.stat().st_size)
        yield lambda end: progress.update(shown, completed=end)


def _local() -> str:
    stack = running_stack()
    if stack is None:
        raise Refusal("No stack is running here: start one with `make run`, or say where auth is with --target.")
    return stack.auth_target


@contextlib.contextmanager
def _maybe(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with path.open("w") as file:
        yield file

"""The rows of an import: read from a file, sent in order with answers behind them, and written down where refused."""

import asyncio
import contextlib
import itertools
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, BinaryIO, Final, Literal, TextIO

import grpc
import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from protos.auth.v1 import imports_pb2 as pb
from protos.auth.v1 import resources_pb2
from protos.auth.v1.admin_service_pb2_grpc import AdminServiceStub

ROWS: Final = 200
_AHEAD: Final = 4
_MAX_FAILURES: Final = 6
_PASSING: Final = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
_STATES: Final = {"ACTIVE": resources_pb2.USER_STATE_ACTIVE, "SUSPENDED": resources_pb2.USER_STATE_SUSPENDED}
_DONE: Final = (pb.IMPORT_VERDICT_IMPORTED, pb.IMPORT_VERDICT_ALREADY_IMPORTED)


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """A line of the file, the fields of ImportRow by their names; without an external id the email is it."""

    email: str
    external_id: str = ""
    email_verified: bool = False
    display_name: str = ""
    password_hash: str = ""
    roles: list[str] = []
    state: Literal["ACTIVE", "SUSPENDED"] = "ACTIVE"
    locale: str = ""
    create_time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None

    def row(self) -> pb.ImportRow:
        """The message that says it."""
        create_time = None
        if self.create_time is not None:
            create_time = Timestamp()
            create_time.FromDatetime(self.create_time)
        return pb.ImportRow(
            external_id=self.external_id or self.email,
            email=self.email,
            email_verified=self.email_verified,
            display_name=self.display_name,
            password_hash=self.password_hash,
            roles=self.roles,
            state=_STATES[self.state],
            locale=self.locale,
            create_time=create_time,
        )


@dataclass(slots=True, kw_only=True)
class Batch:
    """Rows that travel together, each with the number of its line."""

    request: pb.ImportUsersRequest
    lines: list[int] = field(default_factory=list)
    end: int = 0  # of its last line, in bytes from the beginning of the file


@dataclass(slots=True)
class Report:
    """What became of the rows: counted, and each that is no account written down with the reason."""

    rejected: TextIO
    ids: TextIO | None
    verdicts: Counter[str] = field(default_factory=Counter)

    def note(self, batch: Batch, response: pb.ImportUsersResponse) -> None:
        """What the server says of a batch."""
        for line, result in zip(batch.lines, response.results, strict=True):
            verdict = pb.ImportVerdict.Name(result.verdict).removeprefix("IMPORT_VERDICT_")
            self.verdicts[verdict] += 1
            if result.verdict not in _DONE:
                reasons = {violation.field: violation.description for violation in result.violations}
                self._reject(line, result.external_id, verdict, reasons)
            elif self.ids is not None:
                self.ids.write(json.dumps({"external_id": result.external_id, "user_id": result.user_id}) + "\n")

    def unreadable(self, line: int, why: str) -> None:
        """A line that was not sent, for it is no row."""
        self.verdicts["UNREADABLE"] += 1
        self._reject(line, "", "UNREADABLE", {"": why})

    @property
    def refused(self) -> int:
        """How many rows are no accounts."""
        done = {pb.ImportVerdict.Name(verdict).removeprefix("IMPORT_VERDICT_") for verdict in _DONE}
        return sum(count for verdict, count in self.verdicts.items() if verdict not in done)

    def _reject(self, line: int, external_id: str, verdict: str, reasons: dict[str, str]) -> None:
        told = {"line": line, "external_id": external_id, "verdict": verdict, "reasons": reasons}
        self.rejected.write(json.dumps(told, ensure_ascii=False) + "\n")


def batches(file: BinaryIO, source: str, report: Report) -> Iterator[Batch]:
    """The rows of a file of JSON Lines; what cannot be read goes into the report."""
    decoder = msgspec.json.Decoder(Line)
    numbered = enumerate(file, start=1)
    end = 0
    while lines := list(itertools.islice(numbered, ROWS)):
        batch = Batch(request=pb.ImportUsersRequest(source=source))
        for number, line in lines:
            end += len(line)
            if not line.strip():
                continue
            try:
                batch.request.rows.append(decoder.decode(line).row())
                batch.lines.append(number)
            except (msgspec.DecodeError, ValueError) as error:
                report.unreadable(number, str(error))
        batch.end = end
        if batch.lines:
            yield batch


def _passes(error: Exception) -> bool:
    """Whether trying again may help; gRPC's client itself says INTERNAL where it lost an answer to a race."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return False
    return error.code() in _PASSING or str(error.details()).startswith("Internal error from Core")


class Sender:
    """Sends batches a little ahead of their answers, and after a broken stream again what was not answered."""

    def __init__(self, stub: AdminServiceStub, token: str, waiting: Iterable[Batch]) -> None:
        """Send as whoever the access token belongs to."""
        self._stub, self._metadata = stub, (("authorization", f"Bearer {token}"),)
        self._waiting = iter(waiting)
        self._unanswered: deque[Batch] = deque()
        self._room = asyncio.Semaphore(_AHEAD)
        self._failures = 0

    async def run(self, note: Callable[[Batch, pb.ImportUsersResponse], None]) -> None:
        """Until every batch is answered; raises AioRpcError where trying again does not help."""
        while True:
            try:
                await self._exchange(note)
            except ExceptionGroup as group:
                error = group.exceptions[0]
                self._failures += 1
                if not _passes(error) or self._failures > _MAX_FAILURES:
                    raise error from None
                await asyncio.sleep(2 ** (self._failures - 1) / 4)
            else:
                return

    async def _exchange(self, note: Callable[[Batch, pb.ImportUsersResponse], None]) -> None:
        call = self._stub.ImportUsers(metadata=self._metadata)
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write(call))
            async for response in call:
                note(self._unanswered.popleft(), response)
                self._room.release()
                self._failures = 0
            writing.cancel()

    async def _write(self, call: "grpc.aio.StreamStreamCall[Any, Any]") -> None:
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # who reads the answers is told why
            for again in tuple(self._unanswered):
                await call.write(again.request)
            while await self._next() is not None:
                await call.write(self._unanswered[-1].request)
            await call.done_writing()

    async def _next(self) -> Batch | None:
        """The next batch, now among the unanswered ones; None after the last."""
        await self._room.acquire()
        batch = next(self._waiting, None)
        if batch is None:
            self._room.release()
        else:
            self._unanswered.append(batch)
        return batch

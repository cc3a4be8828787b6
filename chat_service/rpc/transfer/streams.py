"""The two streams: a file that goes out in pieces, and one that comes in, piece by piece."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing
from typing import Final
from uuid import UUID

from chat_service.exports import ExportEnd, Exports, Wanted
from chat_service.imports import Import, Imports
from chat_service.rpc.transfer import reading
from chat_service.rpc.transfer.chatgpt import ChatGpt
from chat_service.rpc.transfer.lines import Parley
from chat_service.rpc.transfer.oasst import Oasst
from chat_service.rpc.transfer.reading import Origin, Read, Reader, Refusal
from chat_service.rpc.transfer.splitting import Document, Elements, Lines, Splitter
from chat_service.rpc.transfer.writing import line
from chat_service.transfer_models import ImportEnd, ImportOutcome, NewImport, Verdict
from protos.chat.v1 import transfer_pb2 as pb
from shared import calls
from shared.calls import Principal
from shared.ids import text_of
from shared.paging import PageTokens
from shared.validation import Violations

MAX_PIECE: Final = 1024 * 1024
MAX_SOURCE: Final = 64
_PIECE_BYTES: Final = 64 * 1024
_SLICE_BYTES: Final = 16 * 1024
_RECORDS_A_TURN: Final = 20
_RESULTS: Final = 100

Formats = dict[int, tuple[str, Callable[[Origin], Reader], Callable[[], Splitter]]]
_FORMATS: Final[Formats] = {
    pb.CONVERSATION_FORMAT_PARLEY: ("parley", Parley, Lines),
    pb.CONVERSATION_FORMAT_CHATGPT: ("chatgpt", ChatGpt, Elements),
    pb.CONVERSATION_FORMAT_OASST: ("oasst", Oasst, Lines),
}
_VERDICTS: Final = {
    verdict: pb.ConversationImportVerdict.Value(f"CONVERSATION_IMPORT_VERDICT_{verdict}") for verdict in Verdict
}


class Files:
    """Writes what is read, in pieces; reads what comes, and answers each piece before the next."""

    def __init__(self, exports: Exports, imports: Imports, tokens: PageTokens) -> None:
        """Take out and bring in with these rules, and sign tokens."""
        self._exports, self._imports, self._tokens = exports, imports, tokens

    async def pieces(
        self, request: pb.ExportConversationsRequest
    ) -> AsyncGenerator[pb.ExportConversationsResponse, None]:
        """The file; a token comes with the end of each conversation."""
        principal = calls.principal()
        scope = ("ExportConversations", str(principal.user_id), request.conversation_id, int(request.show_deleted))
        piece = bytearray()
        async with aclosing(self._exports.records(principal, self._wanted(request, scope))) as records:
            async for record in records:
                piece += line(record)
                token = ""
                if isinstance(record, ExportEnd):
                    token = self._tokens.write(scope, (str(record.conversation_id),))
                elif len(piece) < _PIECE_BYTES:
                    continue
                for sent in _cut(bytes(piece), token):
                    yield sent
                piece.clear()

    def _wanted(self, request: pb.ExportConversationsRequest, scope: tuple[str | int, ...]) -> Wanted:
        violations = Violations()
        conversation_id = violations.optional_id("conversation_id", request.conversation_id)
        violations.done()
        cursor = self._tokens.read(scope, request.page_token)
        after = UUID(str(cursor[0])) if cursor else None
        return Wanted(conversation_id=conversation_id, deleted=request.show_deleted, after=after)

    async def answers(
        self, requests: AsyncIterable[pb.ImportConversationsRequest]
    ) -> AsyncIterator[pb.ImportConversationsResponse]:
        """What became of the conversations that each piece completed."""
        principal = calls.principal()
        with self._imports.begin(principal) as running:
            file: _File | None = None
            async for request in requests:
                file = _begin(request, principal, running, file)
                async with aclosing(file.piece(request.data)) as told:
                    async for response in told:
                        yield response
            if file is not None:
                async with aclosing(file.end()) as told:
                    async for response in told:
                        yield response


def _cut(data: bytes, token: str) -> list[pb.ExportConversationsResponse]:
    """A piece in messages that are not too large; the last one has the token."""
    cuts = [data[at : at + MAX_PIECE] for at in range(0, len(data), MAX_PIECE)]
    sent = [pb.ExportConversationsResponse(data=cut) for cut in cuts]
    sent[-1].next_page_token = token
    return sent


class _File:
    """One file under way."""

    def __init__(self, format_: int, reader: Reader, splitter: Splitter, running: Import) -> None:
        self.format = format_
        self._reader, self._splitter, self._import = reader, splitter, running
        self._received = self._number = 0
        self._results: list[pb.ConversationImportResult] = []

    async def piece(self, data: bytes) -> AsyncGenerator[pb.ImportConversationsResponse, None]:
        """Read a piece; other calls have a turn between a few of its documents and records."""
        for at in range(0, len(data), _SLICE_BYTES):
            await asyncio.sleep(0)
            part = data[at : at + _SLICE_BYTES]
            for document in self._splitter.feed(part):
                async for response in self._document(document):
                    yield response
            self._received += len(part)
        yield self._response()

    async def end(self) -> AsyncGenerator[pb.ImportConversationsResponse, None]:
        """What is left at the end of the file."""
        for document in self._splitter.end():
            async for response in self._document(document):
                yield response
        for read in self._reader.end():
            await self._take(read)
        if self._results:
            yield self._response()

    async def _document(self, document: Document) -> AsyncGenerator[pb.ImportConversationsResponse, None]:
        for number, read in enumerate(self._reader.read(document)):
            if number % _RECORDS_A_TURN == _RECORDS_A_TURN - 1:
                await asyncio.sleep(0)
            await self._take(read)
        if len(self._results) >= _RESULTS:
            yield self._response()

    async def _take(self, read: Read) -> None:
        match read:
            case NewImport():
                await self._import.begin(read)
            case ImportEnd():
                self._tell(await self._import.end(read))
            case Refusal():
                self._tell(await self._import.refuse(read.external_id, read.title, read.reasons))
            case _:
                await self._import.add(read)

    def _tell(self, outcome: ImportOutcome) -> None:
        self._number += 1
        self._results.append(
            pb.ConversationImportResult(
                number=self._number,
                external_id=outcome.external_id,
                title=outcome.title[: reading.MAX_TITLE],
                verdict=_VERDICTS[outcome.verdict],
                conversation_id=text_of(outcome.conversation_id) if outcome.conversation_id else "",
                reasons=outcome.reasons,
            )
        )

    def _response(self) -> pb.ImportConversationsResponse:
        results, self._results = self._results, []
        return pb.ImportConversationsResponse(results=results, received_bytes=self._received)


def _begin(request: pb.ImportConversationsRequest, principal: Principal, running: Import, file: _File | None) -> _File:
    """The file that a request is a piece of: the first one says what it is."""
    violations = Violations()
    if file is None and request.format not in _FORMATS:
        violations.add("format", "must be set to a known format")
    elif file is not None and request.format not in (pb.CONVERSATION_FORMAT_UNSPECIFIED, file.format):
        violations.add("format", "must be that of the first request, or unset")
    source = violations.line("source", request.source, longest=MAX_SOURCE)
    if len(request.data) > MAX_PIECE:
        violations.add("data", f"must have at most {MAX_PIECE} bytes")
    violations.done()
    if file is not None:
        return file
    name, reader, splitter = _FORMATS[request.format]
    origin = Origin(source=source or name, session_id=principal.session_id)
    return _File(request.format, reader(origin), splitter(), running)

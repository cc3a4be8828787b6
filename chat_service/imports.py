"""Imports: conversations are brought in one after the other, each as a whole or not at all, and each once.

A small one is one transaction. A large one is written in parts that nobody sees, and shown in the end; what is left of
one that was not finished goes by itself. So neither is held in memory, nor a transaction open while a client is slow.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

from chat_service.hints import Hints
from chat_service.open_streams import OpenStreams
from chat_service.store import imported_conversations
from chat_service.store.imported_conversations import Clash, Known
from chat_service.transfer_models import (
    ImportEnd,
    ImportOutcome,
    NewImport,
    Record,
    TransferMessage,
    TransferVersion,
    Verdict,
)
from shared.calls import Principal
from shared.cleanup import CleanUp
from shared.db import Database, Transaction
from shared.errors import Conflict

STREAMS: Final = 2
ABANDONED_AFTER: Final = timedelta(hours=1)
_BATCH_RECORDS: Final = 500
_BATCH_BYTES: Final = 1_000_000
_CLASH: Final = "two records of it have one id, or one place"


class _Shown(Exception):
    """Another conversation of this name was shown meanwhile."""


class Imports:
    """Begins imports."""

    def __init__(self, database: Database, hints: Hints, retention: timedelta) -> None:
        """`retention` is how long a conversation that comes as a deleted one can be undeleted."""
        self._database, self._hints, self._retention = database, hints, retention
        self._streams = OpenStreams(STREAMS)

    @contextmanager
    def begin(self, principal: Principal) -> "Iterator[Import]":
        """An import of this caller; raises TooManyStreams where so many of theirs are under way in this process."""
        with self._streams.one(principal.user_id):
            yield Import(self._database, self._hints, self._retention, principal)


class Import:
    """What one caller sends in one go."""

    def __init__(self, database: Database, hints: Hints, retention: timedelta, principal: Principal) -> None:
        """Import for this caller."""
        self._database, self._hints, self._retention = database, hints, retention
        self._user_id = principal.user_id
        self._new: NewImport | None = None
        self._known: Known | None = None
        self._staged = self._clash = False
        self._records: list[Record] = []
        self._weighs = 0

    async def begin(self, new: NewImport) -> None:
        """Begin a conversation; of one that is there nothing is written."""
        self._new, self._staged, self._clash = new, False, False
        self._drop()
        self._known = await imported_conversations.find(self._database, self._user_id, new)

    async def add(self, record: Record) -> None:
        """Add to it."""
        if self._known is not None or self._clash:
            return
        self._records.append(record)
        self._weighs += _weight(record)
        if len(self._records) >= _BATCH_RECORDS or self._weighs >= _BATCH_BYTES:
            try:
                async with self._database.transaction() as tx:
                    await self._write(tx)
                self._staged = True
            except Clash:
                self._clash = True
            self._drop()

    async def end(self, end: ImportEnd) -> ImportOutcome:
        """Show it, and say what became of it."""
        new = self._under_way()
        if self._known is None and not self._clash:
            try:
                return await self._publish(new, end)
            except Clash:
                self._clash = True
            except _Shown:
                await self._abandon()
                self._known = await imported_conversations.find(self._database, self._user_id, new)
        if self._clash:
            return await self.refuse(new.external_id, new.title, [_CLASH])
        if self._known is None:
            raise Conflict  # abandoned, or what was shown has just gone: the next attempt brings it
        same = self._known.digest in (None, end.digest)
        verdict = Verdict.ALREADY_THERE if same else Verdict.CHANGED
        return self._outcome(verdict, self._known.conversation_id)

    async def refuse(self, external_id: str, title: str, reasons: list[str]) -> ImportOutcome:
        """Give up the conversation under way, or one that did not come so far."""
        await self._abandon()
        return ImportOutcome(external_id=external_id, title=title, verdict=Verdict.REFUSED, reasons=reasons)

    async def _publish(self, new: NewImport, end: ImportEnd) -> ImportOutcome:
        async with self._database.transaction() as tx:
            await self._write(tx)
            revision = await imported_conversations.publish(tx, self._user_id, new, end, self._retention)
            if revision is None:
                raise _Shown
        self._hints.changed(self._user_id, new.id, revision)
        self._drop()
        return self._outcome(Verdict.IMPORTED, new.id)

    async def _write(self, tx: Transaction) -> None:
        new = self._under_way()
        if not self._staged:
            await imported_conversations.stage(tx, self._user_id, new)
        elif not await imported_conversations.touch(tx, self._user_id, new.id):
            raise Conflict
        await imported_conversations.insert(tx, self._user_id, new.id, self._records)

    async def _abandon(self) -> None:
        if self._new is not None and self._staged:
            await imported_conversations.abandon(self._database, self._user_id, self._new.id)
        self._staged = False
        self._drop()

    def _under_way(self) -> NewImport:
        if self._new is None:
            raise Conflict
        return self._new

    def _outcome(self, verdict: Verdict, conversation_id: UUID) -> ImportOutcome:
        new = self._under_way()
        return ImportOutcome(
            external_id=new.external_id, title=new.title, verdict=verdict, conversation_id=conversation_id
        )

    def _drop(self) -> None:
        self._records, self._weighs = [], 0


def tasks() -> list[CleanUp]:
    """What was not finished goes by itself."""
    return [CleanUp(query=imported_conversations.queries.abandon_stale, args=(ABANDONED_AFTER,))]


def _weight(record: Record) -> int:
    """The bytes of the texts in a record, about."""
    match record:
        case TransferMessage():
            return record.text_bytes
        case TransferVersion():
            return len(record.content)
    return 0

"""The change of the master key: what the former one sealed is sealed anew, and the operator is told when it may go.

Any replica does it, row by row, and only where a row is still as it was read. While replicas are being replaced they
disagree about which key is the present one, and may seal a row back and forth: all of them open both.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from auth_service.models import SealedRow
from auth_service.store import master_keys
from shared import metrics
from shared.crypto import KeyRing, SealingKeys
from shared.db import Database

log = structlog.get_logger()

PAUSE_SECONDS: Final = 60.0
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTable:
    """A table with a sealed column.

    `find` answers with at most so many rows that a key of another id sealed, and `replace` with whether the row was
    still as it had been read.
    """

    name: str
    keys: SealingKeys
    find: Callable[[Database, bytes, int], Awaitable[Sequence[SealedRow]]]
    replace: Callable[[Database, SealedRow, bytes], Awaitable[bool]]


class Resealing:
    """Seals under the present master key what another one has sealed."""

    def __init__(self, database: Database, ring: KeyRing, tables: Sequence[SealedTable], idle: timedelta) -> None:
        """`idle` is how long a refresh token may lie unused: so long those of a former key matter."""
        self._database, self._tables, self._idle = database, tables, idle
        self._present_id, *former = ring.key_ids
        self._former_id = former[0] if former else None
        self._told = False

    async def work(self) -> None:
        """Seal anew what is left, note which key is in use, and tell when the former one may go."""
        await master_keys.note_use(self._database, self._present_id)
        left = 0
        for table in self._tables:
            left += await self._reseal(table)
        if self._former_id is not None and not self._told and left == 0:
            await self._tell_whether_needed(self._former_id)

    async def _reseal(self, table: SealedTable) -> int:
        """How many rows could not be sealed anew; their keys are none of ours, or another replica was quicker."""
        sealed = left = 0
        while rows := await table.find(self._database, table.keys.present_id, _AT_ONCE):
            done = sum([await self._replace(table, row) for row in rows])
            sealed, left = sealed + done, len(rows) - done
            if left:
                break
        metrics.sealed_otherwise.labels(table.name).set(left)
        if sealed and self._former_id is not None:
            await master_keys.note_use(self._database, self._former_id)
            log.info("sealed under the present master key", table=table.name, rows=sealed)
        if left:
            log.warning("rows are sealed under a master key that is not known", table=table.name, rows=left)
        return left

    async def _replace(self, table: SealedTable, row: SealedRow) -> bool:
        secret = table.keys.unseal(row.sealed, row.context)
        return secret is not None and await table.replace(self._database, row, table.keys.seal(secret, row.context))

    async def _tell_whether_needed(self, former_id: bytes) -> None:
        self._told = await master_keys.is_unused_for(self._database, former_id, self._idle)
        if self._told:
            log.info("AUTH_FORMER_MASTER_KEY can be removed: nothing that it made is left")

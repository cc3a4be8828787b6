"""When machines' credentials were last used: noted in memory on the way of a call, written beside it."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from auth_service.store import machine_credentials
from shared.db import Database

WRITE_SECONDS: Final = 15.0
PRECISION: Final = timedelta(minutes=1)
_AT_ONCE: Final = 500


class LastUses:
    """Notes uses, and writes each credential's at most once a minute, whoever has seen it."""

    def __init__(self, database: Database) -> None:
        """Write to Postgres."""
        self._database = database
        self._used: set[UUID] = set()

    def note(self, session_id: UUID) -> None:
        """A credential was used just now."""
        self._used.add(session_id)

    async def write(self) -> None:
        """Write what was noted since the last time."""
        while self._used:
            batch = [self._used.pop() for _ in range(min(_AT_ONCE, len(self._used)))]
            await machine_credentials.touch(self._database, batch, PRECISION)

"""Accounts that move here from another system: each row stands or falls alone, and a row sent again is known."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import orjson

from auth_service.directory import Directory
from auth_service.models import ImportResult, ImportRow, ImportVerdict
from auth_service.store import imported_users
from auth_service.store.imported_users import Act, NewUser, Origin
from shared import calls, clock, identity, ids
from shared.calls import Principal
from shared.db import Database
from shared.errors import Conflict, PermissionDenied, Unauthenticated

_ROLE: Final = "admin"
_TRIES: Final = 3


class Imports:
    """Makes accounts of rows."""

    def __init__(self, database: Database, directory: Directory) -> None:
        """Write to Postgres; the directory says whether who imports still may."""
        self._database, self._directory = database, directory

    def begin(self, principal: Principal) -> "Import":
        """An import, which is one event however many rows it has."""
        return Import(self._database, self._directory, principal)


class Import:
    """What one caller sends in one go."""

    def __init__(self, database: Database, directory: Directory, principal: Principal) -> None:
        """Import for this caller."""
        self._database, self._directory, self._principal = database, directory, principal
        self._act = Act(
            event_id=ids.new_id(),
            actor_id=principal.user_id,
            session_id=principal.session_id,
            address=calls.address(),
        )

    async def add(self, source: str, rows: Sequence[ImportRow]) -> list[ImportResult]:
        """What became of each row; raises Unauthenticated or PermissionDenied once the caller may import no more.

        Of rows with one external id the first is written first, and the next is judged by what it became.
        """
        await self._require_admin()
        results: dict[int, ImportResult] = {}
        waiting = dict(enumerate(rows))
        while waiting:
            firsts = {row.external_id: place for place, row in reversed(waiting.items())}
            batch = {place: waiting.pop(place) for place in sorted(firsts.values())}
            results.update(zip(batch, await self._write(source, list(batch.values())), strict=True))
        return [results[place] for place in range(len(rows))]

    async def _require_admin(self) -> None:
        """The access token was checked when the stream began, and the stream may outlive it."""
        user_id = self._principal.user_id
        session, user = await self._directory.session_and_user(self._principal.session_id, user_id)
        objection = identity.objection(user_id, session, user)
        if objection is not None or user is None:
            raise Unauthenticated(inactive_reason=objection)
        if _ROLE not in user.roles:
            raise PermissionDenied(required_role=_ROLE)

    async def _write(self, source: str, rows: Sequence[ImportRow]) -> list[ImportResult]:
        users = [NewUser(id=ids.new_id(), digest=_digest(row), row=row) for row in rows]
        made = await self._insert(source, users)
        rest = [user.row.external_id for user in users if user.id not in made]
        known = await imported_users.find_many(self._database, source, rest) if rest else {}
        return [
            ImportResult(verdict=ImportVerdict.IMPORTED, user_id=user.id)
            if user.id in made
            else _passed_over(user, known.get(user.row.external_id))
            for user in users
        ]

    async def _insert(self, source: str, users: Sequence[NewUser]) -> frozenset[object]:
        for _ in range(_TRIES - 1):
            try:
                return await imported_users.insert_many(self._database, source, users, self._act, clock.now())
            except Conflict:  # another stream brings the same rows: its commit makes them known
                continue
        return await imported_users.insert_many(self._database, source, users, self._act, clock.now())


def _passed_over(user: NewUser, known: Origin | None) -> ImportResult:
    if known is None:
        return ImportResult(verdict=ImportVerdict.EMAIL_TAKEN)
    if known.digest != user.digest:
        return ImportResult(verdict=ImportVerdict.EXTERNAL_ID_REUSED)
    return ImportResult(verdict=ImportVerdict.ALREADY_IMPORTED, user_id=known.user_id)


def _digest(row: ImportRow) -> bytes:
    """Stands for all that a row says."""
    said = (
        *(row.email, row.email_verified, row.display_name, row.password_hash),
        *(row.roles, row.state, row.locale, row.create_time),
    )
    return sha256(orjson.dumps(said)).digest()

"""API keys: how users make, list, rotate and end them; `verification.py` tells what one is worth when it is presented.

A key is a session without a sign-in: who holds it is the user, within its scopes, until it ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from auth_service.directory import Directory
from auth_service.errors import ApiKeyEnded, ApiKeyNotFound, TooManyCredentials, UserNotFound
from auth_service.machine_secrets import MachineSecrets
from auth_service.models import MachineCredential, RevokeReason, SessionKind, UserState
from auth_service.store import machine_credentials
from auth_service.store.machine_credentials import End, NewCredential
from shared import calls, clock, ids
from shared.calls import Principal
from shared.db import Database, Transaction
from shared.errors import RequestIdReused

MAX_KEYS: Final = 50
# While one goes on beside the one that takes its place.
MAX_ROTATING: Final = 2 * MAX_KEYS
DEFAULT_LIFETIME: Final = timedelta(days=90)
MAX_LIFETIME: Final = timedelta(days=365)
DEFAULT_OVERLAP: Final = timedelta(hours=24)
MAX_OVERLAP: Final = timedelta(days=7)
_MAX_USER_AGENT: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateKey:
    """A key to make; without an end it has the default lifetime."""

    name: str
    scopes: tuple[str, ...]
    expire_time: datetime | None
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateKey:
    """A key to put another in the place of, and how long it goes on beside that."""

    key_id: UUID
    overlap: timedelta
    expire_time: datetime | None
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKey:
    """A key, with its text for the one who holds it."""

    key: MachineCredential
    text: str = field(repr=False)


class ApiKeys:
    """A user's own keys."""

    def __init__(self, database: Database, directory: Directory, secrets: MachineSecrets) -> None:
        """Keep them in Postgres, and forget them in the cache when they change."""
        self._database, self._directory, self._secrets = database, directory, secrets

    async def create(self, principal: Principal, command: CreateKey) -> MadeKey:
        """Make a key; a repeat with its request_id gets the same again, text and all."""
        async with self._database.transaction() as tx:
            made = await self._begin(tx, principal, command.request_id)
            if made is None:
                return await self._insert(tx, principal, command, replaces=None)
        session = made.session
        if (session.device_label, session.scopes, made.replaces_id) != (command.name, command.scopes, None):
            raise RequestIdReused
        return self._again(made, command.expire_time)

    async def rotate(self, principal: Principal, command: RotateKey) -> MadeKey:
        """Make a key of the same name and scopes; the former one goes on for the overlap, or ends at once."""
        async with self._database.transaction() as tx:
            made = await self._begin(tx, principal, command.request_id)
            if made is None:
                new = await self._replace(tx, principal, command)
        if made is None:
            await self._directory.forget_sessions([command.key_id])
            return new
        if made.replaces_id != command.key_id:
            raise RequestIdReused
        return self._again(made, command.expire_time)

    async def list(
        self, principal: Principal, after: UUID | None, limit: int, *, ended: bool
    ) -> Sequence[MachineCredential]:
        """The caller's keys, the newest first, from after a place on."""
        return await machine_credentials.list_page(
            self._database, principal.user_id, after=after, limit=limit, ended=ended
        )

    async def revoke(self, principal: Principal, key_id: UUID) -> MachineCredential:
        """End one of the caller's keys; ending an ended one changes nothing."""
        await machine_credentials.revoke(
            self._database, key_id, principal.user_id, self._end(key_id, RevokeReason.REVOKED, "API_KEY_REVOKED")
        )
        found = await self._find(self._database, principal, key_id)
        # Also where another has revoked it: its deletion may still be on the way, and our answer promises the same.
        await self._directory.forget_sessions([key_id])
        return found

    async def _begin(self, tx: Transaction, principal: Principal, request_id: str | None) -> MachineCredential | None:
        """Let nobody else make keys for the user meanwhile, and find what this request has made before."""
        if await machine_credentials.lock_holder(tx, principal.user_id) is not UserState.ACTIVE:
            raise UserNotFound
        if request_id is None:
            return None
        return await machine_credentials.find_repeat(tx, principal.user_id, request_id)

    async def _replace(self, tx: Transaction, principal: Principal, command: RotateKey) -> MadeKey:
        old = (await self._find(tx, principal, command.key_id)).session
        if old.revoke_time or old.expire_time <= clock.now():
            raise ApiKeyEnded
        new = CreateKey(
            name=old.device_label,
            scopes=old.scopes,
            expire_time=command.expire_time,
            request_id=command.request_id,
        )
        made = await self._insert(tx, principal, new, replaces=old.id)
        if command.overlap:
            await machine_credentials.shorten(tx, old.id, command.overlap, stale=self._stale(old.id))
        else:
            end = self._end(old.id, RevokeReason.REPLACED, "API_KEY_REPLACED")
            await machine_credentials.revoke(tx, old.id, principal.user_id, end)
        return made

    async def _insert(
        self, tx: Transaction, principal: Principal, command: CreateKey, *, replaces: UUID | None
    ) -> MadeKey:
        key_id = ids.new_id()
        text, digest = self._secrets.write(SessionKind.API_KEY, key_id)
        new = NewCredential(
            id=key_id,
            user_id=principal.user_id,
            kind=SessionKind.API_KEY,
            name=command.name,
            scopes=command.scopes,
            digest=digest,
            expire_time=command.expire_time,
            lifetime=DEFAULT_LIFETIME,
            user_agent=calls.user_agent()[:_MAX_USER_AGENT],
            address=calls.address(),
            request_id=command.request_id,
            replaces_id=replaces,
            event="API_KEY_CREATED",
            actor_id=None,
        )
        most = MAX_ROTATING if replaces else MAX_KEYS
        made = await machine_credentials.insert(tx, new, most=most)
        if made is None:
            raise TooManyCredentials(limit=most)
        return MadeKey(key=made, text=text)

    async def _find(self, executor: Database | Transaction, principal: Principal, key_id: UUID) -> MachineCredential:
        found = await machine_credentials.find(executor, principal.user_id, key_id)
        if found is None:
            raise ApiKeyNotFound
        return found

    def _again(self, made: MachineCredential, expire_time: datetime | None) -> MadeKey:
        """What a request has made before, to whoever repeats it."""
        text = self._secrets.write_again(made.session)
        if text is None or expire_time not in (None, made.session.expire_time):
            raise RequestIdReused
        return MadeKey(key=made, text=text)

    def _end(self, key_id: UUID, reason: RevokeReason, event: str) -> End:
        return End(reason=reason, event=event, actor_id=None, address=calls.address(), stale=self._stale(key_id))

    def _stale(self, key_id: UUID) -> str:
        return f"{self._directory.session_key_prefix}{key_id}"

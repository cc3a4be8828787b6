"""Service accounts: users that are machines, made by administrators, and the client secrets that they have.

`service_tokens.py` tells what a client secret is good for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from auth_service.directory import Directory
from auth_service.errors import ClientSecretNotFound, ServiceAccountNotFound, TooManyCredentials
from auth_service.machine_secrets import MachineSecrets
from auth_service.models import MachineCredential, RevokeReason, ServiceAccount, SessionKind, UserState
from auth_service.store import machine_credentials, service_accounts
from auth_service.store.machine_credentials import End, NewCredential
from auth_service.store.service_accounts import Act, NewServiceAccount, ServiceAccountChange
from shared import calls, ids
from shared.db import Database, Transaction
from shared.errors import EtagMismatch, RequestIdReused

MAX_NAME: Final = 100
MAX_SECRETS: Final = 2
LIFETIME: Final = timedelta(days=365)
_MAX_USER_AGENT: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSecret:
    """A client secret to make; without an end it has the longest lifetime."""

    account_id: UUID
    expire_time: datetime | None
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSecret:
    """A client secret, with its text for the one who holds it."""

    secret: MachineCredential
    text: str = field(repr=False)


class ServiceAccounts:
    """The accounts of machines, in administrators' hands."""

    def __init__(self, database: Database, directory: Directory, secrets: MachineSecrets, grace: timedelta) -> None:
        """Keep them in Postgres, and forget them in the cache when they change; `grace` is until they are erased."""
        self._database, self._directory, self._secrets, self._grace = database, directory, secrets, grace

    async def create(self, new: NewServiceAccount) -> ServiceAccount:
        """Make an account; a repeat with its request_id gets the first one."""
        try:
            return await service_accounts.insert(self._database, new, self._act())
        except RequestIdReused:
            found = await service_accounts.find_repeat(self._database, new.request_id or "")
            if found is None or not _made_by(found, new):
                raise
            return found

    async def get(self, account_id: UUID) -> ServiceAccount:
        """An account that is not deleted."""
        found = await service_accounts.find(self._database, account_id)
        if found is None or found.user.state is UserState.DELETED:
            raise ServiceAccountNotFound
        return found

    async def list(self, after: UUID | None, limit: int) -> Sequence[ServiceAccount]:
        """The accounts that are not deleted, the newest first, from after a place on."""
        return await service_accounts.list_page(self._database, after, limit)

    async def secrets_of(self, accounts: Sequence[ServiceAccount]) -> Mapping[UUID, Sequence[MachineCredential]]:
        """The client secrets of accounts that may be used now, by account, the newest first."""
        return await machine_credentials.list_of(self._database, [account.user.id for account in accounts])

    async def update(self, account_id: UUID, change: ServiceAccountChange, revision: int | None) -> ServiceAccount:
        """Change what is given; a revision that is given must be the present one. It counts from the next call on."""
        async with self._database.transaction() as tx:
            await self._hold(tx, account_id)
            done = await service_accounts.update(tx, account_id, change, revision, self._act(account_id))
        if done is None:
            raise EtagMismatch
        account, secret_ids = done
        await self._forget(account_id, secret_ids)
        return account

    async def delete(self, account_id: UUID) -> None:
        """Take an account out of use for good; deleting a deleted one changes nothing."""
        await self._find(self._database, account_id)
        ended = await service_accounts.delete(self._database, account_id, self._grace, self._act(account_id))
        await self._forget(account_id, ended)

    async def create_secret(self, command: CreateSecret) -> MadeSecret:
        """Make a client secret; a repeat with its request_id gets the same again, text and all."""
        made = None
        async with self._database.transaction() as tx:
            account = await self._hold(tx, command.account_id)
            if command.request_id is not None:
                made = await machine_credentials.find_repeat(tx, command.account_id, command.request_id)
            if made is None:
                return await self._insert_secret(tx, account, command)
        text = self._secrets.write_again(made.session)
        if text is None or command.expire_time not in (None, made.session.expire_time):
            raise RequestIdReused
        return MadeSecret(secret=made, text=text)

    async def revoke_secret(self, account_id: UUID, secret_id: UUID) -> MachineCredential:
        """End a client secret; ending an ended one changes nothing."""
        await self._find(self._database, account_id)
        act = self._act(account_id)
        end = End(
            reason=RevokeReason.REVOKED,
            event="CLIENT_SECRET_REVOKED",
            actor_id=act.actor_id,
            address=act.address,
            stale=f"{act.stale_sessions}{secret_id}",
        )
        await machine_credentials.revoke(self._database, secret_id, account_id, end)
        found = await machine_credentials.find(self._database, account_id, secret_id)
        if found is None:
            raise ClientSecretNotFound
        # Also where another has revoked it: its deletion may still be on the way, and our answer promises the same.
        await self._directory.forget_sessions([secret_id])
        return found

    async def _hold(self, tx: Transaction, account_id: UUID) -> ServiceAccount:
        """An account that is not deleted, and that nobody else changes until the transaction ends."""
        state = await machine_credentials.lock_holder(tx, account_id)
        if state in (None, UserState.DELETED):
            raise ServiceAccountNotFound
        return await self._find(tx, account_id)

    async def _find(self, executor: Database | Transaction, account_id: UUID) -> ServiceAccount:
        found = await service_accounts.find(executor, account_id)
        if found is None:
            raise ServiceAccountNotFound
        return found

    async def _insert_secret(self, tx: Transaction, account: ServiceAccount, command: CreateSecret) -> MadeSecret:
        secret_id, act = ids.new_id(), self._act(account.user.id)
        text, digest = self._secrets.write(SessionKind.CLIENT_SECRET, secret_id)
        new = NewCredential(
            id=secret_id,
            user_id=account.user.id,
            kind=SessionKind.CLIENT_SECRET,
            name="",
            scopes=account.scopes,
            digest=digest,
            expire_time=command.expire_time,
            lifetime=LIFETIME,
            user_agent=calls.user_agent()[:_MAX_USER_AGENT],
            address=act.address,
            request_id=command.request_id,
            replaces_id=None,
            event="CLIENT_SECRET_CREATED",
            actor_id=act.actor_id,
        )
        made = await machine_credentials.insert(tx, new, most=MAX_SECRETS)
        if made is None:
            raise TooManyCredentials(limit=MAX_SECRETS)
        return MadeSecret(secret=made, text=text)

    async def _forget(self, account_id: UUID, secret_ids: Sequence[UUID]) -> None:
        await self._directory.forget_user(account_id)
        if secret_ids:
            await self._directory.forget_sessions(secret_ids)

    def _act(self, account_id: UUID | None = None) -> Act:
        call = calls.current.get()
        principal = call.principal if call else None  # an operator's command is nobody's call
        return Act(
            actor_id=principal.user_id if principal else None,
            address=calls.address(),
            stale_user=f"{self._directory.user_key_prefix}{account_id}",
            stale_sessions=self._directory.session_key_prefix,
        )


def _made_by(account: ServiceAccount, new: NewServiceAccount) -> bool:
    """Whether an account still is what a request has made of it."""
    present = (account.user.display_name, account.user.roles, account.audiences, account.scopes)
    return present == (new.display_name, new.roles, new.audiences, new.scopes)

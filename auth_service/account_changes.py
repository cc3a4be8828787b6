"""Changes that touch how a person gets into their account: its address, its password, its end.

Each ends the sign-ins that the change could concern and all codes that were mailed before, and tells the owner by mail;
all of it is one transaction, and what is cached is forgotten before the answer.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from auth_service.directory import Directory
from auth_service.errors import InvalidCredentials, OneTimeCodeInvalid
from auth_service.mail.mails import Mail, MailKind
from auth_service.mail.outbox import Outbox
from auth_service.mailed_codes import MailedCodes
from auth_service.models import Caller, RevokeReason, User
from auth_service.one_time_codes import Proof, Purpose
from auth_service.password_checks import PasswordChecks
from auth_service.passwords import Passwords, objection
from auth_service.sessions import Sessions
from auth_service.store import one_time_codes, users
from auth_service.store.one_time_codes import Code
from shared import calls, clock
from shared.db import Database, Executor
from shared.errors import FieldViolation, InvalidFields, Unauthenticated


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPassword:
    """A password to choose, with the proof that one may: a mailed code, or the present password."""

    password: str = field(repr=False)
    proof: Proof | None = None
    current_password: str = field(default="", repr=False)


class AccountChanges:
    """Verification and change of the address, change and reset of the password, deletion."""

    def __init__(
        self, database: Database, directory: Directory, sessions: Sessions, codes: MailedCodes, outbox: Outbox
    ) -> None:
        """Change in Postgres, and forget in the directory what that makes stale."""
        self._database, self._directory, self._sessions = database, directory, sessions
        self._codes, self._outbox = codes, outbox

    async def request_verification(self, caller: Caller) -> str:
        """Send a code to the caller's address; the request token."""
        return await self._codes.request_of(Purpose.EMAIL_VERIFICATION, caller.user, caller.user.email)

    async def verify_email(self, proof: Proof) -> None:
        """Note that the reader of a mail has the address."""
        code = await self._codes.find(Purpose.EMAIL_VERIFICATION, proof)
        async with self._database.transaction() as tx:
            await self._codes.consume(tx, Purpose.EMAIL_VERIFICATION, code)
            if not await users.verify_email(tx, code.user_id, code.email, **self._marks(code.user_id)):
                raise OneTimeCodeInvalid
        await self._directory.forget_user(code.user_id)

    async def request_email_change(self, caller: Caller, email: str) -> str:
        """Send a code to the new address; where somebody has it, nobody gets a mail, and the answer is the same."""
        return await self._codes.request_of(Purpose.EMAIL_CHANGE, caller.user, email)

    async def change_email(self, proof: Proof) -> None:
        """Give the account its new address, end its sign-ins, and tell the former address; raises EmailTaken."""
        code = await self._codes.find(Purpose.EMAIL_CHANGE, proof)
        user = await self._active(code)
        async with self._database.transaction() as tx:
            await self._codes.consume(tx, Purpose.EMAIL_CHANGE, code)
            if not await users.update_email(tx, user.id, code.email, **self._marks(user.id)):
                raise OneTimeCodeInvalid
            ended = await self._end(tx, user.id, RevokeReason.EMAIL_CHANGED, None)
            await self._tell(tx, MailKind.EMAIL_CHANGED, user, user.email)
        await self._forget(user.id, ended)

    async def delete(self, caller: Caller, grace: timedelta) -> User:
        """Take the caller's account out of use; a mail says how to take that back until it is erased."""
        async with self._database.transaction() as tx:
            deleted = await users.delete(tx, caller.user_id, grace, **self._marks(caller.user_id))
            if deleted is None:
                raise Unauthenticated
            ended = await self._end(tx, caller.user_id, RevokeReason.ACCOUNT_DELETED, None)
            await self._codes.send(tx, Purpose.ACCOUNT_RESTORE, deleted, deleted.email, grace)
        await self._forget(caller.user_id, ended)
        return deleted

    async def restore(self, proof: Proof) -> None:
        """Take a deleted account into use again; its sign-ins do not come back."""
        code = await self._codes.find(Purpose.ACCOUNT_RESTORE, proof)
        async with self._database.transaction() as tx:
            await self._codes.consume(tx, Purpose.ACCOUNT_RESTORE, code)
            if not await users.restore(tx, code.user_id, **self._marks(code.user_id)):
                raise OneTimeCodeInvalid
        await self._directory.forget_user(code.user_id)

    async def set_password(self, user: User, phc: str, code: Code | None, keep: UUID | None) -> int:
        """Write a new password, and say how many sign-ins that ended; a code that allowed it is used up."""
        async with self._database.transaction() as tx:
            if code is not None:
                await self._codes.consume(tx, Purpose.PASSWORD_RESET, code)
            if not await users.update_password(tx, user.id, phc, **self._marks(user.id)):
                raise OneTimeCodeInvalid
            ended = await self._end(tx, user.id, RevokeReason.PASSWORD_CHANGED, keep)
            await self._tell(tx, MailKind.PASSWORD_CHANGED, user, "")
        await self._forget(user.id, ended)
        return len(ended)

    async def _active(self, code: Code) -> User:
        found = (await users.find_many(self._database, [code.user_id])).get(code.user_id)
        if found is None:
            raise OneTimeCodeInvalid
        return found

    async def _end(self, executor: Executor, user_id: UUID, reason: RevokeReason, keep: UUID | None) -> list[UUID]:
        await one_time_codes.delete_all(executor, user_id)
        return await self._sessions.end_all(executor, user_id, reason, keep=keep)

    async def _tell(self, executor: Executor, kind: MailKind, user: User, recipient: str) -> None:
        mail = Mail(kind=kind, user_id=user.id, recipient=recipient, happen_time=clock.now(), address=calls.address())
        await self._outbox.put(executor, mail)

    async def _forget(self, user_id: UUID, ended: list[UUID]) -> None:
        self._outbox.nudge()
        await self._directory.forget_user(user_id)
        await self._sessions.forget(ended)

    def _marks(self, user_id: UUID) -> "dict[str, str]":
        return {"stale": f"{self._directory.user_key_prefix}{user_id}", "address": calls.address()}


class PasswordChanges:
    """Change and reset of a password."""

    def __init__(
        self,
        changes: AccountChanges,
        codes: MailedCodes,
        passwords: Passwords,
        checks: PasswordChecks,
        database: Database,
    ) -> None:
        """Check and hash within the limits."""
        self._changes, self._codes, self._passwords = changes, codes, passwords
        self._checks, self._database = checks, database

    async def request_reset(self, email: str) -> str:
        """Send a code to whoever has the address; the request token, whether anybody has it or not."""
        return await self._codes.request(Purpose.PASSWORD_RESET, email)

    async def reset(self, new: NewPassword) -> None:
        """Choose a new password by a mailed code: every sign-in ends, and nobody is signed in."""
        if new.proof is None:
            raise OneTimeCodeInvalid
        code = await self._codes.find(Purpose.PASSWORD_RESET, new.proof)
        user = (await users.find_many(self._database, [code.user_id])).get(code.user_id)
        if user is None or user.email != code.email:
            raise OneTimeCodeInvalid
        _check(new.password, user)
        phc = await self._passwords.hash(new.password)
        await self._changes.set_password(user, phc, code, None)

    async def change(self, caller: Caller, new: NewPassword) -> int:
        """Choose a new password with the present one: every other sign-in ends."""
        if await self._checks.check(caller.user.email, new.current_password) is None:
            raise InvalidCredentials
        _check(new.password, caller.user)
        phc = await self._passwords.hash(new.password)
        return await self._changes.set_password(caller.user, phc, None, caller.session_id)


def _check(password: str, user: User) -> None:
    problem = objection(password, email=user.email, display_name=user.display_name)
    if problem is not None:
        raise InvalidFields([FieldViolation("new_password", problem)])

"""Mails that ask their reader to prove something, and the proof: good once, for minutes, after few guesses.

Asking costs the same and answers the same whether anybody has the address: what depends on it happens after the answer.
"""

import asyncio
import random
from datetime import timedelta
from typing import Final
from uuid import UUID

from auth_service.errors import OneTimeCodeInvalid
from auth_service.limits import AuthLimits
from auth_service.mail.mails import Mail, MailKind
from auth_service.mail.outbox import Outbox
from auth_service.models import User, UserState
from auth_service.one_time_codes import CODE_LIFETIME, GUESSES, OneTimeSecrets, Proof, Purpose
from auth_service.store import one_time_codes, users
from auth_service.store.one_time_codes import Code, NewCode
from shared import calls, ids
from shared.background import Background
from shared.db import Database, Executor

KINDS: Final = {
    Purpose.EMAIL_VERIFICATION: MailKind.EMAIL_VERIFICATION,
    Purpose.EMAIL_CHANGE: MailKind.EMAIL_CHANGE,
    Purpose.PASSWORD_RESET: MailKind.PASSWORD_RESET,
    Purpose.LOG_IN: MailKind.LOG_IN,
    Purpose.ACCOUNT_RESTORE: MailKind.ACCOUNT_DELETED,
}
_PAUSE_SECONDS: Final = (0.05, 0.25)
_VERIFICATION_LIFETIME: Final = timedelta(hours=24)


class MailedCodes:
    """Sends codes, and takes them back once."""

    def __init__(
        self, database: Database, outbox: Outbox, secrets: OneTimeSecrets, limits: AuthLimits, background: Background
    ) -> None:
        """Put mails into the outbox, as often as the limits allow."""
        self._database, self._outbox, self._secrets = database, outbox, secrets
        self._limits, self._background = limits, background

    async def request(self, purpose: Purpose, email: str) -> str:
        """Ask for a mail to whoever has an address; the request token, whether anybody has it or not."""
        await self._limits.admit_mail(email, calls.address())
        code_id = ids.new_id()
        self._background.spawn("mailed code", self._send_to_owner(purpose, email, code_id))
        return self._secrets.request_token(purpose, code_id)

    async def request_of(self, purpose: Purpose, user: User, email: str) -> str:
        """Ask for a mail to an address of a user who is signed in; nobody gets one where another has the address."""
        await self._limits.admit_mail(email, calls.address())
        code_id = ids.new_id()
        self._background.spawn("mailed code", self._send_to_user(purpose, user, email, code_id))
        return self._secrets.request_token(purpose, code_id)

    async def send(
        self, executor: Executor, purpose: Purpose, user: User, email: str, lifetime: timedelta = CODE_LIFETIME
    ) -> None:
        """Send a code in the transaction of what it is about."""
        code_id = ids.new_id()
        await self._put(executor, purpose, user.id, email, code_id, lifetime)

    async def find(self, purpose: Purpose, proof: Proof) -> Code:
        """The code that is proven, still to be used up; raises OneTimeCodeInvalid, which never says why."""
        code_id = await self._proven(purpose, proof)
        found = await one_time_codes.find(self._database, code_id, purpose.value) if code_id else None
        if found is None:
            raise OneTimeCodeInvalid
        return found

    async def consume(self, executor: Executor, purpose: Purpose, code: Code) -> None:
        """Use a code up in the transaction of what it allows; raises OneTimeCodeInvalid where another has."""
        if not await one_time_codes.consume(executor, code.id, purpose.value):
            raise OneTimeCodeInvalid

    async def _proven(self, purpose: Purpose, proof: Proof) -> UUID | None:
        if proof.token:
            return self._secrets.read_token(purpose, proof.token)
        code_id = self._secrets.read_request_token(purpose, proof.request_token)
        if code_id is None:
            return None
        admitted = await one_time_codes.guess(self._database, code_id, purpose.value, GUESSES, CODE_LIFETIME)
        right = self._secrets.code_matches(purpose, code_id, proof.code)
        return code_id if admitted and right else None

    async def _send_to_owner(self, purpose: Purpose, email: str, code_id: UUID) -> None:
        await _after_the_answer()
        user = await users.find_by_email(self._database, email)
        owner = user.id if user is not None and user.state is UserState.ACTIVE else None
        async with self._database.transaction() as tx:
            await self._put(tx, purpose, owner, email, code_id, CODE_LIFETIME)
        self._outbox.nudge()

    async def _send_to_user(self, purpose: Purpose, user: User, email: str, code_id: UUID) -> None:
        await _after_the_answer()
        holder = await users.find_by_email(self._database, email)
        owner = user.id if holder is None or holder.id == user.id else None
        lifetime = _VERIFICATION_LIFETIME if purpose is Purpose.EMAIL_VERIFICATION else CODE_LIFETIME
        async with self._database.transaction() as tx:
            await self._put(tx, purpose, owner, email, code_id, lifetime)
        self._outbox.nudge()

    async def _put(
        self, executor: Executor, purpose: Purpose, owner: UUID | None, email: str, code_id: UUID, lifetime: timedelta
    ) -> None:
        new = NewCode(id=code_id, purpose=purpose.value, user_id=owner, email=email, lifetime=lifetime)
        await one_time_codes.replace(executor, new)
        if owner is not None:
            await self._outbox.put(executor, Mail(kind=KINDS[purpose], user_id=owner, recipient=email, code_id=code_id))


async def _after_the_answer() -> None:
    """Work that depends on the account begins when the answer has long left, and at a moment that nobody can await."""
    await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311 - no secret

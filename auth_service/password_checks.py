"""Whether a password is the right one, within the limits on guessing: for every call that asks for one.

It costs the same whether the account exists or not, and what it notes of a failure it notes after the answer.
"""

from auth_service.limits import Attempt, AuthLimits
from auth_service.models import Credentials, User, UserState
from auth_service.passwords import Passwords
from auth_service.store import audit_events, log_in_failures, sessions, users
from auth_service.store.audit_events import NewEvent
from shared import calls, crypto
from shared.background import Background
from shared.db import Database


class PasswordChecks:
    """Checks passwords, counts the wrong ones, and hashes the right ones anew where their hash is outdated."""

    def __init__(
        self, database: Database, passwords: Passwords, limits: AuthLimits, background: Background, key: bytes
    ) -> None:
        """`key` hashes the emails whose failures are kept."""
        self._database, self._passwords, self._limits = database, passwords, limits
        self._background, self._key = background, key

    async def check(self, email: str, password: str) -> Credentials | None:
        """The account of an email where the password is right and the account may be used; raises RateLimited."""
        account = crypto.mac(self._key, email.encode())
        credentials, failures = await users.find_for_log_in(self._database, email, account)
        attempt = Attempt(email=email, address=calls.address(), failures=failures)
        if not await self._right(credentials, password, attempt):
            await self._limits.count_failure(email, attempt.address)
            self._background.spawn("log-in failure", self._note(account, credentials, attempt.address))
            return None
        await self._limits.forgive(email, attempt.address)
        if failures:
            await log_in_failures.delete(self._database, account)
        return credentials

    def renew_hash(self, credentials: Credentials, password: str) -> None:
        """In the background, hash a right password anew where its hash was made with other parameters than today's."""
        former = credentials.password_hash
        if former is not None and self._passwords.outdated(former):
            self._background.spawn("rehash", self._rehash(credentials.user, password, former))

    async def _note(self, account: bytes, credentials: Credentials | None, address: str) -> None:
        await log_in_failures.count(self._database, account)
        if credentials is not None:
            failed = NewEvent(type="LOG_IN_FAILED", user_id=credentials.user.id, address=address)
            await audit_events.insert(self._database, failed)

    async def _right(self, credentials: Credentials | None, password: str, attempt: Attempt) -> bool:
        async def known() -> bool:
            return await sessions.signed_in_from(self._database, attempt.email, attempt.address)

        async def admit() -> None:
            await self._limits.check_failures(attempt, known)

        phc = credentials.password_hash if credentials else None
        right = await self._passwords.verify(phc, password, admit)
        return right and credentials is not None and credentials.user.state is UserState.ACTIVE

    async def _rehash(self, user: User, password: str, former: str) -> None:
        new = await self._passwords.hash(password)
        await users.update_password_hash(self._database, user.id, new=new, former=former)

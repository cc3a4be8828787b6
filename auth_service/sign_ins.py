"""How sessions begin: by a new account or by a password. It costs the same whether the account exists or not."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from auth_service import refresh_tokens
from auth_service.admissions import Admissions
from auth_service.errors import EmailTaken, InvalidCredentials
from auth_service.issuing import Issuer
from auth_service.limits import AuthLimits
from auth_service.models import PASSWORD, Challenge, Credentials, Proven, Session, SignedIn, Tokens
from auth_service.password_checks import PasswordChecks
from auth_service.passwords import Passwords
from auth_service.store import second_factors, sessions, user_tokens, users
from shared import calls
from shared.db import Database
from shared.errors import RequestIdReused

_BY_PASSWORD: Final = (PASSWORD,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """What makes an account."""

    email: str
    password: str = field(repr=False)
    display_name: str
    locale: str
    device_label: str
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogIn:
    """What starts a session."""

    email: str
    password: str = field(repr=False)
    device_label: str


class SignIns:
    """Sign-up and log-in."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        checks: PasswordChecks,
        limits: AuthLimits,
        issuer: Issuer,
        admissions: Admissions,
    ) -> None:
        """Hash with `passwords`, and check with `checks`, as often as `limits` allow; let in by `admissions`."""
        self._database, self._passwords, self._checks = database, passwords, checks
        self._limits, self._issuer, self._admissions = limits, issuer, admissions

    async def sign_up(self, command: SignUp) -> SignedIn:
        """Make an account and sign it in; a repeat with its request_id gets the first account and session."""
        made = await self._find(command)
        if made is not None:
            await self._limits.admit_log_in(calls.address())
            return await self._repeat_sign_up(command, made)
        await self._limits.admit_sign_up(calls.address())
        password_hash = await self._passwords.hash(command.password)
        try:
            user, session = await users.insert_signed_in(
                self._database,
                email=command.email,
                password_hash=password_hash,
                display_name=command.display_name,
                locale=command.locale,
                request_id=command.request_id,
                session=self._admissions.new_session(_BY_PASSWORD, 1, command.device_label),
            )
        except EmailTaken:
            made = await self._find(command)  # by a call that raced with this one
            if made is None:
                raise
            return await self._repeat_sign_up(command, made)
        return SignedIn(user=user, session=session, tokens=self._issuer.begin(user, session))

    async def log_in(self, command: LogIn) -> SignedIn | Challenge:
        """Start a session, or a challenge; an unknown email and a wrong password cannot be told apart."""
        await self._limits.admit_log_in(calls.address())
        credentials = await self._checks.check(command.email, command.password)
        if credentials is None:
            raise InvalidCredentials
        proven = Proven.by_password(credentials)
        admitted = await self._admissions.admit(proven, command.device_label)
        if admitted is None:
            raise InvalidCredentials
        self._checks.renew_hash(credentials, command.password)
        return admitted

    async def _find(self, command: SignUp) -> Credentials | None:
        """The account that this very sign-up has made before."""
        if command.request_id is None:
            return None
        found = await users.find_credentials(self._database, command.email)
        return found if found and found.sign_up_request_id == command.request_id else None

    async def _repeat_sign_up(self, command: SignUp, made: Credentials) -> SignedIn:
        if await self._checks.check(command.email, command.password) is None:
            raise RequestIdReused
        session = await sessions.find_first(self._database, made.user.id)
        tokens = await self._renewed(session) if session else None
        if session is None or tokens is None:
            raise EmailTaken
        return SignedIn(user=made.user, session=session, tokens=tokens)

    async def _renewed(self, session: Session) -> Tokens | None:
        """Tokens of a session that are good now, however often it was refreshed; None where it has ended.

        None also where the account has a second factor by now: a password alone gives no session then, not even an old
        one.
        """
        digest = refresh_tokens.digest(session.id)
        state = await user_tokens.find_refresh(self._database, digest, self._issuer.lifetimes.idle, timedelta())
        if state is None or not state.alive or state.assurance > 1:
            return None
        if (await second_factors.find(self._database, session.user_id)).required:
            return None
        return self._issuer.renew(state)

"""How sessions begin: by a new account or by a password. It costs the same whether the account exists or not."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from auth_service import refresh_tokens
from auth_service.errors import EmailTaken, InvalidCredentials
from auth_service.issuing import Issuer
from auth_service.limits import AuthLimits
from auth_service.mail.notices import Notices
from auth_service.models import Credentials, Session, SignedIn, Tokens
from auth_service.password_checks import PasswordChecks
from auth_service.passwords import Passwords
from auth_service.store import sessions, user_tokens, users
from auth_service.store.sessions import NewSession
from shared import calls, ids
from shared.db import Database
from shared.errors import RequestIdReused

_BY_PASSWORD: Final = ("pwd",)  # RFC 8176 section 2
_MAX_USER_AGENT: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """What makes an account."""

    email: str
    password: str = field(repr=False)
    display_name: str
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
        notices: Notices,
    ) -> None:
        """Hash with `passwords`, and check with `checks`, as often as `limits` allow."""
        self._database, self._passwords, self._checks = database, passwords, checks
        self._limits, self._issuer, self._notices = limits, issuer, notices

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
                request_id=command.request_id,
                session=self._new_session(command.device_label),
            )
        except EmailTaken:
            made = await self._find(command)  # by a call that raced with this one
            if made is None:
                raise
            return await self._repeat_sign_up(command, made)
        return SignedIn(user=user, session=session, tokens=self._issuer.begin(user, session))

    async def log_in(self, command: LogIn) -> SignedIn:
        """Start a session; an unknown email and a wrong password cannot be told apart."""
        await self._limits.admit_log_in(calls.address())
        credentials = await self._checks.check(command.email, command.password)
        if credentials is None:
            raise InvalidCredentials
        session = await self._begin(credentials, command.device_label)
        self._checks.renew_hash(credentials, command.password)
        return SignedIn(user=credentials.user, session=session, tokens=self._issuer.begin(credentials.user, session))

    async def _begin(self, credentials: Credentials, device_label: str) -> Session:
        user_id, new = credentials.user.id, self._new_session(device_label)
        session = await sessions.insert(
            self._database,
            user_id,
            new,
            self._notices.of_new_device(user_id, new.device_label or new.user_agent),
            by_password=True,
            password_time=credentials.password_change_time,
        )
        if session is None:
            raise InvalidCredentials
        return session

    def _new_session(self, device_label: str) -> NewSession:
        session_id = ids.new_id()
        return NewSession(
            id=session_id,
            device_label=device_label,
            user_agent=calls.user_agent()[:_MAX_USER_AGENT],
            address=calls.address(),
            auth_methods=_BY_PASSWORD,
            assurance=1,
            lifetime=self._issuer.lifetimes.session,
            token_digest=refresh_tokens.digest(session_id),
        )

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
        """Tokens of a session that are good now, however often it was refreshed; None where it has ended."""
        digest = refresh_tokens.digest(session.id)
        state = await user_tokens.find_refresh(self._database, digest, self._issuer.lifetimes.idle, timedelta())
        return self._issuer.renew(state) if state and state.alive else None

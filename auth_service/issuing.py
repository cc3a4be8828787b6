"""What a session is used with: its access and refresh tokens."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from auth_service.access_tokens import Grant, Minter
from auth_service.models import RefreshState, Session, Tokens, User
from auth_service.refresh_tokens import FIRST_GENERATION, RefreshToken, RefreshTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long a session lasts at most, and how long its refresh token may lie unused (ASVS 7.3)."""

    session: timedelta
    idle: timedelta


class Issuer:
    """Makes the pair of tokens for a session."""

    def __init__(self, minter: Minter, refresh_tokens: RefreshTokens, lifetimes: Lifetimes) -> None:
        """Access tokens come from the minter, refresh tokens from their own key."""
        self._minter, self._refresh_tokens = minter, refresh_tokens
        self.lifetimes = lifetimes

    def begin(self, user: User, session: Session) -> Tokens:
        """The tokens of a session that has just begun."""
        access_token, expire_time = self._minter.mint(
            Grant(
                user_id=user.id,
                session_id=session.id,
                roles=user.roles,
                auth_methods=session.auth_methods,
                assurance=session.assurance,
                auth_time=session.auth_time,
                session_expire_time=session.expire_time,
            )
        )
        return Tokens(
            access_token=access_token,
            access_token_expire_time=expire_time,
            refresh_token=self._refresh_tokens.write(RefreshToken(session.id, FIRST_GENERATION)),
            refresh_token_expire_time=self._refresh_expiry(session.create_time, session.expire_time),
        )

    def renew(self, state: RefreshState) -> Tokens:
        """The tokens of a session whose refresh token stands at a generation."""
        access_token, expire_time = self._minter.mint(
            Grant(
                user_id=state.user_id,
                session_id=state.session_id,
                roles=state.roles,
                auth_methods=state.auth_methods,
                assurance=state.assurance,
                auth_time=state.auth_time,
                session_expire_time=state.expire_time,
            )
        )
        return Tokens(
            access_token=access_token,
            access_token_expire_time=expire_time,
            refresh_token=self._refresh_tokens.write(RefreshToken(state.session_id, state.generation)),
            refresh_token_expire_time=self._refresh_expiry(state.rotate_time, state.expire_time),
        )

    def read_refresh_token(self, text: str) -> RefreshToken | None:
        """The refresh token in a text that a caller presents."""
        return self._refresh_tokens.read(text)

    def _refresh_expiry(self, since: datetime, absolute: datetime) -> datetime:
        return min(since + self.lifetimes.idle, absolute)

"""Sessions: how they are refreshed, listed and ended (DESIGN 5.1 and 5.4); `sign_ins.py` tells how they begin.

What ends a session commits its cache debt with it, deletes the cached entry, and only then answers: from there on no
call anywhere accepts it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from auth_service import refresh_tokens
from auth_service.directory import Directory
from auth_service.errors import RefreshTokenInvalid, RefreshTokenReused, SessionNotFound
from auth_service.issuing import Issuer
from auth_service.models import RefreshState, RevokeReason, Session, Tokens
from auth_service.refresh_tokens import RefreshToken
from auth_service.store import sessions, user_tokens
from shared import calls
from shared.calls import Principal
from shared.db import Database, Executor
from shared.errors import Unauthenticated

log = structlog.get_logger()

REFRESH_GRACE: Final = timedelta(seconds=30)
_REVOKE_AT_ONCE: Final = 500


class Sessions:
    """The life of a session after it has begun."""

    def __init__(self, database: Database, directory: Directory, issuer: Issuer) -> None:
        """Keep sessions in Postgres, and forget them in the cache when they change."""
        self._database, self._directory, self._issuer = database, directory, issuer

    async def refresh(self, text: str) -> Tokens:
        """New tokens for a refresh token. All who race with one token get the same successor of it."""
        token = self._issuer.read_refresh_token(text)
        if token is None:
            raise RefreshTokenInvalid
        digest = refresh_tokens.digest(token.session_id)
        idle = self._issuer.lifetimes.idle
        state = await user_tokens.rotate(self._database, digest, token.generation, idle)
        if state is None:
            state = await user_tokens.find_refresh(self._database, digest, idle, REFRESH_GRACE)
            await self._accept_again(token, state)
        assert state is not None  # noqa: S101 - _accept_again refuses a token without a row
        return self._issuer.renew(state)

    async def _accept_again(self, token: RefreshToken, state: RefreshState | None) -> None:
        """One generation behind is good while the successor is young and unused; anything older is theft."""
        if state is None or not state.alive:
            raise RefreshTokenInvalid
        if token.generation == state.generation - 1 and state.in_grace:
            return
        log.warning("refresh token reused", session_id=str(state.session_id), user_id=str(state.user_id))
        await self._revoke(state.session_id, state.user_id, RevokeReason.REFRESH_TOKEN_REUSED)
        await self._directory.forget_sessions([state.session_id])
        raise RefreshTokenReused

    async def log_out(self, principal: Principal) -> None:
        """End the caller's session; who loses a race with another log-out has been logged out all the same."""
        revoked = await self._revoke(principal.session_id, principal.user_id, RevokeReason.LOG_OUT)
        await self._directory.forget_sessions([principal.session_id])
        if not revoked:
            raise Unauthenticated

    async def revoke(self, principal: Principal, session_id: UUID) -> Session:
        """End one of the caller's sessions; ending an ended one changes nothing."""
        await self._revoke(session_id, principal.user_id, RevokeReason.REVOKED)
        found = (await sessions.find_many(self._database, [session_id])).get(session_id)
        if found is None or found.user_id != principal.user_id:
            raise SessionNotFound
        # Also where another has revoked it: its deletion may still be on the way, and our answer promises the same.
        await self._directory.forget_sessions([session_id])
        return found

    async def revoke_others(self, principal: Principal, reason: RevokeReason = RevokeReason.REVOKED) -> int:
        """End every sign-in of the caller but the present one, and say how many there were."""
        return await self.revoke_all(principal.user_id, keep=principal.session_id, reason=reason)

    async def revoke_all(
        self, user_id: UUID, *, keep: UUID | None = None, reason: RevokeReason = RevokeReason.REVOKED
    ) -> int:
        """End every sign-in of a user, but for one where that is named, and say how many there were."""
        ended = await self.end_all(self._database, user_id, reason, keep=keep)
        await self.forget(ended)
        return len(ended)

    async def end_all(
        self, executor: Executor, user_id: UUID, reason: RevokeReason, *, keep: UUID | None = None
    ) -> list[UUID]:
        """End sign-ins in the transaction of what ends them; `forget` what this returns after its commit."""
        ended: list[UUID] = []
        while True:
            batch = await sessions.revoke_others(
                executor,
                user_id,
                keep,
                reason=reason,
                stale_prefix=self._directory.session_key_prefix,
                limit=_REVOKE_AT_ONCE,
            )
            ended += batch
            if len(batch) < _REVOKE_AT_ONCE:
                return ended

    async def forget(self, ended: Sequence[UUID]) -> None:
        """After the commit of what ended these sessions, and before its answer."""
        if ended:
            await self._directory.forget_sessions(ended)

    async def revoke_of(self, user_id: UUID, session_id: UUID) -> bool:
        """End one session of a user; False where it is none of theirs, or had ended before."""
        revoked = await self._revoke(session_id, user_id, RevokeReason.REVOKED)
        await self._directory.forget_sessions([session_id])
        return revoked

    async def list_of(self, user_id: UUID, after: tuple[datetime, UUID] | None, limit: int) -> list[Session]:
        """A user's sign-ins that may be used now, the newest first."""
        return await sessions.list_active(self._database, user_id, after=after, limit=limit)

    async def list_active(self, principal: Principal, after: tuple[datetime, UUID] | None, limit: int) -> list[Session]:
        """The caller's sessions that may be used now, the newest first."""
        return await self.list_of(principal.user_id, after, limit)

    async def list_all(self, principal: Principal, after: UUID | None, limit: int) -> list[Session]:
        """The same with those that have ended."""
        return await sessions.list_all(self._database, principal.user_id, after=after, limit=limit)

    async def last_used(self, principal: Principal, page: Sequence[Session]) -> Mapping[UUID, datetime]:
        """When each session of a page was last refreshed."""
        return await user_tokens.last_used(self._database, principal.user_id, [session.id for session in page])

    async def _revoke(self, session_id: UUID, user_id: UUID, reason: RevokeReason) -> bool:
        return await sessions.revoke(
            self._database,
            session_id,
            user_id,
            reason,
            digest=refresh_tokens.digest(session_id),
            stale=f"{self._directory.session_key_prefix}{session_id}",
            address=calls.address(),
        )

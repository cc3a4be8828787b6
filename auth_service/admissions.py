"""How somebody is let in who has proven a factor: with a session, or with a challenge for the account's second factor.

Every way to sign in ends here, and the statement that begins the session decides: it begins none for an account with a
second factor where only one was proven.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from auth_service import ceremonies, challenge_tokens, refresh_tokens
from auth_service.directory import Directory
from auth_service.issuing import Issuer
from auth_service.mail.notices import Notices
from auth_service.models import (
    Challenge,
    ChallengeRow,
    ChallengeToken,
    Proven,
    RevokeReason,
    SecondFactor,
    SessionKind,
    SignedIn,
)
from auth_service.passkey_checks import PasskeyChecks
from auth_service.store import log_in_challenges, sessions
from auth_service.store.sessions import NewSession, Replaced
from auth_service.verification import TokenVerifier
from shared import calls, ids
from shared.db import Database

CHALLENGE_LIFETIME: Final = timedelta(minutes=5)
CHALLENGE_ATTEMPTS: Final = 5
_MAX_USER_AGENT: Final = 256


class Admissions:
    """Begins sessions."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        issuer: Issuer,
        verifier: TokenVerifier,
        passkeys: PasskeyChecks,
        notices: Notices,
        *,
        sessions_per_user: int,
    ) -> None:
        """`verifier` tells whose the session is that a caller already has; `notices` tell owners of new devices."""
        self._database, self._directory, self._issuer = database, directory, issuer
        self._verifier, self._passkeys, self._notices = verifier, passkeys, notices
        self._sessions_per_user = sessions_per_user

    def new_session(self, methods: tuple[str, ...], assurance: int, device_label: str) -> NewSession:
        """A session of the present call, to be stored."""
        session_id = ids.new_id()
        return NewSession(
            id=session_id,
            device_label=device_label,
            user_agent=calls.user_agent()[:_MAX_USER_AGENT],
            address=calls.address(),
            auth_methods=methods,
            assurance=assurance,
            lifetime=self._issuer.lifetimes.session,
            token_digest=refresh_tokens.digest(session_id),
        )

    async def admit(self, proven: Proven, device_label: str) -> SignedIn | Challenge | None:
        """A session, or a challenge where the account has a second factor; None where it may not be used (any more).

        The session whose token came with the call, where it is of the same user, ends: this one takes its place.
        """
        signed_in = await self.begin(proven, device_label)
        return signed_in if signed_in is not None else await self._challenge(proven, device_label)

    async def begin(self, proven: Proven, device_label: str) -> SignedIn | None:
        """A session, as `admit` does; None also where one factor is not enough."""
        presented = await self._presented(proven.user.id)
        signed_in = await self._begin(proven, device_label, presented)
        if signed_in is None and presented is not None:  # which may have ended a moment ago
            signed_in = await self._begin(proven, device_label, None)
        return signed_in

    async def replace(self, proven: Proven, device_label: str, session_id: UUID) -> SignedIn | None:
        """A session in place of another; None where that one has ended, or one factor is not enough."""
        return await self._begin(proven, device_label, self._replaced(session_id))

    async def _begin(self, proven: Proven, device_label: str, replaced: Replaced | None) -> SignedIn | None:
        new = self.new_session(proven.methods, proven.assurance, device_label)
        notice = self._notices.of_new_device(proven.user.id, new.device_label or new.user_agent)
        session = await sessions.insert(self._database, proven, new, replaced=replaced, notice=notice)
        if session is None:
            return None
        if replaced is not None:
            await self._directory.forget_sessions([replaced.session_id])
        await self._keep_newest(proven.user.id)
        return SignedIn(user=proven.user, session=session, tokens=self._issuer.begin(proven.user, session))

    async def _keep_newest(self, user_id: UUID) -> None:
        """End the oldest sign-ins beyond the limit (ASVS 7.1.2): of many at once, the last to begin sees them all."""
        beyond = await sessions.list_beyond(self._database, user_id, self._sessions_per_user)
        for session_id in beyond:
            replaced = self._replaced(session_id)
            await sessions.revoke(
                self._database,
                session_id,
                user_id,
                RevokeReason.SESSION_LIMIT,
                digest=replaced.token_digest,
                stale=replaced.stale,
                address=calls.address(),
            )
        if beyond:
            await self._directory.forget_sessions(beyond)

    async def _challenge(self, proven: Proven, device_label: str) -> Challenge | None:
        token = challenge_tokens.new()
        row = await log_in_challenges.insert(
            self._database,
            token,
            proven,
            device_label=device_label,
            attempts=CHALLENGE_ATTEMPTS,
            lifetime=CHALLENGE_LIFETIME,
        )
        if row is None:
            return None
        return Challenge(
            token=challenge_tokens.write(token),
            second_factors=_second_factors(row),
            passkey_options=await self._passkey_options(token, proven.user.id) if row.passkey else "",
            expire_time=row.expire_time,
        )

    async def _passkey_options(self, token: ChallengeToken, user_id: UUID) -> str:
        allowed = await self._passkeys.credentials(user_id)
        return ceremonies.request_options(self._passkeys.party, token.passkey_challenge, allowed, alone=False)

    async def _presented(self, user_id: UUID) -> Replaced | None:
        """The session that the caller already has, where it is a sign-in of this user."""
        token = calls.presented_token()
        if not token:
            return None
        principal = (await self._verifier.inspect(token)).principal
        if principal is None or principal.user_id != user_id:
            return None
        if principal.kind is not SessionKind.SIGN_IN or principal.actor_id is not None:
            return None
        return self._replaced(principal.session_id)

    def _replaced(self, session_id: UUID) -> Replaced:
        return Replaced(
            session_id=session_id,
            token_digest=refresh_tokens.digest(session_id),
            stale=f"{self._directory.session_key_prefix}{session_id}",
        )


def _second_factors(row: ChallengeRow) -> tuple[SecondFactor, ...]:
    offered = {
        SecondFactor.TOTP: row.totp,
        SecondFactor.PASSKEY: row.passkey,
        SecondFactor.RECOVERY_CODE: row.recovery_code,
    }
    return tuple(kind for kind, there in offered.items() if there)

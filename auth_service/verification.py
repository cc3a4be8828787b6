"""What an access token is worth at this moment: its signature, its session and its user (RFC 7662)."""

import asyncio
from collections.abc import Sequence

from auth_service.directory import Directory
from auth_service.keys import Keys
from auth_service.models import Caller, InactiveReason, Verification
from auth_service.service_keys import ServiceKeys
from shared import access_tokens, identity, metrics
from shared.access_tokens import TokenChecker, TokenRefused
from shared.calls import Principal
from shared.errors import Unauthenticated
from shared.service_keys import PREFIX


class TokenVerifier:
    """Checks tokens for VerifyToken, and for auth's own RPCs."""

    def __init__(self, checker: TokenChecker, keys: Keys, directory: Directory) -> None:
        """Check with auth's own keys, and read sessions and users from the directory."""
        self._checker, self._keys, self._directory = checker, keys, directory
        self._active = metrics.tokens_verified.labels("ACTIVE")

    async def inspect(self, access_token: str) -> Verification:
        """Whether the token is good, and if not, why."""
        verification = await self._inspect(access_token)
        if verification.reason is None:
            self._active.inc()
        else:
            metrics.tokens_verified.labels(verification.reason.value).inc()
        return verification

    async def inspect_many(self, tokens: Sequence[str]) -> list[Verification]:
        """The same for many, all look-ups in one round trip."""
        return list(await asyncio.gather(*map(self.inspect, tokens)))

    async def verify(self, access_token: str) -> Caller:
        """Who is calling; raises Unauthenticated."""
        found = await self.inspect(access_token)
        if found.user is None or found.session is None or found.expire_time is None:
            raise Unauthenticated(inactive_reason=found.reason)
        return Caller(
            user=found.user,
            user_id=found.user.id,
            session_id=found.session.id,
            kind=found.session.kind,
            roles=found.user.roles,
            scopes=found.session.scopes,
            auth_methods=found.session.auth_methods,
            assurance=found.session.assurance,
            auth_time=found.session.auth_time,
            expire_time=found.expire_time,
        )

    async def _inspect(self, access_token: str) -> Verification:
        try:
            claims = self._checker.check(access_token, self._keys.public)
        except TokenRefused as refused:
            return Verification(reason=InactiveReason(refused.refusal.value))
        session, user = await self._directory.session_and_user(claims.session_id, claims.user_id)
        objection = identity.objection(claims.user_id, session, user)
        if objection is not None:
            return Verification(reason=InactiveReason(objection.value))
        return Verification(user=user, session=session, expire_time=access_tokens.expiry(claims))


class OwnCallers:
    """Who calls auth itself: somebody with a token, or a service with a key, which is good for nothing else."""

    def __init__(self, verifier: TokenVerifier, services: ServiceKeys) -> None:
        """Know services by their keys, and everybody else by their tokens."""
        self._verifier, self._services = verifier, services

    async def verify(self, access_token: str) -> Principal:
        """Who is calling; raises Unauthenticated."""
        if not access_token.startswith(PREFIX):
            return await self._verifier.verify(access_token)
        service = self._services.principal(access_token)
        if service is None:
            raise Unauthenticated(inactive_reason=InactiveReason.INVALID)
        return service

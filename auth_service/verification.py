"""What an access token is worth at this moment: its signature, its session and its user (RFC 7662)."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from auth_service.directory import Directory
from auth_service.keys import Keys
from auth_service.last_uses import LastUses
from auth_service.models import Caller, InactiveReason, Verification
from auth_service.service_keys import ServiceKeys
from shared import clock, identity, machine_secrets, metrics
from shared.access_tokens import Actor, Claims, TokenChecker, TokenRefused
from shared.calls import Principal
from shared.errors import Unauthenticated
from shared.identity import Objection, Session, User
from shared.service_keys import PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """What is to be known about API keys: for whom they are, and who remembers their use."""

    audiences: Collection[str]
    last_uses: LastUses


class TokenVerifier:
    """Checks tokens for VerifyToken, and for auth's own RPCs."""

    def __init__(self, checker: TokenChecker, keys: Keys, directory: Directory, machines: Machines) -> None:
        """Check with auth's own keys, and read sessions and users from the directory."""
        self._checker, self._keys, self._directory, self._machines = checker, keys, directory, machines
        self._active = metrics.tokens_verified.labels("ACTIVE")

    async def inspect(self, access_token: str, audience: str = "") -> Verification:
        """Whether the token is good for an audience (auth itself where none is named), and if not, why."""
        verification = await self._inspect(access_token, audience)
        if verification.reason is None:
            self._active.inc()
        else:
            metrics.tokens_verified.labels(verification.reason.value).inc()
        return verification

    async def inspect_many(self, tokens: Sequence[str], audience: str = "") -> list[Verification]:
        """The same for many, all look-ups in one round trip."""
        return list(await asyncio.gather(*(self.inspect(token, audience) for token in tokens)))

    async def verify(self, access_token: str, audience: str = "") -> Caller:
        """Who is calling an audience (auth itself where none is named); raises Unauthenticated."""
        found = await self.inspect(access_token, audience)
        if found.user is None or found.principal is None:
            raise Unauthenticated(inactive_reason=found.reason)
        return Caller.behind(found.principal, found.user)

    async def _inspect(self, access_token: str, audience: str) -> Verification:
        if access_token.startswith(machine_secrets.API_KEY_PREFIX):
            return await self._key(access_token, audience)
        if not self._keys.fresh:
            await self._keys.refresh()
        try:
            claims = self._checker.check(access_token, self._keys.public, audience)
            return await self._held(claims) if claims.actor is None else await self._acted(claims, claims.actor)
        except TokenRefused as refused:
            return Verification(reason=InactiveReason(refused.refusal.value))

    async def _held(self, claims: Claims) -> Verification:
        """A token that its user holds."""
        session, user = await self._directory.session_and_user(claims.session_id, claims.user_id)
        return _standing(claims, session, user)

    async def _acted(self, claims: Claims, actor: Actor) -> Verification:
        """A token that another holds for its user: it ends with the session, and the account, of either."""
        pairs = [(claims.session_id, claims.user_id), (actor.session_id, actor.user_id)]
        (session, user), (credential, account) = await self._directory.sessions_and_users(pairs)
        objection = identity.objection(actor.user_id, credential, account)
        return _inactive(objection) if objection else _standing(claims, session, user)

    async def _key(self, text: str, audience: str) -> Verification:
        """An API key: who presents the right secret is its user."""
        presented = machine_secrets.read(text)
        if presented is None:
            return Verification(reason=InactiveReason.MALFORMED)
        if audience and audience not in self._machines.audiences:
            return Verification(reason=InactiveReason.INVALID)
        session, user = await self._directory.session_and_holder(presented.session_id)
        if session is None or not presented.opens(session):
            return Verification(reason=InactiveReason.INVALID)
        if session.revoke_time is None and session.expire_time <= clock.now():
            return Verification(reason=InactiveReason.EXPIRED)
        objection = identity.objection(session.user_id, session, user)
        if objection or user is None:
            return _inactive(objection or Objection.REVOKED)
        self._machines.last_uses.note(session.id)
        return Verification(user=user, principal=Principal.of(session, user, session.expire_time))


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


def _standing(claims: Claims, session: Session | None, user: User | None) -> Verification:
    objection = identity.objection(claims.user_id, session, user)
    if objection or session is None or user is None:
        return _inactive(objection or Objection.REVOKED)
    return Verification(user=user, principal=claims.principal_now(session, user))


def _inactive(objection: Objection) -> Verification:
    return Verification(reason=InactiveReason(objection.value))

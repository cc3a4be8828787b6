"""How a service learns who is behind an access token: by itself where it can, and from auth where it cannot."""

from collections.abc import Sequence
from datetime import UTC
from typing import Final, Protocol
from uuid import UUID

from protos.auth.v1 import auth_service_pb2, resources_pb2
from shared import metrics
from shared.access_tokens import UnknownKey
from shared.batch import Batcher
from shared.calls import Principal
from shared.errors import Unauthenticated, Unavailable
from shared.grpc.auth_client import AuthClient
from shared.grpc.sessions import CachedKeys, Sessions
from shared.grpc.signatures import Signatures
from shared.identity import SessionKind
from shared.machine_secrets import API_KEY_PREFIX

_MAX_TOKENS: Final = 100
_KINDS: Final = {
    resources_pb2.SESSION_KIND_SIGN_IN: SessionKind.SIGN_IN,
    resources_pb2.SESSION_KIND_API_KEY: SessionKind.API_KEY,
    resources_pb2.SESSION_KIND_CLIENT_SECRET: SessionKind.CLIENT_SECRET,
}


class Verifier(Protocol):
    """Checks access tokens."""

    async def verify(self, access_token: str) -> Principal:
        """Who is calling; raises Unauthenticated where the token is not active, and Unavailable where none can tell."""


class RemoteVerifier:
    """Asks auth about every token. All that are asked during one turn of the loop travel as one BatchVerifyTokens."""

    def __init__(self, auth: AuthClient, audience: str) -> None:
        """Ask over a client of auth, about tokens for an audience: the service itself."""
        self._auth, self._audience = auth, audience
        self._batcher: Batcher[str, Principal] = Batcher("verify", self._ask, at_once=4, max_batch=_MAX_TOKENS)
        self._good = metrics.token_sources.labels("auth")

    async def verify(self, access_token: str) -> Principal:
        """Who is calling, as auth sees it at this moment."""
        principal = await self._batcher.submit(access_token)
        self._good.inc()
        return principal

    async def _ask(self, access_tokens: Sequence[str]) -> Sequence[Principal | Exception]:
        distinct = list(dict.fromkeys(access_tokens))
        results = await self._auth.verify(distinct, self._audience)
        answers = dict(zip(distinct, map(_principal, results), strict=True))
        return [answers[token] for token in access_tokens]


class LocalVerifier:
    """Checks the signature itself, knows the session from one source, and asks auth about what neither can tell."""

    def __init__(
        self,
        signatures: Signatures,
        sessions: Sessions,
        asking: RemoteVerifier,
        outage: Sessions | None = None,
        keys: CachedKeys | None = None,
    ) -> None:
        """`outage` is what is believed while auth cannot be asked; without it nothing is. `keys` know API keys."""
        self._signatures, self._sessions, self._asking = signatures, sessions, asking
        self._outage, self._keys = outage, keys

    async def verify(self, access_token: str) -> Principal:
        """Who is calling."""
        if self._keys is not None and access_token.startswith(API_KEY_PREFIX):
            return await self._verify_key(self._keys, access_token)
        try:
            claims = self._signatures.claims(access_token)
        except UnknownKey:
            claims = await self._signatures.claims_by_newer_keys(access_token)
        found = None if claims is None else await self._sessions.principal(claims)
        if found is not None:
            return found
        try:
            return await self._asking.verify(access_token)
        except Unavailable:
            found = None if claims is None or self._outage is None else await self._outage.principal(claims)
            if found is None:
                raise
            return found

    async def _verify_key(self, keys: CachedKeys, text: str) -> Principal:
        found = await keys.principal(text)
        if found is None:
            found = await self._asking.verify(text)
            keys.learn(found)
        return found


def _principal(result: auth_service_pb2.VerifyTokenResponse) -> Principal | Exception:
    if not result.active:
        return Unauthenticated(inactive_reason=_reason(result))
    return Principal(
        user_id=UUID(result.user_id),
        session_id=UUID(result.session_id),
        kind=_KINDS.get(result.session_kind, SessionKind.SIGN_IN),
        roles=tuple(result.roles),
        scopes=tuple(result.scopes),
        auth_methods=tuple(result.auth_methods),
        assurance=result.assurance_level,
        auth_time=result.auth_time.ToDatetime(UTC) if result.HasField("auth_time") else None,
        actor_id=UUID(result.actor_id) if result.actor_id else None,
        expire_time=result.expire_time.ToDatetime(UTC),
    )


def _reason(result: auth_service_pb2.VerifyTokenResponse) -> str:
    return resources_pb2.InactiveReason.Name(result.inactive_reason).removeprefix("INACTIVE_REASON_")

"""How a service learns who is behind an access token, and the way of asking auth each time."""

from collections.abc import Sequence
from datetime import UTC
from typing import Final, Protocol
from uuid import UUID

import grpc
import structlog

from protos.auth.v1 import auth_service_pb2, auth_service_pb2_grpc, resources_pb2
from shared.batch import Batcher
from shared.calls import Principal
from shared.errors import Unauthenticated, Unavailable
from shared.grpc.errors import code_of
from shared.identity import SessionKind

log = structlog.get_logger()

_ASK_SECONDS: Final = 2.0
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

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Ask over a channel to auth."""
        self._stub = auth_service_pb2_grpc.AuthServiceStub(channel)
        self._batcher: Batcher[str, Principal] = Batcher("verify", self._ask, at_once=4, max_batch=_MAX_TOKENS)

    async def verify(self, access_token: str) -> Principal:
        """Who is calling, as auth sees it at this moment."""
        return await self._batcher.submit(access_token)

    async def _ask(self, access_tokens: Sequence[str]) -> Sequence[Principal | Exception]:
        distinct = list(dict.fromkeys(access_tokens))
        request = auth_service_pb2.BatchVerifyTokensRequest(access_tokens=distinct)
        try:
            response = await self._stub.BatchVerifyTokens(request, timeout=_ASK_SECONDS)
        except grpc.aio.AioRpcError as error:
            log.warning("auth cannot be asked", code=code_of(error))
            raise Unavailable(retry_after=1.0) from None
        answers = dict(zip(distinct, map(_principal, response.results), strict=True))
        return [answers[token] for token in access_tokens]


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

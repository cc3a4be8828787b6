"""Auth as other services call it: with their service key, within bounded time, and with failures in neutral words."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import grpc
import structlog

from protos.auth.v1 import (
    admin_service_pb2_grpc,
    auth_service_pb2,
    auth_service_pb2_grpc,
    erasures_pb2,
    revocations_pb2,
)
from shared import clock, jwks, service_keys
from shared.errors import Unavailable
from shared.grpc.errors import code_of
from shared.grpc.values import timestamp
from shared.jwks import PublicKey

log = structlog.get_logger()

ASK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeys:
    """Auth's key set by `kid`, its version, the issuer whose tokens it is for, and the seconds it may be kept."""

    keys: dict[str, PublicKey]
    version: str
    issuer: str
    max_age: float


@dataclass(frozen=True, slots=True)
class Watched:
    """What a stream of revocations told, and the monotonic moment at which the stream was asked for."""

    asked: float
    news: revocations_pb2.WatchRevocationsResponse


class AuthClient:
    """The calls that a service makes to auth on its own behalf."""

    def __init__(self, channel: grpc.aio.Channel, key: str | None) -> None:
        """Call over a channel; without a key only what auth leaves open."""
        self._channel = channel
        self._stub = auth_service_pb2_grpc.AuthServiceStub(channel)
        self._admin = admin_service_pb2_grpc.AdminServiceStub(channel)
        self._metadata = (service_keys.bearer(key),) if key else ()
        self.may_watch = bool(key)

    async def verify(
        self, access_tokens: Sequence[str], audience: str
    ) -> Sequence[auth_service_pb2.VerifyTokenResponse]:
        """What each token is worth to an audience at this moment; raises Unavailable."""
        request = auth_service_pb2.BatchVerifyTokensRequest(access_tokens=access_tokens, audience=audience)
        with _as_unavailable():
            answer = await self._stub.BatchVerifyTokens(request, timeout=ASK_SECONDS, metadata=self._metadata)
        return answer.results

    async def public_keys(self) -> PublicKeys:
        """The key set as it is now; raises Unavailable."""
        with _as_unavailable():
            answer = await self._stub.GetJwks(auth_service_pb2.GetJwksRequest(), timeout=ASK_SECONDS)
        members = [{field.name: value for field, value in key.ListFields()} for key in answer.keys]
        return PublicKeys(
            keys=jwks.key_set(members),
            version=answer.version,
            issuer=answer.issuer,
            max_age=answer.max_age.ToTimedelta().total_seconds(),
        )

    async def erased_after(self, after: datetime | None) -> list[tuple[UUID, datetime]]:
        """Who was erased after a moment and when, in that order; raises Unavailable."""
        request = erasures_pb2.PullErasedUsersRequest(after_time=timestamp(after) if after else None)
        with _as_unavailable():
            answer = await self._admin.PullErasedUsers(request, timeout=ASK_SECONDS, metadata=self._metadata)
        return [(UUID(one.user_id), one.erase_time.ToDatetime(UTC)) for one in answer.erased_users]

    async def watch(self, silence_seconds: float) -> AsyncGenerator[Watched, None]:
        """The stream of revocations, from its beginning; raises Unavailable when it ends or falls silent."""
        with _as_unavailable():
            async with asyncio.timeout(silence_seconds):
                # What counts is when the stream was asked for: connecting first keeps that close to its beginning.
                await self._channel.channel_ready()
            asked = clock.monotonic()
            stream = self._stub.WatchRevocations(revocations_pb2.WatchRevocationsRequest(), metadata=self._metadata)
            try:
                while True:
                    async with asyncio.timeout(silence_seconds):
                        news = await stream.read()
                    if not isinstance(news, revocations_pb2.WatchRevocationsResponse):
                        raise Unavailable
                    yield Watched(asked, news)
            finally:
                stream.cancel()


@contextlib.contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _unavailable(error) from None
    except TimeoutError:
        raise Unavailable from None
    except asyncio.CancelledError:
        if _ending():
            raise
        raise Unavailable from None  # the channel was closed under the stream, for one with new certificates


def _ending() -> bool:
    """Whether this task itself is being cancelled, and not just a call that it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _unavailable(error: grpc.aio.AioRpcError) -> Unavailable:
    log.warning("auth cannot be asked", code=code_of(error))
    return Unavailable(retry_after=1.0)

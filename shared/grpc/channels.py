"""Channels to other services, which live as long as the service: through restarts, and through new certificates.

async with channels.connect(config.auth_target, config.auth_tls) as channel:
    ...
"""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final, Self

import grpc
from grpc.aio import Channel

from shared.background import Background
from shared.config import TlsFiles
from shared.tls import RELOAD_SECONDS, Certificates

# A name of several addresses (dns:///auth:50051) is several replicas: use them all, and where one has gone another.
# Only what changes nothing is repeated (gRFC A6).
_SERVICE_CONFIG: Final = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [
                {"service": "auth.v1.AuthService", "method": method} for method in ("BatchVerifyTokens", "GetJwks")
            ],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.2s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
}
# The other one may restart: try again at once, then once a second; and notice within seconds that a connection is dead.
_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)
_LAST_CALLS_SECONDS: Final = 2_400.0  # longer than a server of ours lets a connection live


@contextlib.asynccontextmanager
async def connect(target: str, tls: TlsFiles | None) -> AsyncIterator[Channel]:
    """A channel to a target, over TLS where files are given; a file that cannot be used raises Unusable.

    New files are taken while it is open: calls in flight end on the former connection, later ones use a new one.
    """
    if tls is None:
        async with grpc.aio.insecure_channel(target, options=_OPTIONS) as plain:
            yield plain
        return
    async with Background() as background:
        channel = _RenewedChannel(target, Certificates(tls), background)
        background.every(RELOAD_SECONDS, f"certificates for {tls.name}", channel.renew)
        try:
            yield channel
        finally:
            await background.stop()
            await channel.close()


class _RenewedChannel(Channel):
    """A channel behind which another one takes its place: gRPC's own keeps its credentials for life."""

    def __init__(self, target: str, certificates: Certificates, background: Background) -> None:
        self._target, self._certificates, self._background = target, certificates, background
        self._current = self._open()
        self._former: set[Channel] = set()

    async def renew(self) -> None:
        """Take what is new in the files."""
        if await self._certificates.refresh():
            former, self._current = self._current, self._open()
            self._former.add(former)
            self._background.spawn("last calls of a channel", self._retire(former))

    async def _retire(self, former: Channel) -> None:
        await former.close(_LAST_CALLS_SECONDS)
        self._former.discard(former)

    def _open(self) -> Channel:
        material = self._certificates.material
        credentials = grpc.ssl_channel_credentials(material.authority, *(material.identity or (None, None)))
        return grpc.aio.secure_channel(self._target, credentials, options=_OPTIONS)

    def _method(self, kind: str, *args: Any, **kwargs: Any) -> Any:
        """A method of whichever channel is the current one when it is called."""
        channel, method = self._current, getattr(self._current, kind)(*args, **kwargs)

        def call(*call_args: Any, **call_kwargs: Any) -> Any:
            nonlocal channel, method
            if channel is not self._current:
                channel, method = self._current, getattr(self._current, kind)(*args, **kwargs)
            return method(*call_args, **call_kwargs)

        return call

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._method("unary_unary", *args, **kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._method("unary_stream", *args, **kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._method("stream_unary", *args, **kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._method("stream_stream", *args, **kwargs)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - gRPC's
        return self._current.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._current.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._current.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        for channel in (self._current, *self._former):
            await channel.close(grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

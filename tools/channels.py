"""Channels to the services of a stack, in plaintext or over TLS as the stack is."""

from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2

from tools.certificates import CA, CERTIFICATE, KEY
from tools.ui import Refusal

_HEALTH_NAMES: Final = {"auth": "auth.v1.AuthService", "chat": "chat.v1.ConversationService"}
_OPTIONS: Final = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]


def blocking(target: str, tls_dir: str | None) -> grpc.Channel:
    """A channel for a command that makes one call after the other."""
    if tls_dir is None:
        return grpc.insecure_channel(target, options=_OPTIONS)
    return grpc.secure_channel(target, _credentials(tls_dir), options=_OPTIONS)


def concurrent(target: str, tls_dir: str | None) -> grpc.aio.Channel:
    """A channel for asyncio."""
    if tls_dir is None:
        return grpc.aio.insecure_channel(target, options=_OPTIONS)
    return grpc.aio.secure_channel(target, _credentials(tls_dir), options=_OPTIONS)


def healthy(target: str, tls_dir: str | None, service: str) -> bool:
    """Whether a process of auth or chat says now that it serves."""
    request = health_pb2.HealthCheckRequest(service=_HEALTH_NAMES[service])
    # A channel of its own a try: a shared one would wait a second before it connects again.
    with blocking(target, tls_dir) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            return check(request, timeout=1.0).status == health_pb2.HealthCheckResponse.SERVING
        except grpc.RpcError:
            return False


def _credentials(tls_dir: str) -> grpc.ChannelCredentials:
    try:
        ca, key, certificate = ((Path(tls_dir) / "client" / name).read_bytes() for name in (CA, KEY, CERTIFICATE))
    except OSError as error:
        raise Refusal(f"{error.filename} cannot be read ({error.strerror}): `make certificates` makes it.") from None
    return grpc.ssl_channel_credentials(ca, key, certificate)

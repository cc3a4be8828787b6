"""A service of somebody else's, which knows its callers by what `shared/grpc` offers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from shared import calls
from shared.grpc.verifier import Verifier
from shared.grpc.verifying import VerifyingInterceptor

PATH = "/orders.v1.Orders/"


def _who() -> bytes:
    principal = calls.principal()
    return " ".join((str(principal.user_id), str(principal.session_id), *principal.roles)).encode()


async def _one(_: bytes, __: Any) -> bytes:
    return _who()


async def _many(_: bytes, __: Any) -> AsyncIterator[bytes]:
    yield _who()


async def _of_many(requests: AsyncIterator[bytes], _: Any) -> bytes:
    assert [request async for request in requests] == [b"a", b"b"]
    return _who()


async def _many_of_many(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
    async for _ in requests:
        yield _who()


class Orders:
    """Its four methods, one of each kind, each answering with who is calling."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def who(self, token: str, kind: str = "unary_unary") -> list[str]:
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        request: Any = iter((b"a", b"b")) if kind.startswith("stream") else b""
        call = getattr(self._channel, kind)(PATH + kind)(request, metadata=metadata, timeout=15)
        if kind.endswith("unary"):
            return (await call).decode().split()
        [first, *_] = [message.decode().split() async for message in call]
        return first


@asynccontextmanager
async def running_orders(verifier: Verifier, **options: Any) -> AsyncIterator[Orders]:
    server = grpc.aio.server(interceptors=[VerifyingInterceptor(verifier, **options)])
    handlers = {
        "unary_unary": grpc.unary_unary_rpc_method_handler(_one),
        "unary_stream": grpc.unary_stream_rpc_method_handler(_many),
        "stream_unary": grpc.stream_unary_rpc_method_handler(_of_many),
        "stream_stream": grpc.stream_stream_rpc_method_handler(_many_of_many),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("orders.v1.Orders", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Orders(channel)
    finally:
        await server.stop(0)

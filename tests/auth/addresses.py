"""Callers with an address of their own: a connection that leaves from 127.0.0.2 arrives as 127.0.0.2."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import grpc

from tests.authtest import Auth


@asynccontextmanager
async def calling_from(address: str, auth: Auth) -> AsyncIterator[Auth]:
    """The service as it looks to a caller at another address of the loopback network."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", auth.server.port, local_addr=(address, 0))
        with suppress(OSError):
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    async with await asyncio.start_server(forward, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Auth(auth.server, channel, auth.database, auth.config)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(65_536):
            target.write(chunk)
            await target.drain()
    finally:
        target.close()

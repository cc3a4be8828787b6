"""Postgres and Redis over TLS. The servers of the tests speak none, so a proxy before each ends it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from shared.background import Background
from shared.db import Database, PoolSettings
from shared.errors import Unavailable
from shared.redis_link import RedisLink
from shared.sql import Query
from tests.certificates import Side
from tests.servers import Servers, TestDatabase
from tools.certificates import CA, CERTIFICATE, KEY, Authority

OURS, OTHERS = Authority.new("Ours"), Authority.new("Others")
SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])  # PostgreSQL's "Frontend/Backend Protocol", SSLRequest
ONE = Query("test.one", "SELECT 1", "none")
POOL = PoolSettings(
    max_size=1,
    min_size=0,
    acquire_timeout=5.0,
    statement_timeout=5.0,
    lock_timeout=1.0,
    idle_timeout=60.0,
    slow_query_seconds=10.0,
)


@pytest.fixture
def side(tmp_path: Path) -> Side:
    """A server's certificate, and the CA that is believed."""
    return Side(tmp_path / "server").put(OURS.issue("store.example", "127.0.0.1"), OURS)


@asynccontextmanager
async def proxy(side: Side, url: str, *, asked: bool) -> AsyncIterator[int]:
    """The port where TLS is spoken for the server of a URL; `asked` is for Postgres, whose clients ask for it first."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(side.folder / CERTIFICATE, side.folder / KEY)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if asked:
                assert await reader.readexactly(8) == SSL_REQUEST
                writer.write(b"S")
                await writer.start_tls(context)
            parts = urlsplit(url)
            onward = await asyncio.open_connection(parts.hostname, parts.port)
            await asyncio.gather(pump(reader, onward[1]), pump(onward[0], writer))

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=None if asked else context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer):
        while some := await reader.read(65_536):
            writer.write(some)


def through(url: str, port: int, scheme: str, **query: object) -> str:
    parts = urlsplit(url)
    at = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return parts._replace(scheme=scheme, netloc=at, query=asked).geturl()


async def answer_of(url: str) -> object:
    async with Background() as background, Database.connect("test", url, POOL, background) as database:
        return await database.fetch_value(ONE)


async def test_postgres_is_spoken_to_over_tls_by_whose_ca_it_is(auth_database: TestDatabase, side: Side) -> None:
    """R54."""
    async with proxy(side, auth_database.url, asked=True) as port:
        ca = side.folder / CA
        assert (
            await answer_of(through(auth_database.url, port, "postgresql", sslmode="verify-full", sslrootcert=ca)) == 1
        )
        side.write(CA, OTHERS.certificate)
        with pytest.raises((Unavailable, ssl.SSLError)):
            await answer_of(through(auth_database.url, port, "postgresql", sslmode="verify-full", sslrootcert=ca))


async def test_redis_is_spoken_to_over_tls_by_whose_ca_it_is(servers: Servers, side: Side) -> None:
    """R54."""
    async with proxy(side, servers.redis.url, asked=False) as port, Redis.from_url(servers.redis.url) as redis:
        await redis.set("over:tls", "yes")
        url = through(servers.redis.url, port, "rediss", ssl_ca_certs=side.folder / CA)
        assert await read_over(url) == b"yes"
        side.write(CA, OTHERS.certificate)
        assert await read_over(url) is None


async def read_over(url: str) -> bytes | None:
    """What a link reads; None where it does not come about within a second."""
    async with Background() as background:
        link = RedisLink(url)
        background.spawn("redis link", link.run())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(link.connected.wait(), 1)
        return (await link.read(["over:tls"]))[0]

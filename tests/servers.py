"""The servers that tests run on: one Postgres and one Redis for the session, a fresh copy of each database a test."""

import asyncio
import base64
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from redis.asyncio import Redis

from shared import migrate
from shared.embedded import LocalPostgres, LocalRedis, RolePasswords, bootstrap, free_port, scratch_folder

ROOT = Path(__file__).parent.parent
PASSWORDS = RolePasswords(
    auth_owner="owner-of-auth", auth="serves-auth", chat_owner="owner-of-chat", chat="serves-chat"
)
_ROOM_BYTES = 4_000_000_000  # Postgres keeps up to 1 GB of its log
_numbers = itertools.count()


@dataclass(frozen=True)
class Servers:
    postgres: LocalPostgres
    redis: LocalRedis

    def url(self, database: str, role: str, password: str) -> str:
        return self.postgres.url(database, role, password)


@dataclass(frozen=True)
class TestDatabase:
    """A migrated database of one test, as the role that serves and as the one that owns."""

    __test__ = False
    url: str
    owner_url: str


def make_master_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@contextmanager
def running_servers() -> Iterator[Servers]:
    with scratch_folder(_memory()) as folder:
        postgres = LocalPostgres(folder / "postgres", free_port(), durable=False)
        redis = LocalRedis(folder / "redis", free_port(), password="of-the-tests")
        postgres.start()
        redis.start()
        try:
            bootstrap(postgres.superuser_url(), PASSWORDS)
            servers = Servers(postgres, redis)
            asyncio.run(_prepare(servers))
            yield servers
        finally:
            redis.stop()
            postgres.stop()


def _memory() -> Path | None:
    """A folder in memory, where there is one with room: a database is made there in 16 ms, on a disk in 60 to 400."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > _ROOM_BYTES else None


async def _prepare(servers: Servers) -> None:
    """Migrate both databases, and introduce the Redis to the cache, so that no test waits for a new epoch to settle."""
    for service, owner, password in (
        ("auth", "parley_auth_owner", PASSWORDS.auth_owner),
        ("chat", "parley_chat_owner", PASSWORDS.chat_owner),
    ):
        url = servers.url(f"parley_{service}", owner, password)
        await migrate.migrate(url, ROOT / f"{service}_service" / "migrations")
    connection = await asyncpg.connect(servers.postgres.superuser_url("parley_auth"))
    await connection.execute("UPDATE cache_epochs SET server_id = $1", await run_id(servers.redis.url))
    await connection.close()


async def run_id(redis_url: str) -> str:
    async with Redis.from_url(redis_url) as redis:
        return str((await redis.info("server"))["run_id"])


@asynccontextmanager
async def fresh_database(servers: Servers, service: str) -> AsyncIterator[TestDatabase]:
    name = f"test_{service}_{next(_numbers)}"
    admin = await asyncpg.connect(servers.postgres.superuser_url())
    await admin.execute(
        f"CREATE DATABASE {name} OWNER parley_{service}_owner TEMPLATE parley_{service} STRATEGY file_copy"
    )
    try:
        serving = PASSWORDS.auth if service == "auth" else PASSWORDS.chat
        owning = PASSWORDS.auth_owner if service == "auth" else PASSWORDS.chat_owner
        yield TestDatabase(
            url=servers.url(name, f"parley_{service}", serving),
            owner_url=servers.url(name, f"parley_{service}_owner", owning),
        )
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def fetch(url: str, query: str, *args: object) -> list[asyncpg.Record]:
    """Rows, read or changed behind a service's back."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query, *args)
    finally:
        await connection.close()

"""Databases with rows in them, for what is proven of plans."""

from collections.abc import AsyncIterator, Mapping

import asyncpg
import pytest
import pytest_asyncio

from tests.servers import Servers, fresh_database
from tools import seed

# Fewer rows would show less: the planner would take one index for as good as another.
SOME = seed.Amount(users=2_000, messages=20_000)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def urls(servers: Servers) -> AsyncIterator[Mapping[str, str]]:
    """A populated database of each service, as its owner; a test leaves it as it was."""
    async with fresh_database(servers, "auth") as auth, fresh_database(servers, "chat") as chat:
        await seed.fill(auth.owner_url, chat.owner_url, SOME, (lambda _: None, lambda _: None))
        yield {"auth": auth.owner_url, "chat": chat.owner_url}


@pytest.fixture
async def connection(urls: Mapping[str, str], service: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(urls[service])
    yield connection
    await connection.close()

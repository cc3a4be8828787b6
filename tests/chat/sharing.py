"""One chat service for all tests of a file that does nothing but act as users, each test with users of its own.

A file imports these fixtures, and says `pytestmark = pytest.mark.asyncio(loop_scope="module")`.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chattest import Chat, Person, chat_config, running_chat, running_stand_in_auth
from tests.servers import Servers, TestDatabase, fresh_database


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chat_database(servers: Servers) -> AsyncIterator[TestDatabase]:
    async with fresh_database(servers, "chat") as database:
        yield database


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def auth_target() -> AsyncIterator[str]:
    async with running_stand_in_auth() as target:
        yield target


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chat(servers: Servers, chat_database: TestDatabase, auth_target: str) -> AsyncIterator[Chat]:
    config = chat_config(chat_database, servers.redis.url, auth_target)
    async with running_chat(chat_database, config) as running:
        yield running


@pytest.fixture
def ada(chat: Chat) -> Person:
    chat.users.clear()
    return chat.person("ada")


@pytest.fixture
def bob(chat: Chat, ada: Person) -> Person:
    return chat.person("bob")

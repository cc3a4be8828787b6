from collections.abc import AsyncIterator

import pytest

from tests.chattest import Chat, Person, chat_config, running_chat, running_stand_in_auth
from tests.servers import Servers, TestDatabase, fresh_database


@pytest.fixture
async def chat_database(servers: Servers) -> AsyncIterator[TestDatabase]:
    async with fresh_database(servers, "chat") as database:
        yield database


@pytest.fixture
async def auth_target() -> AsyncIterator[str]:
    async with running_stand_in_auth() as target:
        yield target


@pytest.fixture
async def chat(servers: Servers, chat_database: TestDatabase, auth_target: str) -> AsyncIterator[Chat]:
    config = chat_config(chat_database, servers.redis.url, auth_target)
    async with running_chat(chat_database, config) as running:
        yield running


@pytest.fixture
def ada(chat: Chat) -> Person:
    return chat.person("ada")


@pytest.fixture
def bob(chat: Chat) -> Person:
    return chat.person("bob")

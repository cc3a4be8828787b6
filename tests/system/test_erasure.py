"""An account is erased in both services: auth erases it, and chat hears of it."""

import asyncio

import grpc

from auth_service.store import users
from chat_service import server as chat_server
from tests.authtest import Auth
from tests.servers import Servers, TestDatabase, fetch
from tests.system.test_both_services import Chat, chat_config, chat_database

__all__ = ["chat_database"]

DOOM = "UPDATE users SET state = 'DELETED', purge_time = now() - interval '1 s' WHERE id = $1"


async def test_what_is_erased_in_auth_is_erased_in_chat(
    auth: Auth, chat_database: TestDatabase, servers: Servers
) -> None:
    """R36: over the wire, by chat's service key, by the tasks that run by themselves, and across restarts."""
    config = chat_config(chat_database, servers.redis.url, auth.server.port)
    ada, eve = await auth.sign_up(), await auth.sign_up("eve@example.com")
    async with (
        chat_server.build(config) as listening,
        grpc.aio.insecure_channel(f"127.0.0.1:{listening.port}") as channel,
    ):
        for made in (ada, eve):
            conversation = await Chat(channel).create(made.tokens.access_token)
            await Chat(channel).send(made.tokens.access_token, conversation.id, "Hello")
    await fetch(auth.database.url, DOOM, ada.user.id)
    await fetch(auth.database.url, users.queries.erase.text, 500, "parley:user:")
    rounds = 0
    async with asyncio.timeout(60):
        while await rows_of(chat_database, ada.user.id):
            rounds += 1
            async with chat_server.build(config):
                while not await rows_of(chat_database, ada.user.id, "erased_users"):
                    await asyncio.sleep(0.05)
    assert rounds > 0
    assert await rows_of(chat_database, eve.user.id) == 2


async def rows_of(database: TestDatabase, user_id: str, *tables: str) -> int:
    """How many rows of a user there are in some tables."""
    found = 0
    for table in tables or ("conversations", "chat_messages"):
        found += len(await fetch(database.owner_url, f"SELECT FROM {table} WHERE user_id = $1", user_id))
    return found

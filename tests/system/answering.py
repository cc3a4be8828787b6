"""Two processes of chat on one database, a model that is played by script, and an auth that believes everybody."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc

from shared import ids
from tests.auth import processes
from tests.auth.processes import Served
from tests.chattest import Person, running_stand_in_auth
from tests.providertest import Provider, running_provider
from tests.servers import TestDatabase, make_master_key


@dataclass
class Answering:
    """What a test of answers stands on; the same user speaks to both processes."""

    processes: list[Served]
    people: list[Person]
    provider: Provider
    database: TestDatabase


@asynccontextmanager
async def running_answering(database: TestDatabase, redis_url: str, **settings: str) -> AsyncIterator[Answering]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(running_provider())
        target = await stack.enter_async_context(running_stand_in_auth())
        environment = {
            "PATH": os.environ["PATH"],
            "CHAT_PORT": "0",
            "CHAT_OPS_PORT": "0",
            "CHAT_DATABASE_URL": database.url,
            "CHAT_MASTER_KEY": make_master_key(),
            "CHAT_AUTH_TARGET": target,
            "CHAT_PROVIDER_URL": provider.url,
            "CHAT_PROVIDER_API_KEY": provider.key,
            "CHAT_PROVIDER_MODEL": "test",
            "REDIS_URL": redis_url,
            **settings,
        }
        user_id, session_id = ids.new_id(), ids.new_id()
        served, people = [], []
        for _ in range(2):
            started = processes.started(environment, "chat_service")
            port, process = await stack.enter_async_context(started)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
            served.append(process)
            people.append(Person(channel, user_id, session_id))
        await stack.enter_async_context(processes.listening_to(*served))
        yield Answering(served, people, provider, database)

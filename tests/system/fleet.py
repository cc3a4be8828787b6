"""Two processes of auth and two of chat, sharing nothing but Postgres and a Redis that a test can do anything to."""

import asyncio
import os
import signal
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import grpc
from redis.asyncio import Redis

from protos.auth.v1.auth_service_pb2 import BatchVerifyTokensRequest
from protos.chat.v1.conversation_service_pb2 import ListConversationsRequest
from protos.chat.v1.conversation_service_pb2_grpc import ConversationServiceStub
from shared import ids
from shared.embedded import LocalRedis, free_port, scratch_folder
from tests.auth import processes
from tests.auth.forge import Forge, forge
from tests.authtest import SERVICE_KEY, Auth, bearer
from tests.proxies import Proxy, proxied
from tests.servers import TestDatabase, fetch, make_master_key

PASSWORD = "of-the-fleet"


@dataclass(frozen=True)
class Session:
    id: UUID
    token: str


@dataclass
class Chat:
    """One process of chat."""

    channel: grpc.aio.Channel
    process: processes.Served
    ops_port: int

    async def accepts(self, token: str) -> bool:
        """Whether a call with the token is served; a refusal must say that the token is the reason."""
        try:
            stub = ConversationServiceStub(self.channel)
            await stub.ListConversations(ListConversationsRequest(page_size=1), metadata=bearer(token), timeout=20)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED, error  # noqa: PT017 - any other failure is one
            return False
        return True

    async def known_from(self, source: str) -> float:
        """How many calls were let in by what one source said of their sessions."""
        url = f"http://127.0.0.1:{self.ops_port}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).read().decode())
        name = f'parley_token_sources_total{{source="{source}"}} '
        return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))


@dataclass
class Fleet:
    """The processes, and what they stand on. `proxy` is the way of all of them to Redis, `chats_way` of chat alone."""

    auths: list[Auth]
    chats: list[Chat]
    redis: LocalRedis
    replica: LocalRedis
    proxy: Proxy
    chats_way: Proxy
    forger: Forge
    user_id: str
    database: TestDatabase
    signed_in: Session
    checks: int = 0
    accepted: int = 0

    async def sessions(self, count: int) -> list[Session]:
        """New sessions of the one user, with a good token each, known to every process and standing in Redis."""
        made = [ids.new_id() for _ in range(count)]
        await fetch(
            self.database.url,
            "INSERT INTO sessions (id, user_id, device_label, user_agent, address, auth_methods, expire_time) "
            "SELECT unnest($1::uuid[]), $2, '', '', '', '{pwd}', now() + interval '1 day'",
            made,
            self.user_id,
        )
        found = [Session(each, self.forger.token(sid=str(each), jti=str(each))) for each in made]
        answers = [await self._batch(auth, found) for auth in self.auths]
        answers += [await asyncio.gather(*(chat.accepts(one.token) for one in found)) for chat in self.chats]
        assert all(all(answer) for answer in answers)
        return found

    async def trusting(self) -> None:
        """Until every process of chat lets callers in by what stands in Redis."""
        [session] = await self.sessions(1)
        for chat in self.chats:
            before = await chat.known_from("cache")
            async with asyncio.timeout(20):
                while await chat.known_from("cache") == before:
                    assert await chat.accepts(session.token)

    async def log_out(self, sessions: list[Session]) -> None:
        """End them at one or the other process of auth, and ask everybody as soon as each is acknowledged."""

        async def one(number: int, session: Session) -> None:
            await self.auths[number % 2].log_out(session.token)
            await self._ask([session])

        await asyncio.gather(*(one(number, session) for number, session in enumerate(sessions)))

    async def ask_again(self, sessions: list[Session], rounds: int) -> None:
        """Ask everybody, again and again; who is signed in is let in all the while."""
        for _ in range(rounds):
            await self._ask(sessions)
            assert all([(await self._batch(auth, [self.signed_in]))[0] for auth in self.auths])
            assert all([await chat.accepts(self.signed_in.token) for chat in self.chats])

    async def _ask(self, sessions: list[Session]) -> None:
        """One look by every process at every session."""
        answers = await asyncio.gather(
            *(self._batch(auth, sessions) for auth in self.auths),
            *(asyncio.gather(*(chat.accepts(one.token) for one in sessions)) for chat in self.chats),
        )
        self.checks += sum(map(len, answers))
        self.accepted += sum(map(sum, answers))

    async def _batch(self, auth: Auth, sessions: list[Session]) -> list[bool]:
        request = BatchVerifyTokensRequest(access_tokens=[one.token for one in sessions])
        return [result.active for result in (await auth.auth.BatchVerifyTokens(request)).results]

    async def copy_to_replica(self) -> None:
        """As replication would have, before what comes next."""
        self.replica.start()
        async with Redis.from_url(self.redis.url) as primary, Redis.from_url(self.replica.url) as replica:
            for key in await primary.keys("parley:*"):
                await replica.restore(key, 0, await primary.dump(key), replace=True)


@contextmanager
def hanging(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _own_redis() -> Iterator[tuple[LocalRedis, LocalRedis]]:
    with scratch_folder() as folder:
        both = [LocalRedis(Path(folder) / name, free_port(), password=PASSWORD) for name in ("primary", "replica")]
        try:
            both[0].start()
            yield both[0], both[1]
        finally:
            for redis in both:
                redis.stop()


@asynccontextmanager
async def running_fleet(auth_database: TestDatabase, chat_database: TestDatabase) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        redis, replica = stack.enter_context(_own_redis())
        proxy = await stack.enter_async_context(proxied(redis.port))
        chats_way = await stack.enter_async_context(proxied(proxy.port))
        url, chats_url = (f"redis://:{PASSWORD}@127.0.0.1:{way.port}/0" for way in (proxy, chats_way))
        key = make_master_key()
        auths = [
            await stack.enter_async_context(
                processes.serving(auth_database, url, AUTH_MASTER_KEY=key, AUTH_SERVICE_KEYS=SERVICE_KEY)
            )
            for _ in range(2)
        ]
        target = "ipv4:" + ",".join(f"127.0.0.1:{auth.server.port}" for auth, _ in auths)
        chats = [await stack.enter_async_context(running_chat(chat_database, chats_url, target)) for _ in range(2)]
        served = [process for _, process in auths] + [chat.process for chat in chats]
        await stack.enter_async_context(processes.listening_to(*served))
        first = auths[0][0]
        made = await first.sign_up()
        first.config = first.config.model_copy(update={"master_key": type(first.config.master_key)(key)})
        yield Fleet(
            auths=[auth for auth, _ in auths],
            chats=chats,
            redis=redis,
            replica=replica,
            proxy=proxy,
            chats_way=chats_way,
            forger=await forge(first, made.tokens),
            user_id=made.user.id,
            database=auth_database,
            signed_in=Session(UUID(made.session.id), made.tokens.access_token),
        )


@asynccontextmanager
async def running_chat(database: TestDatabase, redis_url: str, target: str) -> AsyncIterator[Chat]:
    ops_port = free_port()
    settings = {
        "PATH": os.environ["PATH"],
        "CHAT_PORT": "0",
        "CHAT_OPS_PORT": str(ops_port),
        "CHAT_DATABASE_URL": database.url,
        "CHAT_MASTER_KEY": make_master_key(),
        "CHAT_SERVICE_KEY": SERVICE_KEY,
        "CHAT_AUTH_TARGET": target,
        "REDIS_URL": redis_url,
    }
    async with (
        processes.started(settings, "chat_service") as (port, process),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Chat(channel, process, ops_port)

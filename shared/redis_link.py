"""One connection to Redis that carries all that is asked during one turn of the event loop as one round trip.

A look-up costs a twentieth of one sent alone, a cancelled caller cannot leave an answer behind for the next one, and
it is always known which server is at the other end. Where Redis is gone or slow, callers learn it at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import structlog
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError

from shared import metrics

log = structlog.get_logger()

EXCHANGE_SECONDS: Final = 0.05
_LAST_CHANCE: Final = 0.01
_CONNECT_SECONDS: Final = 1.0
_RECONNECT_PAUSE: Final = 0.25
_MAX_COMMANDS: Final = 512

Reply = Any  # what RESP gives: bytes, int, None, or a list of these


class RedisUnavailable(Exception):
    """Redis did not carry the command out, or it is not known whether it did."""


class RedisLink:
    """Reads and commands for one Redis; run it as a background task."""

    def __init__(self, url: str) -> None:
        """Prepare for the server at a URL; nothing is sent before `run`."""
        self._pool = ConnectionPool.from_url(
            url, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=_CONNECT_SECONDS
        )
        self._reads: dict[str, list[asyncio.Future[bytes | None]]] = {}
        self._commands: list[tuple[tuple[Any, ...], asyncio.Future[Reply]]] = []
        self._asked = asyncio.Event()
        self.server_id: str | None = None
        self.connected = asyncio.Event()

    def read(self, key: str) -> asyncio.Future[bytes | None]:
        """Begin to look a key up; the answer is None where it is absent or Redis is out of reach."""
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        if self.server_id is None:
            future.set_result(None)
            return future
        self._reads.setdefault(key, []).append(future)
        self._asked.set()
        return future

    def command(self, *words: Any) -> asyncio.Future[Reply]:
        """Begin one command; it fails with RedisUnavailable within the time limit, also when the outcome is unknown."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self.server_id is None:
            future.set_exception(RedisUnavailable())
            return future
        self._commands.append((words, future))
        self._asked.set()
        return future

    async def run(self) -> None:
        """Keep the connection and serve what is asked, until cancelled."""
        while True:
            connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await self._serve(connection)
            except (RedisError, OSError, TimeoutError, ValueError) as error:
                metrics.redis_errors.labels(type(error).__name__).inc()
                if self.server_id is not None:
                    log.warning("redis is out of reach", error=type(error).__name__)
            finally:
                self._give_up()
                with contextlib.suppress(Exception):
                    await connection.disconnect(nowait=True)
            await asyncio.sleep(_RECONNECT_PAUSE)

    async def _serve(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("INFO", "server")
            self.server_id = _run_id(await connection.read_response())
        self.connected.set()
        while True:
            await self._asked.wait()
            await self._exchange(connection)

    async def _exchange(self, connection: AbstractConnection) -> None:
        self._asked.clear()
        reads, self._reads = self._reads, {}
        commands, self._commands = self._commands[:_MAX_COMMANDS], self._commands[_MAX_COMMANDS:]
        if self._commands:
            self._asked.set()
        words = [*([("MGET", *reads)] if reads else []), *(words for words, _ in commands)]
        metrics.redis_batch.observe(len(reads) + len(commands))
        try:
            async with _limit():
                await connection.send_packed_command(connection.pack_commands(words), check_health=False)
                values = await connection.read_response() if reads else []
                for waiting, value in zip(reads.values(), values, strict=True):
                    _answer(waiting, value)
                for _, future in commands:
                    await _settle(connection, future)
        finally:
            for waiting in reads.values():
                _answer(waiting, None)
            _refuse(future for _, future in commands)

    def _give_up(self) -> None:
        self.server_id = None
        self.connected.clear()
        reads, self._reads = self._reads, {}
        commands, self._commands = self._commands, []
        for waiting in reads.values():
            _answer(waiting, None)
        _refuse(future for _, future in commands)


@contextlib.asynccontextmanager
async def _limit() -> AsyncIterator[None]:
    """The time limit of an exchange, which a busy loop does not use up.

    After a stall the loop runs a timer in the same turn in which it first sees the reply. So the timer only sets the
    last chance, and what is left to wait for then is Redis alone.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer = loop.call_later(EXCHANGE_SECONDS - _LAST_CHANCE, lambda: limit.reschedule(loop.time() + _LAST_CHANCE))
        try:
            yield
        finally:
            timer.cancel()


async def _settle(connection: AbstractConnection, future: asyncio.Future[Reply]) -> None:
    try:
        reply = await connection.read_response()
    except RedisError as error:
        if isinstance(error, ReadOnlyError) or not connection.is_connected:
            raise  # a demoted server: the next connection is to lead to the new one
        metrics.redis_errors.labels(type(error).__name__).inc()
        if not future.done():
            future.set_exception(RedisUnavailable())
        return
    if not future.done():
        future.set_result(reply)


def _answer(waiting: list[asyncio.Future[bytes | None]], value: object) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(value if isinstance(value, bytes) else None)


def _refuse(futures: Iterable[asyncio.Future[Reply]]) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(RedisUnavailable())


def _run_id(info: object) -> str:
    """The identity that a server takes at each start; without one there is no telling two servers apart."""
    text = info.decode() if isinstance(info, bytes) else str(info)
    for line in text.splitlines():
        if line.startswith("run_id:"):
            return line.removeprefix("run_id:").strip()
    raise ValueError("the server does not say its run_id")

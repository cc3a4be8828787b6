"""One connection to Redis that carries all that is asked during one turn of the event loop as one round trip.

A look-up costs a twentieth of one sent alone, a cancelled caller cannot leave an answer behind for the next one, and
it is always known which server is at the other end. Where Redis is gone or slow, callers learn it at once.

redis-py connects (addresses, TLS, passwords); then the transport is ours, as its reader and writer would cost more than
all the rest of a look-up.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import hiredis
import structlog
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shared import calls, metrics

log = structlog.get_logger()

EXCHANGE_SECONDS: Final = 0.05
_LAST_CHANCE: Final = 0.01
CONNECT_SECONDS: Final = 1.0
RECONNECT_PAUSE: Final = 0.25
_MAX_COMMANDS: Final = 512
# With so many calls in flight look-ups are held for so long, to travel together.
_MANY_CALLS: Final = 8
_HOLD_SECONDS: Final = 0.001

Reply = Any  # what RESP gives: bytes, int, None, or a list of these
_Read: TypeAlias = "tuple[Sequence[str], asyncio.Future[Sequence[bytes | None]]]"


class RedisUnavailable(Exception):
    """Redis did not carry the command out, or it is not known whether it did."""


def connections(url: str) -> ConnectionPool:
    """What opens connections to the Redis at a URL, with its TLS and its password; nothing is tried twice."""
    return ConnectionPool.from_url(
        url, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=CONNECT_SECONDS
    )


class RedisLink:
    """Reads and commands for one Redis; run it as a background task."""

    def __init__(self, url: str) -> None:
        """Prepare for the server at a URL; nothing is sent before `run`."""
        self._pool = connections(url)
        self._wire: _Wire | None = None
        self._reads: list[_Read] = []
        self._commands: deque[tuple[tuple[Any, ...], asyncio.Future[Reply]]] = deque()
        self._scheduled = False
        self.server_id: str | None = None
        self.connected = asyncio.Event()

    def read(self, keys: Sequence[str]) -> "asyncio.Future[Sequence[bytes | None]]":
        """Begin to look keys up; the answer to each is None where it is absent or Redis is out of reach."""
        future: asyncio.Future[Sequence[bytes | None]] = asyncio.get_running_loop().create_future()
        if self.server_id is None:
            future.set_result([None] * len(keys))
            return future
        self._reads.append((keys, future))
        self._schedule()
        return future

    def command(self, *words: Any) -> asyncio.Future[Reply]:
        """Begin one command; it fails with RedisUnavailable within the time limit, also when the outcome is unknown."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self.server_id is None:
            future.set_exception(RedisUnavailable())
            return future
        self._commands.append((words, future))
        self._schedule()
        return future

    async def run(self) -> None:
        """Keep the connection, until cancelled."""
        while True:
            connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await self._hold(connection)
            except (RedisError, OSError, TimeoutError, ValueError) as error:
                metrics.redis_errors.labels(type(error).__name__).inc()
                if self.server_id is not None:
                    log.warning("redis is out of reach", error=type(error).__name__)
            finally:
                self._give_up()
                with contextlib.suppress(Exception):
                    await connection.disconnect(nowait=True)
            await asyncio.sleep(RECONNECT_PAUSE)

    async def _hold(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("INFO", "server")
            server_id = _run_id(await connection.read_response())
        writer: Any = connection._writer  # noqa: SLF001 - the only way to the transport
        self._wire = wire = _Wire(writer.transport, self._flush)
        self.server_id = server_id
        self.connected.set()
        await wire.lost

    def _schedule(self) -> None:
        """At the end of this turn; a little later while many calls are in flight, for then more will come.

        gRPC begins about one call a turn, so that under load every call would have an exchange for itself.
        """
        if self._scheduled:
            return
        self._scheduled = True
        loop = asyncio.get_running_loop()
        if calls.load.in_flight >= _MANY_CALLS:
            loop.call_later(75e-6 * min(calls.load.in_flight, 64), self._end_turn)
        else:
            loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._scheduled = False
        self._flush()

    def _flush(self) -> None:
        """Send all that has been asked, unless an exchange is under way: then it goes with the next one."""
        if self._wire is None or self._wire.busy or not (self._reads or self._commands):
            return
        reads, self._reads = self._reads, []
        commands = [self._commands.popleft() for _ in range(min(len(self._commands), _MAX_COMMANDS))]
        metrics.redis_batch.observe(len(reads) + len(commands))
        words = [("MGET", *(key for keys, _ in reads for key in keys))] if reads else []
        waiting: list[Callable[[Reply], None]] = [partial(_answer_reads, reads)] if reads else []
        for command, future in commands:
            words.append(command)
            waiting.append(_answer_command(future))
        self._wire.exchange(words, waiting)

    def _give_up(self) -> None:
        self.server_id = None
        self.connected.clear()
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        reads, self._reads = self._reads, []
        commands, self._commands = self._commands, deque()
        _answer_reads(reads, None)
        for _, future in commands:
            _answer_command(future)(RedisUnavailable())


class _Wire(asyncio.Protocol):
    """A connected transport, one exchange on it at a time, and the watch that no exchange lasts too long."""

    def __init__(self, transport: asyncio.Transport, free: Callable[[], None]) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport, self._free = transport, free
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._waiting: deque[Callable[[Reply], None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def exchange(self, words: list[tuple[Any, ...]], waiting: list[Callable[[Reply], None]]) -> None:
        self._waiting.extend(waiting)
        self._transport.write(b"".join([hiredis.pack_command(command) for command in words]))
        self._timer = asyncio.get_running_loop().call_later(EXCHANGE_SECONDS - _LAST_CHANCE, self._warn)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not _NOTHING:
            if not self._waiting:
                self._lose(ValueError("a reply that nobody asked for"))
                return
            self._waiting.popleft()(reply)
            if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("READONLY"):
                self._lose(RedisError("a demoted server: the next connection is to lead to the new one"))
        if not self._waiting:
            self._stop_watch()
            self._free()

    def connection_lost(self, error: Exception | None) -> None:
        self._lose(error or ConnectionResetError())

    def close(self) -> None:
        self._stop_watch()
        self._transport.abort()
        while self._waiting:
            self._waiting.popleft()(RedisUnavailable())

    def _warn(self) -> None:
        """After a stall the loop runs a timer in the same turn in which it first sees the reply: give it that turn."""
        self._timer = asyncio.get_running_loop().call_later(_LAST_CHANCE, self._lose, TimeoutError())

    def _stop_watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _lose(self, error: Exception) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)


_NOTHING: Final = object()


def _answer_reads(reads: "Sequence[_Read]", reply: Reply) -> None:
    """Give each caller its part of the reply, in their order."""
    begin = 0
    for keys, future in reads:
        end = begin + len(keys)
        if not future.done():
            future.set_result(reply[begin:end] if isinstance(reply, list) else [None] * len(keys))
        begin = end


def _answer_command(future: asyncio.Future[Reply]) -> Callable[[Reply], None]:
    def answer(reply: Reply) -> None:
        if future.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            metrics.redis_errors.labels("ReplyError").inc()
            future.set_exception(RedisUnavailable())
        elif isinstance(reply, Exception):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    return answer


def _run_id(info: object) -> str:
    """The identity that a server takes at each start; without one there is no telling two servers apart."""
    text = info.decode() if isinstance(info, bytes) else str(info)
    for line in text.splitlines():
        if line.startswith("run_id:"):
            return line.removeprefix("run_id:").strip()
    raise ValueError("the server does not say its run_id")

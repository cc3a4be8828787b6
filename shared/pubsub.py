"""What Redis passes on at once to whoever listens, and forgets: one connection that hears many channels.

It comes back by itself, and says so: to every channel, for what was published meanwhile is lost. It also says when a
channel is heard from the first time, so that who listens knows from when on.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import hiredis
import structlog
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from shared import metrics
from shared.redis_link import CONNECT_SECONDS, RECONNECT_PAUSE, connections

log = structlog.get_logger()

_BEAT_SECONDS: Final = 2.0

Hear = Callable[[str, bytes | None], None]


class Subscriber:
    """Hears channels of one Redis; run it as a background task."""

    def __init__(self, url: str, hear: Hear) -> None:
        """`hear` is told a channel and what was published on it, or None: messages on it may have been lost so far."""
        self._pool = connections(url)
        self._hear = hear
        self._channels: set[str] = set()
        self._heard: set[str] = set()
        self._wire: _Wire | None = None

    def hears(self, channel: str) -> bool:
        """Whether all that is published on a channel from now on is heard, for as long as the connection holds."""
        return channel in self._heard

    def subscribe(self, channel: str) -> None:
        """Hear a channel from soon on, also after each reconnection."""
        self._channels.add(channel)
        if self._wire is not None:
            self._wire.send("SUBSCRIBE", channel)

    def unsubscribe(self, channel: str) -> None:
        """Hear a channel no more."""
        self._channels.discard(channel)
        self._heard.discard(channel)
        if self._wire is not None:
            self._wire.send("UNSUBSCRIBE", channel)

    async def run(self) -> None:
        """Keep the connection, until cancelled."""
        while True:
            connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await self._hold(connection)
            except (RedisError, OSError, TimeoutError, ValueError) as error:
                metrics.redis_errors.labels(type(error).__name__).inc()
                if self._wire is not None:
                    log.warning("redis passes nothing on", error=type(error).__name__)
            finally:
                self._wire = None
                self._heard.clear()
                with contextlib.suppress(Exception):
                    await connection.disconnect(nowait=True)
            await asyncio.sleep(RECONNECT_PAUSE)

    async def _hold(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]
        writer: Any = connection._writer  # noqa: SLF001 - the only way to the transport
        self._wire = wire = _Wire(writer.transport, self._take)
        if self._channels:
            wire.send("SUBSCRIBE", *self._channels)
        while True:
            wire.quiet = True
            wire.send("PING")
            await asyncio.wait({wire.lost}, timeout=_BEAT_SECONDS)
            if wire.lost.done():
                wire.lost.result()
            if wire.quiet:
                raise TimeoutError

    def _take(self, kind: bytes, channel: str, payload: bytes) -> None:
        if channel not in self._channels:
            return
        if kind == b"message":
            self._hear(channel, payload)
        elif kind == b"subscribe":
            self._heard.add(channel)
            self._hear(channel, None)


class _Wire(asyncio.Protocol):
    """A connected transport, and what comes over it."""

    def __init__(self, transport: asyncio.Transport, take: Callable[[bytes, str, bytes], None]) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Looked at also where nobody waits for it any more, or asyncio would report it.
        self.lost.add_done_callback(lambda lost: lost.cancelled() or lost.exception())
        self.quiet = False
        self._transport, self._take = transport, take
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        transport.set_protocol(self)

    def send(self, *words: str) -> None:
        self._transport.write(hiredis.pack_command(words))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self.quiet = False
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not _NOTHING:
            if isinstance(reply, hiredis.ReplyError):
                self._lose(RedisError(str(reply)))
                return
            match reply:
                case [bytes() as kind, bytes() as channel, bytes() | int() as payload]:
                    self._take(kind, channel.decode(), payload if isinstance(payload, bytes) else b"")
                case _:
                    continue  # the answer to a PING

    def connection_lost(self, error: Exception | None) -> None:
        self._lose(error or ConnectionResetError())

    def _lose(self, error: Exception) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)


_NOTHING: Final = object()

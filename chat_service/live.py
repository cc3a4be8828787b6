"""What the replicas of chat tell each other at once, over Redis: hints, and pieces of running answers.

All of it may be lost, and nothing depends on it but how soon something is seen: Postgres is the truth.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from shared import metrics
from shared.pubsub import Subscriber
from shared.redis_link import RedisLink

_PREFIX: Final = "parley:chat:"
_MAX_WAITING: Final = 256
_ORIGIN_BYTES: Final = 8

Hear = Callable[[bytes | None], None]


class Subscription:
    """What was published on a channel and not taken yet."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._waiting: deque[bytes | None] = deque()
        self._woken = asyncio.Event()

    async def next(self, seconds: float) -> bytes | None:
        """The next message, or None where some may have been lost before: at the beginning, and after a break.

        Raises TimeoutError where nothing comes for so many seconds.
        """
        async with asyncio.timeout(seconds):
            while not self._waiting:
                self._woken.clear()
                await self._woken.wait()
        return self._waiting.popleft()

    def hear(self, payload: bytes | None) -> None:
        """Keep a message; one too many makes room, as all that waited is lost."""
        if payload is None or len(self._waiting) >= _MAX_WAITING:
            self._waiting.clear()
            self._waiting.append(None)
        if payload is not None:
            self._waiting.append(payload)
        self._woken.set()


class Live:
    """Channels by name, to publish on and to listen to."""

    def __init__(self, link: RedisLink, url: str) -> None:
        """Publish over the link that look-ups share, and listen on a connection of its own, kept by `run`."""
        self._link = link
        self._subscriber = Subscriber(url, self._pass_on)
        self._listeners: dict[str, list[Hear]] = {}
        # What comes back from Redis with this in front was told here when it was published.
        self._origin = secrets.token_bytes(_ORIGIN_BYTES)
        self._published, self._heard = map(metrics.live_messages.labels, ("published", "heard"))
        self.run = self._subscriber.run

    def publish(self, channel: str, payload: bytes) -> None:
        """Tell whoever listens: in this process at once, in the others if Redis is there; nobody learns whether.

        All that is published in one turn of the event loop travels together.
        """
        self._tell(channel, payload)
        self._published.inc()
        self._link.command("PUBLISH", _PREFIX + channel, self._origin + payload).add_done_callback(_forget)

    @contextlib.contextmanager
    def listening(self, channel: str, hear: Hear) -> Iterator[None]:
        """Call `hear` with each message, or with None where some may have been lost until now, the first time too."""
        listeners = self._listeners.setdefault(channel, [])
        listeners.append(hear)
        if len(listeners) == 1:
            self._subscriber.subscribe(_PREFIX + channel)
        elif self._subscriber.hears(_PREFIX + channel):
            asyncio.get_running_loop().call_soon(partial(hear, None))
        try:
            yield
        finally:
            listeners.remove(hear)
            if not listeners:
                del self._listeners[channel]
                self._subscriber.unsubscribe(_PREFIX + channel)

    @contextlib.contextmanager
    def subscribed(self, channel: str) -> Iterator[Subscription]:
        """The messages of a channel, to be taken one by one; bounded, so that who is slow is told of a loss."""
        subscription = Subscription()
        with self.listening(channel, subscription.hear):
            yield subscription

    def _pass_on(self, channel: str, payload: bytes | None) -> None:
        if payload is not None:
            self._heard.inc()
            if payload.startswith(self._origin):
                return
            payload = payload[_ORIGIN_BYTES:]
        self._tell(channel.removeprefix(_PREFIX), payload)

    def _tell(self, channel: str, payload: bytes | None) -> None:
        for hear in tuple(self._listeners.get(channel, ())):
            hear(payload)


def _forget(published: "asyncio.Future[object]") -> None:
    """Look at a failure, so that asyncio does not report it: the link has counted it."""
    if not published.cancelled():
        published.exception()

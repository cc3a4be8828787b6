"""Streams that last: so many a user and a process, woken by news, and sent to another replica when this one ends."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final
from uuid import UUID

from chat_service.errors import TooManyStreams
from shared import metrics
from shared.errors import Overloaded, ServiceError, Unavailable

# Half of the calls that a process serves at once, so that streams leave room for calls that are over soon.
MAX_STREAMS: Final = 1_000
POLL_SECONDS: Final = 2.0


class Stream:
    """One that is open: it waits until it is woken, or is ended."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._woken = asyncio.Event()
        self._failure: ServiceError | None = None
        self.polled = False

    def wake(self) -> None:
        """Have it look at what it watches."""
        self._woken.set()

    def poll(self) -> None:
        """Have it ask whether there is news that nobody told it of."""
        self.polled = True
        self._woken.set()

    def end(self, failure: ServiceError) -> None:
        """End it, as soon as it has sent what it is sending."""
        self._failure = failure
        self._woken.set()

    async def wait(self) -> None:
        """Wait until somebody wakes it; raises what it was ended with."""
        await self._woken.wait()
        self._woken.clear()
        self.check()

    def check(self) -> None:
        """Raise what it was ended with."""
        if self._failure is not None:
            raise self._failure


class Streams:
    """The streams of this process."""

    def __init__(self, most_of_user: int) -> None:
        """`most_of_user` is how many one user may have open here."""
        self._most_of_user = most_of_user
        self._open: set[Stream] = set()
        self._of_users: Counter[UUID] = Counter()
        self._ended: ServiceError | None = None

    @contextlib.contextmanager
    def opened(self, user_id: UUID, count: Callable[[int], object] = metrics.streams.set) -> Iterator[Stream]:
        """Hold one open; raises TooManyStreams, Overloaded, and Unavailable once this process ends."""
        if self._ended is not None:
            raise self._ended
        if len(self._open) >= MAX_STREAMS:
            raise Overloaded(retry_after=1.0)
        if self._of_users[user_id] >= self._most_of_user:
            raise TooManyStreams(retry_after=POLL_SECONDS)
        stream = Stream()
        self._open.add(stream)
        self._of_users[user_id] += 1
        count(len(self._open))
        try:
            yield stream
        finally:
            self._open.discard(stream)
            self._of_users[user_id] -= 1
            if not self._of_users[user_id]:
                del self._of_users[user_id]
            count(len(self._open))

    async def poll(self) -> None:
        """Have all of them ask for news in one turn of the event loop, so that their questions travel together."""
        for stream in tuple(self._open):
            stream.poll()

    async def end_with(self, ending: asyncio.Event) -> None:
        """Send every stream to another replica once this one ends."""
        await ending.wait()
        self._ended = Unavailable(retry_after=0.1)
        for stream in tuple(self._open):
            stream.end(self._ended)

"""Revocations, told as they commit to those who check access tokens themselves (DESIGN 5.3).

Triggers note and notify them, and one connection listens. Each heartbeat follows the answer to a question that was
asked on that very connection: who has received it has been told of everything that was acknowledged before the
question. So nothing has to be trusted about how long a message was on its way: no question, no heartbeat.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from auth_service.errors import WatcherTooSlow
from auth_service.keys import Keys
from auth_service.store import revocations
from auth_service.store.cache_epochs import CacheEpochs
from shared import clock, metrics
from shared.cache import Epoch
from shared.db import Database, Executor
from shared.errors import Overloaded, ServiceError, Unavailable
from shared.revocations import RELEVANT_SECONDS, RecentRevocations, Revocation

log = structlog.get_logger()

RECONNECT_SECONDS: Final = 0.25
BEAT_SECONDS: Final = 0.4
_MAX_WATCHERS: Final = 500
_MAX_WAITING: Final = 20_000
_MAX_IN_MESSAGE: Final = 2_000
_WINDOW: Final = timedelta(seconds=RELEVANT_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """That everything has been told which was acknowledged `elapsed` seconds after the watcher began, or before."""

    elapsed: float
    time: datetime
    epoch: Epoch
    key_set_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a watcher is told at once; the heartbeat holds after the revocations."""

    revocations: Sequence[Revocation]
    heartbeat: Heartbeat | None


class Revocations:
    """Hears of them, keeps those that matter, and tells all who watch."""

    def __init__(self, database: Database, keys: Keys) -> None:
        """Know none before the first connection."""
        self._database, self._keys = database, keys
        self._recent = RecentRevocations()
        self._watchers: set[_Watcher] = set()
        self._misheard = ""
        self._hurry = asyncio.Event()
        self._ended: ServiceError | None = None

    async def hold(self) -> None:
        """Keep a connection for as long as it lasts; to be begun again when it is lost."""
        async with self._database.listening(revocations.CHANNEL, self._hear) as connection:
            # Heard first and read then: what commits in between is told twice rather than not at all.
            async for revocation, age in revocations.list_recent(connection, _WINDOW):
                self._tell(revocation, age)
            while True:
                self._hurry.clear()
                await self._beat(connection)
                with contextlib.suppress(TimeoutError):
                    # asyncio.wait_for of Python 3.11 loses a cancellation that comes together with the event.
                    async with asyncio.timeout(BEAT_SECONDS):
                        await self._hurry.wait()

    async def watch(self) -> AsyncGenerator[News, None]:
        """All that matters now, then everything as it commits; raises WatcherTooSlow, and Unavailable at the end."""
        if self._ended is not None:
            raise self._ended
        if len(self._watchers) >= _MAX_WATCHERS:
            raise Overloaded(retry_after=1.0)
        watcher = _Watcher(self._recent)
        self._watchers.add(watcher)
        metrics.revocation_watchers.set(len(self._watchers))
        self._hurry.set()
        try:
            while True:
                yield await watcher.next()
        finally:
            self._watchers.discard(watcher)
            metrics.revocation_watchers.set(len(self._watchers))

    async def end_with(self, ending: asyncio.Event) -> None:
        """Send every watcher to another replica once this one ends."""
        await ending.wait()
        self._ended = Unavailable(retry_after=0.1)
        for watcher in self._watchers:
            watcher.end(self._ended)

    def _hear(self, payload: str) -> None:
        try:
            revocation = revocations.heard(payload)
        except ValueError:
            self._misheard = payload
        else:
            if revocation is not None:
                self._tell(revocation)
                return
        self._hurry.set()

    def _tell(self, revocation: Revocation, age: float = 0.0) -> None:
        if self._recent.add(revocation, age):
            for watcher in self._watchers:
                watcher.tell(revocation)

    async def _beat(self, connection: Executor) -> None:
        if self._misheard:
            raise LookupError(f"a newer version revokes what this one does not know: {self._misheard}")
        asked, time = clock.monotonic(), clock.now()
        await self._keys.refresh()
        epoch = await CacheEpochs(connection).read()
        self._recent.forget_old()
        metrics.revocations_kept.set(len(self._recent))
        for watcher in self._watchers:
            # What was asked before the watcher began says nothing about it.
            if asked >= watcher.began:
                elapsed = asked - watcher.began
                watcher.tell(Heartbeat(elapsed=elapsed, time=time, epoch=epoch, key_set_version=self._keys.version))


class _Watcher:
    """What one watcher has still to be told, in its order."""

    def __init__(self, known: Iterable[Revocation]) -> None:
        self.began = clock.monotonic()
        self._waiting: deque[Revocation | Heartbeat] = deque(known)
        self._room = len(self._waiting) + _MAX_WAITING
        self._failure: ServiceError | None = None
        self._woken = asyncio.Event()

    def tell(self, news: Revocation | Heartbeat) -> None:
        self._waiting.append(news)
        if len(self._waiting) > self._room:
            self.end(WatcherTooSlow(retry_after=0.1))
        self._woken.set()

    def end(self, failure: ServiceError) -> None:
        self._failure = failure
        self._waiting.clear()
        self._woken.set()

    async def next(self) -> News:
        while self._failure is None:
            if self._waiting:
                return self._take()
            self._woken.clear()
            await self._woken.wait()
        raise self._failure

    def _take(self) -> News:
        """As much as goes into one message: up to a heartbeat, or so many revocations."""
        told: list[Revocation] = []
        while self._waiting and len(told) < _MAX_IN_MESSAGE:
            first = self._waiting.popleft()
            if isinstance(first, Heartbeat):
                return News(revocations=told, heartbeat=first)
            told.append(first)
        return News(revocations=told, heartbeat=None)

"""Many callers, one round trip: what is asked while the former batch is under way travels together in the next.

Nobody waits for a timer: alone, an item goes at once; under load, batches grow by themselves. A batch always begins
after its items were handed in, so a point read is as fresh as one made alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Final, Generic, TypeVar

import asyncpg

from shared import calls, metrics
from shared.errors import Conflict, DeadlineExceeded, Overloaded, Unavailable

_MAX_WAITING: Final = 10_000
_PATIENCE_SECONDS: Final = 30.0

Item = TypeVar("Item")
Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Batcher(Generic[Item, Result]):
    """Hands items to `flush` in batches, so many at once; `flush` answers with a result or a failure for each."""

    def __init__(
        self,
        name: str,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        at_once: int = 1,
        max_batch: int = 256,
    ) -> None:
        """`at_once` batches may be under way at the same time."""
        self._flush, self._at_once, self._max_batch = flush, at_once, max_batch
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._flushers: set[asyncio.Task[None]] = set()
        self._running = 0
        self._sizes = metrics.batch_size.labels(name)

    async def submit(self, item: Item) -> Result:
        """The result for one item, or its failure; raises DeadlineExceeded once the caller's time is up."""
        if len(self._waiting) >= _MAX_WAITING:
            raise Overloaded(retry_after=1.0)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running < self._at_once:
            self._running += 1
            task = asyncio.create_task(self._run())
            self._flushers.add(task)
            task.add_done_callback(self._flushers.discard)
        try:
            async with asyncio.timeout(calls.remaining(_PATIENCE_SECONDS)):
                return await future
        except TimeoutError:
            raise DeadlineExceeded from None

    async def _run(self) -> None:
        calls.current.set(None)  # a batch is nobody's call: it must not end by the deadline of whoever came first
        try:
            while self._waiting:
                count = min(len(self._waiting), self._max_batch)
                taken = [self._waiting.popleft() for _ in range(count)]
                batch = [(item, future) for item, future in taken if not future.done()]
                if batch:
                    self._sizes.observe(len(batch))
                    await self._settle(batch)
        finally:
            self._running -= 1  # in the very turn that found nothing waiting, so that the next item starts a new one

    async def _settle(self, batch: list[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        try:
            results = await self._flush([item for item, _ in batch])
        except Exception as error:
            results = [error] * len(batch)
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


class PointReads(Generic[Key, Value]):
    """Look-ups by key, coalesced: `load` is given each key once and answers with what it found."""

    def __init__(self, name: str, load: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]) -> None:
        """Two batches may be under way, so that one slow read does not hold up the rest."""
        self._load = load
        self._batcher: Batcher[Key, Value | None] = Batcher(name, self._flush, at_once=2, max_batch=500)

    async def get(self, key: Key) -> Value | None:
        """What is stored under the key, or None."""
        return await self._batcher.submit(key)

    async def _flush(self, keys: Sequence[Key]) -> Sequence[Value | None]:
        found = await self._load(list(dict.fromkeys(keys)))
        return [found.get(key) for key in keys]


class GroupCommit(Generic[Item, Result]):
    """Many writes in one transaction, each still on its own: one caller's violation does not fail its neighbours.

    `write` puts a batch into one transaction and may be refused as a whole; then each item goes again by itself.
    """

    def __init__(self, name: str, write: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]]) -> None:
        """Two batches may be under way: while one waits for the disk, the next one fills."""
        self._write = write
        self._batcher: Batcher[Item, Result] = Batcher(name, self._flush, at_once=2)

    async def submit(self, item: Item) -> Result:
        """The result for one item once its transaction has been committed, or its failure."""
        return await self._batcher.submit(item)

    async def _flush(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        try:
            return await self._write(items)
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, Conflict) as error:
            if len(items) == 1:
                return [error]
        # Refused, so rolled back, and so every counter is where it was: one by one they stand or fall alone.
        return [await self._alone(item) for item in items]

    async def _alone(self, item: Item) -> Result | Exception:
        for _ in range(2):
            try:
                return (await self._write([item]))[0]
            except Conflict:
                continue
            except Exception as error:
                return error
        return Unavailable(retry_after=0.1)

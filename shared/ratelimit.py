"""Rate limits that replicas share through Redis (sliding windows of the `limits` library), each with a local stand-in.

While Redis is out of reach a process counts by itself: limits then hold for each replica, and no call waits for Redis.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from shared import clock, crypto, metrics
from shared.errors import RateLimited

_REDIS_SECONDS: Final = 0.05
_BREAKER_SECONDS: Final = 1.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many events in a window of so many seconds; `name` stands in metrics and in the error."""

    name: str
    amount: int
    seconds: int


class RateLimiter:
    """Counts events under keys. Keys are hashed: no address and no e-mail stands in Redis."""

    def __init__(self, redis_url: str, key: bytes) -> None:
        """`key` hashes what is counted."""
        storage = RedisStorage(
            f"async+{redis_url}",
            implementation="redispy",
            key_prefix="parley:limit",
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
        )
        self._shared = SlidingWindowCounterRateLimiter(storage)
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._key = key
        self._open_until = 0.0

    async def check(self, limit: Limit, *subject: str) -> None:
        """Raise RateLimited where the budget is used up; nothing is counted."""
        item, name = self._item(limit, subject)
        if not await self._either(lambda limiter: limiter.test(item, name)):
            await self._refuse(limit, item, name)

    async def count(self, limit: Limit, *subject: str) -> None:
        """Count one event."""
        item, name = self._item(limit, subject)
        await self._either(lambda limiter: limiter.hit(item, name))

    async def take(self, limit: Limit, *subject: str) -> None:
        """Count one event, or raise RateLimited where the budget is used up."""
        item, name = self._item(limit, subject)
        if not await self._either(lambda limiter: limiter.hit(item, name)):
            await self._refuse(limit, item, name)

    async def forgive(self, limit: Limit, *subject: str) -> None:
        """Forget what was counted."""
        item, name = self._item(limit, subject)
        await self._either(lambda limiter: limiter.clear(item, name))

    async def _refuse(self, limit: Limit, item: RateLimitItemPerSecond, name: str) -> None:
        metrics.rate_limited.labels(limit.name).inc()
        stats = await self._either(lambda limiter: limiter.get_window_stats(item, name))
        raise RateLimited(limit=limit.name, retry_after=max(stats.reset_time - time.time(), 1.0))

    def _item(self, limit: Limit, subject: tuple[str, ...]) -> tuple[RateLimitItemPerSecond, str]:
        hashed = crypto.mac(self._key, "\n".join(subject).encode()).hex()[:32]
        return RateLimitItemPerSecond(limit.amount, limit.seconds, namespace=limit.name), hashed

    async def _either(self, ask: Callable[[SlidingWindowCounterRateLimiter], Awaitable[T]]) -> T:
        if clock.monotonic() >= self._open_until:
            try:
                async with asyncio.timeout(_REDIS_SECONDS):
                    return await ask(self._shared)
            except (RedisError, OSError, TimeoutError) as error:
                metrics.redis_errors.labels(type(error).__name__).inc()
                self._open_until = clock.monotonic() + _BREAKER_SECONDS
        return await ask(self._local)

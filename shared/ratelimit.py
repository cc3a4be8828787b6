"""Rate limits that replicas share through Redis, by the strategies of the `limits` library, each with a local stand-in.

While Redis is out of reach a process counts by itself: limits then hold for each replica, and no call waits for Redis.
A window begins with its first event.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter

from shared import clock, crypto, metrics
from shared.errors import RateLimited
from shared.redis_link import RedisLink, RedisUnavailable

_PREFIX: Final = "parley:limit:"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many events in a window of so many seconds; `name` stands in metrics and in the error."""

    name: str
    amount: int
    seconds: int


class RateLimiter:
    """Counts events under keys. Keys are hashed: no address and no e-mail stands in Redis."""

    def __init__(self, link: RedisLink, key: bytes) -> None:
        """`key` hashes what is counted."""
        self._shared = FixedWindowRateLimiter(LinkStorage(link))
        self._local = FixedWindowRateLimiter(MemoryStorage())
        self._key = key

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
        raise RateLimited(limit=limit.name, retry_after=max(stats.reset_time - clock.timestamp(), 1.0))

    def _item(self, limit: Limit, subject: tuple[str, ...]) -> tuple[RateLimitItemPerSecond, str]:
        hashed = crypto.mac(self._key, "\n".join(subject).encode()).hex()[:32]
        return RateLimitItemPerSecond(limit.amount, limit.seconds, namespace=limit.name), hashed

    async def _either(self, ask: Callable[[FixedWindowRateLimiter], Awaitable[T]]) -> T:
        try:
            return await ask(self._shared)
        except RedisUnavailable:
            return await ask(self._local)


class LinkStorage(Storage):
    """Counters of the `limits` library, over the link that look-ups share: a check costs a share in one MGET."""

    STORAGE_SCHEME: ClassVar[list[str]] = ["parley-link"]  # type: ignore[misc]

    def __init__(self, link: RedisLink) -> None:
        """Count over a link."""
        super().__init__()
        self._link = link

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the storage fails with."""
        return RedisUnavailable

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count up; the first event sets when the window ends."""
        _, count = await asyncio.gather(
            self._link.command("SET", _PREFIX + key, 0, "NX", "EX", expiry),
            self._link.command("INCRBY", _PREFIX + key, amount),
        )
        if int(count) == amount:  # the window may have ended between the two, and a count without an end stays for ever
            await self._link.command("EXPIRE", _PREFIX + key, expiry)
        return int(count)

    async def get(self, key: str) -> int:
        """The count so far."""
        if self._link.server_id is None:
            raise RedisUnavailable
        try:
            return int((await self._link.read([_PREFIX + key]))[0] or 0)
        except ValueError:
            raise RedisUnavailable from None

    async def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since the epoch."""
        remaining = await self._link.command("PTTL", _PREFIX + key)
        return clock.timestamp() + max(int(remaining), 0) / 1000

    async def clear(self, key: str) -> None:
        """Forget the count."""
        await self._link.command("DEL", _PREFIX + key)

    async def check(self) -> bool:
        """Whether Redis can be reached."""
        return self._link.server_id is not None

    async def reset(self) -> int | None:
        """Nobody may forget every count at once."""
        return None

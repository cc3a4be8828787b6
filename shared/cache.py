"""The cache that users and sessions are read from, which cannot bring back what was revoked.

The promise: who asks after a change was acknowledged is never served what was there before it, whatever state Redis is
in. Three rules keep it (docs/why.md tells them at length):

1. Leases on fill, deletion on write. A miss takes a lease on the key before it reads Postgres, and its value is kept
   only while that lease stands. A write deletes entry and lease together, after its commit and before it answers.
2. Epochs. Postgres holds the epoch; an entry counts only under the epoch it was filled in. A reading of it is good
   for EPOCH_SECONDS, after which the cache is bypassed. Whoever cannot delete raises the epoch, waits that long, then
   answers.
3. An epoch names its server. Only the Redis whose run_id stands beside the epoch counts, and a new epoch counts
   EPOCH_SECONDS after it was first seen, when no reading of the former one is left anywhere.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Generic, NamedTuple, Protocol, TypeVar, cast
from uuid import UUID

import msgspec
import structlog

from shared import clock, ids, metrics
from shared.background import Background
from shared.batch import Batcher
from shared.redis_link import RedisLink, RedisUnavailable

log = structlog.get_logger()

EPOCH_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.4
_LONG_AGO_SECONDS: Final = 30.0
_TTL_MILLISECONDS: Final = 5 * 60 * 1000
_LEASE_MILLISECONDS: Final = 3_000
_REMEMBERED: Final = 8_192
_FILL: Final = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """The row in Postgres: the present epoch, the run_id of its Redis, and the seconds since it was raised."""

    epoch: str
    server_id: str | None
    age: float


class EpochStore(Protocol):
    """Where the epoch lives."""

    async def read(self) -> Epoch:
        """The present epoch."""

    async def advance(self, server_id: str | None) -> Epoch:
        """Raise the epoch, in the name of a server where one is given; commits before it returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """An epoch as this process knows it, with the monotonic times between which it may be used."""

    epoch: str
    server_id: str | None
    settled: float
    fresh_until: float


class CacheView:
    """What this process knows of the epoch and its server, and look-ups under both: all that a mere reader needs."""

    def __init__(self, link: RedisLink) -> None:
        """Bypass the cache until an epoch has been learned."""
        self._link = link
        self._reading: _Reading | None = None
        metrics.cache_trusted.set_function(lambda: self.trusted is not None)

    @property
    def trusted(self) -> str | None:
        """The epoch under which entries count just now; None means that the cache is bypassed."""
        reading, now = self._reading, clock.monotonic()
        if reading is None or not reading.settled <= now < reading.fresh_until:
            return None
        return reading.epoch if reading.server_id == self._link.server_id else None

    async def look_up(self, keys: Sequence[str]) -> "Replies":
        """Several keys in one exchange with Redis; what it answers counts under the epoch of the moment it is asked."""
        epoch = self.trusted
        return Replies(epoch, [None] * len(keys) if epoch is None else await self._link.read(keys))

    def learn(self, row: Epoch, asked: float) -> None:
        """A reading is as old as the moment it was asked for; a new epoch counts a while after it was first seen."""
        known = self._reading
        if known and (known.epoch, known.server_id) == (row.epoch, row.server_id):
            settled = known.settled
        else:
            settled = 0.0 if row.age > _LONG_AGO_SECONDS else clock.monotonic() + EPOCH_SECONDS
        self._reading = _Reading(
            epoch=row.epoch, server_id=row.server_id, settled=settled, fresh_until=asked + EPOCH_SECONDS
        )


class Cache(CacheView):
    """The view of who also fills and changes, with the deletions that keep every view honest."""

    def __init__(self, link: RedisLink, epochs: EpochStore) -> None:
        """Bypass the cache until the first epoch has been read."""
        super().__init__(link)
        self._epochs = epochs
        self._introduced: str | None = None
        self._raises: Batcher[None, None] = Batcher("cache epoch", self._raise_for_all)

    async def start(self, background: Background) -> None:
        """Connect, learn the epoch, and go on learning it."""
        background.spawn("redis link", self._link.run())
        try:
            async with asyncio.timeout(EPOCH_SECONDS):
                await self._link.connected.wait()
        except TimeoutError:
            log.warning("redis is out of reach: serving from Postgres")
        await self._poll()
        background.every(_POLL_SECONDS, "cache epoch", self._poll)

    async def lease(self, key: str) -> str | None:
        """A lease on a key for one fill; None where another holds it or the cache is bypassed."""
        if self.trusted is None:
            return None
        token = secrets.token_urlsafe(12)
        try:
            held = await self._link.command("SET", _lease(key), token, "NX", "PX", _LEASE_MILLISECONDS)
        except RedisUnavailable:
            return None
        return token if held else None

    async def fill(self, key: str, lease: str, value: bytes) -> bool:
        """Store a value that was read under a lease; False where a write has come between."""
        try:
            stored = await self._link.command("EVAL", _FILL, 2, key, _lease(key), lease, value, _TTL_MILLISECONDS)
        except RedisUnavailable:
            return False
        return bool(stored)

    async def invalidate(self, keys: Iterable[str]) -> None:
        """After a commit, before its answer: from here on nobody is served what was there before."""
        doomed = [name for key in keys for name in (key, _lease(key))]
        reading = self._reading
        if reading and clock.monotonic() < reading.fresh_until and reading.server_id == self._link.server_id:
            try:
                await self._link.command("DEL", *doomed)
            except RedisUnavailable:
                pass
            else:
                metrics.cache_invalidations.labels("deleted").inc()
                await asyncio.sleep(max(reading.settled - clock.monotonic(), 0))
                return
        metrics.cache_invalidations.labels("epoch raised").inc()
        await self._raises.submit(None)
        await asyncio.sleep(EPOCH_SECONDS)

    async def _raise_for_all(self, waiting: Sequence[None]) -> Sequence[None]:
        """One new epoch for all who wait; who comes while it is under way needs the next one."""
        await self._advance(None)
        return waiting

    async def _advance(self, server_id: str | None) -> None:
        asked = clock.monotonic()
        self.learn(await self._epochs.advance(server_id), asked)

    async def _poll(self) -> None:
        asked = clock.monotonic()
        self.learn(await self._epochs.read(), asked)
        here = self._link.server_id
        if here is not None and here != self._introduced:
            reading = self._reading
            if reading is None or reading.server_id != here:
                log.warning("led to another redis: raising the cache epoch in its name")
                await self._advance(here)
            self._introduced = here


class _Entry(msgspec.Struct, Generic[T], array_like=True, forbid_unknown_fields=True):
    """What stands in Redis: it names its own key and shape, so that nothing else can pass for it."""

    key: str
    shape: int
    epoch: str
    value: T


class Replies(NamedTuple):
    """What Redis answered, and the epoch under which it counts: None where the cache was bypassed."""

    epoch: str | None
    values: Sequence[bytes | None]


class CachedEntries(Generic[T]):
    """What Redis has of one kind of thing. The model's class is its schema: what does not fit it is a miss."""

    def __init__(self, kind: str, model: type[T], shape: int) -> None:
        """`shape` is counted up whenever the model's meaning changes."""
        self._kind, self._shape = kind, shape
        self.prefix = f"parley:{kind}:"
        decoder = msgspec.json.Decoder(_Entry[model])  # type: ignore[valid-type]
        # The same bytes are the same value for ever, so this memory, unlike one by key, cannot go stale.
        self._parse = lru_cache(maxsize=_REMEMBERED)(decoder.decode)
        self._hit, self._miss, self._rubbish, self._bypass = (
            metrics.cache_lookups.labels(kind, result) for result in ("hit", "miss", "rubbish", "bypass")
        )

    def key(self, item_id: UUID) -> str:
        """The key of a thing, to look up or to invalidate."""
        return self.prefix + ids.text_of(item_id)

    def found(self, key: str, raw: bytes | None, epoch: str | None) -> T | None:
        """The thing in a reply; None where the cache does not have it, or was bypassed."""
        if epoch is None:
            self._bypass.inc()
            return None
        value = None if raw is None else self._decode(key, raw, epoch)
        (self._miss if value is None else self._hit).inc()
        return value

    def count_hit(self) -> None:
        """Note that a reply was the very one that was found good before."""
        self._hit.inc()

    def _decode(self, key: str, raw: bytes, epoch: str) -> T | None:
        try:
            entry = cast("_Entry[T]", self._parse(raw))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._rubbish.inc()
            return None
        if entry.key != key or entry.shape != self._shape:
            self._rubbish.inc()
            return None
        return entry.value if entry.epoch == epoch else None


class CachedReader(CachedEntries[T]):
    """Reads one kind of thing from Postgres where Redis does not have it, and fills Redis with it."""

    def __init__(
        self, cache: Cache, kind: str, model: type[T], shape: int, load: Callable[[UUID], Awaitable[T | None]]
    ) -> None:
        """`load` reads Postgres."""
        super().__init__(kind, model, shape)
        self._cache, self._load = cache, load
        self._encoder = msgspec.json.Encoder()

    async def answer(self, item_id: UUID, raw: bytes | None, epoch: str | None) -> T | None:
        """The thing in a reply, or read from Postgres and stored where the cache does not have it."""
        key = self.key(item_id)
        value = self.found(key, raw, epoch)
        if value is not None:
            return value
        return await (self._load(item_id) if epoch is None else self._fill(item_id, key, epoch))

    async def _fill(self, item_id: UUID, key: str, epoch: str) -> T | None:
        lease = await self._cache.lease(key)
        value = await self._load(item_id)
        if lease is not None and value is not None:
            entry = _Entry(key=key, shape=self._shape, epoch=epoch, value=value)
            stored = await self._cache.fill(key, lease, self._encoder.encode(entry))
            metrics.cache_fills.labels(self._kind, "stored" if stored else "refused").inc()
        return value


def _lease(key: str) -> str:
    return f"{key}:lease"

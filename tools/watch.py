"""Watches the services while they work: cache, pools, hash queue and memory, from their metrics and the system."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import psutil

from tools import measures
from tools.folder import Stack
from tools.measures import Measures

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The look-ups of one kind, and how many of them the cache answered."""

    kind: str
    lookups: int
    hits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The connections of a pool; waits are for a free one, in seconds, and long from a millisecond on."""

    name: str
    most_in_use: int
    idle: int
    size: int
    acquired: int
    mean_wait: float
    long_waits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The resident memory of a process, in bytes; Postgres's is that of all its processes without what they share."""

    process: str
    begin: int
    most: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashing:
    """The work on passwords; seconds a hash, waiting not included."""

    hashes: int
    mean: float
    most_waiting: int
    shed: int


@dataclass(slots=True)
class Watch:
    """What was seen of a stack since `begin`."""

    stack: Stack
    _before: Mapping[str, Measures] = field(default_factory=dict)
    _peaks: dict[tuple[str, str], float] = field(default_factory=dict)
    _memory: dict[str, list[int]] = field(default_factory=dict)

    async def begin(self) -> None:
        """Remember how everything stands now."""
        self._before = await self._read()
        self._look(self._before)

    async def added(self) -> "Mapping[str, Measures]":
        """What the counters of each service have gained since `begin`."""
        now = await self._read()
        self._look(now)
        return {service: values.since(self._before[service]) for service, values in now.items()}

    @contextlib.asynccontextmanager
    async def closely(self) -> AsyncIterator[None]:
        """Look twice a second, for what is high for a moment; too costly while single calls are measured."""

        async def poll() -> None:
            while True:
                self._look(await self._read())
                await asyncio.sleep(_POLL_SECONDS)

        task = asyncio.create_task(poll())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def pools(self) -> list[Pool]:
        """Every pool of both services."""
        now, added = await self._read(), await self.added()
        return [
            Pool(
                name=name,
                most_in_use=int(self._peaks["pool", name]),
                idle=int(values.total("parley_pool_connections", pool=name, state="idle")),
                size=int(values.total("parley_pool_connections", pool=name, state="max")),
                acquired=int(added[service].total("parley_pool_wait_seconds_count", pool=name)),
                mean_wait=added[service].mean("parley_pool_wait_seconds", pool=name),
                long_waits=added[service].over("parley_pool_wait_seconds", "0.001", pool=name),
            )
            for service, values in now.items()
            for name in values.by("parley_pool_connections", "pool")
        ]

    async def hashing(self) -> Hashing:
        """The work on passwords in auth."""
        added = (await self.added())["auth"]
        return Hashing(
            hashes=int(added.total("parley_hash_seconds_count")),
            mean=added.mean("parley_hash_seconds"),
            most_waiting=int(self._peaks["hash", "queue"]),
            shed=int(added.total("parley_hash_shed_total")),
        )

    def memory(self) -> list[Memory]:
        """Every process of the stack that runs on this machine."""
        return [
            Memory(process=name, begin=seen[0], most=max(seen), end=seen[-1]) for name, seen in self._memory.items()
        ]

    async def _read(self) -> Mapping[str, Measures]:
        urls = {"auth": self.stack.auth_ops_url, "chat": self.stack.chat_ops_url}
        return {service: await asyncio.to_thread(measures.read, url) for service, url in urls.items()}

    def _look(self, now: Mapping[str, Measures]) -> None:
        for values in now.values():
            for name, used in values.by("parley_pool_connections", "pool", state="in_use").items():
                self._raise("pool", name, used)
        self._raise("hash", "queue", now["auth"].total("parley_hash_queue"))
        pids = {"auth": self.stack.auth_pid, "chat": self.stack.chat_pid}
        pids |= {"redis": self.stack.redis_pid or 0, "postgres": self.stack.postgres_pid or 0}
        for name, pid in pids.items():
            if pid:
                self._memory.setdefault(name, []).append(_resident(pid, whole=name == "postgres"))

    def _raise(self, kind: str, name: str, value: float) -> None:
        self._peaks[kind, name] = max(value, self._peaks.get((kind, name), 0.0))


def caches(added: Mapping[str, Measures]) -> list[Cache]:
    """The look-ups in the shared cache, by kind, of both services together."""
    kinds = sorted({kind for each in added.values() for kind in each.by("parley_cache_lookups_total", "kind")})
    return [
        Cache(
            kind=kind,
            lookups=int(sum(each.total("parley_cache_lookups_total", kind=kind) for each in added.values())),
            hits=int(sum(each.total("parley_cache_lookups_total", kind=kind, result="hit") for each in added.values())),
        )
        for kind in kinds
    ]


def hit_rate(found: Sequence[Cache]) -> float:
    """The share of the look-ups that the cache answered."""
    lookups = sum(each.lookups for each in found)
    return sum(each.hits for each in found) / lookups if lookups else 0.0


def _resident(pid: int, *, whole: bool) -> int:
    try:
        process = psutil.Process(pid)
        if not whole:
            return int(process.memory_info().rss)
        memory = [each.memory_info() for each in (process, *process.children(recursive=True))]
    except psutil.Error:
        return 0
    return int(sum(each.rss - getattr(each, "shared", 0) for each in memory))

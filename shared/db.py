"""A service's way to its Postgres: a pool of connections, named queries, transactions, and failures in our own words.

Every statement is timed under its name, bounded by the caller's deadline, and logged with its plan when it is slow.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeAlias

import asyncpg
import orjson
import structlog
from asyncpg.pool import PoolConnectionProxy

from shared import calls, clock, metrics
from shared.background import Background
from shared.errors import Conflict, DeadlineExceeded, Overloaded, ServiceError, Unavailable
from shared.sql import Query

log = structlog.get_logger()

_RELEASE_SECONDS = 1.0
_PLAN_PAUSE_SECONDS = 60.0
_CONTENDED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
)
_UNREACHABLE = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresIOError,
)

Record = asyncpg.Record
Connection: TypeAlias = "PoolConnectionProxy[Record] | asyncpg.Connection[Record]"  # generic in their stubs alone
_Dial: TypeAlias = "Callable[[], Awaitable[asyncpg.Connection[Record]]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """Sizes and time limits, in seconds, of a pool; `docs/database.md` tells why each is what it is."""

    max_size: int
    min_size: int
    acquire_timeout: float
    statement_timeout: float
    lock_timeout: float
    idle_timeout: float
    slow_query_seconds: float


def control_pool(settings: PoolSettings) -> PoolSettings:
    """A pool of two connections for what must not wait behind callers: health and the cache epoch."""
    return replace(settings, max_size=2, min_size=1, acquire_timeout=1.0, statement_timeout=1.0, lock_timeout=0.5)


class Executor(Protocol):
    """What runs a named query: the pool, where it is a transaction of its own, or an open transaction."""

    async def fetch_all(self, query: Query, *args: object) -> list[Record]:
        """Every row."""

    async def fetch_one(self, query: Query, *args: object) -> Record | None:
        """The first row, or None."""

    async def fetch_value(self, query: Query, *args: object) -> Any:
        """The first column of the first row, or None."""


class _Statements(ABC):
    """The three ways to ask, over a connection that a subclass supplies."""

    _slow: "_SlowLog"
    _timeout: float

    @abstractmethod
    def _connection(self) -> contextlib.AbstractAsyncContextManager[Connection]: ...

    async def fetch_all(self, query: Query, *args: object) -> list[Record]:
        rows: list[Record] = await self._ask("fetch", query, args)
        return rows

    async def fetch_one(self, query: Query, *args: object) -> Record | None:
        row: Record | None = await self._ask("fetchrow", query, args)
        return row

    async def fetch_value(self, query: Query, *args: object) -> Any:
        return await self._ask("fetchval", query, args)

    async def _ask(self, way: str, query: Query, args: Sequence[object]) -> Any:
        with _InOurWords(query.name):
            async with self._connection() as connection:
                started = clock.monotonic()
                try:
                    return await getattr(connection, way)(query.text, *args, timeout=calls.remaining(self._timeout))
                except asyncpg.ReadOnlySQLTransactionError:
                    connection.terminate()  # a demoted primary: whoever asks next must be led to the new one
                    raise
                finally:
                    self._slow.note(query, clock.monotonic() - started)


class Transaction(_Statements):
    """An open transaction; nothing but SQL may happen inside."""

    def __init__(self, connection: Connection, slow: "_SlowLog", timeout: float) -> None:
        """Run on a connection that already is in a transaction."""
        self.connection, self._slow, self._timeout = connection, slow, timeout

    def _connection(self) -> contextlib.AbstractAsyncContextManager[Connection]:
        return contextlib.nullcontext(self.connection)


class _Listener(_Statements):
    """A connection of one owner, beside the pool."""

    def __init__(self, connection: "asyncpg.Connection[Record]", slow: "_SlowLog", timeout: float) -> None:
        self._held, self._slow, self._timeout = connection, slow, timeout

    def _connection(self) -> contextlib.AbstractAsyncContextManager[Connection]:
        return contextlib.nullcontext(self._held)


class Database(_Statements):
    """A pool on one database. Statements run on it directly commit by themselves."""

    def __init__(
        self, name: str, pool: "asyncpg.Pool[Record]", dial: _Dial, settings: PoolSettings, background: Background
    ) -> None:
        """Serve from a pool that `connect` has opened; `dial` opens a connection beside it."""
        self.name, self.settings = name, settings
        self._pool, self._dial = pool, dial
        self._timeout = settings.statement_timeout
        self._slow = _SlowLog(self, settings.slow_query_seconds, background)
        self._wait = metrics.pool_wait_seconds.labels(name)
        for state, value in (("in_use", self._in_use), ("idle", pool.get_idle_size), ("max", pool.get_max_size)):
            metrics.pool_connections.labels(name, state).set_function(value)

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls, name: str, url: str, settings: PoolSettings, background: Background
    ) -> "AsyncIterator[Database]":
        """Open the pool, and close it in the end. `name` is what Postgres and the metrics call it."""
        server_settings = {
            "application_name": name,
            "statement_timeout": _milliseconds(settings.statement_timeout),
            "lock_timeout": _milliseconds(settings.lock_timeout),
            "idle_in_transaction_session_timeout": _milliseconds(settings.statement_timeout),
            "jit": "off",
            # Every query is served by an index, and proven so under this setting. Without it a plan made while a
            # table is small goes on reading all of it as it grows, until the next ANALYZE (a sixth of the speed).
            "enable_seqscan": "off",
            # The plan that is proven is the one that does not know the values. Left to itself Postgres may plan each
            # call anew where that one looks dearer, which can cost ten times what the statement does.
            "plan_cache_mode": "force_generic_plan",
        }
        pool = asyncpg.create_pool(
            url,
            min_size=settings.min_size,
            max_size=settings.max_size,
            max_inactive_connection_lifetime=settings.idle_timeout,
            timeout=settings.acquire_timeout,
            command_timeout=settings.statement_timeout,
            reset=_leave_as_it_is,
            init=_speak_json,
            server_settings=server_settings,
        )
        dial = partial(
            asyncpg.connect,
            url,
            timeout=settings.acquire_timeout,
            command_timeout=settings.statement_timeout,
            server_settings=server_settings,
        )
        with _InOurWords("connect"):
            await pool
        try:
            yield cls(name, pool, dial, settings, background)
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pool.close(), _RELEASE_SECONDS)
            pool.terminate()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Several statements, all or nothing."""
        with _InOurWords("transaction"):
            async with self._connection() as connection, connection.transaction():
                yield Transaction(connection, self._slow, self._timeout)

    @contextlib.asynccontextmanager
    async def listening(self, channel: str, hear: Callable[[str], object]) -> AsyncIterator[Executor]:
        """A connection of the caller's own, beside the pool, that hears what is notified on a channel.

        What was notified by a change that was acknowledged before a question on it was asked, is heard before the
        question's answer. The connection is not renewed: when it is lost, questions fail.
        """

        def pass_on(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            hear(str(payload))

        with _InOurWords("listen"):
            connection = await self._dial()
            try:
                await connection.add_listener(channel, pass_on)
                yield _Listener(connection, self._slow, self._timeout)
            finally:
                connection.terminate()

    async def plan(self, query: Query) -> dict[str, Any]:
        """The generic plan that Postgres makes for a query, as its EXPLAIN (FORMAT JSON); no argument is needed."""
        async with self.transaction() as tx:
            return await explain(tx.connection, query)

    def _connection(self) -> contextlib.AbstractAsyncContextManager[Connection]:
        return _Borrowed(self)

    async def borrow(self) -> "PoolConnectionProxy[Record]":
        """A connection of the pool, which is to be given back."""
        started = clock.monotonic()
        try:
            connection = await self._pool.acquire(timeout=calls.remaining(self.settings.acquire_timeout))
        except TimeoutError:
            raise self._why_no_connection() from None
        self._wait.observe(clock.monotonic() - started)
        return connection

    async def give_back(self, connection: "PoolConnectionProxy[Record]") -> None:
        """The limit also bounds the wait for a cancelled statement: past it the connection is dropped."""
        await self._pool.release(connection, timeout=_RELEASE_SECONDS)

    def _why_no_connection(self) -> ServiceError:
        """The caller's time is up, every connection is in use, or Postgres does not let us in."""
        if calls.remaining(1.0) <= 0:
            return DeadlineExceeded()
        used_up = self._in_use() >= self.settings.max_size
        return Overloaded(retry_after=self.settings.acquire_timeout) if used_up else Unavailable()

    def _in_use(self) -> int:
        return self._pool.get_size() - self._pool.get_idle_size()


class _Borrowed:
    """A connection of the pool, for as long as the context lasts."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> Connection:
        self._connection = await self._database.borrow()
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._database.give_back(self._connection)


class _SlowLog:
    """Times every statement; one over the threshold is logged with its plan, at most once a minute each."""

    def __init__(self, database: Database, threshold: float, background: Background) -> None:
        self._database, self._threshold, self._background = database, threshold, background
        self._planned: dict[str, float] = {}
        self._observe: dict[str, Any] = {}

    def note(self, query: Query, seconds: float) -> None:
        observe = self._observe.get(query.name)
        if observe is None:
            observe = self._observe[query.name] = metrics.query_seconds.labels(query.name).observe
        observe(seconds)
        if seconds < self._threshold:
            return
        metrics.slow_queries.labels(query.name).inc()
        log.warning("slow query", query=query.name, seconds=round(seconds, 4))
        now = clock.monotonic()
        if now - self._planned.get(query.name, -_PLAN_PAUSE_SECONDS) >= _PLAN_PAUSE_SECONDS:
            self._planned[query.name] = now
            self._background.spawn("slow query plan", self._log_plan(query))

    async def _log_plan(self, query: Query) -> None:
        log.warning("slow query plan", query=query.name, plan=await self._database.plan(query))


async def explain(connection: "Connection | asyncpg.Connection[Record]", query: Query) -> dict[str, Any]:
    """The generic plan of a query on a connection inside a transaction; it shows parameters, never their values."""
    prepared = await connection.prepare(query.text)
    nulls = ", ".join("null" for _ in prepared.get_parameters())
    await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE explained AS {query.text}")
    try:
        call = f"explained({nulls})" if nulls else "explained"
        rows = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE {call}")
    finally:
        await connection.execute("DEALLOCATE explained")
    plan: dict[str, Any] = (orjson.loads(rows) if isinstance(rows, str) else rows)[0]["Plan"]
    return plan


@contextlib.contextmanager
def raising(**by_constraint: type[ServiceError]) -> Iterator[None]:
    """Turn the violation of a named constraint or unique index into the failure that it means."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        failure = by_constraint.get(error.constraint_name or "")
        if failure is None:
            raise
        raise failure from None


class _InOurWords:
    """Turns the driver's trouble into failures a caller can act on.

    A broken constraint passes, for it has a meaning.
    """

    __slots__ = ("_query",)

    def __init__(self, query: str) -> None:
        self._query = query

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, TimeoutError):
            self._count("timeout")
            raise _out_of_time() from None
        if isinstance(error, _CONTENDED):
            self._count(error.sqlstate)
            raise (_out_of_time() if isinstance(error, asyncpg.QueryCanceledError) else Conflict()) from None
        if isinstance(error, _UNREACHABLE):
            kind, sqlstate = type(error).__name__, getattr(error, "sqlstate", None)
            self._count(sqlstate or kind)
            log.warning("database trouble", query=self._query, error=kind, sqlstate=sqlstate)
            raise Unavailable from None

    def _count(self, error: str) -> None:
        metrics.query_errors.labels(self._query, error).inc()


def _out_of_time() -> ServiceError:
    """Whose time ran out: the caller's, or the limit that we set ourselves."""
    return DeadlineExceeded() if calls.remaining(1.0) <= 0 else Unavailable()


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


async def _leave_as_it_is(_: object) -> None:
    """Nothing of ours outlives its transaction on a connection, so a release needs no reset query (130 µs each)."""


async def _speak_json(connection: "asyncpg.Connection[Record]") -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, encoder=lambda value: orjson.dumps(value).decode(), decoder=orjson.loads, schema="pg_catalog"
        )

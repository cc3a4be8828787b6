"""Looks after the dependencies each second: without Postgres a service does not serve, without Redis it is degraded."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import structlog

from shared import metrics, sql
from shared.db import Database
from shared.errors import ServiceError
from shared.ops import Readiness
from shared.redis_link import RedisLink, RedisUnavailable

log = structlog.get_logger()
queries = sql.load(__file__)

CHECK_SECONDS: Final = 1.0


class Reporting(Protocol):
    """Who tells the callers: the gRPC server."""

    async def report(self, *, serving: bool, degraded: Sequence[str] = ()) -> None:
        """Say how every service stands."""


class HealthMonitor:
    """Asks every dependency and reports changes."""

    def __init__(
        self, checks: dict[str, Callable[[], Awaitable[bool]]], required: str, readiness: Readiness, server: Reporting
    ) -> None:
        """`required` is the dependency without which the service cannot serve."""
        self._checks, self._required, self._readiness, self._server = checks, required, readiness, server

    async def check(self) -> None:
        """Ask once, and report what has changed since the last time."""
        states = {name: await check() for name, check in self._checks.items()}
        for name, up in states.items():
            metrics.dependency_up.labels(name).set(up)
        if states == self._readiness.dependencies:
            return
        log.warning("dependencies changed", **states)
        self._readiness.dependencies = states
        self._readiness.serving = states[self._required]
        await self._server.report(
            serving=states[self._required], degraded=[name for name, up in states.items() if not up]
        )


def postgres(database: Database) -> Callable[[], Awaitable[bool]]:
    """A check that Postgres answers a query."""

    async def answers() -> bool:
        try:
            await database.fetch_value(queries.ping)
        except ServiceError:
            return False
        return True

    return answers


def redis(link: RedisLink) -> Callable[[], Awaitable[bool]]:
    """A check that Redis answers within its time limit."""

    async def answers() -> bool:
        try:
            await link.command("PING")
        except RedisUnavailable:
            return False
        return True

    return answers

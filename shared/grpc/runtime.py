"""What every service is put together from: first its pools, Redis and background work, then its server around them.

Enter `resources`, build the rules on them, then enter `serving`. On the way out the server stops first, then the
background work, then the pools close.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from shared import health, ops
from shared.background import Background
from shared.config import ServiceConfig
from shared.db import Database, control_pool
from shared.grpc.chain import Interceptor
from shared.grpc.credentials import ServerTls
from shared.grpc.server import GrpcServer, Service, listen
from shared.grpc.verifier import Verifier
from shared.health import HealthMonitor
from shared.ops import Readiness
from shared.redis_link import RedisLink
from shared.tls import RELOAD_SECONDS, Certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """A service's connections, and the owner of its tasks."""

    database: Database
    control: Database
    link: RedisLink
    background: Background
    # Set when the service begins to end: streams, which have no end of their own, end with it.
    ending: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.asynccontextmanager
async def resources(name: str, config: ServiceConfig) -> AsyncIterator[Resources]:
    """Open the pools; `name` is what Postgres and the metrics call them."""
    url = config.database_url.get_secret_value()
    async with (
        Background() as background,
        Database.connect(name, url, config.pool, background) as database,
        Database.connect(f"{name}-control", url, control_pool(config.pool), background) as control,
    ):
        link = RedisLink(config.redis_url.get_secret_value())
        try:
            yield Resources(database=database, control=control, link=link, background=background)
        finally:
            await background.stop()


@contextlib.asynccontextmanager
async def serving(
    config: ServiceConfig,
    held: Resources,
    services: Sequence[Service],
    verifier: Verifier,
    domain: str,
    more: Sequence[Interceptor] = (),
) -> AsyncIterator[GrpcServer]:
    """Listen, on both ports, for as long as the context lasts."""
    readiness = Readiness()
    tls = None if config.tls is None else ServerTls(Certificates(config.tls))
    with ops.listening(config.ops_host, config.ops_port, readiness):
        server = await listen(
            config.host,
            config.port,
            services,
            verifier,
            domain=domain,
            reflect=config.reflect,
            credentials=None if tls is None else tls.credentials,
            proxies=config.proxies,
            more=more,
        )
        checks = {"postgres": health.postgres(held.control), "redis": health.redis(held.link)}
        monitor = HealthMonitor(checks, "postgres", readiness, server)
        await monitor.check()
        held.background.every(health.CHECK_SECONDS, "health", monitor.check)
        if tls is not None:
            held.background.every(RELOAD_SECONDS, "certificates", tls.refresh)
        try:
            yield server
        finally:
            readiness.draining = True
            held.ending.set()
            await server.stop(config.shutdown_grace_seconds)

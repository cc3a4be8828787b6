"""The process of a service: `serve` until a signal ends it, or `migrate` and exit. Exit code 2 says: mend a setting."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

import asyncpg
import structlog
import uvloop

from shared import config as settings
from shared import log as logs
from shared import migrate
from shared.config import LogFormat, ServiceConfig
from shared.errors import ServiceError
from shared.grpc.server import GrpcServer, PortTaken

log = structlog.get_logger()

Config = TypeVar("Config", bound=ServiceConfig)
Build = Callable[[Config], AbstractAsyncContextManager[GrpcServer]]


def main(name: str, kind: type[Config], build: "Build[Config]", migrations: Path) -> None:
    """Run the command of the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=f"Parley's {name}.")
    parser.add_argument("command", choices=["serve", "migrate"], nargs="?", default="serve")
    command = parser.parse_args().command
    config = settings.read(kind)
    logs.configure(config.log_level.value, json=config.log_format is LogFormat.JSON)
    try:
        uvloop.run(_serve(config, build) if command == "serve" else _migrate(config, migrations))
    except PortTaken as error:
        _fail(f"{error}: choose another with {name.partition('_')[0].upper()}_PORT or _OPS_PORT", 2)
    except (ServiceError, OSError, asyncpg.PostgresError) as error:
        _fail(
            f"cannot reach Postgres ({type(error).__name__}): is it running, and are the database URL's host and "
            "password right?",
            1,
        )
    except migrate.MigrationRefused as error:
        _fail(str(error), 1)


async def _serve(config: Config, build: "Build[Config]") -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with build(config) as server:
        log.info("serving", port=server.port)
        await stop.wait()
        log.info("stopping", grace_seconds=config.shutdown_grace_seconds)


async def _migrate(config: Config, migrations: Path) -> None:
    applied = await migrate.migrate(config.owner_url, migrations)
    log.info("database is up to date", applied=len(applied))


def _fail(sentence: str, code: int) -> None:
    sys.stderr.write(f"{sentence}\n")
    raise SystemExit(code)

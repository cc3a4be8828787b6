"""The process of a service: `serve` until a signal ends it, or another command. Exit code 2 says: mend a setting."""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import asyncpg
import structlog
import uvloop

from shared import config as settings
from shared import log as logs
from shared import migrate
from shared.config import LogFormat, ServiceConfig, Unusable
from shared.errors import Overloaded, ServiceError, Unavailable
from shared.grpc.server import GrpcServer

log = structlog.get_logger()

Config = TypeVar("Config", bound=ServiceConfig)
Build = Callable[[Config], AbstractAsyncContextManager[GrpcServer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[Config]):
    """What an operator may ask of a service beside serving and migrating; `run` answers with a sentence to print."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Config, argparse.Namespace], Awaitable[str]]


def main(name: str, kind: type[Config], build: "Build[Config]", migrations: Path, *more: "Command[Config]") -> None:
    """Run the command of the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=f"Parley's {name}.")
    parser.set_defaults(work=partial(_serve, build))
    commands = parser.add_subparsers(title="commands", metavar="")
    commands.add_parser("serve", help="serve until a signal ends it (the default)")
    commands.add_parser("migrate", help="bring the database up to date").set_defaults(
        work=partial(_migrate, migrations)
    )
    for command in more:
        added = commands.add_parser(command.name, help=command.help)
        command.add_arguments(added)
        added.set_defaults(work=partial(_run, command))
    arguments = parser.parse_args()
    config = settings.read(kind)
    logs.configure(config.log_level.value, json=config.log_format is LogFormat.JSON)
    try:
        uvloop.run(arguments.work(config, arguments))
    except Unusable as error:
        _fail(f"{settings.variable(kind, error.setting)} {error.problem}", 2)
    except asyncpg.InsufficientPrivilegeError as error:
        _fail(f"{error}: does the database URL name the role that owns the tables?", 1)
    except (Unavailable, Overloaded, OSError, asyncpg.PostgresError) as error:
        _fail(
            f"cannot reach Postgres ({type(error).__name__}): is it running, and are the database URL's host and "
            "password right?",
            1,
        )
    except (ServiceError, migrate.MigrationRefused) as error:
        _fail(str(error), 1)


def settle() -> None:
    """Keep the garbage collector from what has been made by now, which lives as long as the process.

    A full pass over it takes 50 ms and more, in which nobody is served.
    """
    gc.collect()
    gc.freeze()


async def _serve(build: "Build[Config]", config: Config, _: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with build(config) as server:
        settle()
        log.info("serving", port=server.port)
        await stop.wait()
        log.info("stopping", grace_seconds=config.shutdown_grace_seconds)


async def _migrate(migrations: Path, config: ServiceConfig, _: argparse.Namespace) -> None:
    applied = await migrate.migrate(config.owner_url, migrations)
    log.info("database is up to date", applied=len(applied))


async def _run(command: "Command[Config]", config: Config, arguments: argparse.Namespace) -> None:
    sys.stdout.write(f"{await command.run(config, arguments)}\n")


def _fail(sentence: str, code: int) -> None:
    sys.stderr.write(f"{sentence}\n")
    raise SystemExit(code)

"""`db-verify`: proves the nineteen indexes and every named query's plan, and shows how Postgres fares with both."""

import asyncio
from typing import Annotated

import typer

from tools import findings, measures, verify_report
from tools.findings import Findings
from tools.folder import Stack
from tools.seed import seed
from tools.stack import stack
from tools.ui import Failure, console, step


def verify(
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also definitions, conditions and plans.")] = False,
) -> None:
    """Prove the nineteen indexes and the plan of every named query; exit code 1 where one is missing."""
    with stack() as running:
        amount = seed(running)
        console.print(f"Rows: {amount.users:,} users, {amount.messages:,} messages.")
        with step("Plan every named query"):
            found = asyncio.run(_find(running))
    verify_report.report(found, verbose=verbose)
    faults = [fault for one in found for fault in one.faults]
    if faults:
        raise Failure("\n".join(faults))


async def _find(running: Stack) -> list[Findings]:
    return [
        await findings.find("auth", running.auth_owner_database_url, measures.read(running.auth_ops_url)),
        await findings.find("chat", running.chat_owner_database_url, measures.read(running.chat_ops_url)),
    ]

"""`performance-test`: the promised operations, measured over gRPC on the running services with real rows."""

import json
import os
import platform
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import typer

from shared import clock
from tools import performance_report, watch
from tools.clients import clients, log_in, run
from tools.folder import Stack
from tools.mix import DESCRIPTION, Mix
from tools.operations import Operations, Samples, cores
from tools.outcome import Outcome, Result, Target, as_json
from tools.performance_page import page
from tools.seed import PASSWORD, Amount, seed
from tools.seed_rows import email
from tools.settings import ROOT
from tools.stack import stack
from tools.ui import console, step
from tools.watch import Watch

REPORTS: Final = ROOT / "reports"

_PEOPLE: Final = 100
_MS: Final = 0.001
# Threads that hash side by side share the bandwidth of the memory, and step back behind all else; the rest of a log-in
# takes a few milliseconds of all processes together.
_MARGIN: Final = 2
_BESIDE_HASH: Final = 5 * _MS

Measure = Callable[[Operations], Awaitable[Samples]]

AT_REST: Final[list[tuple[Target, Measure]]] = [
    (
        Target(key="sign_up", title="sign-up", goal=100 * _MS, promise=500 * _MS, former=2_364 * _MS),
        Operations.sign_up,
    ),
    (Target(key="log_in", title="log-in", goal=100 * _MS, promise=500 * _MS, former=707 * _MS), Operations.log_in),
    (
        Target(key="verify", title="access token verification", goal=2 * _MS, promise=50 * _MS, former=11 * _MS),
        Operations.verify,
    ),
    (
        Target(key="profile", title="profile retrieval", goal=2 * _MS, promise=100 * _MS, former=0.6 * _MS),
        Operations.profile,
    ),
    (
        Target(key="refresh", title="token refresh", goal=15 * _MS, promise=300 * _MS, former=266 * _MS),
        Operations.refresh,
    ),
    (Target(key="create_conversation", title="create a conversation", goal=15 * _MS), Operations.create_conversation),
    (Target(key="send_message", title="send a message", goal=15 * _MS), Operations.send_message),
    (Target(key="list_messages", title="list 50 messages", goal=15 * _MS), Operations.list_messages),
]


def performance() -> None:
    """Measure what was promised; exit code 1 where a target is missed."""
    load = os.getloadavg()[0]
    with stack() as running:
        amount = seed(running)
        console.print(f"Rows: {amount.users:,} users, {amount.messages:,} messages.")
        outcome = run(_measure(running, amount, load))
    performance_report.report(outcome)
    for written in _write(outcome):
        console.print(f"Written: {written}", soft_wrap=True)
    if outcome.missed:
        raise typer.Exit(1)


async def _measure(running: Stack, amount: Amount, load: float) -> Outcome:
    async with clients(running) as to:
        with step(f"Sign {_PEOPLE} people in"):
            people = [await log_in(to, email(number), PASSWORD) for number in range(_PEOPLE)]
        operations = Operations(to, people)
        watched = Watch(running)
        await watched.begin()
        results = [await _result(target, measure(operations)) for target, measure in AT_REST]
        hash_seconds = (await watched.hashing()).mean
        async with watched.closely():
            results += [await _result(target, samples) for target, samples in _together(operations, hash_seconds)]
            in_mix = Watch(running)
            await in_mix.begin()
            with step("A mix of calls"):
                rate = await Mix(operations).run()
        return Outcome(
            time=f"{clock.now():%Y-%m-%d %H:%M:%S} UTC",
            machine=_machine(load),
            rows={"users": amount.users, "messages": amount.messages},
            results=results,
            mix=DESCRIPTION,
            mix_calls_a_second=rate,
            mix_caches=watch.caches(await in_mix.added()),
            all_caches=watch.caches(await watched.added()),
            pools=await watched.pools(),
            memory=watched.memory(),
            hashing=await watched.hashing(),
            notes=_notes(hash_seconds, load),
        )


def _together(operations: Operations, hash_seconds: float) -> list[tuple[Target, Awaitable[Samples]]]:
    five = Target(key="log_in_5", title="5 concurrent log-ins", goal=500 * _MS, promise=5.0, former=2_989 * _MS)
    each = _MARGIN * hash_seconds / cores() + _BESIDE_HASH
    fifty = Target(key="log_in_50", title="50 concurrent log-ins", goal=50 * each)
    beside = Target(key="verify_while_hashing", title="verification while 20 log-ins hash", goal=50 * _MS, share=0.99)
    return [
        (five, operations.log_in_together(5, 16)),
        (fifty, operations.log_in_together(50, 4)),
        (beside, operations.verify_while_hashing()),
    ]


async def _result(target: Target, samples: Awaitable[Samples]) -> Result:
    with step(target.title.capitalize()):
        return Result(target=target, samples=await samples)


def _notes(hash_seconds: float, load: float) -> list[str]:
    measured = (
        "Each operation is a gRPC call from a process of its own, as its caller sees it; client, services, Postgres "
        "and Redis share the machine. One call at a time, unless the name says more. The first calls are not counted."
    )
    fifty = (
        f"The target for 50 concurrent log-ins: 50 hashes of {1000 * hash_seconds:.0f} ms (measured at rest) on "
        f"{cores()} cores, twice over, and {1000 * _BESIDE_HASH:.0f} ms for the rest of each."
    )
    notes = [measured, fifty, "Formerly: what the application that Parley replaces reported of itself."]
    if load > cores() / 2:
        notes.append(f"The machine was busy with other work (load {load:.1f} before): at rest the times are shorter.")
    return notes


def _machine(load: float) -> Mapping[str, str]:
    return {
        "cores": str(cores()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "environment": os.environ.get("APP_ENV") or "development",
        "load before": f"{load:.1f}",
    }


def _write(outcome: Outcome) -> list[Path]:
    REPORTS.mkdir(exist_ok=True)
    machines, people = REPORTS / "performance.json", REPORTS / "performance.html"
    machines.write_text(json.dumps(as_json(outcome), indent=2) + "\n")
    people.write_text(page(outcome))
    return [machines, people]

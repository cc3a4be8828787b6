"""`bench`: what a call costs the server in processor time, as a ratio to an empty handler of the same build.

One process is the client, with 64 calls in flight; the services and an empty server take turns, and the median
of the rounds counts. The time of Postgres, of Redis and of the client is not in it.
"""

import itertools
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Final

import grpc
import typer
from rich.text import Text

from protos.auth.v1 import account_service_pb2 as account_pb2
from protos.auth.v1 import auth_service_pb2 as auth_pb2
from protos.auth.v1 import auth_service_pb2_grpc
from shared.background import Background
from shared.grpc.auth_client import AuthClient
from shared.grpc.verifying import on_feed
from tools import channels, chat_check, local_check
from tools.clients import Clients, Person, clients, log_in, run
from tools.cost import IN_FLIGHT, Operation, load, spend
from tools.folder import Stack
from tools.local_check import TRIES, Check
from tools.measured import measured
from tools.operations import Operations
from tools.performance import REPORTS
from tools.seed import PASSWORD, seed
from tools.seed_rows import email
from tools.stack import stack
from tools.tables import console, show, table, verdict
from tools.ui import Failure, step

_TOKENS: Final = 500
_AUDIENCE: Final = "chat"
_LEAST_SHARE: Final = 0.25  # of an empty handler's time: less means that nothing was measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a call has cost: microseconds of processor time, and as a ratio to the empty handler right before it."""

    operation: str
    micros: float
    ratio: float
    budget: float | None
    calls_a_second: float

    @property
    def good(self) -> bool:
        """Whether it keeps its budget."""
        return self.budget is None or self.ratio <= self.budget


@dataclass(slots=True)
class _Rounds:
    """The figures of every round by operation."""

    micros: dict[str, list[float]] = field(default_factory=dict)
    ratios: dict[str, list[float]] = field(default_factory=dict)
    speed: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, micros: float, empty: float, speed: float) -> None:
        for figures, value in ((self.micros, micros), (self.ratios, micros / empty), (self.speed, speed)):
            figures.setdefault(name, []).append(value)

    def cost(self, operation: Operation) -> Cost:
        return Cost(
            operation=operation.name,
            micros=statistics.median(self.micros[operation.name]),
            ratio=statistics.median(self.ratios[operation.name]),
            budget=operation.budget,
            calls_a_second=statistics.median(self.speed[operation.name]),
        )


def bench(
    rounds: Annotated[int, typer.Option(min=1, max=20, help="How often each operation has its turn.")] = 5,
) -> None:
    """Measure the cost of a call against an empty handler."""
    with stack() as running, measured("tools.empty_server") as (port, pid):
        seed(running)
        costs, checks = run(_measure(running, port, pid, rounds))
    _report(costs, checks)
    REPORTS.mkdir(exist_ok=True)
    written = REPORTS / "bench.json"
    told = {"costs": [asdict(cost) | {"good": cost.good} for cost in costs], "checks": [asdict(it) for it in checks]}
    written.write_text(json.dumps(told, indent=2) + "\n")
    console.print(f"Written: {written}", soft_wrap=True)


async def _measure(running: Stack, port: int, empty_pid: int, rounds: int) -> tuple[list[Cost], Sequence[Check]]:
    pids = {"empty": empty_pid, "auth": running.auth_pid, "chat": running.chat_pid}
    async with clients(running) as to, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with step("Sign people in and give them conversations"):
            people = [await log_in(to, email(number), PASSWORD) for number in range(IN_FLIGHT)]
            operations = Operations(to, people)
            conversations = {person.email: await operations.new_conversation(person) for person in people}
            for person in people:
                await operations.fill(person, conversations[person.email], 60)
        empty, todo = _empty(channel), _operations(operations, conversations)
        for operation in (empty, *todo):
            await load(operation, operation.count // 4)
        kept = _Rounds()
        for number in range(1, rounds + 1):
            with step(f"Round {number} of {rounds}"):
                await _round(empty, todo, pids, kept)
        checks = [
            *await _verify_locally(running, to, people),
            *await _know_callers(running, operations, conversations, rounds),
        ]
    return [kept.cost(operation) for operation in (empty, *todo)], checks


async def _verify_locally(running: Stack, to: Clients, people: Sequence[Person]) -> Sequence[Check]:
    """Of a service on the revocation feed, which this process is for a while."""
    with step("Verify tokens here, and log people out"):
        renewed = Operations(to, people)
        tokens = []
        for person in itertools.islice(itertools.cycle(people), _TOKENS):
            await renewed.renew(person)
            tokens.append(person.tokens.access_token)
        async with channels.concurrent(running.auth_target, running.tls_dir) as channel, Background() as background:
            verifier = await on_feed(AuthClient(channel, running.service_key), _AUDIENCE, background)
            cost = await local_check.cost(verifier, tokens)
            return [*cost, *await local_check.delay(verifier, to, map(email, range(TRIES)), PASSWORD)]


async def _know_callers(
    running: Stack, to: Operations, conversations: Mapping[str, str], rounds: int
) -> Sequence[Check]:
    with step("Call chat with and without authentication"):
        for person in to.people:
            await to.renew(person)  # tokens that last to the end
        return await chat_check.measure(running, to.people, conversations, rounds)


async def _round(empty: Operation, todo: Sequence[Operation], pids: Mapping[str, int], kept: _Rounds) -> None:
    """Each operation right after an empty handler, so that both find the machine in the same state."""
    for operation in todo:
        nothing, speed = await spend(empty, pids)
        kept.add(empty.name, nothing, nothing, speed)
        micros, speed = await spend(operation, pids)
        if micros < _LEAST_SHARE * nothing:
            raise Failure(f"{operation.name} took no time in process {pids[operation.service]}: another one serves.")
        kept.add(operation.name, micros, nothing, speed)


def _empty(channel: grpc.aio.Channel) -> Operation:
    stub, request = auth_service_pb2_grpc.AuthServiceStub(channel), auth_pb2.VerifyTokenRequest()
    return Operation(name="empty handler", service="empty", call=lambda: stub.VerifyToken(request), count=1_500)


def _operations(to: Operations, conversations: Mapping[str, str]) -> list[Operation]:
    turns = itertools.cycle(to.people)
    profile = account_pb2.GetProfileRequest()

    waiting = list(to.people)

    async def renew() -> None:
        # Nobody refreshes twice at once: a token that comes late would pass for stolen.
        person = waiting.pop()
        await to.renew(person)
        waiting.append(person)

    def places() -> tuple[Person, str]:
        person = next(turns)
        return person, conversations[person.email]

    return [
        Operation(
            name="VerifyToken, warm", service="auth", count=2_000, budget=1.3, call=lambda: to.verify_once(next(turns))
        ),
        Operation(
            name="GetProfile, warm",
            service="auth",
            count=2_000,
            budget=1.3,
            call=lambda: to.clients.accounts.GetProfile(profile, metadata=next(turns).bearer),
        ),
        Operation(name="SendMessage", service="chat", count=1_500, budget=1.5, call=lambda: to.send(*places())),
        Operation(name="ListMessages, 50 rows", service="chat", count=600, budget=3.0, call=lambda: to.page(*places())),
        Operation(name="RefreshToken", service="auth", count=1_000, budget=1.7, call=renew),
        Operation(
            name="LogIn, without its hash",
            service="auth",
            count=128,
            budget=1.5,
            without_hash=True,
            call=lambda: log_in(to.clients, next(turns).email, PASSWORD),
        ),
    ]


def _report(costs: Sequence[Cost], checks: Sequence[Check]) -> None:
    columns = ("Operation", ">µs of CPU a call", ">Ratio to empty", ">Budget", "Verdict", ">Calls a second")
    made = table(f"Processor time of the serving process, {IN_FLIGHT} calls in flight", *columns)
    for cost in costs:
        budget = "" if cost.budget is None else f"≤ {cost.budget:.1f}"
        word = Text("") if cost.budget is None else verdict(cost.good, "kept" if cost.good else "missed")
        row = (f"{cost.micros:,.0f}", f"{cost.ratio:.2f}", budget, word, f"{cost.calls_a_second:,.0f}")
        made.add_row(cost.operation, *row)
    show(made)
    note = (
        "Medians of the rounds. Client, Postgres, Redis and the other service share the machine, and their time is not "
        "counted."
    )
    console.print(Text(note, style="dim"))
    local = table("Tokens verified where they arrive", "Figure", ">Value", ">Budget", "Verdict")
    for check in checks:
        budget = "" if check.budget is None else f"≤ {check.budget:g} {check.unit}"
        word = Text("") if check.budget is None else verdict(check.good, "kept" if check.good else "missed")
        local.add_row(check.name, f"{check.value:.2f} {check.unit}", budget, word)
    show(local)

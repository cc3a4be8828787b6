"""`enumeration`: whether the time of an answer tells if an account exists (ASVS 6.3.8), on the services as they run.

Every kind of account is asked about equally often, in random order, one call at a time; the Mann-Whitney U test
(Annals of Mathematical Statistics 18, 1947) then says how likely times as different as these are among equal kinds.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Annotated, Final

import asyncpg
import grpc
import typer

from protos.auth.v1 import auth_service_pb2, one_time_pb2
from tools import tables
from tools.clients import Clients, clients, run
from tools.folder import Stack
from tools.seed import seed
from tools.seed_rows import email
from tools.stack import stack
from tools.ui import step

_LEAST: Final = 0.01
_MS: Final = 1000
_GRACE: Final = "now() + interval '30 days'"

Ask = Callable[[Clients, str], Awaitable[object]]
Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A call, and the kinds of emails it is asked with; the first kind is what the others are compared with."""

    title: str
    ask: Ask
    kinds: Sequence[str]


async def _log_in(to: Clients, address: str) -> object:
    return await to.auth.LogIn(auth_service_pb2.LogInRequest(email=address, password="not the password"))  # noqa: S106


async def _reset(to: Clients, address: str) -> object:
    return await to.auth.RequestPasswordReset(one_time_pb2.RequestPasswordResetRequest(email=address))


async def _link(to: Clients, address: str) -> object:
    return await to.auth.RequestLogInLink(one_time_pb2.RequestLogInLinkRequest(email=address))


SUBJECTS: Final = (
    Subject(title="log-in", ask=_log_in, kinds=("unknown", "wrong password", "suspended", "deleted", "verified")),
    Subject(title="password reset", ask=_reset, kinds=("unknown", "known", "suspended", "deleted")),
    Subject(title="log-in link", ask=_link, kinds=("unknown", "known", "suspended", "deleted")),
)


def enumeration(
    calls: Annotated[int, typer.Option(help="How often each kind of account is asked about.", min=20)] = 1000,
) -> None:
    """Measure whether the time of an answer tells if an account exists; exit code 1 where it does."""
    with stack(scratch=True) as running:
        seed(running)
        with step("Suspend and delete some of the accounts"):
            asyncio.run(_prepare(running))
        found = [(subject, run(_measure(running, subject, calls))) for subject in SUBJECTS]
    equal = [_report(subject, samples) for subject, samples in found]
    if not all(equal):
        raise typer.Exit(1)


def addresses(kind: str) -> Callable[[int], str]:
    """The emails of a kind by number; two thousand accounts of each kind are kept apart."""
    if kind == "unknown":
        return lambda number: f"nobody-{number}@example.com"
    first = ("wrong password", "suspended", "deleted", "verified", "known").index(kind) * 2_000
    return lambda number: email(first + number)


def likelihood(left: Sequence[float], right: Sequence[float]) -> float:
    """The p-value of the two-sided Mann-Whitney U test, by the normal approximation with ties."""
    both = sorted([(value, 0) for value in left] + [(value, 1) for value in right])
    rank, rank_sum, ties = 0, 0.0, 0
    for _, group in groupby(both, key=lambda pair: pair[0]):
        members = list(group)
        count = len(members)
        rank_sum += (rank + (count + 1) / 2) * sum(1 for _, side in members if side == 0)
        ties += count**3 - count
        rank += count
    m, n = len(left), len(right)
    u = rank_sum - m * (m + 1) / 2
    spread = math.sqrt(m * n / 12 * ((m + n + 1) - ties / ((m + n) * (m + n - 1))))
    return math.erfc(abs(u - m * n / 2) / spread / math.sqrt(2)) if spread else 1.0


async def _prepare(running: Stack) -> None:
    connection = await asyncpg.connect(running.auth_owner_database_url)
    change = "UPDATE users SET {} WHERE email = any($1::text[])"
    try:
        for kind, values in (
            ("suspended", "state = 'SUSPENDED'"),
            ("deleted", f"state = 'DELETED', purge_time = {_GRACE}"),
            ("verified", "email_verify_time = now()"),
        ):
            await connection.execute(change.format(values), [addresses(kind)(number) for number in range(2_000)])
    finally:
        await connection.close()


async def _measure(running: Stack, subject: Subject, calls: int) -> Samples:
    samples: Samples = {kind: [] for kind in subject.kinds}
    async with clients(running) as to:
        with step(f"Ask about {calls * len(subject.kinds):,} emails: {subject.title}"):
            asked = [(kind, number) for kind in subject.kinds for number in range(calls)]
            # Shuffled as a whole: what a call leaves to do then slows the next one of any kind alike.
            random.shuffle(asked)
            for kind, number in asked:
                begin = time.perf_counter()
                with suppress(grpc.aio.AioRpcError):
                    await subject.ask(to, addresses(kind)(number))
                samples[kind].append(time.perf_counter() - begin)
    return samples


def _report(subject: Subject, samples: Samples) -> bool:
    made = tables.table(subject.title, "kind", ">median ms", ">p", "verdict")
    base = samples[subject.kinds[0]]
    equal = True
    for kind, times in samples.items():
        p = likelihood(base, times)
        alike = times is base or p > _LEAST
        equal &= alike
        shown = "" if times is base else f"{p:.3f}"
        made.add_row(kind, f"{median(times) * _MS:.2f}", shown, tables.verdict(alike))
    tables.show(made)
    return equal

"""`history-bench`: a million messages of one user, and what pages and searches cost then, as a caller sees it."""

import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import asyncpg
import typer
from rich.text import Text

from protos.auth.v1 import auth_service_pb2 as auth_pb2
from protos.chat.v1 import conversation_service_pb2 as conversation_pb2
from protos.chat.v1 import message_service_pb2 as message_pb2
from protos.chat.v1 import search_pb2
from shared import clock, ids
from shared.db import Record
from tools.clients import Clients, Person, clients, log_in, run
from tools.folder import Stack
from tools.history_rows import PLANTED, History
from tools.operations import Operations, Samples
from tools.performance import REPORTS
from tools.seed import PASSWORD
from tools.seed_rows import COLUMNS, Row
from tools.settings import ROOT
from tools.stack import stack
from tools.tables import console, show, table, verdict
from tools.ui import step

GOAL_SECONDS: Final = 0.030
EVEN: Final = 1.2
LITTLE: Final = 10_000

_EMAIL: Final = "history@example.com"
_INDEX: Final = ROOT / "chat_service" / "migrations" / "0032_message_search.sql"
_CALLS: Final = 200
_WARM_UP: Final = 20
_PAGE: Final = 50
_BIGGEST_PAGE: Final = 200
_MEASURE: Final = "GetConversation"  # of the machine itself, minutes apart
_QUARTER: Final = 0.25  # of the runs are not slower: what a call costs where nothing else was in its way

_INSERTED: Final = "INSERT INTO conversations (user_id, id, title) VALUES ($1, $2, 'A plan') ON CONFLICT DO NOTHING"
_COUNTED: Final = """
UPDATE conversations SET message_count = $3::bigint, active_depth = $3::bigint, revision = $3::bigint + 1
WHERE user_id = $1 AND id = $2
"""

Call = Callable[[], Awaitable[object]]
Connection: TypeAlias = "asyncpg.Connection[Record]"  # generic in its stub alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured: a time that 95 % of the calls must keep, or a cost beside another one's.

    `slowdown` is how much slower the machine was than when that other one was measured.
    """

    name: str
    samples: Samples
    beside: Samples | None = None
    slowdown: float = 1.0
    judged: bool = True

    @property
    def ratio(self) -> float | None:
        """The cost, as a ratio to the other."""
        return _ratio(self.samples, self.beside) / self.slowdown if self.beside else None

    @property
    def good(self) -> bool:
        """Whether it keeps its target."""
        if not self.judged:
            return True
        return self.samples.quantile(0.95) < GOAL_SECONDS if self.ratio is None else self.ratio <= EVEN


def history(
    messages: Annotated[int, typer.Option(min=2 * LITTLE, help="How many messages the user has.")] = 1_000_000,
) -> None:
    """Measure pages and searches in a history of a million messages; exit code 1 where a target is missed."""
    with stack(scratch=True) as running:
        figures = run(_measure(running, messages))
    _report(figures, messages)
    if not all(figure.good for figure in figures):
        raise typer.Exit(1)


async def _measure(running: Stack, total: int) -> list[Figure]:
    async with clients(running) as to:
        await to.auth.SignUp(auth_pb2.SignUpRequest(email=_EMAIL, password=PASSWORD, display_name="History"))
        person = await log_in(to, _EMAIL, PASSWORD)
        rows = History(
            user_id=UUID(person.user.id),
            session_id=ids.new_id(),
            now=clock.now(),
            total=total,
            random=random.Random(4),  # noqa: S311 (it decides nothing secret)
        )
        await load(running.chat_owner_database_url, rows, LITTLE)
        with step(f"Measure with {LITTLE:,} messages"):
            before = await _constant(_Reader(to=to, person=person, rows=rows))
        await load(running.chat_owner_database_url, rows, total)
        reader = _Reader(to=to, person=await log_in(to, _EMAIL, PASSWORD), rows=rows)
        with step(f"Measure with {total:,} messages"):
            after = await _constant(reader)
            figures = await _pages(reader)
            figures += await _searches(reader)
    slowdown = _ratio(after.pop(_MEASURE), before.pop(_MEASURE))
    even = [
        Figure(name=f"{name}, beside {LITTLE:,}", samples=after[name], beside=before[name], slowdown=slowdown)
        for name in before
    ]
    return [*figures, *even]


async def load(owner_url: str, rows: History, until: int) -> None:
    """Copy messages until there are so many; the index of words is made anew, which is quicker than to fill it."""
    with step(f"Load {until - rows.made:,} messages"):
        async with _connected(owner_url) as first, _connected(owner_url) as second:
            await first.execute("DROP INDEX IF EXISTS chat_messages_search_idx")
            await first.executemany(_INSERTED, [row[:2] for row in rows.conversations()])
            batches = rows.batches(until)
            async with asyncio.TaskGroup() as group:
                for connection in (first, second):
                    group.create_task(_copy(connection, batches))
    with step("Index the words, and VACUUM ANALYZE"):
        async with _connected(owner_url) as connection:
            await connection.execute("SET maintenance_work_mem = '256MB'")
            await connection.execute(_INDEX.read_text())
            await connection.executemany(_COUNTED, [row for row in rows.conversations() if row[2]])
            await connection.execute("VACUUM (ANALYZE)")


async def _copy(connection: Connection, batches: Iterator[list[Row]]) -> None:
    for batch in batches:
        await connection.copy_records_to_table("chat_messages", records=batch, columns=COLUMNS["chat_messages"].split())


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@dataclass(slots=True, kw_only=True)
class _Reader:
    """The calls, by the user of the history."""

    to: Clients
    person: Person
    rows: History

    async def page(self, page_token: str = "", size: int = _PAGE) -> str:
        """A page of the long conversation, the oldest first; the token of the next one."""
        request = message_pb2.ListMessagesRequest(
            conversation_id=str(self.rows.long.id), page_size=size, page_token=page_token
        )
        answer = await self.to.messages.ListMessages(request, metadata=self.person.bearer)
        return str(answer.next_page_token)

    async def get(self) -> None:
        """The conversation itself: one row by its key, which costs the same however many messages there are."""
        request = conversation_pb2.GetConversationRequest(conversation_id=str(self.rows.long.id))
        await self.to.conversations.GetConversation(request, metadata=self.person.bearer)

    async def newest(self) -> None:
        """Its newest page."""
        request = message_pb2.ListMessagesRequest(
            conversation_id=str(self.rows.long.id), page_size=_PAGE, descending=True
        )
        await self.to.messages.ListMessages(request, metadata=self.person.bearer)

    async def send(self) -> None:
        """A message, in a conversation that has no others."""
        await Operations(self.to, [self.person]).send(self.person, str(self.rows.short[-1].id))

    async def search(self, query: str) -> int:
        """The first page of a search, and how many it shows."""
        request = search_pb2.SearchMessagesRequest(query=query, page_size=_PAGE)
        answer = await self.to.messages.SearchMessages(request, metadata=self.person.bearer)
        return len(answer.results)

    async def deep(self, depth: int) -> str:
        """The token of the page that begins behind so many messages."""
        token = ""
        for _ in range(depth // _BIGGEST_PAGE):
            token = await self.page(token, _BIGGEST_PAGE)
        return token


async def _constant(reader: _Reader) -> dict[str, Samples]:
    """Calls whose cost the length of the history must not change."""
    calls: dict[str, Call] = {
        "SendMessage": reader.send,
        "ListMessages, the newest 50": reader.newest,
        "ListMessages, the oldest 50": reader.page,
        _MEASURE: reader.get,
    }
    return dict(zip(calls, await _in_turn(list(calls.values())), strict=True))


async def _pages(reader: _Reader) -> list[Figure]:
    depth = reader.rows.long.length * 5 // 6 // _BIGGEST_PAGE * _BIGGEST_PAGE
    token = await reader.deep(depth)
    newest, first, deep = await _in_turn([reader.newest, reader.page, lambda: reader.page(token)])
    return [
        Figure(name="First page, the newest 50", samples=newest),
        Figure(name="First page, the oldest 50", samples=first),
        Figure(name=f"Page at depth {depth:,}", samples=deep),
        Figure(name=f"Page at depth {depth:,}, beside the first", samples=deep, beside=first),
    ]


async def _searches(reader: _Reader) -> list[Figure]:
    """Words of each kind in turn; then what has no target, for comparison."""
    questions = {f"Search, {kind} words": _words(kind) for kind in ("rare", "middling", "frequent")}
    told = {
        "Search, two words": [
            f"{one} {other}" for one, other in zip(_words("frequent"), _words("middling"), strict=False)
        ],
        "Search, a phrase": [f'"{one} {other}"' for one, other in itertools.pairwise(_words("frequent"))],
        "Search, beginnings of words": ["freq*", "midd*", "rare*"],
    }
    turns = [itertools.cycle(queries) for queries in (*questions.values(), *told.values())]
    samples = await _in_turn([partial(_next_search, reader, turn) for turn in turns])
    return [
        Figure(name=name, samples=sample, judged=name in questions)
        for name, sample in zip((*questions, *told), samples, strict=True)
    ]


async def _next_search(reader: _Reader, queries: Iterator[str]) -> None:
    await reader.search(next(queries))


def _words(kind: str) -> list[str]:
    return [f"{kind}{number}" for number in range(PLANTED[kind][0])]


async def _in_turn(calls: Sequence[Call]) -> list[Samples]:
    """Each call many times, by turns, so that all find the machine in the same state."""
    seconds: list[list[float]] = [[] for _ in calls]
    for nth in range(_WARM_UP + _CALLS):
        for call, kept in zip(calls, seconds, strict=True):
            begin = time.perf_counter()
            await call()
            if nth >= _WARM_UP:
                kept.append(time.perf_counter() - begin)
    return [Samples(seconds=kept) for kept in seconds]


def _ratio(one: Samples, other: Samples) -> float:
    return one.quantile(_QUARTER) / other.quantile(_QUARTER)


def _report(figures: Sequence[Figure], messages: int) -> None:
    title = f"A history of {messages:,} messages of one user, over gRPC, one call at a time"
    made = table(title, "Operation", ">Median", ">p95", ">Ratio", ">Target", "Verdict")
    for figure in figures:
        target = f"p95 < {1000 * GOAL_SECONDS:.0f} ms" if figure.beside is None else f"≤ {EVEN}"
        made.add_row(
            figure.name,
            f"{1000 * figure.samples.median:.1f} ms",
            f"{1000 * figure.samples.quantile(0.95):.1f} ms",
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            target if figure.judged else "",
            verdict(figure.good, "kept" if figure.good else "missed") if figure.judged else Text(""),
        )
    show(made)
    note = (
        "Ratios compare the quicker quarters of the calls, which other work delays least; those beside a "
        f"short history are made even by {_MEASURE}, which tells how busy the machine was at either time."
    )
    console.print(Text(note, style="dim"))
    REPORTS.mkdir(exist_ok=True)
    written = REPORTS / "history.json"
    written.write_text(
        json.dumps({"messages": messages, "figures": [_told(figure) for figure in figures]}, indent=2) + "\n"
    )
    console.print(f"Written: {written}", soft_wrap=True)


def _told(figure: Figure) -> dict[str, object]:
    quantiles = {
        f"p{100 * share:.0f}_ms": round(1000 * figure.samples.quantile(share), 3) for share in (0.5, 0.95, 0.99)
    }
    return {"name": figure.name, **quantiles, "ratio": figure.ratio, "judged": figure.judged, "good": figure.good}

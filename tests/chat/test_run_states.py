"""Every cell of the table of states in docs/generation.md, walked against Postgres (F19, F20)."""

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import pytest

from chat_service import endings
from chat_service.models import InteractionError, InteractionState, NewConversation
from chat_service.run_models import BusyPolicy, Lapsed, Lease, NewRun, Outcome, Progress, Run
from chat_service.store import ai_interactions, conversations, runs
from shared import ids
from shared.background import Background
from shared.db import Database
from tests.chattest import chat_config
from tests.servers import ROOT, fetch

COMPLETED, FAILED, CANCELLED, INTERRUPTED = list(InteractionState)[2:]
TEXT = Progress(text="Moss grows.", chunk_ends=(4, 11))
LEASE = timedelta(seconds=8)


def table():
    lines = re.findall(r"^\| (.+) \|$", (ROOT / "docs" / "generation.md").read_text(), re.MULTILINE)
    begin = next(number for number, line in enumerate(lines) if line.startswith("state | "))
    events = lines[begin].split(" | ")[1:]
    for line in lines[begin + 1 :]:
        state, *outcomes = line.split(" | ")
        if len(outcomes) != len(events):
            break
        for event, outcome in zip(events, outcomes, strict=True):
            yield state, event, state if outcome == "=" else outcome


CELLS = list(table())


@dataclass
class Walk:
    """One run, and the hands that reach for it."""

    database: Database
    owner_url: str
    user_id: UUID
    conversation_id: UUID
    run_id: UUID
    run: Run | None = None

    @property
    def held(self):
        """The run as its worker knows it; before there is one, as somebody would who takes himself for it."""
        return self.run or Run(
            id=self.run_id,
            user_id=self.user_id,
            conversation_id=self.conversation_id,
            session_id=self.user_id,
            model="m",
            branch=1,
            prompt_id=None,
            parameters="{}",
            fence=1,
        )

    async def state(self):
        [row] = await fetch(self.owner_url, "SELECT state, stop FROM ai_interactions WHERE id = $1", self.run_id)
        name = InteractionState(row["state"]).name
        return f"{name}, to be {InteractionState(row['stop']).name}" if name == "RUNNING" and row["stop"] else name

    async def end(self, state, **fields):
        return await endings.end(self.database, self.held, Outcome(state=state, progress=TEXT, **fields))

    async def its_turn_comes(self):
        async with self.database.transaction() as tx:
            await conversations.lock(tx, self.user_id, self.conversation_id)
            claimed = await runs.claim(
                tx, self.user_id, self.conversation_id, Lease(worker=ids.new_id(), seconds=LEASE)
            )
        if claimed:
            self.run, _ = claimed

    async def the_worker_reports(self):
        await runs.checkpoint(self.database, self.held, TEXT, LEASE)

    async def the_model_ends(self):
        await self.end(COMPLETED)

    async def the_model_fails(self):
        await self.end(FAILED, error=InteractionError(code="x", message=""))

    async def cancel(self):
        async with self.database.transaction() as tx:
            await conversations.lock(tx, self.user_id, self.conversation_id)
            if await runs.cancel_queued(tx, self.user_id, self.conversation_id, self.run_id) is None:
                await runs.ask_to_stop(tx, self.user_id, self.run_id, CANCELLED)

    async def another_run_interrupts(self):
        await runs.ask_to_stop(self.database, self.user_id, self.run_id, INTERRUPTED)

    async def the_worker_obeys(self):
        _, stop = await runs.checkpoint(self.database, self.held, TEXT, LEASE)
        if stop:
            await self.end(stop)

    async def the_process_stops(self):
        await self.end(INTERRUPTED)

    async def the_lease_lapses(self):
        past = "UPDATE ai_interactions SET lease_expire_time = now() - interval '1 s' WHERE state = 2"
        await fetch(self.owner_url, past)
        for lapsed in await runs.list_lapsed(self.database, 10):
            await endings.end_lapsed(self.database, lapsed)

    async def a_worker_that_lost_it_writes(self):
        stale = replace(self.held, fence=self.held.fence + 1)
        assert await runs.checkpoint(self.database, stale, TEXT, LEASE) == (False, None)
        assert await endings.end(self.database, stale, Outcome(state=COMPLETED, progress=TEXT)) is None

    async def happen(self, event):
        await getattr(self, event.replace(" ", "_"))()

    async def rows(self):
        queries = ("ai_interactions", "ai_responses", "chat_messages", "conversations")
        return [await fetch(self.owner_url, f"SELECT * FROM {table} ORDER BY 1, 2") for table in queries]


@pytest.fixture
async def database(chat_database):
    config = chat_config(chat_database, "redis://127.0.0.1", "127.0.0.1:1")
    async with (
        Background() as background,
        Database.connect("walker", chat_database.url, config.pool, background) as database,
    ):
        yield database


@pytest.fixture
async def walk(database, chat_database):
    conversation = NewConversation(
        user_id=ids.new_id(), title="", pinned=False, archived=False, metadata="{}", request_id=None
    )
    await conversations.insert(database, conversation)
    return await accepted(database, chat_database, conversation.user_id, conversation.id)


async def accepted(database, chat_database, user_id, conversation_id, lease=None, policy=BusyPolicy.QUEUE):
    new = NewRun(
        user_id=user_id,
        conversation_id=conversation_id,
        session_id=user_id,
        model="m",
        branch=1,
        prompt_id=None,
        busy_policy=policy,
        parameters="{}",
        request_id=None,
        request_digest=b"",
    )
    await runs.accept(database, new, lease)
    return Walk(database, chat_database.owner_url, user_id, conversation_id, new.id)


WAYS = {
    "QUEUED": [],
    "RUNNING": ["its turn comes"],
    "RUNNING, to be CANCELLED": ["its turn comes", "cancel"],
    "RUNNING, to be INTERRUPTED": ["its turn comes", "another run interrupts"],
    "COMPLETED": ["its turn comes", "the model ends"],
    "FAILED": ["its turn comes", "the model fails"],
    "CANCELLED": ["its turn comes", "cancel", "the worker obeys"],
    "INTERRUPTED": ["its turn comes", "the process stops"],
}


def test_the_table_has_every_state_and_every_event():
    states, events = {state for state, _, _ in CELLS}, {event for _, event, _ in CELLS}
    assert states == WAYS.keys()
    assert {state.partition(",")[0] for state in states} == {state.name for state in InteractionState}
    assert len(CELLS) == len(states) * len(events) == 80


@pytest.mark.parametrize(("state", "event", "outcome"), CELLS)
async def test_a_cell_of_the_table_is_what_happens(walk, state, event, outcome):
    for step in WAYS[state]:
        await walk.happen(step)
    assert await walk.state() == state
    before = await walk.rows()
    await walk.happen(event)
    assert await walk.state() == outcome
    if outcome == state and event not in ("the worker reports", "the worker obeys", "the lease lapses"):
        assert await walk.rows() == before


async def test_what_is_under_way_was_taken_and_what_ended_has_its_message_and_no_text_beside_it(walk, database):
    await walk.happen("its turn comes")
    await walk.happen("the worker reports")
    running = await runs.find(database, walk.user_id, walk.run_id)
    assert (running.text, running.chunk_ends, running.waited, running.started) == (TEXT.text, (4, 11), True, True)
    await walk.happen("the process stops")
    ended = await runs.find(database, walk.user_id, walk.run_id)
    assert (ended.text, ended.chunk_ends) == ("", (4, 11))
    [message] = await fetch(walk.owner_url, "SELECT id, role, parts::text FROM chat_messages")
    assert (message["id"], message["role"], message["parts"]) == (ended.message_id, 3, '[{"text": "Moss grows."}]')
    found = await ai_interactions.find(database, walk.user_id, walk.run_id)
    assert (found.state, found.message_id) == (INTERRUPTED, message["id"])


async def test_one_run_of_a_conversation_is_under_way_even_if_nobody_looks(walk, database, chat_database):
    lease = Lease(worker=ids.new_id(), seconds=LEASE)
    home = (database, chat_database, walk.user_id, walk.conversation_id)
    await walk.happen("its turn comes")
    with pytest.raises(Exception, match="ai_interactions_running_key"):
        await accepted(*home, lease)
    second = await accepted(*home)
    await second.happen("its turn comes")
    assert await second.state() == "QUEUED"
    await walk.happen("the model ends")
    await second.happen("its turn comes")
    assert await second.state() == "RUNNING"


async def test_who_interrupts_is_before_who_waits(walk, database, chat_database):
    home = (database, chat_database, walk.user_id, walk.conversation_id)
    urgent = await accepted(*home, policy=BusyPolicy.INTERRUPT)
    await walk.happen("its turn comes")
    assert (await walk.state(), await urgent.state()) == ("QUEUED", "RUNNING")


async def test_two_who_end_a_lapsed_run_end_it_once(walk, database):
    await walk.happen("its turn comes")
    await walk.happen("the worker reports")
    await fetch(walk.owner_url, "UPDATE ai_interactions SET lease_expire_time = now() - interval '1 s'")
    lapsed: list[Lapsed] = await runs.list_lapsed(database, 10)
    revision = await endings.end_lapsed(database, lapsed[0])
    assert revision is not None
    assert await endings.end_lapsed(database, lapsed[0]) is None
    rows = await fetch(walk.owner_url, "SELECT error_code FROM ai_responses")
    assert [row["error_code"] for row in rows] == ["worker_lost"]


async def test_every_change_of_state_takes_the_next_revision(walk):
    revisions = []
    for event in ("its turn comes", "the model ends"):
        await walk.happen(event)
        [row] = await fetch(
            walk.owner_url, "SELECT c.revision, i.revision AS own FROM ai_interactions i, conversations c"
        )
        assert row["revision"] == row["own"]
        revisions.append(row["own"])
    assert sorted(set(revisions)) == revisions

"""Answers over two processes: followed from the other one, and what becomes of them when the one that writes dies.

PARLEY_CRASHES says how often a process is killed (`make crash-test`: 50); here it is twice.
"""

import asyncio
import os
import signal
import time

import pytest
from redis.asyncio import Redis

from tests.chat.generating import COMPLETED, INTERRUPTED, RUNNING, Heard, hear, hear_events, text
from tests.chattest import texts
from tests.providertest import Hold, Say
from tests.servers import fetch, fresh_database
from tests.system.answering import running_answering

CRASHES = int(os.environ.get("PARLEY_CRASHES", "2"))
WORDS = tuple(f"word{number} " for number in range(1_000))
SPOKEN = ("publish", "subscribe", "unsubscribe")


@pytest.fixture
async def answering(servers):
    async with (
        fresh_database(servers, "chat") as database,
        running_answering(database, servers.redis.url, CHAT_SHUTDOWN_GRACE_SECONDS="0.5") as running,
    ):
        yield running


async def commands(redis_url):
    async with Redis.from_url(redis_url) as redis:
        stats = await redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in SPOKEN)


async def begun(answering, *steps):
    """An answer that the first process has begun."""
    here, _ = answering.people
    answering.provider.answer(*steps)
    conversation = await here.converse()
    stream = here.Generate(conversation_id=conversation.id, parts=text("Where?"))
    return stream, await hear_events(stream, 2)


async def test_an_answer_is_followed_from_another_process_for_few_commands_to_redis(answering, servers):
    """1,000 tokens cost less than 30 commands: hints of a change, and bundles of pieces."""
    before = await commands(servers.redis.url)
    stream, first = await begun(answering, Say(chunks=WORDS, pace=0.005))
    there = answering.people[1]
    elsewhere = there.ResumeInteraction(interaction_id=first.responses[0].interaction.id)
    followed, whole = await asyncio.gather(hear(elsewhere), hear(stream, heard=first))
    assert whole.text == "".join(WORDS)
    assert followed.events == whole.events
    assert await commands(servers.redis.url) - before < 30


async def test_pieces_reach_another_process_before_they_are_stored(answering):
    """What no bundle brings is found in Postgres; either way it comes while the answer is being written."""
    go_on = asyncio.Event()
    stream, first = await begun(answering, Say("Moss "), Hold(go_on), Say("grows."))
    there = answering.people[1]
    elsewhere = there.ResumeInteraction(interaction_id=first.responses[0].interaction.id)
    heard = await hear_events(elsewhere, 2)
    assert (heard.text, heard.states) == ("Moss ", [RUNNING])
    go_on.set()
    followed, whole = await asyncio.gather(hear(elsewhere, heard=heard), hear(stream, heard=first))
    assert followed.events == whole.events
    assert whole.last.state == COMPLETED


@pytest.mark.parametrize("crash", range(CRASHES))
async def test_a_process_that_is_killed_loses_less_than_a_second_and_the_run_ends(answering, crash):
    """F19: terminal within 15 s, and what is stored is a beginning of what was sent."""
    chunks = WORDS[:200]
    stream, heard = await begun(answering, Say(chunks=chunks, pace=0.02))
    sent_at: list[tuple[float, int]] = []
    reading = asyncio.create_task(read(stream, heard, sent_at))
    await asyncio.sleep(1.5 + crash % 10 / 7)
    await answering.processes[0].kill()
    killed = time.monotonic()
    await reading
    assert heard.error is not None
    interaction_id = heard.responses[0].interaction.id
    rest = await hear(
        answering.people[1].ResumeInteraction(interaction_id=interaction_id, cursor=heard.responses[-1].cursor)
    )
    assert time.monotonic() - killed < 15
    assert rest.states == [INTERRUPTED]
    [stored] = texts(rest.messages)
    assert heard.text.startswith(stored)
    assert rest.text == ""
    in_time = max((length for at, length in sent_at if at < killed - 1.0), default=0)
    assert in_time > 0
    assert len(stored) >= in_time


async def read(stream, heard: Heard, sent_at):
    """Read on, and note when how much had come."""
    while heard.error is None:
        so_far = len(heard.responses)
        await hear_one(stream, heard)
        if len(heard.responses) == so_far and heard.error is None:
            return
        sent_at.append((time.monotonic(), len(heard.text)))


async def hear_one(stream, heard: Heard):
    try:
        response = await stream.read()
        heard.responses.append(response)
    except Exception as error:
        heard.error = error


async def test_a_worker_that_was_stopped_and_wakes_up_commits_nothing(answering):
    """F20."""
    go_on = asyncio.Event()
    _, heard = await begun(answering, Say("Moss "), Hold(go_on), Say("grows in the shade."))
    interaction_id = heard.responses[0].interaction.id
    pid = answering.processes[0].pid
    await asyncio.sleep(1)
    os.kill(pid, signal.SIGSTOP)
    try:
        ended = await hear(answering.people[1].ResumeInteraction(interaction_id=interaction_id))
        assert (ended.states, texts(ended.messages)) == ([RUNNING, INTERRUPTED], ["Moss "])
        before = await rows(answering)
        go_on.set()
    finally:
        os.kill(pid, signal.SIGCONT)
    await answering.provider.calls[0].gone.wait()
    again = await hear(answering.people[0].ResumeInteraction(interaction_id=interaction_id))
    assert again.events == ended.events
    assert await rows(answering) == before


async def rows(answering):
    tables = ("ai_interactions", "ai_responses", "chat_messages")
    return [await fetch(answering.database.owner_url, f"SELECT * FROM {table}") for table in tables]


async def test_a_process_that_is_told_to_stop_leaves_its_answer_to_be_read_elsewhere(answering):
    """F18."""
    stream, heard = await begun(answering, Say("Moss "), Hold(asyncio.Event()))
    leaving = asyncio.create_task(hear(stream, heard=heard))
    await asyncio.sleep(0)
    os.kill(answering.processes[0].pid, signal.SIGTERM)
    await leaving
    assert heard.error.code().name == "UNAVAILABLE"
    interaction_id = heard.responses[0].interaction.id
    request = {"interaction_id": interaction_id, "cursor": heard.responses[-1].cursor}
    rest = await hear(answering.people[1].ResumeInteraction(**request))
    assert (rest.states, texts(rest.messages)) == ([INTERRUPTED], ["Moss "])

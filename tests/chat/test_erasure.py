"""What auth has erased goes here too, and what nobody touches where that is set; F28."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from structlog.typing import EventDict

from chat_service import cleanup, erasures
from chat_service.erasures import Erasures
from chat_service.retention import Retention
from shared import ids, metrics
from shared.background import Background
from shared.db import Database
from tests.chat.test_cleanup import TABLES, fill
from tests.chattest import Chat, Person, chat_config, running_chat
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, fetch

LONG_AGO = datetime.now(UTC) - timedelta(days=1)
OWN = "SELECT FROM {} WHERE user_id = $1"
LEFT = """
SELECT t.table_name AS name
FROM information_schema.columns AS t
WHERE t.table_schema = 'public' AND t.column_name = 'user_id' AND t.table_name <> 'erased_users'
"""
# The tables whose rows hang on a conversation, at whatever distance: they go when it does.
HANGING = """
WITH RECURSIVE hanging (oid) AS (
    SELECT 'conversations'::regclass::oid
    UNION
    SELECT c.conrelid FROM pg_constraint AS c JOIN hanging ON c.confrelid = hanging.oid WHERE c.contype = 'f'
)
SELECT oid::regclass::text AS name FROM hanging
"""
# Tables of users whose rows do not: what erases them is named here.
OTHERWISE = {"ai_usage": "ai_usage.delete_erased"}


class Auth:
    """Tells who was erased, as auth does: in order, so many at once."""

    def __init__(self) -> None:
        self.erased: list[tuple[UUID, datetime]] = []

    def erase(self, person: Person, at: datetime = LONG_AGO) -> None:
        self.erased.append((UUID(person.user_id), at + timedelta(microseconds=len(self.erased))))

    async def pull(self, after: datetime | None) -> list[tuple[UUID, datetime]]:
        return [one for one in self.erased if after is None or one[1] > after][:2]


@pytest.fixture
async def database(chat: Chat) -> AsyncIterator[Database]:
    """The pool of another process, as the role that serves."""
    async with (
        Background() as background,
        Database.connect("eraser", chat.database.url, chat.config.pool, background) as database,
    ):
        yield database


async def pass_by(database: Database) -> int:
    return sum([await task.run(database) for task in (*erasures.tasks(), *cleanup.tasks())])


async def left(chat: Chat, person: Person) -> dict[str, int]:
    """How many rows of a user there are, by table."""
    tables = [row["name"] for row in await fetch(chat.database.owner_url, LEFT)]
    return {
        table: (
            await fetch(chat.database.owner_url, f"SELECT count(*) FROM {table} WHERE user_id = $1", person.user_id)
        )[0][0]
        for table in tables
    }


async def test_all_that_is_kept_of_an_erased_user_goes_and_nothing_of_others(
    chat: Chat, ada: Person, bob: Person, database: Database
) -> None:
    for _ in range(3):
        await fill(ada)
    deleted = await fill(ada)
    await ada.DeleteConversation(conversation_id=deleted.id)
    await fill(bob)
    before = await left(chat, bob)
    assert {table for table, count in (await left(chat, ada)).items() if count} >= set(TABLES)
    auth = Auth()
    auth.erase(ada)
    await Erasures(database, auth.pull).learn()
    await pass_by(database)
    await pass_by(database)
    assert set((await left(chat, ada)).values()) == {0}
    assert await left(chat, bob) == before
    assert (await failure(ada.GetConversation(conversation_id=deleted.id))).reason == "CONVERSATION_NOT_FOUND"


async def test_every_table_of_users_is_known_to_erasure(chat: Chat) -> None:
    """A new table hangs on a conversation, or it is said here what erases it."""
    tables = {row["name"] for row in await fetch(chat.database.owner_url, LEFT)}
    hanging = {row["name"] for row in await fetch(chat.database.owner_url, HANGING)}
    assert len(tables) >= len(TABLES)
    assert tables - hanging == set(OTHERWISE)


async def test_the_first_pass_already_hides_everything(chat: Chat, ada: Person, database: Database) -> None:
    conversation = await fill(ada)
    auth = Auth()
    auth.erase(ada)
    await Erasures(database, auth.pull).learn()
    await erasures.tasks()[0].run(database)
    assert (await failure(ada.GetConversation(conversation_id=conversation.id))).reason == "CONVERSATION_NOT_FOUND"
    assert list((await ada.ListConversations(show_deleted=True)).conversations) == []


async def test_nobody_is_missed_across_restarts_and_pages_and_nobody_asked_for_twice(
    chat: Chat, database: Database
) -> None:
    auth = Auth()
    people = [chat.person(f"person {number}") for number in range(5)]
    for person in people[:3]:
        auth.erase(person)
    await Erasures(database, auth.pull).learn()
    asked: list[datetime | None] = []

    async def pull(after: datetime | None) -> list[tuple[UUID, datetime]]:
        asked.append(after)
        return await auth.pull(after)

    for person in people[3:]:
        auth.erase(person)
    await asyncio.gather(*(Erasures(database, pull).learn() for _ in range(4)))
    known = await fetch(chat.database.owner_url, "SELECT user_id, erase_time FROM erased_users ORDER BY erase_time")
    assert [(row["user_id"], row["erase_time"]) for row in known] == auth.erased
    assert min(after for after in asked if after) == auth.erased[2][1]


async def test_a_user_is_done_with_when_nothing_is_left_and_no_token_can_live(
    chat: Chat, ada: Person, bob: Person, database: Database
) -> None:
    auth = Auth()
    auth.erase(ada)
    auth.erase(bob, datetime.now(UTC))
    await Erasures(database, auth.pull).learn()
    for _ in range(2):
        await pass_by(database)
    late = await bob.converse()  # by a token that was good when the call began
    for _ in range(2):
        await pass_by(database)
    assert (await failure(bob.GetConversation(conversation_id=late.id))).reason == "CONVERSATION_NOT_FOUND"
    done = await fetch(chat.database.owner_url, "SELECT user_id FROM erased_users WHERE finish_time IS NOT NULL")
    assert [str(row["user_id"]) for row in done] == [ada.user_id]


async def test_who_is_restored_in_auth_and_erased_again_is_erased_again(
    chat: Chat, ada: Person, database: Database
) -> None:
    auth = Auth()
    auth.erase(ada)
    await Erasures(database, auth.pull).learn()
    await pass_by(database)
    await fill(ada)
    auth.erase(ada, LONG_AGO + timedelta(hours=1))
    await Erasures(database, auth.pull).learn()
    for _ in range(2):
        await pass_by(database)
    assert set((await left(chat, ada)).values()) == {0}


async def test_the_oldest_erasure_that_waits_is_measured(chat: Chat, ada: Person, database: Database) -> None:
    await fill(ada)
    auth = Auth()
    auth.erase(ada)
    learning = Erasures(database, auth.pull)
    await learning.learn()
    assert metrics.erasure_oldest_seconds._value.get() > 86_000
    for _ in range(2):
        await pass_by(database)
    await learning.learn()
    assert metrics.erasure_oldest_seconds._value.get() == 0


async def test_without_a_service_key_it_is_off_and_says_so_once(
    servers: Servers, chat_database: TestDatabase, auth_target: str, logs: list[EventDict]
) -> None:
    async with running_chat(chat_database, chat_config(chat_database, servers.redis.url, auth_target)):
        pass
    assert len([log for log in logs if "accounts that auth erases" in log["event"]]) == 1


UNTOUCHED, UNDELETE = timedelta(days=30), timedelta(days=7)
AGE = "UPDATE conversations SET update_time = now() - interval '31 days' WHERE id::text = any($1)"


async def test_what_nobody_touches_is_deleted_as_a_user_would_and_the_rest_stays(
    chat: Chat, ada: Person, bob: Person, database: Database
) -> None:
    old, touched, fresh, his = await ada.converse(), await ada.converse(), await ada.converse(), await bob.converse()
    await fetch(chat.database.owner_url, AGE, [old.id, touched.id, his.id])
    await ada.say(touched)
    assert await Retention(database, UNTOUCHED, UNDELETE).work() == 2
    for person, conversation in ((ada, old), (bob, his)):
        found = (await person.GetConversation(conversation_id=conversation.id)).conversation
        assert found.purge_time.seconds - found.delete_time.seconds == UNDELETE.total_seconds()
        assert found.revision == 2
    assert {one.id for one in (await ada.ListConversations()).conversations} == {touched.id, fresh.id}
    await ada.UndeleteConversation(conversation_id=old.id)
    assert await Retention(database, UNTOUCHED, UNDELETE).work() == 0


async def test_every_conversation_has_its_turn_however_many_there_are(chat: Chat, database: Database) -> None:
    await fetch(
        chat.database.owner_url,
        """INSERT INTO conversations (user_id, id, update_time)
        SELECT $1, gen_random_uuid(), now() - interval '31 days' FROM generate_series(1, 1700)""",
        ids.new_id(),
    )
    aging = Retention(database, UNTOUCHED, UNDELETE)
    assert [await aging.work(), await aging.work()] == [1700, 0]

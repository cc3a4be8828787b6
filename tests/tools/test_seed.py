"""Made-up rows are as the services would have written them."""

from collections.abc import AsyncIterator

import pytest

from auth_service.passwords import Passwords
from tests.servers import Servers, fetch, fresh_database
from tools import seed
from tools.seed import Amount

LITTLE = Amount(users=60, messages=600)


async def fill(auth, chat) -> list[int]:
    done = [0, 0]

    def advance(place: int):
        def note(count: int) -> None:
            done[place] += count

        return note

    await seed.fill(auth.owner_url, chat.owner_url, LITTLE, (advance(0), advance(1)))
    return done


@pytest.fixture
async def databases(servers: Servers) -> AsyncIterator[tuple]:
    async with fresh_database(servers, "auth") as auth, fresh_database(servers, "chat") as chat:
        yield auth, chat


async def count(url: str, rest: str) -> int:
    return (await fetch(url, f"SELECT count(*) FROM {rest}"))[0][0]


async def test_as_many_are_made_as_were_asked_for_and_a_second_time_others(databases):
    auth, chat = databases
    done = [await fill(auth, chat), await fill(auth, chat)]
    assert [users for users, _ in done] == [60, 60]
    assert await count(auth.owner_url, "users WHERE kind = 'PERSON'") == 120
    assert await count(chat.owner_url, "chat_messages") == sum(messages for _, messages in done) >= 1_200


async def test_every_table_of_both_services_gets_rows(databases):
    auth, chat = databases
    await fill(auth, chat)
    empty = [
        table
        for database, tables in (
            (auth, ("users", "service_accounts", "sessions", "machine_credentials", "user_tokens", "audit_events")),
            (chat, ("conversations", "conversation_sessions", "chat_messages", "components", "component_versions")),
            (chat, ("ai_interactions", "ai_responses")),
        )
        for table in tables
        if not await count(database.owner_url, table)
    ]
    assert empty == []


async def test_positions_have_no_gap_and_agree_with_the_conversation(databases):
    auth, chat = databases
    await fill(auth, chat)
    wrong = """(
        SELECT c.id FROM conversations c LEFT JOIN chat_messages m ON m.user_id = c.user_id AND m.conversation_id = c.id
        GROUP BY c.user_id, c.id
        HAVING count(m.id) <> c.message_count OR max(m.position) <> c.message_count OR max(m.revision) > c.revision
            OR count(DISTINCT m.position) <> c.message_count OR min(m.position) <> 1
    ) wrong"""
    assert await count(chat.owner_url, wrong) == 0


async def test_all_that_is_in_a_conversation_is_of_a_session_of_its_user(databases):
    auth, chat = databases
    await fill(auth, chat)
    sessions = {(row["user_id"], row["id"]) for row in await fetch(auth.owner_url, "SELECT user_id, id FROM sessions")}
    tables = ("conversation_sessions", "chat_messages", "components", "component_versions", "ai_interactions")
    for table in (*tables, "ai_responses"):
        rows = await fetch(chat.owner_url, f"SELECT user_id, session_id FROM {table}")
        assert {(row["user_id"], row["session_id"]) for row in rows} <= sessions, table


async def test_seeded_people_can_log_in_with_the_known_password(databases):
    await fill(*databases)
    rows = await fetch(databases[0].owner_url, "SELECT DISTINCT password_hash FROM users WHERE kind = 'PERSON'")
    passwords = Passwords(1)
    try:
        assert [await passwords.verify(row["password_hash"], seed.PASSWORD, _admit) for row in rows] == [True]
        assert not passwords.outdated(rows[0]["password_hash"])
    finally:
        passwords.close()


async def test_ids_are_in_the_order_of_time(databases):
    auth, chat = databases
    await fill(auth, chat)
    late = "chat_messages a, chat_messages b WHERE a.id < b.id AND a.create_time > b.create_time + interval '1 ms'"
    assert await count(chat.owner_url, late) == 0


async def _admit() -> None:
    """Nothing stands in the way of a verification here."""

"""Realistic rows for measurements and proofs: people and conversations, copied into both databases, then ANALYZE."""

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeAlias

import asyncpg
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from auth_service.passwords import Passwords
from shared import clock
from shared.db import Record
from tools.folder import Stack
from tools.seed_rows import COLUMNS, Conversations, People, SignIn, Tables
from tools.ui import Refusal, console

PASSWORD: Final = "the password of all seeded people"  # noqa: S105 (accounts for measurements)

_PEOPLE_AT_ONCE: Final = 1_000
_MESSAGES_AT_ONCE: Final = 4_000
_MESSAGES_A_WRITER: Final = 200
_SEEDED = "email LIKE 'seed-%@example.com'"
_SIGN_INS: Final = f"""
SELECT user_id, id, create_time FROM sessions
WHERE
    kind = 'SIGN_IN' AND revoke_time IS NULL
    AND user_id IN (SELECT id FROM users WHERE {_SEEDED} ORDER BY id LIMIT $1)
ORDER BY user_id, id
"""  # noqa: S608 (a constant)

Advance = Callable[[int], None]
Connection: TypeAlias = "asyncpg.Connection[Record]"  # generic in its stub alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much there is, or has to be at least."""

    users: int
    messages: int


ENOUGH: Final = Amount(users=10_000, messages=100_000)


def seed(stack: Stack, enough: Amount = ENOUGH) -> Amount:
    """Add what is missing to the databases of a stack, with a progress bar, and say how much there is then."""
    return asyncio.run(_seed(stack.auth_owner_database_url, stack.chat_owner_database_url, enough))


async def fill(auth_url: str, chat_url: str, missing: Amount, advance: tuple[Advance, Advance]) -> None:
    """Add so many users and messages; the functions are told of each part that is done."""
    auth, chat = await asyncpg.connect(auth_url), await asyncpg.connect(chat_url)
    try:
        await fill_auth(auth, missing.users, advance[0])
        people = await writers(auth, max(missing.messages // _MESSAGES_A_WRITER, 1))
        await fill_chat(chat, people, missing.messages, advance[1])
    finally:
        await auth.close()
        await chat.close()


async def fill_auth(connection: Connection, users: int, advance: Advance) -> None:
    """Add so many people with their sessions."""
    passwords = Passwords(1)
    try:
        password_hash = await passwords.hash(PASSWORD)
    finally:
        passwords.close()
    people = People(password_hash=password_hash, now=clock.now(), random=random.Random(1))  # noqa: S311
    begin = await connection.fetchval(f"SELECT count(*) FROM users WHERE {_SEEDED}")  # noqa: S608 (a constant)
    for first in range(begin, begin + users, _PEOPLE_AT_ONCE):
        numbers = range(first, min(first + _PEOPLE_AT_ONCE, begin + users))
        await _copy(connection, people.rows(numbers))
        advance(len(numbers))
    await connection.execute("VACUUM (ANALYZE)")


async def fill_chat(
    connection: Connection, people: Sequence[Sequence[SignIn]], messages: int, advance: Advance
) -> None:
    """Add conversations of these people, with so many messages together."""
    conversations = Conversations(people, clock.now(), random.Random(2))  # noqa: S311
    for tables in conversations.batches(messages, _MESSAGES_AT_ONCE):
        await _copy(connection, tables)
        advance(len(tables["chat_messages"]))
    await connection.execute("VACUUM (ANALYZE)")


async def writers(connection: Connection, count: int) -> list[list[SignIn]]:
    """So many seeded people, each with the sessions that have not ended."""
    rows = await connection.fetch(_SIGN_INS, count)
    sign_ins = [SignIn(user_id=row["user_id"], id=row["id"], create_time=row["create_time"]) for row in rows]
    return [list(group) for _, group in groupby(sign_ins, key=lambda sign_in: sign_in.user_id)]


async def _seed(auth_url: str, chat_url: str, enough: Amount) -> Amount:
    present = await _present(auth_url, chat_url)
    missing = Amount(users=max(enough.users - present.users, 0), messages=max(enough.messages - present.messages, 0))
    if missing.users == missing.messages == 0:
        return present
    if os.environ.get("APP_ENV") == "production":
        raise Refusal("There are too few rows to measure with, and none are made up where APP_ENV is production.")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        users = progress.add_task("Made-up people", total=missing.users)
        messages = progress.add_task("Made-up messages", total=missing.messages)
        advances = (lambda count: progress.advance(users, count), lambda count: progress.advance(messages, count))
        await fill(auth_url, chat_url, missing, advances)
    return await _present(auth_url, chat_url)


async def _present(auth_url: str, chat_url: str) -> Amount:
    users = await _value(auth_url, "SELECT count(*) FROM users")
    return Amount(users=users, messages=await _value(chat_url, "SELECT count(*) FROM chat_messages"))


async def _value(url: str, query: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


async def _copy(connection: Connection, tables: Tables) -> None:
    """Fill the tables, all of them or none."""
    async with connection.transaction():
        for table, columns in COLUMNS.items():
            if tables.get(table):
                await connection.copy_records_to_table(table, records=tables[table], columns=columns.split())

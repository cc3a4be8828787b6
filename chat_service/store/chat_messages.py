"""Messages in Postgres; how appends keep their order stands in `chat_messages.sql`."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final
from uuid import UUID

import asyncpg

from chat_service import parts
from chat_service.errors import ConversationDeleted, ConversationNotFound
from chat_service.models import Message, MessageList, NewMessage, Page, Role
from chat_service.store.pages import MAX_PAGE_BYTES, cut
from shared import sql
from shared.db import Database, Executor, Record
from shared.errors import ServiceError
from shared.sql import Query

queries = sql.load(__file__)

RequestKey = tuple[UUID, UUID, str]
Outcome = Message | ServiceError | None

_ROLES: Final = dict(enumerate((*Role,), 1))
_ENDS: Final = {False: 0, True: 2**63 - 1}
_END_IDS: Final = {False: UUID(int=0), True: UUID(int=2**128 - 1)}
_BRANCH: Final = {False: queries.list_forwards, True: queries.list_backwards}
_ROLE: Final = {False: queries.list_role_forwards, True: queries.list_role_backwards}
_SESSION: Final = {False: queries.list_session_forwards, True: queries.list_session_backwards}
_EVERYWHERE: Final = {False: queries.list_everywhere_forwards, True: queries.list_everywhere_backwards}


class _Repeated(Exception):
    """A request_id was used before."""


async def append(executor: Executor, messages: Sequence[NewMessage]) -> list[Outcome]:
    """Append each to its conversation, or say why not; None stands for a request_id that was used before.

    Of two with one request_id the first is appended and the second is a repeat. A request_id that somebody else uses at
    the same moment is refused by the unique index, for the whole batch; one that was alone in it is a repeat.
    """
    fresh = list({_request(message): message for message in reversed(messages)}.values())[::-1]
    try:
        rows = await executor.fetch_all(queries.append, *_columns(fresh))
    except asyncpg.UniqueViolationError:
        if len(messages) > 1:
            raise
        return [None]
    outcomes = {message.id.int: _outcome(message, row) for message, row in zip(fresh, rows, strict=True)}
    return [outcomes.get(message.id.int) for message in messages]


async def append_all(database: Database, messages: Sequence[NewMessage]) -> list[Message] | None:
    """Append all or none; None where a request_id among them was used before."""
    try:
        async with database.transaction() as tx:
            return [_placed(outcome) for outcome in await append(tx, messages)]
    except (_Repeated, asyncpg.UniqueViolationError):
        return None


async def find_many(executor: Executor, keys: Sequence[tuple[UUID, UUID]]) -> Mapping[tuple[UUID, UUID], Message]:
    """The messages with these users and ids, as far as there are any."""
    rows = await executor.fetch_all(queries.find_many, *zip(*keys, strict=True))
    return {(row["user_id"], row["id"]): _message(row["conversation_id"], row) for row in rows}


async def find_many_by_request_id(executor: Executor, keys: Sequence[RequestKey]) -> Mapping[RequestKey, Message]:
    """The messages that these requests appended, by user, conversation and request_id."""
    rows = await executor.fetch_all(queries.find_many_by_request_id, *zip(*keys, strict=True))
    return {
        (row["user_id"], row["conversation_id"], row["request_id"]): _message(row["conversation_id"], row)
        for row in rows
    }


async def list_page(executor: Executor, asked: MessageList) -> Page[Message] | None:
    """A page of messages; None where there is no such conversation."""
    if asked.conversation_id is None:
        return await _list_everywhere(executor, asked)
    query, filters = _choose(asked)
    after = _ENDS[asked.descending] if asked.after is None else asked.after
    begin = (asked.user_id, asked.conversation_id, asked.branch, after, asked.size + 1, MAX_PAGE_BYTES)
    rows = await executor.fetch_all(query, *begin, *filters)
    if not rows:
        return None
    found = rows if rows[0]["id"] else []
    return cut(found, asked.size, partial(_message, asked.conversation_id), "text_bytes")


async def _list_everywhere(executor: Executor, asked: MessageList) -> Page[Message]:
    after = _END_IDS[asked.descending] if asked.after is None else asked.after
    begin = (asked.user_id, asked.session_id, after, asked.size + 1, MAX_PAGE_BYTES)
    rows = await executor.fetch_all(_EVERYWHERE[asked.descending], *begin, asked.role)
    return cut(rows, asked.size, lambda row: _message(row["conversation_id"], row), "text_bytes")


def _choose(asked: MessageList) -> tuple[Query, tuple[object, ...]]:
    if asked.session_id is not None:
        return _SESSION[asked.descending], (asked.session_id, asked.role)
    if asked.role is not None:
        return _ROLE[asked.descending], (asked.role,)
    return _BRANCH[asked.descending], ()


def _home(message: NewMessage) -> tuple[int, int]:
    """The conversation; numbers, for hashing and comparing a UUID runs through Python."""
    return message.user_id.int, message.conversation_id.int


def _request(message: NewMessage) -> object:
    """What two messages share that are one."""
    return (*_home(message), message.request_id) if message.request_id else message.id.int


def _columns(messages: Sequence[NewMessage]) -> tuple[list[object], ...]:
    homes = {_home(message): message for message in messages}
    order = sorted(homes)
    places = {home: place for place, home in enumerate(order, 1)}
    return (
        [homes[home].user_id for home in order],
        [homes[home].conversation_id for home in order],
        [places[_home(message)] for message in messages],
        [message.id for message in messages],
        [message.session_id for message in messages],
        [message.role for message in messages],
        [parts.dump(message.parts) for message in messages],
        [message.text_bytes for message in messages],
        [message.request_id for message in messages],
    )


def _outcome(message: NewMessage, row: Record) -> Outcome:
    match row["outcome"]:
        case "PLACED":
            return _appended(message, row)
        case "MISSING":
            return ConversationNotFound()
        case "DELETED":
            return ConversationDeleted()
    return None


def _placed(outcome: Outcome) -> Message:
    if outcome is None:
        raise _Repeated
    if isinstance(outcome, ServiceError):
        raise outcome
    return outcome


def _appended(message: NewMessage, row: Record) -> Message:
    return Message(
        id=message.id,
        conversation_id=message.conversation_id,
        session_id=message.session_id,
        position=row["position"],
        branch=row["branch"],
        depth=row["depth"],
        revision=row["revision"],
        role=message.role,
        parts=message.parts,
        create_time=row["create_time"],
    )


def _message(conversation_id: UUID, row: Record) -> Message:
    return Message(
        id=row["id"],
        conversation_id=conversation_id,
        session_id=row["session_id"],
        position=row["position"],
        branch=row["branch"],
        depth=row["depth"],
        revision=row["revision"],
        role=_ROLES[row["role"]],
        parts=parts.load(row["parts"]),
        create_time=row["create_time"],
    )

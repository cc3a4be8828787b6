"""Messages in Postgres; how appends keep their order stands in `chat_messages.sql`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

import asyncpg

from chat_service import parts
from chat_service.errors import ConversationDeleted, ConversationNotFound, MessageNotFound
from chat_service.models import TRUNK, Feedback, FeedbackRating, Message, NewMessage, Role, Siblings
from shared import sql
from shared.db import Database, Executor, Record
from shared.errors import ServiceError

queries = sql.load(__file__)

RequestKey = tuple[UUID, UUID, str]
Outcome = Message | ServiceError | None

_ROLES: Final = dict(enumerate((*Role,), 1))
_RATINGS: Final = dict(enumerate((*FeedbackRating,)))


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
    found = await _of_rows(executor, rows)
    return {(row["user_id"], row["id"]): message for row, message in zip(rows, found, strict=True)}


async def find_many_by_request_id(executor: Executor, keys: Sequence[RequestKey]) -> Mapping[RequestKey, Message]:
    """The messages that these requests appended, by user, conversation and request_id."""
    rows = await executor.fetch_all(queries.find_many_by_request_id, *zip(*keys, strict=True))
    found = await _of_rows(executor, rows)
    return {
        (row["user_id"], row["conversation_id"], row["request_id"]): message
        for row, message in zip(rows, found, strict=True)
    }


async def find(executor: Executor, user_id: UUID, message_id: UUID) -> Message:
    """One message as it is now; raises MessageNotFound."""
    found = (await find_many(executor, [(user_id, message_id)])).get((user_id, message_id))
    if found is None:
        raise MessageNotFound
    return found


async def append_one(executor: Executor, new: NewMessage, branch: int | None = None) -> Message:
    """Append a message to the active branch, or at the end of another; the conversation is locked.

    Nobody may have used the request_id: see to that under the lock.
    """
    row = await executor.fetch_one(
        queries.append_one,
        new.user_id,
        new.conversation_id,
        new.id,
        new.session_id,
        new.role,
        parts.dump(new.parts),
        new.text_bytes,
        new.request_id,
        new.replaces,
        branch,
    )
    if row is None:
        raise ConversationNotFound
    return (await with_siblings(executor, [(new.user_id, _appended(new, row))]))[0]


async def delete(executor: Executor, user_id: UUID, message: Message) -> Message:
    """Leave a tombstone in a message's place, in a conversation that is locked."""
    row = await executor.fetch_one(queries.delete, user_id, message.conversation_id, message.id)
    if row is None:
        raise MessageNotFound
    return replace(message, parts=(), feedback=None, revision=row["revision"], delete_time=row["delete_time"])


async def set_feedback(executor: Executor, user_id: UUID, message: Message, feedback: Feedback | None) -> Message:
    """Write what the user thinks of a message, in a conversation that is locked; None takes it back."""
    said = (feedback.rating, feedback.comment) if feedback else (None, None)
    place = (user_id, message.conversation_id, message.id)
    revision = await executor.fetch_value(queries.set_feedback, *place, *said)
    return replace(message, feedback=feedback, revision=revision)


async def with_siblings(executor: Executor, messages: Sequence[tuple[UUID, Message]]) -> list[Message]:
    """The same messages, each given with its user, with their places among their alternatives."""
    if not messages:
        return []
    homes = {(user_id.int, m.conversation_id.int): (user_id, m.conversation_id) for user_id, m in messages}
    places = {home: place for place, home in enumerate(homes, 1)}
    columns = [(places[user_id.int, m.conversation_id.int], m.branch, m.depth) for user_id, m in messages]
    rows = await executor.fetch_all(
        queries.list_siblings, *zip(*homes.values(), strict=True), *zip(*columns, strict=True)
    )
    branches = {row["nth"]: row["branches"] for row in rows}
    return [
        replace(message, siblings=_siblings(message.branch, branches[nth])) if nth in branches else message
        for nth, (_, message) in enumerate(messages, 1)
    ]


def of_row(conversation_id: UUID, row: Record) -> Message:
    """A message as its row says, without its siblings."""
    rating = row["feedback_rating"]
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
        replaces=row["replaces"],
        delete_time=row["delete_time"],
        feedback=None if rating is None else Feedback(rating=_RATINGS[rating], comment=row["feedback_comment"]),
    )


def _siblings(branch: int, branches: Sequence[int]) -> Siblings:
    place = branches.index(branch)
    return Siblings(
        index=place + 1,
        count=len(branches),
        previous_branch=branches[place - 1] if place else None,
        next_branch=branches[place + 1] if place + 1 < len(branches) else None,
    )


async def _of_rows(executor: Executor, rows: Sequence[Record]) -> list[Message]:
    """The messages of rows that also have their users and how many branches their conversations have."""
    found = [of_row(row["conversation_id"], row) for row in rows]
    places = [place for place, row in enumerate(rows) if row["branch_count"] > TRUNK]
    beside = await with_siblings(executor, [(rows[place]["user_id"], found[place]) for place in places])
    for place, message in zip(places, beside, strict=True):
        found[place] = message
    return found


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
        replaces=message.replaces,
    )

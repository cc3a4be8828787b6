"""Conversations in Postgres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from chat_service.errors import ConversationDeleted, ConversationNotFound
from chat_service.models import Conversation, ConversationChange, ConversationList, NewConversation, Page
from chat_service.store.pages import cut
from shared import sql
from shared.db import Executor, Record

queries = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class Seen:
    """How far one has gone through all conversations, None at their end, and how many were deleted on the way."""

    last: tuple[UUID, UUID] | None
    deleted: int


async def find_many(executor: Executor, keys: Sequence[tuple[UUID, UUID]]) -> Mapping[tuple[UUID, UUID], Conversation]:
    """The conversations with these users and ids, as far as there are any."""
    users, ids = zip(*keys, strict=True)
    rows = await executor.fetch_all(queries.find_many, users, ids)
    return {(row["user_id"], row["id"]): _conversation(row) for row in rows}


async def find(executor: Executor, user_id: UUID, conversation_id: UUID) -> Conversation | None:
    """One conversation as it is now."""
    return (await find_many(executor, [(user_id, conversation_id)])).get((user_id, conversation_id))


async def get(executor: Executor, user_id: UUID, conversation_id: UUID) -> Conversation:
    """One conversation as it is now; raises ConversationNotFound."""
    found = await find(executor, user_id, conversation_id)
    if found is None:
        raise ConversationNotFound
    return found


async def insert(executor: Executor, new: NewConversation) -> Conversation | None:
    """Make one; None where its request_id was used before."""
    row = await executor.fetch_one(
        queries.insert,
        new.user_id,
        new.id,
        new.title,
        new.pinned,
        new.archived,
        new.metadata,
        new.request_id,
        new.request_digest,
        new.model_defaults,
    )
    return _conversation(row) if row else None


async def find_by_request_id(
    executor: Executor, user_id: UUID, request_id: str | None
) -> tuple[Conversation, bytes] | None:
    """The conversation that a request made, and the digest of what the request said."""
    row = await executor.fetch_one(queries.find_by_request_id, user_id, request_id)
    return (_conversation(row), row["request_digest"]) if row else None


async def list_page(executor: Executor, asked: ConversationList) -> Page[Conversation]:
    """A page, the newest first; the rarest of the filters chooses the index."""
    begin = (asked.user_id, asked.after, asked.show_deleted)
    limit = asked.size + 1
    if asked.pinned:
        rows = await executor.fetch_all(queries.list_pinned, *begin, asked.archived, limit)
    elif asked.archived:
        rows = await executor.fetch_all(queries.list_archived, *begin, asked.pinned, limit)
    else:
        rows = await executor.fetch_all(queries.list_any, *begin, asked.pinned, asked.archived, limit)
    return cut(rows, asked.size, _conversation)


async def update(executor: Executor, user_id: UUID, change: ConversationChange) -> Conversation | None:
    """Write new settings; None where there is no such conversation in use, or not at that etag."""
    row = await executor.fetch_one(
        queries.update,
        user_id,
        change.id,
        change.title,
        change.pinned,
        change.archived,
        change.metadata,
        change.etag_revision,
        change.model_defaults,
    )
    return _conversation(row) if row else None


async def delete(executor: Executor, user_id: UUID, conversation_id: UUID, retention: timedelta) -> Conversation | None:
    """Mark as deleted; None where there is none in use."""
    row = await executor.fetch_one(queries.delete, user_id, conversation_id, retention)
    return _conversation(row) if row else None


async def undelete(executor: Executor, user_id: UUID, conversation_id: UUID) -> Conversation | None:
    """Take a deletion back; None where there is none."""
    row = await executor.fetch_one(queries.undelete, user_id, conversation_id)
    return _conversation(row) if row else None


async def check(executor: Executor, user_id: UUID, conversation_id: UUID) -> None:
    """Raise ConversationNotFound where there is no such conversation."""
    if await find(executor, user_id, conversation_id) is None:
        raise ConversationNotFound


async def lock(executor: Executor, user_id: UUID, conversation_id: UUID) -> None:
    """Hold a conversation until the transaction's end, so that what is in it can be changed."""
    deleted = await executor.fetch_value(queries.lock, user_id, conversation_id)
    if deleted is None:
        raise ConversationNotFound
    if deleted:
        raise ConversationDeleted


async def delete_untouched(
    executor: Executor, after: tuple[UUID, UUID], limit: int, untouched: timedelta, retention: timedelta
) -> Seen:
    """Look at the next conversations of all users, and delete those that nobody has touched for so long."""
    row = await executor.fetch_one(queries.delete_untouched, *after, limit, untouched, retention)
    assert row is not None  # noqa: S101 - it is joined to a row that is always there
    return Seen((row["user_id"], row["id"]) if row["id"] else None, row["deleted"])


def _conversation(row: Record) -> Conversation:
    return Conversation(
        id=row["id"],
        title=row["title"],
        pinned=row["pinned"],
        archived=row["archived"],
        metadata=row["metadata"],
        model_defaults=row["model_defaults"],
        active_branch=row["active_branch"],
        message_count=row["message_count"],
        revision=row["revision"],
        etag_revision=row["etag_revision"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        delete_time=row["delete_time"],
        purge_time=row["purge_time"],
    )

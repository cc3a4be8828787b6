"""The links between conversations and sign-ins in Postgres."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from chat_service.errors import ConversationDeleted, ConversationNotFound
from chat_service.models import ConversationSession, ConversationSessionList, Page
from chat_service.store.pages import cut
from shared import sql
from shared.db import Executor, Record

queries = sql.load(__file__)

LinkKey = tuple[UUID, UUID, UUID]


async def mark_read(
    executor: Executor, user_id: UUID, conversation_id: UUID, session_id: UUID, position: int
) -> tuple[ConversationSession, bool] | None:
    """Say how far a sign-in has read, and whether that changed; None where the conversation is not that long."""
    row = await executor.fetch_one(queries.mark_read, user_id, conversation_id, session_id, position)
    if row is None:
        raise ConversationNotFound
    if row["deleted"]:
        raise ConversationDeleted
    return (_link(row), row["changed"]) if row["session_id"] else None


async def find_read_positions(executor: Executor, keys: Sequence[LinkKey]) -> Mapping[LinkKey, int]:
    """How far these users' sessions have read in these conversations, where they have a link."""
    rows = await executor.fetch_all(queries.find_many, *zip(*keys, strict=True))
    return {(row["user_id"], row["conversation_id"], row["session_id"]): row["read_position"] for row in rows}


async def list_page(executor: Executor, asked: ConversationSessionList) -> Page[ConversationSession]:
    """A page of links, the newest first."""
    after = asked.after or (None, None)
    limit = asked.size + 1
    if asked.conversation_id is None:
        rows = await executor.fetch_all(queries.list_by_session, asked.user_id, asked.session_id, *after, limit)
        return cut(rows, asked.size, _link)
    begin = (asked.user_id, asked.conversation_id, *after, limit)
    rows = await executor.fetch_all(queries.list_by_conversation, *begin, asked.session_id)
    if not rows:
        raise ConversationNotFound
    return cut(rows if rows[0]["session_id"] else [], asked.size, _link)


def _link(row: Record) -> ConversationSession:
    return ConversationSession(
        conversation_id=row["conversation_id"],
        session_id=row["session_id"],
        read_position=row["read_position"],
        unread_count=row["message_count"] - row["read_position"],
        revision=row["revision"],
        create_time=row["create_time"],
        update_time=row["update_time"],
    )

"""Components in Postgres."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from uuid import UUID

from chat_service.errors import ComponentNameTaken, ConversationNotFound
from chat_service.models import Component, ComponentChange, ComponentList, NewComponent, Page
from chat_service.store.pages import MAX_PAGE_BYTES, cut
from shared import db, sql
from shared.db import Executor, Record
from shared.sql import Query

queries = sql.load(__file__)


async def find(executor: Executor, user_id: UUID, component_id: UUID) -> Component | None:
    """One component at its current version, also a deleted one."""
    row = await executor.fetch_one(queries.find, user_id, component_id)
    return _component(row) if row else None


async def find_by_name(executor: Executor, user_id: UUID, conversation_id: UUID, name: str) -> Component | None:
    """The component of a conversation that has a name now."""
    row = await executor.fetch_one(queries.find_by_name, user_id, conversation_id, name)
    return _component(row) if row else None


async def find_by_request_id(executor: Executor, new: NewComponent) -> tuple[UUID, bool] | None:
    """The component that a request made, and whether it asked for the same."""
    row = await executor.fetch_one(queries.find_by_request_id, new.user_id, new.conversation_id, new.request_id)
    if row is None:
        return None
    same = (row["name"], row["type"], row["content_hash"]) == (new.name, new.type, _hash(new.content))
    return row["id"], same


async def insert(executor: Executor, new: NewComponent) -> Component:
    """Make one with its first version, in a conversation that is locked; raises ComponentNameTaken."""
    content_hash = _hash(new.content)
    with db.raising(components_name_key=ComponentNameTaken):
        [made] = await executor.fetch_all(
            queries.insert,
            new.user_id,
            new.conversation_id,
            new.id,
            new.session_id,
            new.name,
            new.type,
            new.content,
            len(new.content.encode()),
            content_hash,
            new.request_id,
        )
    return Component(
        id=new.id,
        conversation_id=new.conversation_id,
        session_id=new.session_id,
        name=new.name,
        type=new.type,
        version=1,
        content=new.content,
        content_hash=content_hash,
        revision=made["revision"],
        create_time=made["create_time"],
        update_time=made["create_time"],
        delete_time=None,
    )


async def update(executor: Executor, current: Component, change: ComponentChange) -> Component:
    """Add the version after the current one, in a conversation that is locked."""
    content_hash, version = _hash(change.content), current.version + 1
    [written] = await executor.fetch_all(
        queries.update,
        change.user_id,
        current.conversation_id,
        change.id,
        change.session_id,
        version,
        change.content,
        len(change.content.encode()),
        content_hash,
    )
    return replace(
        current,
        session_id=change.session_id,
        version=version,
        content=change.content,
        content_hash=content_hash,
        revision=written["revision"],
        update_time=written["update_time"],
    )


async def delete(executor: Executor, user_id: UUID, current: Component) -> Component:
    """Mark one as deleted, in a conversation that is locked."""
    [row] = await executor.fetch_all(queries.delete, user_id, current.conversation_id, current.id)
    return replace(current, revision=row["revision"], delete_time=row["delete_time"])


async def list_page(executor: Executor, asked: ComponentList) -> Page[Component]:
    """A page, the newest first."""
    query, home, filters = _choose(asked)
    begin = (asked.user_id, home, asked.after, asked.size + 1, MAX_PAGE_BYTES)
    rows: Sequence[Record] = await executor.fetch_all(query, *begin, *filters)
    if asked.conversation_id is not None:
        if not rows:
            raise ConversationNotFound
        rows = rows if rows[0]["id"] else []
    return cut(rows, asked.size, _component, "content_bytes")


def _hash(content: str) -> bytes:
    return sha256(content.encode()).digest()


def _choose(asked: ComponentList) -> tuple[Query, UUID | None, tuple[object, ...]]:
    if asked.conversation_id is None:
        return queries.list_everywhere, asked.session_id, (asked.type, asked.show_deleted)
    if asked.session_id is not None:
        return queries.list_session, asked.conversation_id, (asked.session_id, asked.type, asked.show_deleted)
    if asked.show_deleted:
        return queries.list_all, asked.conversation_id, (asked.type,)
    if asked.type is not None:
        return queries.list_type, asked.conversation_id, (asked.type,)
    return queries.list_current, asked.conversation_id, ()


def _component(row: Record) -> Component:
    return Component(
        id=row["id"],
        conversation_id=row["conversation_id"],
        session_id=row["session_id"],
        name=row["name"],
        type=row["type"],
        version=row["version"],
        content=row["content"],
        content_hash=row["content_hash"],
        revision=row["revision"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        delete_time=row["delete_time"],
    )

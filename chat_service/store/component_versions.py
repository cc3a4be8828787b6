"""The versions of components in Postgres; `components.py` adds them."""

from uuid import UUID

from chat_service.errors import ComponentNotFound
from chat_service.models import ComponentVersion, ComponentVersionPair, Page
from chat_service.store.pages import MAX_PAGE_BYTES, cut
from shared import sql
from shared.db import Executor, Record

queries = sql.load(__file__)


async def find(executor: Executor, user_id: UUID, component_id: UUID, version: int) -> ComponentVersion | None:
    """One version."""
    row = await executor.fetch_one(queries.find, user_id, component_id, version)
    return _version(row) if row else None


async def find_pair(
    executor: Executor, user_id: UUID, component_id: UUID, former: int, latter: int
) -> ComponentVersionPair | None:
    """Two versions, where 0 is the current one as the latter and the one before as the former; None if one is missing.

    Before the first version there is an empty text, of the number 0.
    """
    row = await executor.fetch_one(queries.find_pair, user_id, component_id, former, latter)
    if row is None:
        raise ComponentNotFound
    former_content = row["former_content"] if row["former"] else ""
    if former_content is None or row["latter_content"] is None:
        return None
    return ComponentVersionPair(
        former=row["former"],
        former_content=former_content,
        latter=row["latter"],
        latter_content=row["latter_content"],
    )


async def list_page(
    executor: Executor, user_id: UUID, component_id: UUID, after: int | None, size: int
) -> Page[ComponentVersion]:
    """A page, the newest first."""
    rows = await executor.fetch_all(queries.list_page, user_id, component_id, after, size + 1, MAX_PAGE_BYTES)
    if not rows:
        raise ComponentNotFound
    return cut(rows if rows[0]["version"] else [], size, _version, "content_bytes")


def _version(row: Record) -> ComponentVersion:
    return ComponentVersion(
        component_id=row["component_id"],
        version=row["version"],
        content=row["content"],
        content_hash=row["content_hash"],
        session_id=row["session_id"],
        create_time=row["create_time"],
    )

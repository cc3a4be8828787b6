"""What has changed in a conversation, in the order of revisions."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from chat_service.models import (
    Change,
    ChangedConversation,
    ChangedConversations,
    ChangeKind,
    Place,
    UserPlace,
)
from shared import sql
from shared.db import Executor, Record

queries = sql.load(__file__)

_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=2**128 - 1)
_KINDS: Final = (
    ChangeKind.MESSAGE,
    ChangeKind.COMPONENT,
    ChangeKind.INTERACTION,
    ChangeKind.CONVERSATION_SESSION,
    ChangeKind.BRANCH,
)


async def find_revisions(executor: Executor, keys: Sequence[tuple[UUID, UUID]]) -> Mapping[tuple[UUID, UUID], int]:
    """The present revisions of the conversations with these users and ids, as far as there are any."""
    rows = await executor.fetch_all(queries.find_revisions, *zip(*keys, strict=True))
    return {(row["user_id"], row["id"]): row["revision"] for row in rows}


async def list_since(
    executor: Executor, user_id: UUID, conversation_id: UUID, after: Place, last: int, size: int
) -> list[Change]:
    """The rows behind a place, up to a revision, so many at most."""
    begin = (user_id, conversation_id, after.revision, *(_bound(kind, after) for kind in _KINDS))
    rows = await executor.fetch_all(queries.list_since, *begin, last, size)
    return [_change(row) for row in rows]


async def list_conversations(
    executor: Executor, places: Sequence[UserPlace], size: int
) -> Mapping[UserPlace, ChangedConversations]:
    """The conversations behind each place, so many at most, and when it was asked."""
    users, times, ids = zip(*((place.user_id, place.time, place.id) for place in places), strict=True)
    found: dict[UserPlace, ChangedConversations] = {}
    for row in await executor.fetch_all(queries.list_conversations, users, times, ids, size):
        page = found.setdefault(places[row["nth"] - 1], ChangedConversations(asked=row["asked"], items=[]))
        if row["id"]:
            page.items.append(
                ChangedConversation(id=row["id"], revision=row["revision"], update_time=row["update_time"])
            )
    return found


def _change(row: Record) -> Change:
    return Change(kind=ChangeKind(row["kind"]), revision=row["revision"], id=row["id"], weight=row["weight"])


def _bound(kind: ChangeKind, after: Place) -> UUID:
    """Behind which id rows of a kind are behind the place, if they are of its revision."""
    if kind == after.kind:
        return after.id
    return _FIRST if kind > after.kind else _LAST

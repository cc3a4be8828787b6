"""Pages of messages in Postgres."""

from collections.abc import Sequence
from functools import partial
from typing import Final
from uuid import UUID

from chat_service.errors import BranchNotFound, ConversationNotFound
from chat_service.models import TRUNK, Message, MessageList, MessagePage, Page
from chat_service.store.chat_messages import of_row, with_siblings
from chat_service.store.pages import MAX_PAGE_BYTES, cut
from shared import sql
from shared.db import Executor, Record
from shared.sql import Query

queries = sql.load(__file__)

_ENDS: Final = {False: 0, True: 2**63 - 1}
_END_IDS: Final = {False: UUID(int=0), True: UUID(int=2**128 - 1)}
_BRANCH: Final = {False: queries.list_forwards, True: queries.list_backwards}
_ROLE: Final = {False: queries.list_role_forwards, True: queries.list_role_backwards}
_SESSION: Final = {False: queries.list_session_forwards, True: queries.list_session_backwards}
_EVERYWHERE: Final = {False: queries.list_everywhere_forwards, True: queries.list_everywhere_backwards}


async def list_page(executor: Executor, asked: MessageList) -> MessagePage:
    """A page of messages; raises ConversationNotFound and BranchNotFound."""
    if asked.conversation_id is None:
        return await _list_everywhere(executor, asked)
    query, filters = _choose(asked)
    after = _ENDS[asked.descending] if asked.after is None else asked.after
    begin = (asked.user_id, asked.conversation_id, asked.branch, after, asked.size + 1, MAX_PAGE_BYTES)
    rows = await executor.fetch_all(query, *begin, *filters)
    if not rows:
        raise ConversationNotFound
    branch: int = rows[0]["path_branch"]
    if branch > rows[0]["branch_count"]:
        raise BranchNotFound
    page = cut(rows if rows[0]["id"] else [], asked.size, partial(of_row, asked.conversation_id), "text_bytes")
    return await _complete(executor, asked, page, rows, branch)


async def _list_everywhere(executor: Executor, asked: MessageList) -> MessagePage:
    after = _END_IDS[asked.descending] if asked.after is None else asked.after
    begin = (asked.user_id, asked.session_id, after, asked.size + 1, MAX_PAGE_BYTES)
    rows = await executor.fetch_all(_EVERYWHERE[asked.descending], *begin, asked.role)
    page = cut(rows, asked.size, lambda row: of_row(row["conversation_id"], row), "text_bytes")
    return await _complete(executor, asked, page, rows, 0)


async def _complete(
    executor: Executor, asked: MessageList, page: Page[Message], rows: Sequence[Record], branch: int
) -> MessagePage:
    """Look for siblings where there can be any: most conversations have the trunk alone."""
    items = page.items
    if any(row["branch_count"] > TRUNK for row in (rows if asked.conversation_id is None else rows[:1])):
        items = await with_siblings(executor, [(asked.user_id, message) for message in items])
    return MessagePage(items=items, more=page.more, branch=branch)


def _choose(asked: MessageList) -> tuple[Query, tuple[object, ...]]:
    if asked.session_id is not None:
        return _SESSION[asked.descending], (asked.session_id, asked.role)
    if asked.role is not None:
        return _ROLE[asked.descending], (asked.role,)
    return _BRANCH[asked.descending], ()

"""Branches of conversations in Postgres; what holds of them, and how, stands in `conversation_branches.sql`."""

from typing import Final
from uuid import UUID

from chat_service.errors import BranchNotFound, ConversationNotFound, TooManyBranches
from chat_service.models import Branch, BranchList, Message, Page
from chat_service.store.pages import cut
from shared import sql
from shared.db import Executor, Record

MAX_BRANCHES: Final = 1_000

queries = sql.load(__file__)


async def fork(executor: Executor, user_id: UUID, session_id: UUID, before: Message) -> int:
    """Make a branch that leaves just before a message, and make it active; the conversation is locked."""
    place = (user_id, before.conversation_id, session_id, before.branch, before.depth - 1)
    branch: int | None = await executor.fetch_value(queries.fork, *place, MAX_BRANCHES)
    if branch is None:
        raise TooManyBranches
    return branch


async def activate(executor: Executor, user_id: UUID, conversation_id: UUID, branch: int) -> None:
    """Make a branch active, in a conversation that is locked; raises BranchNotFound."""
    if await executor.fetch_value(queries.activate, user_id, conversation_id, branch) is None:
        raise BranchNotFound


async def list_page(executor: Executor, asked: BranchList) -> Page[Branch]:
    """A page of a conversation's branches, the trunk first."""
    begin = (asked.user_id, asked.conversation_id, asked.after, asked.size + 1)
    rows = await executor.fetch_all(queries.list, *begin)
    if not rows:
        raise ConversationNotFound
    return cut(rows if rows[0]["branch"] else [], asked.size, lambda row: _branch(asked.conversation_id, row))


def _branch(conversation_id: UUID, row: Record) -> Branch:
    return Branch(
        conversation_id=conversation_id,
        branch=row["branch"],
        parent=row["parent"],
        fork_depth=row["fork_depth"],
        leaf_depth=row["leaf_depth"],
        active=row["branch"] == row["active_branch"],
        session_id=row["session_id"],
        revision=row["revision"],
        create_time=row["create_time"],
    )

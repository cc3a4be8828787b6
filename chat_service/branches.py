"""The rules of branches: other ways in which a conversation goes on."""

from uuid import UUID

from chat_service.errors import MessageDeleted
from chat_service.hints import Hints
from chat_service.models import Branch, BranchList, Conversation, Message, MessageEdit, NewMessage, Page
from chat_service.store import chat_messages, conversations
from chat_service.store import conversation_branches as store
from shared.db import Database, Executor
from shared.errors import RequestIdReused


class Branches:
    """Edits messages, which makes branches, and shows and switches branches."""

    def __init__(self, database: Database, hints: Hints) -> None:
        """Keep the branches in this database."""
        self._database, self._hints = database, hints

    async def edit(self, edit: MessageEdit) -> Message:
        """Write other parts in a message's place, on a branch of their own that is active from now on.

        The message stays. A repeat of the request gets the message that the first wrote.
        """
        edited = await chat_messages.find(self._database, edit.user_id, edit.message_id)
        first = await _first_answer(self._database, edit, edited.conversation_id)
        if first is not None:
            return first
        async with self._database.transaction() as tx:
            await conversations.lock(tx, edit.user_id, edited.conversation_id)
            first = await _first_answer(tx, edit, edited.conversation_id)
            if first is not None:
                return first
            written = await _edit(tx, edit)
        self._hints.changed(edit.user_id, written.conversation_id, written.revision)
        return written

    async def switch(self, user_id: UUID, conversation_id: UUID, branch: int) -> Conversation:
        """Let new messages go to a branch; where they do already nothing changes."""
        async with self._database.transaction() as tx:
            await conversations.lock(tx, user_id, conversation_id)
            await store.activate(tx, user_id, conversation_id, branch)
            switched = await conversations.get(tx, user_id, conversation_id)
        self._hints.changed(user_id, conversation_id, switched.revision)
        return switched

    async def list(self, asked: BranchList) -> Page[Branch]:
        """A page of a conversation's branches, the trunk first."""
        return await store.list_page(self._database, asked)


async def _edit(tx: Executor, edit: MessageEdit) -> Message:
    edited = await chat_messages.find(tx, edit.user_id, edit.message_id)
    if edited.delete_time is not None:
        raise MessageDeleted
    branch = await store.fork(tx, edit.user_id, edit.session_id, edited)
    new = NewMessage(
        user_id=edit.user_id,
        conversation_id=edited.conversation_id,
        session_id=edit.session_id,
        role=edited.role,
        parts=edit.parts,
        text_bytes=edit.text_bytes,
        request_id=edit.request_id,
        replaces=edited.id,
    )
    return await chat_messages.append_one(tx, new, branch)


async def _first_answer(executor: Executor, edit: MessageEdit, conversation_id: UUID) -> Message | None:
    if edit.request_id is None:
        return None
    key = (edit.user_id, conversation_id, edit.request_id)
    first = (await chat_messages.find_many_by_request_id(executor, [key])).get(key)
    if first is not None and not (first.replaces == edit.message_id and first.says(edit.parts)):
        raise RequestIdReused
    return first

"""The rules of messages."""

from collections.abc import Sequence
from uuid import UUID

from chat_service.errors import MessageDeleted, MessageNotFound
from chat_service.hints import Hints
from chat_service.models import Feedback, Message, MessageList, MessagePage, NewMessage
from chat_service.store import chat_messages as store
from chat_service.store import conversations, message_pages
from chat_service.store.chat_messages import RequestKey
from shared.batch import GroupCommit, PointReads
from shared.db import Database
from shared.errors import RequestIdReused

# A message as long as this is a transaction of its own: beside it, a group would wait for what it does not need.
_LONG_BYTES = 64 * 1024


class Messages:
    """Appends and shows messages."""

    def __init__(self, database: Database, hints: Hints) -> None:
        """Messages that come at the same time are committed together."""
        self._database, self._hints = database, hints
        self._appends: GroupCommit[NewMessage, Message | None] = GroupCommit(
            "append", lambda messages: store.append(database, messages)
        )
        self._reads: PointReads[tuple[UUID, UUID], Message] = PointReads(
            "messages", lambda keys: store.find_many(database, keys)
        )
        self._repeats: PointReads[RequestKey, Message] = PointReads(
            "message repeats", lambda keys: store.find_many_by_request_id(database, keys)
        )

    async def send(self, new: NewMessage) -> Message:
        """Append a message; a repeat of the request gets the message that the first appended."""
        if new.text_bytes < _LONG_BYTES:
            appended = await self._appends.submit(new)
            if appended is None:
                return await self._first_answer(new)
            self._hints.changed(new.user_id, new.conversation_id, appended.revision)
            return appended
        return (await self.send_batch([new]))[0]

    async def send_batch(self, messages: Sequence[NewMessage]) -> list[Message]:
        """Append messages to one conversation, next to each other, all or none; a repeat must be one of them all."""
        appended = await store.append_all(self._database, messages)
        if not appended:
            return [await self._first_answer(message) for message in messages]
        self._hints.changed(messages[-1].user_id, appended[-1].conversation_id, appended[-1].revision)
        return appended

    async def get(self, user_id: UUID, message_id: UUID) -> Message:
        """One message, also a deleted one."""
        found = await self._reads.get((user_id, message_id))
        if found is None:
            raise MessageNotFound
        return found

    async def list(self, asked: MessageList) -> MessagePage:
        """A page of a conversation's branch, or of what one session wrote."""
        return await message_pages.list_page(self._database, asked)

    async def delete(self, user_id: UUID, message_id: UUID) -> Message:
        """Leave a tombstone in a message's place; one that is deleted stays as it is."""
        found = await self.get(user_id, message_id)
        if found.delete_time is not None:
            return found
        async with self._database.transaction() as tx:
            await conversations.lock(tx, user_id, found.conversation_id)
            found = await store.find(tx, user_id, message_id)
            if found.delete_time is not None:
                return found
            deleted = await store.delete(tx, user_id, found)
        return self._tell(user_id, deleted)

    async def set_feedback(self, user_id: UUID, message_id: UUID, feedback: Feedback | None) -> Message:
        """Say what the user thinks of a message, or nothing; the same as before changes nothing."""
        found = await self.get(user_id, message_id)
        async with self._database.transaction() as tx:
            await conversations.lock(tx, user_id, found.conversation_id)
            found = await store.find(tx, user_id, message_id)
            if found.delete_time is not None:
                raise MessageDeleted
            if found.feedback == feedback:
                return found
            rated = await store.set_feedback(tx, user_id, found, feedback)
        return self._tell(user_id, rated)

    def _tell(self, user_id: UUID, changed: Message) -> Message:
        self._hints.changed(user_id, changed.conversation_id, changed.revision)
        return changed

    async def _first_answer(self, new: NewMessage) -> Message:
        first = await self._repeats.get((new.user_id, new.conversation_id, new.request_id)) if new.request_id else None
        if first is None or first.replaces is not None or first.role is not new.role or not first.says(new.parts):
            raise RequestIdReused
        return first

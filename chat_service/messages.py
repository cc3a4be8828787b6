"""The rules of messages."""

from collections.abc import Sequence
from uuid import UUID

from chat_service.errors import ConversationNotFound, MessageNotFound
from chat_service.hints import Hints
from chat_service.models import TRUNK, Message, MessageList, NewMessage, Page
from chat_service.store import chat_messages as store
from chat_service.store.chat_messages import RequestKey
from shared.batch import GroupCommit, PointReads
from shared.db import Database
from shared.errors import FieldViolation, InvalidFields, RequestIdReused

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
        """One message."""
        found = await self._reads.get((user_id, message_id))
        if found is None:
            raise MessageNotFound
        return found

    async def list(self, asked: MessageList) -> Page[Message]:
        """A page of a conversation's branch, or of what one session wrote."""
        page = await store.list_page(self._database, asked)
        if page is None:
            raise ConversationNotFound
        if asked.branch > TRUNK:
            raise InvalidFields([FieldViolation("branch", "is not one of the conversation's branches")])
        return page

    async def _first_answer(self, new: NewMessage) -> Message:
        first = await self._repeats.get((new.user_id, new.conversation_id, new.request_id)) if new.request_id else None
        if first is None or (first.role, first.parts) != (new.role, new.parts):
            raise RequestIdReused
        return first

"""The rules of conversations."""

import asyncio
from datetime import timedelta
from uuid import UUID

from chat_service.errors import ConversationDeleted, ConversationNotFound
from chat_service.hints import Hints
from chat_service.models import (
    Conversation,
    ConversationChange,
    ConversationList,
    NewConversation,
    Page,
    SeenConversation,
)
from chat_service.store import conversation_sessions
from chat_service.store import conversations as store
from chat_service.store.conversation_sessions import LinkKey
from shared.batch import PointReads
from shared.calls import Principal
from shared.db import Database
from shared.errors import Conflict, EtagMismatch, RequestIdReused


class Conversations:
    """Makes, shows, changes, deletes and undeletes conversations."""

    def __init__(self, database: Database, hints: Hints, retention: timedelta) -> None:
        """`retention` is how long a deleted conversation can be undeleted."""
        self._database, self._hints, self._retention = database, hints, retention
        self._reads: PointReads[tuple[UUID, UUID], Conversation] = PointReads(
            "conversations", lambda keys: store.find_many(database, keys)
        )
        self._marks: PointReads[LinkKey, int] = PointReads(
            "read marks", lambda keys: conversation_sessions.find_read_positions(database, keys)
        )

    async def create(self, new: NewConversation) -> Conversation:
        """Make one; a repeat of the request gets the one that the first made, as it is now."""
        created = await store.insert(self._database, new)
        if created is not None:
            return self._tell(new.user_id, created)
        first = await store.find_by_request_id(self._database, new.user_id, new.request_id)
        if first is None:
            raise Conflict  # it has just been purged: the next attempt makes a new one
        conversation, digest = first
        if digest != new.request_digest:
            raise RequestIdReused
        return conversation

    async def get(self, user_id: UUID, conversation_id: UUID) -> Conversation:
        """One, also a deleted one."""
        found = await self._reads.get((user_id, conversation_id))
        if found is None:
            raise ConversationNotFound
        return found

    async def show(self, principal: Principal, conversation_id: UUID) -> SeenConversation:
        """One as the caller's session sees it, also a deleted one."""
        place = (principal.user_id, conversation_id, principal.session_id)
        found, read = await asyncio.gather(self.get(principal.user_id, conversation_id), self._marks.get(place))
        return SeenConversation(conversation=found, unread_count=found.message_count - (read or 0))

    async def list(self, asked: ConversationList, session_id: UUID) -> Page[SeenConversation]:
        """A page as a session sees it, the newest first."""
        page = await store.list_page(self._database, asked)
        places = [(asked.user_id, found.id, session_id) for found in page.items]
        read = await conversation_sessions.find_read_positions(self._database, places) if places else {}
        items = [
            SeenConversation(conversation=found, unread_count=found.message_count - read.get(place, 0))
            for found, place in zip(page.items, places, strict=True)
        ]
        return Page(items=items, more=page.more)

    async def update(self, user_id: UUID, change: ConversationChange) -> Conversation:
        """Write new settings, if the conversation is in use and still at the etag, where one is given."""
        if not change.empty:
            changed = await store.update(self._database, user_id, change)
            if changed is not None:
                return self._tell(user_id, changed)
        found = await self.get(user_id, change.id)
        if found.delete_time is not None:
            raise ConversationDeleted
        if not change.empty or change.etag_revision not in (None, found.etag_revision):
            raise EtagMismatch
        return found

    async def delete(self, user_id: UUID, conversation_id: UUID) -> Conversation:
        """Delete one so that it can be undeleted for a while; one that is deleted stays as it is."""
        deleted = await store.delete(self._database, user_id, conversation_id, self._retention)
        return self._tell(user_id, deleted) if deleted else await self.get(user_id, conversation_id)

    async def undelete(self, user_id: UUID, conversation_id: UUID) -> Conversation:
        """Take a deletion back; one that is not deleted stays as it is."""
        undeleted = await store.undelete(self._database, user_id, conversation_id)
        return self._tell(user_id, undeleted) if undeleted else await self.get(user_id, conversation_id)

    def _tell(self, user_id: UUID, changed: Conversation) -> Conversation:
        self._hints.changed(user_id, changed.id, changed.revision)
        return changed

"""The rules of the links between conversations and sign-ins: who took part where, and how far they have read."""

from uuid import UUID

from chat_service.models import ConversationSession, ConversationSessionList, Page
from chat_service.store import conversation_sessions as store
from shared.calls import Principal
from shared.db import Database
from shared.errors import FieldViolation, InvalidFields


class ConversationSessions:
    """Shows the links, and moves them forwards."""

    def __init__(self, database: Database) -> None:
        """Keep the links in this database."""
        self._database = database

    async def mark_read(self, principal: Principal, conversation_id: UUID, position: int) -> ConversationSession:
        """Say that the caller's session has read up to a position; an earlier one than before changes nothing."""
        link = await store.mark_read(self._database, principal.user_id, conversation_id, principal.session_id, position)
        if link is None:
            raise InvalidFields([FieldViolation("position", "must not be beyond the conversation's message_count")])
        return link

    async def list(self, asked: ConversationSessionList) -> Page[ConversationSession]:
        """A page of links, the newest first."""
        return await store.list_page(self._database, asked)

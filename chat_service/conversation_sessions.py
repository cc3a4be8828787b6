"""The rules of the links between conversations and sign-ins: who took part where, and how far they have read."""

from uuid import UUID

from chat_service.hints import Hints
from chat_service.models import ConversationSession, ConversationSessionList, Page
from chat_service.store import conversation_sessions as store
from shared.calls import Principal
from shared.db import Database
from shared.errors import FieldViolation, InvalidFields


class ConversationSessions:
    """Shows the links, and moves them forwards."""

    def __init__(self, database: Database, hints: Hints) -> None:
        """Keep the links in this database."""
        self._database, self._hints = database, hints

    async def mark_read(self, principal: Principal, conversation_id: UUID, position: int) -> ConversationSession:
        """Say that the caller's session has read up to a position; an earlier one than before changes nothing."""
        user_id, session_id = principal.user_id, principal.session_id
        marked = await store.mark_read(self._database, user_id, conversation_id, session_id, position)
        if marked is None:
            raise InvalidFields([FieldViolation("position", "must not be beyond the conversation's message_count")])
        link, changed = marked
        if changed:
            self._hints.changed(user_id, conversation_id, link.revision)
        return link

    async def list(self, asked: ConversationSessionList) -> Page[ConversationSession]:
        """A page of links, the newest first."""
        return await store.list_page(self._database, asked)

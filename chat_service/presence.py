"""Who is typing: told at once to who watches the conversation, never stored, and lost where nobody hears it."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final
from uuid import UUID

from chat_service.conversations import Conversations
from chat_service.live import Live
from chat_service.models import Typing
from shared import clock, metrics
from shared.calls import Principal
from shared.errors import RateLimited

MOST: Final = 20
WINDOW_SECONDS: Final = 10
_ID_BYTES: Final = 16


class Presence:
    """Tells of typing, and lets others hear of it."""

    def __init__(self, conversations: Conversations, live: Live) -> None:
        """Tell over these channels, one for each conversation."""
        self._conversations, self._live = conversations, live
        self._window, self._counts = 0, Counter[UUID]()

    async def set_typing(self, principal: Principal, conversation_id: UUID, *, active: bool) -> None:
        """Tell that a session is typing, or no more; raises ConversationNotFound, and RateLimited here alone."""
        self._take(principal.session_id)
        await self._conversations.get(principal.user_id, conversation_id)
        self._live.publish(_channel(conversation_id), principal.session_id.bytes + bytes([active]))

    @contextlib.contextmanager
    def watching(self, conversation_id: UUID, hear: Callable[[Typing], None]) -> Iterator[None]:
        """Call `hear` with what is told of a conversation."""

        def take(payload: bytes | None) -> None:
            if payload is not None and len(payload) == _ID_BYTES + 1:
                hear(Typing(session_id=UUID(bytes=payload[:_ID_BYTES]), active=payload[_ID_BYTES] == 1))

        with self._live.listening(_channel(conversation_id), take):
            yield

    def _take(self, session_id: UUID) -> None:
        now = clock.monotonic()
        if (window := int(now // WINDOW_SECONDS)) != self._window:
            self._window, self._counts = window, Counter()
        self._counts[session_id] += 1
        if self._counts[session_id] > MOST:
            metrics.rate_limited.labels("typing").inc()
            raise RateLimited(limit="typing", retry_after=WINDOW_SECONDS - now % WINDOW_SECONDS)


def _channel(conversation_id: UUID) -> str:
    return f"typing:{conversation_id}"

"""That a conversation has changed, told to whoever watches its user: so that they need not wait for the next poll.

A hint may be lost, and says nothing but where to look.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final, NamedTuple
from uuid import UUID

from chat_service.live import Live

_HINT: Final = Struct(">16sq")
_MOST_IN_MESSAGE: Final = 100


class Hint(NamedTuple):
    """A conversation, and the revision that it has reached."""

    conversation_id: UUID
    revision: int


class Hints:
    """Tells of changes, and lets others hear of them."""

    def __init__(self, live: Live) -> None:
        """Tell over these channels, one for each user."""
        self._live = live
        self._changed: dict[UUID, dict[UUID, int]] = {}

    def changed(self, user_id: UUID, conversation_id: UUID, revision: int) -> None:
        """Tell that a change has been committed; of all in one turn of the event loop the watchers hear at its end."""
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._tell)
        of_user = self._changed.setdefault(user_id, {})
        of_user[conversation_id] = max(revision, of_user.get(conversation_id, 0))

    @contextlib.contextmanager
    def watching(self, user_id: UUID, hear: Callable[[Hint | None], None]) -> Iterator[None]:
        """Call `hear` with each change of the user's conversations, or with None where some may have been missed."""

        def take(payload: bytes | None) -> None:
            for change in (None,) if payload is None else _read(payload):
                hear(change)

        with self._live.listening(_channel(user_id), take):
            yield

    def _tell(self) -> None:
        changed, self._changed = self._changed, {}
        for user_id, conversations in changed.items():
            packed = [_HINT.pack(home.bytes, revision) for home, revision in conversations.items()]
            for begin in range(0, len(packed), _MOST_IN_MESSAGE):
                self._live.publish(_channel(user_id), b"".join(packed[begin : begin + _MOST_IN_MESSAGE]))


def _channel(user_id: UUID) -> str:
    return f"user:{user_id}"


def _read(payload: bytes) -> Iterator[Hint]:
    """What another replica says; of a message that it cannot have meant, nothing."""
    if len(payload) % _HINT.size:
        return
    for home, revision in _HINT.iter_unpack(payload):
        yield Hint(UUID(bytes=home), revision)

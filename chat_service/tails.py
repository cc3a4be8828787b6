"""The text of an answer that is being written, for who watches its conversation: what has come, whenever they look.

Nobody waits here and nothing is kept for anybody: a watcher knows how many pieces it has sent on, and takes the rest.
The pieces are those that ResumeInteraction tells, of this process from memory and of another by way of the relay, or
from Postgres where the relay is silent.
"""

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from uuid import UUID

from chat_service.live_answers import LiveAnswer, LiveAnswers
from chat_service.relay import Relay, Remote
from chat_service.store import runs
from chat_service.streams import Stream
from shared.db import Database


class Tails:
    """Finds what is being written, and reads it."""

    def __init__(self, database: Database, live: LiveAnswers, relay: Relay) -> None:
        """What this process writes itself is read from memory."""
        self._database, self._live, self._relay = database, live, relay

    async def find(self, user_id: UUID, conversation_id: UUID) -> UUID | None:
        """The run that is under way in a conversation."""
        running, _ = await runs.count_active(self._database, user_id, conversation_id, 0)
        return running

    @contextlib.contextmanager
    def reading(self, user_id: UUID, run_id: UUID, stream: Stream) -> Iterator["Tail"]:
        """Read an answer; the stream is woken when there is more of it."""
        with contextlib.ExitStack() as stack:
            remote = stack.enter_context(self._relay.reading(run_id, stream))
            yield Tail(self._database, user_id, run_id, self._live, _Ends(stream, remote, stack))


class _Ends:
    """What a tail holds on to for as long as it is read."""

    def __init__(self, stream: Stream, remote: Remote, stack: contextlib.ExitStack) -> None:
        self.stream, self.remote, self._stack = stream, remote, stack

    def be_told(self, own: LiveAnswer) -> None:
        self._stack.enter_context(own.told_to(self.stream))


class Tail:
    """One answer while it is written."""

    def __init__(self, database: Database, user_id: UUID, run_id: UUID, live: LiveAnswers, ends: _Ends) -> None:
        """Nothing is known of it yet."""
        self._database, self._user_id, self._run_id = database, user_id, run_id
        self._live, self._ends = live, ends
        self._own: LiveAnswer | None = None
        self._worker: UUID | None = None

    async def after(self, number: int, *, look: bool) -> list[str]:
        """The pieces after so many, as far as they have come; `look` asks Postgres too, if it is written elsewhere."""
        if self._own is None and (own := self._live.get(self._run_id)) is not None:
            self._own = own
            self._ends.be_told(own)
        if self._own is not None:
            return self._own.chunks[number:]
        pieces = list(self._ends.remote.after(number))
        if not pieces and (look or self._worker is None):
            pieces = (await self._stored())[number:]
        self._ends.remote.lack(self._worker, number + len(pieces))
        return pieces

    async def _stored(self) -> list[str]:
        answer = await runs.find(self._database, self._user_id, self._run_id)
        if answer is None:
            return []
        self._worker = answer.worker
        return [answer.text[begin:end] for begin, end in pairwise((0, *answer.chunk_ends))]

"""The answers that this process is writing, as far as they have come, in the pieces in which readers get them.

What the model says is held for 40 ms, so that a reader gets 25 pieces a second and not each word by itself. What has
been cut stays as it is: everybody gets the same pieces.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, Protocol
from uuid import UUID

from chat_service.models import InteractionState, Usage
from chat_service.run_models import Progress
from shared import clock

CUT_SECONDS: Final = 0.04
# A piece is stored when it has been sent for so long: what is stored is a part of what was sent.
_SETTLED_SECONDS: Final = 0.05


class Reader(Protocol):
    """Who is to be told when there is more."""

    def wake(self) -> None:
        """There is."""


class LiveAnswer:
    """One answer while it is written."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self.chunks: list[str] = []
        self.closed = False
        self.stop: asyncio.Future[InteractionState] = asyncio.get_running_loop().create_future()
        self._pending: list[str] = []
        self._cut_at: list[float] = []
        self._timer: asyncio.TimerHandle | None = None
        self.readers: set[Reader] = set()
        self.words = 0

    def add(self, text: str) -> None:
        """More of the answer, to be sent within 40 ms."""
        if not text:
            return
        self._pending.append(text)
        self.words += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CUT_SECONDS, self.cut)

    def cut(self) -> None:
        """Send what is held."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending:
            self.chunks.append("".join(self._pending))
            self._cut_at.append(clock.monotonic())
            self._pending.clear()
            self._wake()

    def ask_to_stop(self, state: InteractionState) -> None:
        """Have the worker end the run in this state; who asks first is right."""
        if not self.stop.done():
            self.stop.set_result(state)

    def close(self) -> None:
        """The run has ended, and readers find the end in Postgres."""
        self.cut()
        self.closed = True
        self._wake()

    @contextlib.contextmanager
    def told_to(self, stream: Reader) -> Iterator[None]:
        """Wake a stream when there is more, and when the run has ended."""
        self.readers.add(stream)
        try:
            yield
        finally:
            self.readers.discard(stream)

    def settled(self, usage: Usage) -> Progress:
        """What has been sent for a while, and what all of it used."""
        limit = clock.monotonic() - _SETTLED_SECONDS
        count = sum(at <= limit for at in self._cut_at)
        return _progress(self.chunks[:count], usage)

    def whole(self, usage: Usage) -> Progress:
        """All that was said, and what it used."""
        self.cut()
        return _progress(self.chunks, usage)

    def _wake(self) -> None:
        for reader in tuple(self.readers):
            reader.wake()


class LiveAnswers:
    """Those of this process, by the id of the run."""

    def __init__(self) -> None:
        """Begin with none."""
        self._answers: dict[UUID, LiveAnswer] = {}
        self._none = asyncio.Event()

    def __len__(self) -> int:
        """How many are being written."""
        return len(self._answers)

    def open(self, run_id: UUID) -> LiveAnswer:
        """Begin one."""
        self._answers[run_id] = LiveAnswer()
        self._none.clear()
        return self._answers[run_id]

    def get(self, run_id: UUID) -> LiveAnswer | None:
        """One, if this process is writing it."""
        return self._answers.get(run_id)

    def close(self, run_id: UUID) -> None:
        """Let readers know that one has ended."""
        self._answers.pop(run_id).close()
        if not self._answers:
            self._none.set()

    async def until_none(self) -> None:
        """Wait until none is being written."""
        while self._answers:
            await self._none.wait()

    def ask_all_to_stop(self, state: InteractionState) -> None:
        """Have every run ended in this state."""
        for answer in self._answers.values():
            answer.ask_to_stop(state)


def _progress(chunks: list[str], usage: Usage) -> Progress:
    return Progress(text="".join(chunks), chunk_ends=tuple(accumulate(map(len, chunks))), usage=usage)

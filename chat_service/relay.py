"""Pieces of an answer, from the process that writes it to those where it is read, over Redis.

Nobody reads elsewhere, nothing is sent: whoever lacks pieces asks the worker for them, and is sent them for 20 s; who
still reads asks again. They are sent in bundles, of 40 words at first and later of 100, so that an answer of 1,000
tokens costs less than 30 commands. What is lost is found in Postgres.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from struct import Struct
from typing import Final
from uuid import UUID

import orjson

from chat_service.live import Live
from chat_service.live_answers import LiveAnswer, LiveAnswers
from chat_service.streams import Stream
from shared import clock

_WANT: Final = Struct(">16sI")
_FIRST: Final = Struct(">I")
_WANTED_SECONDS: Final = 20.0
_ASK_AGAIN_SECONDS: Final = 15.0
_SMALL_BUNDLE, _LARGE_BUNDLE = 40, 100
_SMALL_UNTIL: Final = 200
_SOONEST_SECONDS: Final = 0.3
_LATEST_SECONDS: Final = 2.0


class Relay:
    """Sends the pieces of this process's answers to who asks, and asks for those of others."""

    def __init__(self, live: Live, answers: LiveAnswers) -> None:
        """Speak over these channels."""
        self._live, self._answers = live, answers
        self._feeds: dict[UUID, _Feed] = {}

    @contextlib.contextmanager
    def serving(self, worker: UUID) -> Iterator[None]:
        """Hear, as this worker, who lacks pieces of its answers."""
        with self._live.listening(_worker(worker), self._hear):
            yield

    @contextlib.contextmanager
    def reading(self, run_id: UUID, stream: Stream) -> Iterator["Remote"]:
        """Read an answer that another process may be writing; the stream is woken when pieces have come."""
        with contextlib.ExitStack() as stack:
            yield Remote(self._live, run_id, stream, stack)

    def _hear(self, payload: bytes | None) -> None:
        if payload is None or len(payload) != _WANT.size:
            return
        key, number = _WANT.unpack(payload)
        run_id = UUID(bytes=key)
        answer = self._answers.get(run_id)
        if answer is None:
            return
        feed = self._feeds.get(run_id)
        if feed is None or feed.ended:
            feed = self._feeds[run_id] = _Feed(self._live, run_id, answer)
            answer.readers.add(feed)
        feed.want(number)
        self._feeds = {key: feed for key, feed in self._feeds.items() if not feed.ended}


class _Feed:
    """The pieces of one answer, for as long as somebody elsewhere wants them."""

    def __init__(self, live: Live, run_id: UUID, answer: LiveAnswer) -> None:
        self._live, self._run_id, self._answer = live, run_id, answer
        self._sent, self._words, self._sent_at = 0, 0, 0.0
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.ended = False

    def want(self, number: int) -> None:
        self._until = clock.monotonic() + _WANTED_SECONDS
        self._sent = min(self._sent, number) if self._sent_at else number
        self._send()

    def wake(self) -> None:
        """More has been written, or the run has ended: its end is told by a hint, and stands in Postgres."""
        if self._answer.closed or clock.monotonic() > self._until:
            self._end()
            return
        waited = clock.monotonic() - self._sent_at
        enough = _SMALL_BUNDLE if self._words < _SMALL_UNTIL else _LARGE_BUNDLE
        many = self._answer.words - self._words >= enough
        if waited >= _LATEST_SECONDS or (many and waited >= _SOONEST_SECONDS):
            self._send()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LATEST_SECONDS - waited, self._send)

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        chunks = self._answer.chunks[self._sent :]
        if not chunks or self._answer.closed:
            return
        self._live.publish(_run(self._run_id), _FIRST.pack(self._sent + 1) + orjson.dumps(chunks))
        self._sent, self._words, self._sent_at = len(self._answer.chunks), self._answer.words, clock.monotonic()

    def _end(self) -> None:
        self.ended = True
        self._answer.readers.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Remote:
    """An answer as another process sends it."""

    def __init__(self, live: Live, run_id: UUID, stream: Stream, stack: contextlib.ExitStack) -> None:
        """Ask nobody yet."""
        self._live, self._run_id, self._stream, self._stack = live, run_id, stream, stack
        self._chunks: dict[int, str] = {}
        self._listening, self._heard = False, False
        self._asked = -_ASK_AGAIN_SECONDS
        self._asked_of: UUID | None = None

    def lack(self, worker: UUID | None, number: int) -> None:
        """Ask the worker for what comes after so many pieces, unless it sends them anyhow."""
        if worker is None:
            return
        if not self._listening:
            self._listening = True
            self._stack.enter_context(self._live.listening(_run(self._run_id), self._hear))
        for known in [known for known in self._chunks if known <= number]:
            del self._chunks[known]
        if not self._heard:
            return  # Redis has not said yet that it listens for us, so an answer would be lost
        gap = bool(self._chunks)  # what follows at once has been taken
        now = clock.monotonic()
        if gap or worker != self._asked_of or now - self._asked >= _ASK_AGAIN_SECONDS:
            self._asked, self._asked_of = now, worker
            self._live.publish(_worker(worker), _WANT.pack(self._run_id.bytes, number))

    def after(self, number: int) -> Iterator[str]:
        """The pieces that follow so many, as far as they have come."""
        while (chunk := self._chunks.pop(number + 1, None)) is not None:
            yield chunk
            number += 1

    def _hear(self, payload: bytes | None) -> None:
        if payload is None:
            self._heard = True
            self._asked = -_ASK_AGAIN_SECONDS  # what was asked before may not have been heard
        else:
            with contextlib.suppress(ValueError):
                (first,) = _FIRST.unpack_from(payload)
                self._chunks.update(enumerate(map(str, orjson.loads(payload[_FIRST.size :])), first))
        self._stream.wake()


def _worker(worker: UUID) -> str:
    return f"worker:{worker}"


def _run(run_id: UUID) -> str:
    return f"run:{run_id}"

"""Passwords: which are accepted (NIST SP 800-63B-4 section 3.1.1.2), and how they are hashed without harm to others.

Argon2id at OWASP's floor costs 20 ms of a core. It runs on as many threads as there are cores, at a lower priority than
the loop, behind a queue that turns away early what it could not serve in time. Hashes that were imported may cost fifty
times as much, so they have half of the threads at most: who has an own hash is not kept waiting by a rush of them.
"""

import asyncio
import os
import re
import threading
import unicodedata
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from auth_service import password_hashes
from shared import calls, clock, metrics
from shared.errors import DeadlineExceeded, Overloaded, ServiceError

MIN_LENGTH: Final = 8
MAX_LENGTH: Final = 128
OVERLONG: Final = f"must have at most {MAX_LENGTH} characters"
_MAX_RAW: Final = 4 * MAX_LENGTH  # NFKC makes one of at most four
_NICE: Final = 10
_MAX_QUEUE: Final = 256
_PATIENCE_SECONDS: Final = 10.0
_SEPARATORS: Final = re.compile(r"[\s.,_+@'-]+")
_COMMON: Final = frozenset(word for word in FREQUENCY_LISTS["passwords"] if len(word) >= MIN_LENGTH)
_OURS: Final = ("parley", "parleypassword", "authservice", "chatservice")
_PIECE: Final = 4  # code points of a name or an address that count as a piece of it
_LEFT: Final = 5  # so many beside such pieces make a password of their own
_MAX_OWN: Final = 300  # of an address or a name; both are shorter once they are accepted

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

T = TypeVar("T")


def normalise(password: str) -> str:
    """NFKC, as NIST advises, so that a password typed on another keyboard is the same one."""
    return unicodedata.normalize("NFKC", password)


def overlong(password: str) -> bool:
    """Whether a password is over the limit, in code points after normalisation; told at once also of a huge one."""
    return len(password) > _MAX_RAW or len(normalise(password)) > MAX_LENGTH


def objection(password: str, *, email: str, display_name: str, shortest: int = MIN_LENGTH) -> str | None:
    """Why a new password of this account is refused, or None; lengths are in code points after normalisation."""
    if overlong(password):
        return OVERLONG
    normalised = normalise(password)
    if len(normalised) < shortest:
        return f"must have at least {shortest} characters"
    plain = normalised.casefold()
    if plain in _COMMON:
        return "is one of the most common passwords: choose another"
    if _little_more_than(plain, _pieces(*_OURS)):
        return "must not be little more than the name of this service"
    if _little_more_than(plain, _pieces(email, display_name)):
        return "must not be little more than the email address or the name"
    return None


def _pieces(*texts: str) -> set[str]:
    """What an address or a name consists of: itself, its words, and for an address its two parts."""
    plain = [normalise(text[:_MAX_OWN]).casefold() for text in texts]
    parts = [part for text in plain for part in (text, *text.split("@"), *_SEPARATORS.split(text))]
    return {joined for joined in map(_joined, parts) if len(joined) >= _PIECE}


def _joined(text: str) -> str:
    return _SEPARATORS.sub("", text)


def _little_more_than(password: str, pieces: set[str]) -> bool:
    """Whether less than five code points are left of a password without these pieces (ASVS 6.2.11)."""
    whole = left = _joined(password)
    for piece in sorted(pieces, key=len, reverse=True):
        left = left.replace(piece, "")
    return left != whole and len(left) < _LEFT


@dataclass(slots=True, kw_only=True)
class _Lane:
    """Work of one kind: what it needs a place in, how much of it waits or runs, and how long one takes lately."""

    places: tuple[asyncio.Semaphore, ...]
    at_once: int
    share: int  # of the queue, as 1/n
    seconds: float
    queued: int = field(default=0)

    @property
    def wait(self) -> float:
        """Seconds until one more of the kind would be done."""
        return (self.queued + 1) / self.at_once * self.seconds

    async def enter(self) -> None:
        """Take all places, or none."""
        taken: list[asyncio.Semaphore] = []
        try:
            for place in self.places:
                await place.acquire()
                taken.append(place)
        except BaseException:
            _release(taken)
            raise


class Passwords:
    """Hashes and verifies, a bounded number at a time."""

    def __init__(self, threads: int | None = None, *, failure_seconds: float = 0.0) -> None:
        """As many threads as cores, unless a number is given; a wrong password is answered no sooner than told."""
        self._threads = threads or os.cpu_count() or 1
        self._failure_seconds = failure_seconds
        self._executor = ThreadPoolExecutor(self._threads, "argon2", initializer=_step_back)
        self._free = asyncio.Semaphore(self._threads)
        half = max(self._threads // 2, 1)
        self._own = _Lane(places=(self._free,), at_once=self._threads, share=1, seconds=0.02)
        self._foreign = _Lane(places=(asyncio.Semaphore(half), self._free), at_once=half, share=2, seconds=0.2)
        self._decoy = _decoy()

    async def hash(self, password: str) -> str:
        """The PHC string of a password."""
        return await self._run(lambda: _HASHER.hash(normalise(password)), self._own)

    async def verify(self, stored: str | None, password: str, before: Callable[[], Awaitable[None]]) -> bool:
        """Whether the password is the right one; where there is no hash, the same work is done in vain.

        Tried in its normal form, in which ours are made, and then as it was typed, in which others have made theirs.
        `before` runs when the hash is about to start, however long that took, and may refuse the attempt.
        """
        began = clock.monotonic()
        text, forms = stored or self._decoy, dict.fromkeys((normalise(password), password))
        lane = self._foreign if self.outdated(text) else self._own
        right = await self._run(lambda: password_hashes.verify(text, forms) and stored is not None, lane, before)
        if not right:
            await asyncio.sleep(self._failure_seconds - (clock.monotonic() - began))
        return right

    def outdated(self, stored: str) -> bool:
        """Whether a hash was made by another function or with other parameters than today's."""
        try:
            return not stored.startswith("$argon2id$") or _HASHER.check_needs_rehash(stored)
        except InvalidHashError:
            return True

    def close(self) -> None:
        """End the threads; what is queued is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    @property
    def _queued(self) -> int:
        return self._own.queued + self._foreign.queued

    async def _run(self, work: Callable[[], T], lane: _Lane, before: Callable[[], Awaitable[None]] | None = None) -> T:
        self._admit(lane)
        try:
            async with asyncio.timeout(calls.remaining(_PATIENCE_SECONDS)):
                await lane.enter()
        except TimeoutError:
            self._leave_queue(lane)
            raise _out_of_time() from None
        except BaseException:
            self._leave_queue(lane)
            raise
        try:
            if before is not None:
                await before()
            future = self._executor.submit(_timed, work, lane)
        except BaseException:
            self._leave(lane)
            raise
        loop = asyncio.get_running_loop()
        # The place is held until the hash ends, also when the caller has left: memory and cores are still in use.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave, lane))
        return await asyncio.wrap_future(future)

    def _admit(self, lane: _Lane) -> None:
        if lane.queued >= _MAX_QUEUE // lane.share or lane.wait > calls.remaining(_PATIENCE_SECONDS):
            metrics.hash_shed.inc()
            raise Overloaded(retry_after=max(lane.wait, 0.1))
        lane.queued += 1
        metrics.hash_queue.set(self._queued)

    def _leave_queue(self, lane: _Lane) -> None:
        lane.queued -= 1
        metrics.hash_queue.set(self._queued)

    def _leave(self, lane: _Lane) -> None:
        _release(lane.places)
        self._leave_queue(lane)


def _release(places: Iterable[asyncio.Semaphore]) -> None:
    for place in places:
        place.release()


def _timed(work: Callable[[], T], lane: _Lane) -> T:
    started = clock.monotonic()
    result = work()
    seconds = clock.monotonic() - started
    metrics.hash_seconds.observe(seconds)
    lane.seconds += (seconds - lane.seconds) / 16
    return result


def _out_of_time() -> ServiceError:
    """Whose patience ended: the caller's, or ours."""
    return DeadlineExceeded() if calls.remaining(1.0) <= 0 else Overloaded(retry_after=1.0)


@cache
def _decoy() -> str:
    """The hash of a password that nobody has."""
    return _HASHER.hash(os.urandom(16))


def _step_back() -> None:
    """Let the event loop have the core whenever it wants it."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)

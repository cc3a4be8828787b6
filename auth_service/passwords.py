"""Passwords: which are accepted (NIST SP 800-63B-4 section 3.1.1.2), and how they are hashed without harm to others.

Argon2id at OWASP's floor costs 20 ms of a core. It runs on as many threads as there are cores, at a lower priority than
the loop, behind a queue that turns away early what it could not serve in time.
"""

import asyncio
import os
import re
import threading
import unicodedata
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn.frequency_lists import FREQUENCY_LISTS

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


def objection(password: str, *, email: str, display_name: str) -> str | None:
    """Why a new password of this account is refused, or None; lengths are in code points after normalisation."""
    if overlong(password):
        return OVERLONG
    normalised = normalise(password)
    if len(normalised) < MIN_LENGTH:
        return f"must have at least {MIN_LENGTH} characters"
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


class Passwords:
    """Hashes and verifies, a bounded number at a time."""

    def __init__(self, threads: int | None = None) -> None:
        """As many threads as cores, unless a number is given."""
        self._threads = threads or os.cpu_count() or 1
        self._executor = ThreadPoolExecutor(self._threads, "argon2", initializer=_step_back)
        self._free = asyncio.Semaphore(self._threads)
        self._decoy = _decoy()
        self._queued = 0
        self._seconds = 0.02

    async def hash(self, password: str) -> str:
        """The PHC string of a password."""
        return await self._run(lambda: _HASHER.hash(normalise(password)))

    async def verify(self, phc: str | None, password: str, before: Callable[[], Awaitable[None]]) -> bool:
        """Whether the password is the right one; where there is no hash, the same work is done in vain.

        `before` runs when the hash is about to start, however long that took, and may refuse the attempt.
        """
        return await self._run(lambda: self._check(phc or self._decoy, password) and phc is not None, before)

    def outdated(self, phc: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return _HASHER.check_needs_rehash(phc)

    def close(self) -> None:
        """End the threads; what is queued is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _check(self, phc: str, password: str) -> bool:
        try:
            return _HASHER.verify(phc, normalise(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T], before: Callable[[], Awaitable[None]] | None = None) -> T:
        self._admit()
        try:
            async with asyncio.timeout(calls.remaining(_PATIENCE_SECONDS)):
                await self._free.acquire()
        except TimeoutError:
            self._leave_queue()
            raise _out_of_time() from None
        except BaseException:
            self._leave_queue()
            raise
        try:
            if before is not None:
                await before()
            future = self._executor.submit(self._timed, work)
        except BaseException:
            self._release()
            raise
        loop = asyncio.get_running_loop()
        # The place is held until the hash ends, also when the caller has left: memory and cores are still in use.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._release))
        return await asyncio.wrap_future(future)

    def _admit(self) -> None:
        expected = (self._queued + 1) / self._threads * self._seconds
        if self._queued >= _MAX_QUEUE or expected > calls.remaining(_PATIENCE_SECONDS):
            metrics.hash_shed.inc()
            raise Overloaded(retry_after=max(expected, 0.1))
        self._queued += 1
        metrics.hash_queue.set(self._queued)

    def _leave_queue(self) -> None:
        self._queued -= 1
        metrics.hash_queue.set(self._queued)

    def _release(self) -> None:
        self._free.release()
        self._leave_queue()

    def _timed(self, work: Callable[[], T]) -> T:
        started = clock.monotonic()
        result = work()
        seconds = clock.monotonic() - started
        metrics.hash_seconds.observe(seconds)
        self._seconds += (seconds - self._seconds) / 16
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

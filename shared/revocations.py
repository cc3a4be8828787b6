"""What became untrue while access tokens went on saying it: the sessions that ended, and what changed.

Auth keeps it for those who watch, and each of them keeps it to check tokens by.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Final
from uuid import UUID

from shared import clock

# The longest that a setting lets an access token live, the leeway for clocks, and what may lie between a change and
# the last token that was made from what had been read before it.
RELEVANT_SECONDS: Final = (60 + 5) * 60.0


class RevocationKind(StrEnum):
    """What became untrue."""

    SESSION_ENDED = "SESSION_ENDED"
    SESSION_CHANGED = "SESSION_CHANGED"
    USER_CHANGED = "USER_CHANGED"


@dataclass(frozen=True, slots=True)
class Revocation:
    """A session or a user, of whom tokens may say what is no longer so."""

    kind: RevocationKind
    subject_id: UUID


class RecentRevocations:
    """The revocations that a living token may have missed; older ones are forgotten."""

    def __init__(self) -> None:
        """Begin with none."""
        # By the ids' integers, which are hashed ten times as fast as the ids; the values are when they are forgotten.
        self._by_kind: dict[RevocationKind, dict[int, float]] = {kind: {} for kind in RevocationKind}
        self._ended_sessions = self._by_kind[RevocationKind.SESSION_ENDED]
        self._changed_sessions = self._by_kind[RevocationKind.SESSION_CHANGED]
        self._changed_users = self._by_kind[RevocationKind.USER_CHANGED]

    def __len__(self) -> int:
        """How many are kept."""
        return sum(map(len, self._by_kind.values()))

    def __iter__(self) -> Iterator[Revocation]:
        """Every one of them."""
        for kind, subjects in self._by_kind.items():
            for subject in subjects:
                yield Revocation(kind, UUID(int=subject))

    def add(self, revocation: Revocation, age: float = 0.0) -> bool:
        """Keep one of so many seconds ago; False where it tells nothing new."""
        subjects, subject = self._by_kind[revocation.kind], revocation.subject_id.int
        end = clock.monotonic() + RELEVANT_SECONDS - age
        known = subjects.get(subject, 0.0)
        if known >= end or (known and revocation.kind is RevocationKind.SESSION_ENDED):
            return False
        subjects.pop(subject, None)  # to the end, for they are forgotten from the beginning
        subjects[subject] = end
        return True

    def ended(self, session_id: UUID) -> bool:
        """Whether the session is over, for ever."""
        return session_id.int in self._ended_sessions

    def changed(self, session_id: UUID, user_id: UUID) -> bool:
        """Whether a token may say of the session or of the user what is no longer so."""
        return user_id.int in self._changed_users or session_id.int in self._changed_sessions

    def forget_old(self) -> None:
        """Let go of what no living token can have missed."""
        now = clock.monotonic()
        for subjects in self._by_kind.values():
            for subject, _ in list(takewhile(lambda entry: entry[1] <= now, subjects.items())):
                del subjects[subject]

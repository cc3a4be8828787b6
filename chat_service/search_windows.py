"""Windows on a user's messages, backwards in the order in which they came.

The index cannot tell hits by time: of a frequent word it has hundreds of thousands, in no order. But each message also
has the words that `search_scope` gives it: in which runs of 2,048, of 65,536 and of 2,097,152 serials it is. So a
window of whole runs costs the index no more than what is in the window, and the first few hold the newest hits of a
frequent word. Windows grow by what the ones before had in them, until there are enough hits or no older messages.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from chat_service.questions import Question, quoted
from chat_service.search_models import MessageSearch, Probed

RUN: Final = 2_048
_LEVELS: Final = (1_024, 32, 1)  # in runs, as `search_scope` names them, from the longest to the shortest
_MONTH_SECONDS: Final = 2**21
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MOST_MONTHS: Final = 240
_FILLED: Final = 0.6  # of the rows that a probe may look at, by the estimate
_MORE: Final = 1.3  # than needed, by the estimate
_GROWTH: Final = 64
_SLOW_GROWTH: Final = 8
_ROUNDED: Final = 4  # a window may end short of its width by such a part of it, so that long runs fit


@dataclass(frozen=True, slots=True)
class Window:
    """Whole runs, from the first to the one before `end`."""

    first: int
    end: int

    def condition(self, user_id: UUID) -> str:
        """What the messages of a user in these runs have."""
        return " | ".join(quoted(f"#{level}{_tag(user_id)}{run}") for level, run in self._cover())

    def _cover(self) -> Iterator[tuple[int, int]]:
        """The fewest runs, long ones where they fit."""
        at = self.first
        while at < self.end:
            size = next(size for size in _LEVELS if at % size == 0 and at + size <= self.end)
            yield len(_LEVELS) - 1 - _LEVELS.index(size), at // size
            at += size


@dataclass(frozen=True, slots=True)
class Walk:
    """How far a search has come: the runs below `end` are left, and what was in those that it has passed."""

    end: int
    growth: int = _GROWTH
    runs: float = 0
    looked: int = 0
    found: int = 0

    @classmethod
    def of(cls, question: Question, below: int) -> "Walk":
        """Before the first window. Where only beginnings of words are sought, the index looks at all that is in it."""
        end = -(-below // RUN)
        # The newest run is not full yet: what there is in it would be too little for the rate of a whole one.
        return cls(end, growth=_GROWTH if question.words else _SLOW_GROWTH, runs=below / RUN - end)

    def window(self, rows: int, hits: int) -> Window:
        """The next window: as much as will give these hits, and no more of these rows than a probe may look at."""
        wide = max(1, int(self._width(rows, hits)))
        size = next(size for size in _LEVELS if size * _ROUNDED <= wide or size == 1)
        return Window(-(-max(0, self.end - wide) // size) * size, self.end)

    def past(self, window: Window, probed: Probed, *, estimated: bool) -> "Walk":
        """After a window; where the index was not asked for the words, its rows say nothing of how many hold them."""
        looked = self.looked + (probed.looked if estimated else len(probed.hits))
        runs = self.runs + window.end - window.first
        return replace(self, end=window.first, runs=runs, looked=looked, found=self.found + len(probed.hits))

    def _width(self, rows: int, hits: int) -> float:
        if not self.looked:
            return self.runs * self.growth
        by_rows = _FILLED * rows / self.looked
        by_hits = _MORE * hits / self.found if self.found else by_rows
        return min(by_rows, by_hits, _GROWTH) * self.runs


def narrower(window: Window) -> Window:
    """The last eighth of a window that had too much in it."""
    size = window.end - window.first
    return Window(window.end - max(1, size // _SLOW_GROWTH), window.end)


def filters(asked: MessageSearch) -> list[str]:
    """What the index can tell of a search's filters."""
    conditions = []
    if asked.conversation_id is not None:
        conditions.append(quoted(f"#c{str(asked.conversation_id)[-12:]}"))
    if asked.role is not None:
        conditions.append(quoted(f"#r{_tag(asked.user_id)}{asked.role}"))
    return [*conditions, *_months(asked)]


def _months(asked: MessageSearch) -> Iterator[str]:
    """Months that are asked for, where these are few; the rows are checked for the very times."""
    if asked.start_time is None:
        return
    first, last = _month(asked.start_time), _month(asked.end_time or datetime.now(UTC)) + 1
    if last - first < _MOST_MONTHS:
        months = (quoted(f"#m{_tag(asked.user_id)}{month}") for month in range(first, max(first, last) + 1))
        yield f"({' | '.join(months)})"


def _month(moment: datetime) -> int:
    return int((moment - _EPOCH).total_seconds() // _MONTH_SECONDS)


def _tag(user_id: UUID) -> str:
    return str(user_id)[-12:]

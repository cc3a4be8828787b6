"""What differs between two texts: by line as a unified diff, and by word as segments.

The shortest way from one text to another can take quadratic time to find. Here lines and words that stand once in each
text lead first (the patience diff), the rest is searched by Myers' greedy algorithm ("An O(ND) Difference Algorithm",
1986) within a budget of steps, and what the budget does not reach counts as replaced.
"""

import asyncio
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Final

from shared import calls, clock
from shared.errors import DeadlineExceeded, Overloaded

MAX_SEGMENTS: Final = 10_000
MAX_RESPONSE_BYTES: Final = 3_000_000
_CONTEXT: Final = 3
_STEPS: Final = 300_000  # of the search, for lines and for words each: together less than a second
_MOST_EDITS: Final = 1_000
_MAX_WAITING: Final = 32
_PATIENCE_SECONDS: Final = 10.0
# A word, a run of white space, or a sign; scripts without spaces go sign by sign.
_WORDS: Final = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+|\s+|."
)


Text = tuple[str, str]  # a name for the unified diff, and the text


class Operation(IntEnum):
    """What became of a piece of text, numbered as in chat.v1."""

    EQUAL = 1
    REMOVED = 2
    ADDED = 3


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of both texts or of one."""

    operation: Operation
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What differs; `segments` is None where there would be too many, or too much text in them."""

    unified: str
    segments: Sequence[Segment] | None


@dataclass(frozen=True, slots=True)
class _Range:
    """A part of the former and the part of the latter that takes its place."""

    a0: int
    a1: int
    b0: int
    b1: int


class _Budget:
    """How many steps a search may still take; it ends with the caller's time, or when nobody waits any more."""

    def __init__(self, steps: int, deadline: float) -> None:
        self.given_up = False
        self._left, self._deadline = steps, deadline

    def refill(self, steps: int) -> None:
        self._left = steps

    def spend(self, steps: int) -> bool:
        """Whether there was enough left."""
        if self.given_up or clock.monotonic() > self._deadline:
            raise DeadlineExceeded
        self._left -= steps
        return self._left > 0


class Differ:
    """Compares one pair of texts at a time, in a thread: the loop goes on, and cannot be starved by many diffs."""

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    async def compare(self, former: Text, latter: Text) -> Diff:
        """The diff of two named texts, within the caller's deadline; raises Overloaded where too many wait."""
        if self._waiting >= _MAX_WAITING:
            raise Overloaded(retry_after=1.0)
        patience = calls.remaining(_PATIENCE_SECONDS)
        budget = _Budget(_STEPS, clock.monotonic() + patience)
        self._waiting += 1
        try:
            async with asyncio.timeout(patience), self._turn:
                return await asyncio.to_thread(_compare, former, latter, budget)
        except TimeoutError:
            raise DeadlineExceeded from None
        finally:
            budget.given_up = True
            self._waiting -= 1


def _compare(former: Text, latter: Text, budget: _Budget) -> Diff:
    before, after = _lines(former[1]), _lines(latter[1])
    changes = _changes(before, after, budget)
    head = f"--- {former[0]}\n+++ {latter[0]}\n" if changes else ""
    unified = "".join([head, *_unified(before, after, changes)])
    budget.refill(_STEPS)
    segments = _segments(before, after, changes, budget)
    length = len(unified.encode()) + sum(len(segment.text.encode()) for segment in segments)
    fits = len(segments) <= MAX_SEGMENTS and length <= MAX_RESPONSE_BYTES
    return Diff(unified=unified, segments=segments if fits else None)


def _lines(text: str) -> list[str]:
    *lines, rest = text.split("\n")
    return [line + "\n" for line in lines] + ([rest] if rest else [])


def _changes(before: Sequence[str], after: Sequence[str], budget: _Budget) -> list[_Range]:
    """The parts that differ, in order, none next to another."""
    numbers: dict[str, int] = {}
    a = [numbers.setdefault(item, len(numbers)) for item in before]
    b = [numbers.setdefault(item, len(numbers)) for item in after]
    found: list[_Range] = []
    todo = [_Range(0, len(a), 0, len(b))]
    while todo:
        part = _trimmed(a, b, todo.pop())
        if part.a0 == part.a1 or part.b0 == part.b1 or not budget.spend(part.a1 - part.a0 + part.b1 - part.b0):
            found.append(part)
        elif anchors := _anchors(a, b, part):
            todo += reversed(_between(part, anchors))
        else:
            found += _between(part, _common(a, b, part, budget))
    return _joined(found)


def _trimmed(a: Sequence[int], b: Sequence[int], part: _Range) -> _Range:
    """The part without what is equal at its beginning and its end."""
    a0, a1, b0, b1 = part.a0, part.a1, part.b0, part.b1
    while a0 < a1 and b0 < b1 and a[a0] == b[b0]:
        a0, b0 = a0 + 1, b0 + 1
    while a0 < a1 and b0 < b1 and a[a1 - 1] == b[b1 - 1]:
        a1, b1 = a1 - 1, b1 - 1
    return _Range(a0, a1, b0, b1)


def _anchors(a: Sequence[int], b: Sequence[int], part: _Range) -> list[tuple[int, int]]:
    """Places of what stands once on both sides: the longest row of them that is in order on both."""
    in_a, in_b = Counter(a[part.a0 : part.a1]), Counter(b[part.b0 : part.b1])
    places = {b[j]: j for j in range(part.b0, part.b1) if in_b[b[j]] == 1}
    pairs = [(i, places[a[i]]) for i in range(part.a0, part.a1) if in_a[a[i]] == 1 and a[i] in places]
    ends: list[int] = []
    rows: list[int] = []
    former: list[int] = []
    for nth, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        former.append(rows[length - 1] if length else -1)
        ends[length : length + 1], rows[length : length + 1] = [j], [nth]
    chosen, nth = [], rows[-1] if rows else -1
    while nth >= 0:
        chosen.append(pairs[nth])
        nth = former[nth]
    return chosen[::-1]


def _common(a: Sequence[int], b: Sequence[int], part: _Range, budget: _Budget) -> list[tuple[int, int]]:
    """Places of what stays on the shortest way from one side to the other; nothing where the budget ends before."""
    n, m = part.a1 - part.a0, part.b1 - part.b0
    most = min(n + m, _MOST_EDITS)
    reach, trail = [0] * (2 * most + 3), []
    for edits in range(most + 1):
        trail.append(reach[most - edits : most + edits + 3])
        steps = 0
        for k in range(-edits, edits + 1, 2):
            x = begin = _begin(trail[-1], edits, k)[1]
            while x < n and x - k < m and a[part.a0 + x] == b[part.b0 + x - k]:
                x += 1
            reach[most + 1 + k], steps = x, steps + 1 + x - begin
            if x >= n and x - k >= m:
                return _walked(part, trail, n, m)
        if not budget.spend(steps):
            break
    return []


def _begin(reach: Sequence[int], edits: int, k: int) -> tuple[int, int]:
    """How far the edit before leads onto this diagonal: the one it comes from, and the place on the former side."""
    here = edits + 1 + k
    if edits == 0:
        return k, 0
    if k == -edits or (k != edits and reach[here - 1] < reach[here + 1]):
        return k + 1, reach[here + 1]
    return k - 1, reach[here - 1] + 1


def _walked(part: _Range, trail: Sequence[Sequence[int]], x: int, y: int) -> list[tuple[int, int]]:
    """The equal places on the way back through what each number of edits had reached."""
    found: list[tuple[int, int]] = []
    for edits in range(len(trail) - 1, -1, -1):
        k = x - y
        former, begin = _begin(trail[edits], edits, k)
        found += [(part.a0 + place, part.b0 + place - k) for place in range(x - 1, begin - 1, -1)]
        x = begin if former > k else begin - 1
        y = x - former
    return found[::-1]


def _between(part: _Range, equal: Sequence[tuple[int, int]]) -> list[_Range]:
    """The parts around equal places."""
    fences = [(part.a0 - 1, part.b0 - 1), *equal, (part.a1, part.b1)]
    return [_Range(i + 1, next_i, j + 1, next_j) for (i, j), (next_i, next_j) in pairwise(fences)]


def _joined(parts: Sequence[_Range]) -> list[_Range]:
    joined: list[_Range] = []
    for part in parts:
        if part.a0 == part.a1 and part.b0 == part.b1:
            continue
        if joined and (joined[-1].a1, joined[-1].b1) == (part.a0, part.b0):
            joined[-1] = _Range(joined[-1].a0, part.a1, joined[-1].b0, part.b1)
        else:
            joined.append(part)
    return joined


def _unified(before: Sequence[str], after: Sequence[str], changes: Sequence[_Range]) -> Iterator[str]:
    """The lines of a unified diff, as GNU diff writes them."""
    hunks: list[list[_Range]] = []
    for change in changes:
        if hunks and change.a0 - hunks[-1][-1].a1 <= 2 * _CONTEXT:
            hunks[-1].append(change)
        else:
            hunks.append([change])
    for hunk in hunks:
        yield from _hunk(before, after, hunk)


def _hunk(before: Sequence[str], after: Sequence[str], hunk: Sequence[_Range]) -> Iterator[str]:
    first, last = hunk[0], hunk[-1]
    lead = min(_CONTEXT, first.a0)
    end = min(last.a1 + _CONTEXT, len(before))
    yield f"@@ -{_span(first.a0 - lead, end)} +{_span(first.b0 - lead, last.b1 + end - last.a1)} @@\n"
    place = first.a0 - lead
    for change in hunk:
        yield from _marked(" ", before[place : change.a0])
        yield from _marked("-", before[change.a0 : change.a1])
        yield from _marked("+", after[change.b0 : change.b1])
        place = change.a1
    yield from _marked(" ", before[place:end])


def _span(begin: int, end: int) -> str:
    """Where lines stand, from 1; no lines at all stand after the line before them."""
    return f"{begin + 1 if end > begin else begin},{end - begin}"


def _marked(sign: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield sign + line if line.endswith("\n") else f"{sign}{line}\n\\ No newline at end of file\n"


def _segments(
    before: Sequence[str], after: Sequence[str], changes: Sequence[_Range], budget: _Budget
) -> Sequence[Segment]:
    """Both texts; where lines have changed, word by word."""
    pieces: list[tuple[Operation, str]] = []
    place = 0
    for change in changes:
        pieces.append((Operation.EQUAL, "".join(before[place : change.a0])))
        former, latter = "".join(before[change.a0 : change.a1]), "".join(after[change.b0 : change.b1])
        pieces += _by_word(_words(former), _words(latter), budget)
        place = change.a1
    pieces.append((Operation.EQUAL, "".join(before[place:])))
    return _gathered(pieces)


def _words(text: str) -> list[str]:
    return _WORDS.findall(text)


def _by_word(before: Sequence[str], after: Sequence[str], budget: _Budget) -> Iterator[tuple[Operation, str]]:
    place = 0
    for change in _changes(before, after, budget):
        yield Operation.EQUAL, "".join(before[place : change.a0])
        yield Operation.REMOVED, "".join(before[change.a0 : change.a1])
        yield Operation.ADDED, "".join(after[change.b0 : change.b1])
        place = change.a1
    yield Operation.EQUAL, "".join(before[place:])


def _gathered(pieces: Sequence[tuple[Operation, str]]) -> Sequence[Segment]:
    """No empty piece, and no two of a kind next to each other."""
    gathered: list[tuple[Operation, list[str]]] = []
    for operation, text in pieces:
        if text and gathered and gathered[-1][0] is operation:
            gathered[-1][1].append(text)
        elif text:
            gathered.append((operation, [text]))
    return [Segment(operation, "".join(texts)) for operation, texts in gathered]

"""A piece of a text around what was looked for, with the places of it."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from chat_service.questions import Sought

MAX_LENGTH: Final = 240
SEARCHED: Final = 10_000
_LEAD: Final = 60
_WORDS: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_ACCENTS: Final = re.compile("[\u0300-\u036f]+")
_GAP: Final = re.compile(r"\s")
_STEP: Final = 1_000

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of a text, and what in it was looked for, in code points."""

    text: str
    ranges: tuple[Range, ...]


class Marker:
    """Finds terms in texts; made once for a page of them."""

    def __init__(self, terms: Sequence[Sought]) -> None:
        """Look for these."""
        self._terms = terms
        self._firsts = frozenset(term.lexemes[0] for term in terms)
        self._beginnings = tuple(term.lexemes[0] for term in terms if term.begins and len(term.lexemes) == 1)

    def snippet(self, texts: Iterable[str]) -> Snippet:
        """The first piece that has one of the terms, else the beginning of the first text."""
        first = ""
        for text in texts:
            for begin in range(0, min(len(text), SEARCHED), _STEP):
                found = next(self._places(text, begin, begin + _STEP), None)
                if found is not None:
                    return self._around(text, found[0])
            first = first or text
        return Snippet(first[: _cut(first, 0)], ())

    def whole(self, text: str) -> Snippet:
        """A text that is short."""
        return Snippet(text, tuple(self._places(text, 0, len(text))))

    def _around(self, text: str, found: int) -> Snippet:
        begin = 0
        if found > _LEAD:
            gap = _GAP.search(text, found - _LEAD, found)
            begin = gap.end() if gap else found - _LEAD
        end = _cut(text, begin)
        ranges = tuple((at - begin, to - begin) for at, to in self._places(text, begin, end))
        return Snippet(text[begin:end], ranges)

    def _places(self, text: str, begin: int, end: int) -> Iterator[Range]:
        """Where terms stand, the longest at each place; the last one may be cut off by the end."""
        done = begin
        for word in _WORDS.finditer(text, begin):
            if word.start() >= end:
                return
            lexeme = _folded(word.group())
            if word.start() < done or not (lexeme in self._firsts or lexeme.startswith(self._beginnings)):
                continue
            done = max((_end(text, word, lexeme, term) for term in self._terms), default=done)
            if done > word.start():
                yield word.start(), min(done, end)


def _end(text: str, word: re.Match[str], lexeme: str, term: Sought) -> int:
    """Where a term ends that begins with a word; 0 where it does not stand there."""
    at = word.end()
    for nth, wanted in enumerate(term.lexemes):
        if nth:
            following = _WORDS.search(text, at)
            if following is None:
                return 0
            at, lexeme = following.end(), _folded(following.group())
        last = nth == len(term.lexemes) - 1
        if not (lexeme.startswith(wanted) if last and term.begins else lexeme == wanted):
            return 0
    return at


def _cut(text: str, begin: int) -> int:
    """Where a piece ends: at a gap between words in its last quarter, if there is one."""
    end = begin + MAX_LENGTH
    if end >= len(text):
        return len(text)
    gaps = [gap.start() for gap in _GAP.finditer(text, end - MAX_LENGTH // 4, end)]
    return gaps[-1] if gaps else end


def _folded(word: str) -> str:
    """A word as `search_text` and the dictionary make it."""
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFKC", _ACCENTS.sub("", unicodedata.normalize("NFKD", word))).lower()

"""A piece of a text around what was looked for, with the places of it."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from chat_service.questions import Sought

MAX_LENGTH: Final = 240
SEARCHED: Final = 10_000
_LEAD: Final = 60
_WORDS: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_ACCENTS: Final = re.compile("[\u0300-\u036f]+")

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of a text, and what in it was looked for, in code points."""

    text: str
    ranges: tuple[Range, ...]


def snippet(texts: Iterable[str], terms: Sequence[Sought]) -> Snippet:
    """The first piece that has one of the terms, else the beginning of the first text."""
    first = ""
    for text in texts:
        found = _first(text, terms)
        if found is not None:
            return _around(text, found, terms)
        first = first or text
    return Snippet(first[: _cut(first, 0)], ())


def whole(text: str, terms: Sequence[Sought]) -> Snippet:
    """A text that is short."""
    return Snippet(text, tuple(_places(text, 0, len(text), terms)))


def _first(text: str, terms: Sequence[Sought]) -> int | None:
    return next((begin for begin, _ in _places(text, 0, SEARCHED, terms)), None)


def _around(text: str, found: int, terms: Sequence[Sought]) -> Snippet:
    begin = 0
    if found > _LEAD:
        begin = found - _LEAD
        gap = re.compile(r"\s").search(text, begin, found)
        begin = gap.end() if gap else begin
    end = _cut(text, begin)
    ranges = tuple((at - begin, to - begin) for at, to in _places(text, begin, end, terms))
    return Snippet(text[begin:end], ranges)


def _cut(text: str, begin: int) -> int:
    """Where a piece ends: at a gap between words in its last quarter, if there is one."""
    end = begin + MAX_LENGTH
    if end >= len(text):
        return len(text)
    gaps = [gap.start() for gap in re.compile(r"\s").finditer(text, end - MAX_LENGTH // 4, end)]
    return gaps[-1] if gaps else end


def _places(text: str, begin: int, end: int, terms: Sequence[Sought]) -> Iterator[Range]:
    """Where terms stand, the longest at each place; the last one may be cut off by the end."""
    words = list(takewhile(lambda word: word.start() < end, _WORDS.finditer(text, begin)))
    lexemes = [_folded(word.group()) for word in words]
    nth = 0
    while nth < len(words):
        length = max((_length(lexemes, nth, term) for term in terms), default=0)
        if length:
            yield words[nth].start(), min(words[nth + length - 1].end(), end)
        nth += length or 1


def _length(words: Sequence[str], nth: int, term: Sought) -> int:
    """How many words a term takes at a place; 0 where it does not stand there."""
    last = nth + len(term.lexemes) - 1
    if last >= len(words) or (len(term.lexemes) > 1 and words[nth] != term.lexemes[0]):
        return 0
    fits = words[last].startswith(term.lexemes[-1]) if term.begins else words[last] == term.lexemes[-1]
    return len(term.lexemes) if fits and tuple(words[nth:last]) == term.lexemes[:-1] else 0


def _folded(word: str) -> str:
    """A word as `search_text` and the dictionary make it."""
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFKC", _ACCENTS.sub("", unicodedata.normalize("NFKD", word))).lower()

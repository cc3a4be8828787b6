"""What a search asks for: a query as people type it, its words as Postgres sees them, and both as conditions."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

MAX_TERMS: Final = 32
_TERMS: Final = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
_LEXEMES: Final = re.compile(r"'((?:[^'\\]|''|\\.)*)'")


@dataclass(frozen=True, slots=True)
class Term:
    """A word, a phrase or the beginning of a word, as it was typed; what holds an excluded one is left out."""

    text: str
    begins: bool
    excluded: bool


@dataclass(frozen=True, slots=True)
class Sought:
    """A term by its lexemes, which follow each other; the last one may only begin so."""

    lexemes: tuple[str, ...]
    begins: bool
    excluded: bool

    @property
    def condition(self) -> str:
        """As a tsquery; what is quoted cannot be an operator."""
        phrase = " <-> ".join(map(quoted, self.lexemes)) + (":*" if self.begins else "")
        return f"!({phrase})" if self.excluded else f"({phrase})"

    @property
    def plain(self) -> bool:
        """Whether it is one whole word."""
        return len(self.lexemes) == 1 and not self.begins


@dataclass(frozen=True, slots=True)
class Question:
    """All that must hold of a text."""

    terms: tuple[Sought, ...]

    @property
    def wanted(self) -> tuple[Sought, ...]:
        """The terms that a text must have."""
        return tuple(term for term in self.terms if not term.excluded)

    @property
    def words(self) -> tuple[str, ...]:
        """The whole words that a text must have, wherever they stand."""
        lexemes = (term.lexemes[:-1] if term.begins else term.lexemes for term in self.wanted)
        return tuple(dict.fromkeys(chain.from_iterable(lexemes)))

    @property
    def indexed(self) -> str:
        """What the index can tell without the rows, and quickly: whole words. Beginnings only where there are none."""
        conditions = [*map(quoted, self.words)] or [f"{quoted(term.lexemes[-1])}:*" for term in self.wanted]
        return _all(chain(conditions, (term.condition for term in self.terms if term.excluded and term.plain)))

    @property
    def exact(self) -> bool:
        """Whether that is the whole question."""
        return all(term.plain for term in self.terms)

    @property
    def full(self) -> str:
        """The whole question."""
        return _all(term.condition for term in self.terms)

    @property
    def rated(self) -> str:
        """What the rank is by: that a text lacks something makes it no better."""
        return _all(term.condition for term in self.wanted)


def parse(query: str) -> list[Term]:
    """The terms of a query; there is no malformed one."""
    terms = []
    for hyphen, phrase, bare in _TERMS.findall(query):
        text = phrase or bare.removesuffix("*")
        if text:
            terms.append(Term(text, begins=not phrase and bare.endswith("*"), excluded=bool(hyphen)))
    return terms


def understood(terms: Sequence[Term], phrases: Iterable[str]) -> Question:
    """The question of terms with their phrases as Postgres has parsed them; terms without any lexeme say nothing."""
    found = (
        (term, tuple(map(_unquoted, _LEXEMES.findall(phrase)))) for term, phrase in zip(terms, phrases, strict=True)
    )
    return Question(tuple(Sought(lexemes, term.begins, term.excluded) for term, lexemes in found if lexemes))


def quoted(lexeme: str) -> str:
    """A lexeme as it stands in a tsquery."""
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"


def _unquoted(lexeme: str) -> str:
    return re.sub(r"\\(.)|'(')", r"\1\2", lexeme)


def _all(conditions: Iterable[str]) -> str:
    return " & ".join(conditions)

"""One user's long history as rows to copy: a conversation with most of the messages, and many short ones.

The words are made up, as frequent as words are (Zipf's law), and some are planted: `frequent0` and its like stand in
every second message, `middling0` in every hundredth, `rare0` in ten of a million.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final
from uuid import UUID

from tools.seed_rows import Row, id_at

PLANTED: Final[Mapping[str, tuple[int, float]]] = {"frequent": (3, 0.5), "middling": (10, 0.01), "rare": (20, 1e-5)}
SHORT: Final = 100  # messages of a short conversation
LONG_SHARE: Final = 0.6  # of the messages are in the long one

_VOCABULARY: Final = 30_000
_LENGTH: Final = 40  # words of a message, on average
_CONSONANTS: Final = "bcdfghklmnprstvz"
_VOWELS: Final = "aeiou"
_AT_ONCE: Final = 10_000
_YEARS: Final = timedelta(days=2 * 365)


@dataclass(slots=True)
class Thread:
    """A conversation, and how many messages it has by now."""

    id: UUID
    length: int = 0


@dataclass(slots=True, kw_only=True)
class History:
    """The rows of a user's messages, made in the order in which they are said to have been written."""

    user_id: UUID
    session_id: UUID
    now: datetime
    total: int
    random: random.Random
    made: int = 0
    long: Thread = field(init=False)
    short: list[Thread] = field(init=False)
    _open: Iterator[Thread] = field(init=False, repr=False)
    _present: Thread = field(init=False, repr=False)
    _words: Sequence[str] = field(init=False, repr=False)
    _weights: Sequence[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Begin with empty conversations."""
        self.long = Thread(id_at(self.now - _YEARS))
        count = self.total // SHORT + 1
        self.short = [Thread(id_at(self.now - _YEARS * (1 - nth / count))) for nth in range(count)]
        self._open = iter(self.short)
        self._present = next(self._open)
        self._words = [_word(number) for number in range(_VOCABULARY)]
        self._weights = list(accumulate(1 / (rank + 3) for rank in range(_VOCABULARY)))

    def batches(self, until: int) -> Iterator[list[Row]]:
        """Rows of chat_messages, until so many have been made."""
        while self.made < until:
            yield [self._row() for _ in range(min(_AT_ONCE, until - self.made))]

    def conversations(self) -> list[tuple[UUID, UUID, int]]:
        """Every conversation with its owner and its length."""
        return [(self.user_id, thread.id, thread.length) for thread in (self.long, *self.short)]

    def _row(self) -> Row:
        self.made += 1
        moment = self.now - _YEARS * (1 - self.made / self.total)
        thread = self._thread()
        thread.length += 1
        text = self._text()
        place = (thread.length, 1, thread.length, thread.length + 1, 2 + thread.length % 2)
        written = (json.dumps([{"text": text}]), len(text), None, moment)
        return (self.user_id, id_at(moment), thread.id, self.session_id, *place, *written)

    def _thread(self) -> Thread:
        if self.random.random() < LONG_SHARE:
            return self.long
        if self._present.length == SHORT:
            self._present = next(self._open)
        return self._present

    def _text(self) -> str:
        count = 1 + int(self.random.expovariate(1 / _LENGTH))
        words = self.random.choices(self._words, cum_weights=self._weights, k=count)
        for kind, (words_of_kind, chance) in PLANTED.items():
            words += [f"{kind}{nth}" for nth in range(words_of_kind) if self.random.random() < chance]
        return " ".join(words)


def _word(number: int) -> str:
    """Syllables that spell a number."""
    word, rest = "", number + len(_CONSONANTS)
    while rest:
        rest, consonant = divmod(rest, len(_CONSONANTS))
        rest, vowel = divmod(rest, len(_VOWELS))
        word += _CONSONANTS[consonant] + _VOWELS[vowel]
    return word

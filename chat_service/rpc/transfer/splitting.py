"""A file that comes in pieces, cut into documents: the lines of JSON Lines, or the elements of one big JSON array.

No more than one document is held, and none larger than a limit: of a larger one the rest is passed over, as is a string
of any length. What a document says is of no interest here, only where it ends.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_NESTING: Final = 200
# What each value costs when it is read, whatever its text: so that a small document cannot be large in memory.
MAX_OBJECTS: Final = 100_000
MAX_ITEMS: Final = 500_000

_TOO_LARGE: Final = f"has more than {MAX_BYTES:,} bytes"
_TOO_MANY: Final = f"has more than {MAX_OBJECTS:,} objects or {MAX_ITEMS:,} values"
_TOO_DEEP: Final = f"is nested more than {MAX_NESTING} deep"
_NOT_AN_OBJECT: Final = "is not a JSON object"
_NOT_AN_ARRAY: Final = "the file is not a JSON array"
_CUT_OFF: Final = "the file ends in the middle of it"
_STRING: Final = re.compile(rb"(?:[^\"\\]++|\\.)*+", re.DOTALL)
# What leads to a bracket, whole strings among it, or to a string that the piece does not end.
_TO_MARK: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_MARK_OUTSIDE: Final = re.compile(rb'["{}\[\],]')
_QUOTE: Final = ord('"')
_BACKSLASH: Final = ord("\\")
_OPENING: Final = b"{["
_SPACE: Final = b" \t\r\n\xef\xbb\xbf"  # and the mark of a byte order
_IN_ARRAY: Final = 1


@dataclass(frozen=True, slots=True)
class Document:
    """A document by its place in the file, from 1; or, in its stead, what is wrong with it."""

    number: int
    data: bytes = field(repr=False, default=b"")
    problem: str = ""


class Splitter(Protocol):
    """Takes pieces, and gives the documents that they complete."""

    def feed(self, piece: bytes) -> Iterator[Document]:
        """The documents that end in this piece."""

    def end(self) -> Iterator[Document]:
        """What is left at the end of the file."""


class _Collected:
    """The bytes of the document under way, as long as they are not too many."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._number = 0
        self.problem = ""
        self.begun = False

    def add(self, data: bytes) -> None:
        if len(self._data) + len(data) > MAX_BYTES:
            self.problem = _TOO_LARGE
        if self.problem:
            self._data.clear()
        else:
            self._data += data

    def take(self) -> Document:
        """The document, at its end."""
        self._number += 1
        data, problem = bytes(self._data), self.problem
        self._data.clear()
        self.problem, self.begun = "", False
        if not problem and (data.count(b"{") > MAX_OBJECTS or data.count(b",") + data.count(b"[") > MAX_ITEMS):
            problem = _TOO_MANY
        return Document(self._number, b"" if problem else data, problem)


class Lines:
    """Each line that is not blank is a document."""

    def __init__(self) -> None:
        """Begin at the beginning of a file."""
        self._line = _Collected()

    def feed(self, piece: bytes) -> Iterator[Document]:
        """The lines that end in this piece."""
        *ended, rest = piece.split(b"\n")
        for part in ended:
            self._add(part)
            if self._line.begun:
                yield self._line.take()
        self._add(rest)

    def end(self) -> Iterator[Document]:
        """The last line, where no line end follows it."""
        if self._line.begun:
            yield self._line.take()

    def _add(self, part: bytes) -> None:
        if not self._line.begun:
            part = part.lstrip(_SPACE)
        if part:
            self._line.begun = True
            self._line.add(part)


class Elements:
    """Each element of the one array in the file is a document."""

    def __init__(self) -> None:
        """Begin at the beginning of a file."""
        self._element = _Collected()
        self._depth = 0
        self._in_string = self._escaped = self._stray = self._over = False
        self._ready: list[Document] = []

    def feed(self, piece: bytes) -> Iterator[Document]:
        """The elements that end in this piece."""
        at = 0
        while at < len(piece) and not self._over:
            inside = self._depth > _IN_ARRAY
            if self._in_string:
                end = self._through_string(piece, at)
            else:
                end = self._inside(piece, at) if inside else self._outside(piece, at)
            if inside:
                self._element.add(piece[at:end])
                if self._depth == _IN_ARRAY:
                    self._ready.append(self._element.take())
            at = end
            yield from self._ready
            self._ready.clear()

    def end(self) -> Iterator[Document]:
        """That the file ends too early, where it does."""
        if not self._over:
            self._refuse(_CUT_OFF if self._depth else _NOT_AN_ARRAY)
            yield from self._ready

    def _through_string(self, piece: bytes, at: int) -> int:
        """To the end of the string, or of the piece."""
        if self._escaped:
            self._escaped = False
            return at + 1
        found = _STRING.match(piece, at)
        end = found.end() if found else at
        if end == len(piece):
            return end
        self._escaped = piece[end] == _BACKSLASH  # the last byte of the piece: the next one belongs to it
        self._in_string = self._escaped
        return end + 1

    def _inside(self, piece: bytes, at: int) -> int:
        """To the end of the element, to a string that this piece does not end, or to the end of the piece."""
        depth = self._depth
        while (end := _to_mark(piece, at)) < len(piece):
            at, kind = end + 1, piece[end]
            if kind == _QUOTE:
                self._in_string = True
                break
            if kind in _OPENING:
                depth += 1
                if depth > MAX_NESTING:
                    self._element.problem = _TOO_DEEP
            else:
                depth -= 1
                if depth == _IN_ARRAY:
                    break
        else:
            at = len(piece)
        self._depth = depth
        return at

    def _outside(self, piece: bytes, at: int) -> int:
        """To the beginning of an element, or past the next mark before it."""
        mark = _MARK_OUTSIDE.search(piece, at)
        self._stray = self._stray or bool(piece[at : mark.start() if mark else None].strip(_SPACE))
        if mark is None:
            return len(piece)
        if self._depth == _IN_ARRAY:
            return self._between(mark[0], mark.start())
        if self._stray or mark[0] != b"[":
            self._refuse(_NOT_AN_ARRAY)
            self._over = True
        self._depth = _IN_ARRAY
        return mark.end()

    def _between(self, mark: bytes, at: int) -> int:
        """Past a mark between elements."""
        if mark in b"{[":
            self._depth += 1
            self._element.begun = True
            self._element.add(mark)
        elif mark == b'"':
            self._in_string = self._stray = True
        else:
            if self._stray:
                self._refuse(_NOT_AN_OBJECT)
            self._stray, self._over = False, mark != b","
        return at + 1

    def _refuse(self, problem: str) -> None:
        self._element.problem = self._element.problem or problem
        self._ready.append(self._element.take())


def _to_mark(piece: bytes, at: int) -> int:
    """Where the next mark is, from a place outside of strings; the end of the piece where there is none."""
    found = _TO_MARK.match(piece, at)
    return found.end() if found else at

"""Collects what is wrong with a request, so that the caller learns all of it at once."""

from collections.abc import Collection, Iterable
from typing import Final
from unicodedata import category
from uuid import UUID

from shared import ids
from shared.errors import FieldViolation, InvalidFields

MAX_REQUEST_ID: Final = 64
_NAMED: Final = 5  # of the paths that cannot be written, and so much of each
_SHOWN: Final = 60
_NIL: Final = UUID(int=0)


class Violations:
    """Checks fields one by one and notes each that is not valid; `done` refuses the request if there were any.

    A check answers with the value to use, or with a harmless one that nobody will see.
    """

    def __init__(self) -> None:
        """Begin without violations."""
        self._found: list[FieldViolation] = []

    @property
    def found(self) -> tuple[FieldViolation, ...]:
        """What was noted, for an item that is told about alone."""
        return tuple(self._found)

    def add(self, field: str, description: str) -> None:
        """Note one."""
        self._found.append(FieldViolation(field, description))

    def done(self) -> None:
        """Raise InvalidFields with all that was noted."""
        if self._found:
            raise InvalidFields(self._found)

    def text(self, field: str, value: str, *, longest: int, shortest: int = 0) -> str:
        """A text of so many code points, without U+0000, which Postgres cannot hold."""
        if "\0" in value:
            self.add(field, "must not contain U+0000")
        elif not value and shortest:
            self.add(field, "must be set")
        elif len(value) > longest:
            self.add(field, f"must have at most {longest} characters")
        elif len(value) < shortest:
            self.add(field, f"must have at least {shortest} characters")
        return value

    def line(self, field: str, value: str, *, longest: int) -> str:
        """A text that is shown on one line: it has no control characters."""
        if not value.isprintable() and any(category(character) == "Cc" for character in value):
            self.add(field, "must not contain control characters")
            return value
        return self.text(field, value, longest=longest)

    def request_id(self, value: str) -> str | None:
        """The caller's name for this request; None where it gave none."""
        return self.text("request_id", value, longest=MAX_REQUEST_ID) or None

    def id(self, field: str, value: str) -> UUID:
        """An identifier that must be given."""
        parsed = ids.parse_id(value)
        if parsed is None:
            self.add(field, "must be a UUID" if value else "must be set")
        return parsed or _NIL

    def optional_id(self, field: str, value: str) -> UUID | None:
        """An identifier that may be left out."""
        return self.id(field, value) if value else None

    def count(self, field: str, items: Collection[object], *, most: int, least: int = 1) -> None:
        """A number of repeated items."""
        if not least <= len(items) <= most:
            self.add(field, f"must have {least} to {most} items")

    def mask(self, paths: Iterable[str], writable: Collection[str], given: Collection[str]) -> frozenset[str]:
        """The fields to write (AIP-134): those of the mask, all for `*`, and those that are set where it is empty."""
        asked = list(paths)
        if asked == ["*"]:
            return frozenset(writable)
        unknown = [path[:_SHOWN] for path in asked if path not in writable]
        if unknown:
            named = ", ".join(map(repr, unknown[:_NAMED]))
            self.add("update_mask", f"{named} cannot be written; these can: {', '.join(sorted(writable))}")
        return frozenset(asked) if asked else frozenset(given) & frozenset(writable)

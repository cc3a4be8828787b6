"""Where a page ends: at its size, or before its text would pass the limit."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from chat_service.models import Page
from shared.db import Record

MAX_PAGE_BYTES: Final = 3_000_000

T = TypeVar("T")


def cut(rows: Sequence[Record], size: int, render: Callable[[Record], T], measure: str | None = None) -> Page[T]:
    """A page of the first rows, and whether there are more; `measure` names the column with the bytes of a row."""
    items: list[T] = []
    length = 0
    for row in rows[:size]:
        length += row[measure] if measure else 0
        if items and length > MAX_PAGE_BYTES:
            break
        items.append(render(row))
    return Page(items=items, more=len(rows) > len(items))

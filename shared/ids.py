"""Identifiers: UUID version 7 (RFC 9562 section 5.7), ordered by the time they were made."""

from functools import lru_cache
from uuid import UUID

import uuid_utils
from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A fresh identifier. It is unique, not secret: never use one where a caller must not guess."""
    return uuid7()


def new_text() -> str:
    """A fresh identifier as text, for what is never stored."""
    return str(uuid_utils.uuid7())


@lru_cache(maxsize=65_536)
def text_of(item_id: UUID) -> str:
    """The canonical text of an identifier; making it costs a microsecond, which a call would pay many times."""
    return str(item_id)


def parse_id(text: str) -> UUID | None:
    """The identifier in its canonical text form, or None for anything else."""
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return parsed if str(parsed) == text.lower() else None

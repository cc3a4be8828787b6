"""Recovery codes: what a user writes down for the day when the phone is gone. Each has 100 random bits."""

import re
import secrets
from hashlib import sha256
from typing import Final
from uuid import UUID

AMOUNT: Final = 10
MAX_LENGTH: Final = 64
_GROUPS: Final = 4
_GROUP: Final = 5
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"  # base32: none is taken for another
_IGNORED: Final = re.compile(r"[\s-]")


def generate() -> list[str]:
    """A set of codes in groups that can be read aloud, such as `k7w2a-…`."""
    return ["-".join(_group() for _ in range(_GROUPS)) for _ in range(AMOUNT)]


def digest(user_id: UUID, code: str) -> bytes:
    """What a user's code is found by in the database; how it is spaced and cased makes no difference."""
    return sha256(b"recovery code\n" + user_id.bytes + _IGNORED.sub("", code).lower().encode()).digest()


def _group() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_GROUP))

"""The token of a log-in that lacks its second factor: the id of a challenge, and a secret kept as its digest."""

import base64
import binascii
import secrets
from typing import Final
from uuid import UUID

from auth_service.models import ChallengeToken
from shared import ids

PREFIX: Final = "parley_lc_"
MAX_LENGTH: Final = 128
_ID_BYTES: Final = 16
_SECRET_BYTES: Final = 32


def new() -> ChallengeToken:
    """A token of 256 random bits."""
    return ChallengeToken(ids.new_id(), secrets.token_bytes(_SECRET_BYTES))


def write(token: ChallengeToken) -> str:
    """The text of a token."""
    return PREFIX + base64.urlsafe_b64encode(token.id.bytes + token.secret).decode()


def read(text: str) -> ChallengeToken | None:
    """The token in a text; None for anything that `write` has not written."""
    try:
        raw = base64.b64decode(text.removeprefix(PREFIX), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != _ID_BYTES + _SECRET_BYTES:
        return None
    token = ChallengeToken(UUID(bytes=raw[:_ID_BYTES]), raw[_ID_BYTES:])
    return token if write(token) == text else None

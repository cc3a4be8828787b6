"""Refresh tokens: a session, a generation and a MAC (DESIGN 5.4).

Nothing in the database can mint one, for the key of the MAC is not there; and each is determined by its session and
generation, so that all who race with one token get the same successor.
"""

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from uuid import UUID

from shared.crypto import MAC_BYTES, MacKeys

PREFIX: Final = "parley_rt_"
FIRST_GENERATION: Final = 1
MAX_LENGTH: Final = 4096
_BODY: Final = struct.Struct(">16sI")


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What a token says, its MAC checked."""

    session_id: UUID
    generation: int


class RefreshTokens:
    """Writes and reads refresh tokens."""

    def __init__(self, keys: MacKeys) -> None:
        """Sign with keys of its own."""
        self._keys = keys

    def write(self, token: RefreshToken) -> str:
        """The text of a token."""
        body = _BODY.pack(token.session_id.bytes, token.generation)
        return _text(body, self._keys.mac(body))

    def read(self, text: str) -> RefreshToken | None:
        """The token in a text; None unless we wrote it, to the letter, under the present or the former key."""
        encoded = text.removeprefix(PREFIX)
        try:
            raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(raw) != _BODY.size + MAC_BYTES:
            return None
        body = raw[: _BODY.size]
        if not any(hmac.compare_digest(_text(body, tag), text) for tag in self._keys.tags(body)):
            return None
        session, generation = _BODY.unpack(body)
        return RefreshToken(UUID(bytes=session), generation)


def _text(body: bytes, tag: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(body + tag).rstrip(b"=").decode()


def digest(session_id: UUID) -> bytes:
    """What a session's token is found by in the database."""
    return sha256(b"refresh\n" + session_id.bytes).digest()

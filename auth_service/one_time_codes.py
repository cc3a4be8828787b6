"""The secrets of mailed links and codes: derived from a row's id by a MAC, so that the database holds none (RFC 2104).

A link carries a token of 256 bits. A code is eight digits to type; it counts only together with the request token,
which whoever asked for the mail has, and which is given out for unknown addresses too.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.crypto import MacKeys

TOKEN_PREFIX: Final = "parley_ot_"  # noqa: S105 - how one begins
REQUEST_PREFIX: Final = "parley_or_"
DIGITS: Final = 8
GUESSES: Final = 5
CODE_LIFETIME: Final = timedelta(minutes=10)
_ID_BYTES: Final = 16
_MAC_BYTES: Final = 32
_ENCODED: Final = 64


class Purpose(StrEnum):
    """What a link or code is for; it is good for nothing else."""

    EMAIL_VERIFICATION = "EMAIL_VERIFICATION"
    EMAIL_CHANGE = "EMAIL_CHANGE"
    PASSWORD_RESET = "PASSWORD_RESET"  # noqa: S105 - a purpose, not a secret
    LOG_IN = "LOG_IN"
    ACCOUNT_RESTORE = "ACCOUNT_RESTORE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What somebody presents: the token of a link, or else a code with the token of its request."""

    token: str = field(repr=False)
    request_token: str = field(repr=False)
    code: str = field(repr=False)


class OneTimeSecrets:
    """Writes and reads the secrets of one row."""

    def __init__(self, keys: MacKeys) -> None:
        """Sign with keys of its own."""
        self._keys = keys

    def token(self, purpose: Purpose, code_id: UUID) -> str:
        """The token of the link."""
        return TOKEN_PREFIX + self._text(b"link", purpose, code_id)

    def request_token(self, purpose: Purpose, code_id: UUID) -> str:
        """The token that the one who asks gets at once; it proves nothing without the code."""
        return REQUEST_PREFIX + self._text(b"request", purpose, code_id)

    def code(self, purpose: Purpose, code_id: UUID) -> str:
        """The digits to type."""
        return _digits(self._keys.mac(_message(b"code", purpose, code_id)))

    def code_matches(self, purpose: Purpose, code_id: UUID, code: str) -> bool:
        """Whether these are the digits."""
        told = code.encode()
        message = _message(b"code", purpose, code_id)
        return any(hmac.compare_digest(told, _digits(tag).encode()) for tag in self._keys.tags(message))

    def read_token(self, purpose: Purpose, text: str) -> UUID | None:
        """The row that a link is of; None unless we wrote it, for this purpose."""
        return self._read(b"link", purpose, text, TOKEN_PREFIX)

    def read_request_token(self, purpose: Purpose, text: str) -> UUID | None:
        """The row that a request made."""
        return self._read(b"request", purpose, text, REQUEST_PREFIX)

    def _text(self, kind: bytes, purpose: Purpose, code_id: UUID) -> str:
        raw = code_id.bytes + self._keys.mac(_message(kind, purpose, code_id))
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def _read(self, kind: bytes, purpose: Purpose, text: str, prefix: str) -> UUID | None:
        encoded = text.removeprefix(prefix)
        try:
            raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if not text.startswith(prefix) or len(encoded) != _ENCODED or len(raw) != _ID_BYTES + _MAC_BYTES:
            return None
        code_id = UUID(bytes=raw[:_ID_BYTES])
        return code_id if self._keys.matches(raw[_ID_BYTES:], _message(kind, purpose, code_id)) else None


def _message(kind: bytes, purpose: Purpose, code_id: UUID) -> bytes:
    return b"\n".join((kind, purpose.value.encode(), code_id.bytes))


def _digits(tag: bytes) -> str:
    return str(int.from_bytes(tag[:8]) % 10**DIGITS).zfill(DIGITS)

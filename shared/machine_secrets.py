"""What machines prove themselves with, as text: API keys and client secrets.

parley_ak_<64 characters><8 characters>

The first characters say what it is, to people and to scanners for leaked secrets; the 64 are the session's id and 32
bytes of secret, in base64url; the last eight are the beginning of the SHA-256 of all before them, in hexadecimal. So a
slip of the hand is noticed without a look-up. That digest is all that is stored.
"""

import base64
import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from uuid import UUID

from shared.identity import Session, SessionKind

PREFIXES: Final = {SessionKind.API_KEY: "parley_ak_", SessionKind.CLIENT_SECRET: "parley_cs_"}
API_KEY_PREFIX: Final = PREFIXES[SessionKind.API_KEY]
SECRET_BYTES: Final = 32
LENGTH: Final = 10 + 64 + 8
_KINDS: Final = {prefix: kind for kind, prefix in PREFIXES.items()}
_CHECK: Final = 8
_HINT: Final = 4


@dataclass(frozen=True, slots=True)
class Presented:
    """What somebody presents: of this kind, for this session, with a secret of this digest."""

    kind: SessionKind
    session_id: UUID
    digest: bytes = field(repr=False)

    def opens(self, session: Session | None) -> bool:
        """Whether the session is held with this very secret; its digest covers the kind too."""
        if session is None or session.secret_digest is None:
            return False
        return hmac.compare_digest(session.secret_digest, self.digest)


def write(kind: SessionKind, session_id: UUID, secret: bytes) -> tuple[str, bytes]:
    """The text of a secret, and the digest that is stored of it."""
    begin = PREFIXES[kind] + base64.urlsafe_b64encode(session_id.bytes + secret).decode()
    digest = sha256(begin.encode()).digest()
    return begin + digest.hex()[:_CHECK], digest


def read(text: str) -> Presented | None:
    """What is presented; None for what we never wrote."""
    kind = _KINDS.get(text[:10])
    if kind is None or len(text) != LENGTH or not text.isascii():
        return None
    begin = text[:-_CHECK]
    digest = sha256(begin.encode()).digest()
    if digest.hex()[:_CHECK] != text[-_CHECK:]:
        return None
    try:
        raw = base64.b64decode(begin[10:], altchars=b"-_", validate=True)
    except ValueError:
        return None
    return Presented(kind, UUID(bytes=raw[:16]), digest)


def hint(session: Session) -> str:
    """The last characters of a session's secret, to know it by in a list."""
    return session.secret_digest.hex()[_CHECK - _HINT : _CHECK] if session.secret_digest else ""

"""Who presents a service key: a service, with the one role of that name and no account."""

import hmac
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from shared.calls import Principal
from shared.identity import SessionKind
from shared.service_keys import PREFIX

# Whom the log names; no account has this id.
NOBODY: Final = UUID(int=0)
_ALWAYS: Final = datetime.max.replace(tzinfo=UTC)


class ServiceKeys:
    """The keys that are good now: one, or two while a new one takes the place of the former."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Keep their digests alone."""
        self._digests = [_digest(PREFIX + key) for key in keys]

    def principal(self, presented: str) -> Principal | None:
        """The service behind a key, prefix and all; its session id tells in the log which key it was."""
        digest = _digest(presented)
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if not any(matches):
            return None
        return Principal(
            user_id=NOBODY,
            session_id=UUID(bytes=digest[:16]),
            kind=SessionKind.CLIENT_SECRET,
            roles=("service",),
            expire_time=_ALWAYS,
        )


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()

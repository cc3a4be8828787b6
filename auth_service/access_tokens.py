"""Access tokens, minted with the key that signs now."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import jwt

from auth_service.keys import ALGORITHM, Keys
from shared import access_tokens, clock, ids

AUDIENCES: Final = ["auth", "chat"]
_JITTER: Final = 0.05


class Minter:
    """Signs what auth knows of a session for those who cannot ask it each time."""

    def __init__(self, keys: Keys, issuer: str, lifetime: timedelta) -> None:
        """`lifetime` is the longest; each token gets up to 5 % less, so that a fleet does not refresh in step."""
        self._keys, self._issuer, self._lifetime = keys, issuer, lifetime

    def mint(
        self, user_id: UUID, session_id: UUID, roles: Sequence[str], auth_methods: Sequence[str]
    ) -> tuple[str, datetime]:
        """A token and its expiry."""
        now = int(clock.now().timestamp())
        expiry = now + int(self._lifetime.total_seconds() * (1 - random.random() * _JITTER))  # noqa: S311 - no secret
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCES,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": str(ids.new_id()),
            "iat": now,
            "exp": expiry,
            "roles": list(roles),
            "amr": list(auth_methods),
        }
        signing = self._keys.signing
        headers = {"kid": signing.kid, "typ": access_tokens.TYPE}
        return jwt.encode(claims, signing.private, ALGORITHM, headers), datetime.fromtimestamp(expiry, UTC)

"""Access tokens, minted with the key that signs now."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import jwt

from auth_service.keys import Keys
from shared import access_tokens, clock, ids
from shared.access_tokens import Actor

_JITTER: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token says of its session, which it does not outlive.

    Without audiences it is for those of people, without scopes it is not limited; `client_id` is the service account
    that it is given to, `actor` the same where that acts for the user.
    """

    user_id: UUID
    session_id: UUID
    roles: Sequence[str]
    auth_methods: Sequence[str]
    assurance: int
    auth_time: datetime | None
    session_expire_time: datetime
    audiences: Sequence[str] = ()
    scopes: Sequence[str] = ()
    client_id: UUID | None = None
    actor: Actor | None = None


class Minter:
    """Signs what auth knows of a session for those who cannot ask it each time."""

    def __init__(self, keys: Keys, issuer: str, audiences: Sequence[str], lifetime: timedelta) -> None:
        """`lifetime` is the longest; each token gets up to 5 % less, so that a fleet does not refresh in step."""
        self._keys, self._issuer, self._audiences, self._lifetime = keys, issuer, list(audiences), lifetime

    def mint(self, grant: Grant) -> tuple[str, datetime]:
        """A token and its expiry."""
        now = int(clock.timestamp())
        lifetime = int(self._lifetime.total_seconds() * (1 - random.random() * _JITTER))  # noqa: S311 - no secret
        expiry = min(now + lifetime, int(grant.session_expire_time.timestamp()))
        claims = {
            "iss": self._issuer,
            "aud": list(grant.audiences) or self._audiences,
            "sub": str(grant.user_id),
            "sid": str(grant.session_id),
            "jti": str(ids.new_id()),
            "iat": now,
            "exp": expiry,
            "roles": list(grant.roles),
            "amr": list(grant.auth_methods),
            "acr": f"aal{grant.assurance}",
            **_optional(grant),
        }
        signing = self._keys.signing
        headers = {"kid": signing.kid, "typ": access_tokens.TYPE}
        return jwt.encode(claims, signing.private, signing.algorithm, headers), datetime.fromtimestamp(expiry, UTC)


def _optional(grant: Grant) -> dict[str, object]:
    """The claims that not every token has (RFC 9068 section 2.2, RFC 8693 section 4)."""
    actor = grant.actor
    claims = {
        "auth_time": int(grant.auth_time.timestamp()) if grant.auth_time else None,
        "scope": " ".join(grant.scopes) or None,
        "client_id": str(grant.client_id) if grant.client_id else None,
        "act": {"sub": str(actor.user_id), "sid": str(actor.session_id)} if actor else None,
    }
    return {name: value for name, value in claims.items() if value is not None}

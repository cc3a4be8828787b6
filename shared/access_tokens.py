"""Checking access tokens: signed JWTs (RFC 7519) under the rules of RFC 8725 and the profile of RFC 9068.

PyJWT checks the signature and the times. What it lets pass is refused here first: other spellings of the same token,
duplicate claims, headers that point to keys, missing or oddly typed claims.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, cast
from uuid import UUID

import jwt
import msgspec

from shared import clock
from shared.calls import Principal
from shared.identity import Session, SessionKind, User
from shared.jwks import PublicKey

TYPE: Final = "at+jwt"
MAX_LENGTH: Final = 4096
LEEWAY_SECONDS: Final = 5
_REMEMBERED: Final = 100_000
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADERS: Final = {"typ", "alg", "kid"}
# The times are compared here, by the clock that the checker was given, and the audience by whom it is asked for.
_OPTIONS: Final[Any] = {
    "require": ["sub", "sid", "jti", "iat", "exp", "iss", "aud"],
    **dict.fromkeys(("verify_exp", "verify_iat", "verify_nbf", "verify_aud"), False),
}


class Refusal(StrEnum):
    """Why a token does not count."""

    MALFORMED = "MALFORMED"
    INVALID = "INVALID"
    EXPIRED = "EXPIRED"


class TokenRefused(Exception):
    """The token does not count."""

    def __init__(self, refusal: Refusal) -> None:
        """Say why."""
        self.refusal = refusal
        super().__init__(refusal.value)


class UnknownKey(TokenRefused):
    """The token names a key that is not in the set: whoever holds a copy of the set may ask for a newer one."""

    def __init__(self) -> None:
        """Invalid, as far as is known."""
        super().__init__(Refusal.INVALID)


@dataclass(frozen=True, slots=True)
class Actor:
    """The service account that acts for a token's user, and the session of its credential (RFC 8693 section 4.1)."""

    user_id: UUID
    session_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says, all of it checked. `principal` is the caller as it was when the token was made."""

    user_id: UUID
    session_id: UUID
    token_id: str
    key_id: str
    audiences: tuple[str, ...]
    actor: Actor | None
    issue_time: float
    expire_time: float
    principal: Principal

    def principal_now(self, session: Session, user: User) -> Principal:
        """The caller as session and user are now, within the token's own limits; raises TokenRefused for none left."""
        present = Principal.of(session, user, self.principal.expire_time)
        asked = self.principal.scopes
        if not asked:
            return present
        unlimited = session.kind is SessionKind.SIGN_IN and not session.scopes
        left = asked if unlimited else tuple(scope for scope in asked if scope in session.scopes)
        if not left:  # no scopes would be no limit
            raise TokenRefused(Refusal.INVALID)
        return replace(present, scopes=left, actor_id=self.principal.actor_id)


_Scopes = Annotated[str, msgspec.Meta(pattern=r"\A[a-z._]+(?: [a-z._]+)*\Z", max_length=1_000)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 36)]


class _Act(msgspec.Struct):
    sub: UUID
    sid: UUID


class _Payload(msgspec.Struct):
    sub: UUID
    sid: UUID
    jti: str
    iat: _Seconds
    exp: _Seconds
    iss: str
    aud: list[str]
    nbf: _Seconds = 0
    roles: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    acr: Literal["aal1", "aal2"] = "aal1"
    auth_time: _Seconds | None = None
    scope: _Scopes | msgspec.UnsetType = msgspec.UNSET
    act: _Act | msgspec.UnsetType = msgspec.UNSET
    client_id: UUID | msgspec.UnsetType = msgspec.UNSET


class TokenChecker:
    """Checks tokens against a set of keys; a token once found good is remembered, by its digest, until it expires.

    A remembered token counts only while its key is in the set it is checked against: who withdraws a key leaves it out
    of the set, and nothing else has to be told. For that a kid must never name another key.
    """

    def __init__(self, issuer: str, audience: str, now: Callable[[], float] = lambda: clock.now().timestamp()) -> None:
        """Tokens of one issuer, for one audience, by a clock that gives seconds since 1970."""
        self._issuer, self._audience, self._now = issuer, audience, now
        self._remembered: dict[bytes, Claims] = {}

    def check(self, token: str, keys: Mapping[str, PublicKey], audience: str = "") -> Claims:
        """The claims of a good token; raises TokenRefused. The keys are by `kid`, as `jwks.key_set` gives them.

        Another audience may be asked about: who checks tokens for others is not the one they are for.
        """
        if len(token) > MAX_LENGTH:
            raise TokenRefused(Refusal.MALFORMED)
        digest = sha256(token.encode()).digest()
        claims = self._remembered.get(digest)
        if claims is None or claims.key_id not in keys:
            claims = self._decode(token, keys)
            if len(self._remembered) >= _REMEMBERED:
                self._forget_expired()
            self._remembered[digest] = claims
        if claims.expire_time + LEEWAY_SECONDS <= self._now():
            self._remembered.pop(digest, None)
            raise TokenRefused(Refusal.EXPIRED)
        if (audience or self._audience) not in claims.audiences:
            raise TokenRefused(Refusal.INVALID)
        return claims

    def _decode(self, token: str, keys: Mapping[str, PublicKey]) -> Claims:
        header, body = _parts(token)
        kid = header["kid"]
        key = keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise UnknownKey
        if header["alg"] != key.algorithm or header["typ"] != TYPE:
            raise TokenRefused(Refusal.INVALID)
        try:
            payload = msgspec.convert(body, _Payload)
            jwt.decode(
                token,
                key.material,
                algorithms=[key.algorithm],
                issuer=self._issuer,
                options=_OPTIONS,
            )
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, TypeError):
            raise TokenRefused(Refusal.INVALID) from None
        now = self._now()
        if payload.exp + LEEWAY_SECONDS <= now:
            raise TokenRefused(Refusal.EXPIRED)
        if max(payload.iat, payload.nbf) - LEEWAY_SECONDS > now:
            raise TokenRefused(Refusal.INVALID)
        return _claims(payload, kid)

    def _forget_expired(self) -> None:
        now = self._now()
        self._remembered = {digest: claims for digest, claims in self._remembered.items() if claims.expire_time > now}
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()


def _claims(payload: _Payload, kid: str) -> Claims:
    act = payload.act
    actor = Actor(act.sub, act.sid) if isinstance(act, _Act) else None
    if actor is not None and not isinstance(payload.scope, str):
        raise TokenRefused(Refusal.INVALID)  # who acts for another is limited
    return Claims(
        user_id=payload.sub,
        session_id=payload.sid,
        token_id=payload.jti,
        key_id=kid,
        audiences=tuple(payload.aud),
        actor=actor,
        issue_time=payload.iat,
        expire_time=payload.exp,
        principal=_principal(payload, actor),
    )


def _principal(payload: _Payload, actor: Actor | None) -> Principal:
    own = payload.client_id == payload.sub  # of a service account, on its own behalf
    return Principal(
        user_id=payload.sub,
        session_id=payload.sid,
        kind=SessionKind.CLIENT_SECRET if own else SessionKind.SIGN_IN,
        scopes=tuple(payload.scope.split(" ")) if isinstance(payload.scope, str) else (),
        actor_id=actor.user_id if actor else None,
        roles=payload.roles,
        auth_methods=payload.amr,
        assurance=int(payload.acr.removeprefix("aal")),
        auth_time=None if payload.auth_time is None else datetime.fromtimestamp(payload.auth_time, UTC),
        expire_time=datetime.fromtimestamp(payload.exp, UTC),
    )


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload of a token in its one canonical spelling."""
    if not _SHAPE.fullmatch(token):
        raise TokenRefused(Refusal.MALFORMED)
    header, payload, _ = (_canonical(part) for part in token.split("."))
    parsed = _object(header)
    if set(parsed) != _HEADERS:
        raise TokenRefused(Refusal.INVALID)
    return parsed, _object(payload)


def _canonical(part: str) -> bytes:
    """The bytes of a base64url part; a spelling that decodes to the same bytes but is not theirs is refused."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise TokenRefused(Refusal.MALFORMED) from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
        raise TokenRefused(Refusal.MALFORMED)
    return raw


def _object(raw: bytes) -> dict[str, Any]:
    """A JSON object in which no name stands twice (RFC 7515 section 4)."""
    try:
        parsed = json.loads(raw, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        raise TokenRefused(Refusal.MALFORMED) from None
    if not isinstance(parsed, dict):
        raise TokenRefused(Refusal.MALFORMED)
    return cast("dict[str, Any]", parsed)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    distinct = dict(pairs)
    if len(distinct) != len(pairs):
        raise ValueError("a name stands twice")
    return distinct

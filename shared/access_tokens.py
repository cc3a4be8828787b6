"""Checking access tokens: signed JWTs (RFC 7519) under the rules of RFC 8725 and the profile of RFC 9068.

PyJWT checks the signature. A token is taken apart here, once and more strictly than PyJWT would: refused are also other
spellings of the same token, duplicate claims, headers that point to keys, missing or oddly typed claims.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Final, Literal, TypeVar
from uuid import UUID

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
_HEADERS: Final = 256  # remembered

T = TypeVar("T")


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


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a header may say; one that points to a key, or asks for what must be understood, says more."""

    typ: str
    alg: str
    kid: str


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

    def __init__(self, issuer: str, audience: str, ahead: float = 0.0) -> None:
        """Tokens of one issuer, for one audience; `ahead` is by how many seconds the issuer's clock leads ours."""
        self._issuer, self._audience, self.ahead = issuer, audience, ahead
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
        if claims.expire_time + LEEWAY_SECONDS <= self._now:
            self._remembered.pop(digest, None)
            raise TokenRefused(Refusal.EXPIRED)
        if (audience or self._audience) not in claims.audiences:
            raise TokenRefused(Refusal.INVALID)
        return claims

    def _decode(self, token: str, keys: Mapping[str, PublicKey]) -> Claims:
        if not _SHAPE.fullmatch(token):
            raise TokenRefused(Refusal.MALFORMED)
        signed, _, signature = token.rpartition(".")
        header, body = signed.split(".")
        named, stated, proof = _header(header), _object(body), _canonical(signature)
        key = keys.get(named.kid)
        if key is None:
            raise UnknownKey
        if named.typ != TYPE or named.alg != key.algorithm or not key.verifies(signed.encode(), proof):
            raise TokenRefused(Refusal.INVALID)
        payload = _convert(stated, _Payload)
        self._check_issue(payload)
        return _claims(payload, named.kid)

    def _check_issue(self, payload: _Payload) -> None:
        now = self._now
        if payload.iss != self._issuer or max(payload.iat, payload.nbf) - LEEWAY_SECONDS > now:
            raise TokenRefused(Refusal.INVALID)
        if payload.exp + LEEWAY_SECONDS <= now:
            raise TokenRefused(Refusal.EXPIRED)

    @property
    def _now(self) -> float:
        """The issuer's clock: by another one tokens would expire too late, or begin too late."""
        return clock.timestamp() + self.ahead

    def _forget_expired(self) -> None:
        now = self._now
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


@lru_cache(maxsize=_HEADERS)
def _header(part: str) -> _Header:
    """What a header says, which is the same for every token of a key; members beyond these are refused."""
    return _convert(_object(part), _Header)


def _convert(parsed: dict[str, object], kind: type[T]) -> T:
    try:
        return msgspec.convert(parsed, kind)
    except msgspec.ValidationError:
        raise TokenRefused(Refusal.INVALID) from None


def _object(part: str) -> dict[str, object]:
    """The JSON object in a base64url part, in which no name may stand twice (RFC 7515 section 4)."""
    try:
        parsed = _JSON.decode(_canonical(part).decode())
    except (ValueError, RecursionError):
        raise TokenRefused(Refusal.MALFORMED) from None
    if not isinstance(parsed, dict):
        raise TokenRefused(Refusal.MALFORMED)
    return parsed


def _canonical(part: str) -> bytes:
    """The bytes of a base64url part; a spelling that decodes to the same bytes but is not theirs is refused."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise TokenRefused(Refusal.MALFORMED) from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
        raise TokenRefused(Refusal.MALFORMED)
    return raw


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    distinct = dict(pairs)
    if len(distinct) != len(pairs):
        raise ValueError("a name stands twice")
    return distinct


_JSON: Final = json.JSONDecoder(object_pairs_hook=_distinct)

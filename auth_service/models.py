"""The things that auth knows, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.calls import Principal
from shared.errors import FieldViolation
from shared.identity import Session, SessionKind, User, UserKind, UserState

__all__ = [
    "ROLES",
    "AuditEvent",
    "Caller",
    "Credentials",
    "ImportResult",
    "ImportRow",
    "ImportVerdict",
    "InactiveReason",
    "RefreshState",
    "RevokeReason",
    "Session",
    "SessionKind",
    "SignedIn",
    "SigningKeyRow",
    "Tokens",
    "User",
    "UserKind",
    "UserState",
    "Verification",
]

# What an account may do beside what every user may, as the proto of User lists it.
ROLES: Final = ("admin", "service", "user")


class RevokeReason(StrEnum):
    """Why a session ended before its time."""

    LOG_OUT = "LOG_OUT"
    REVOKED = "REVOKED"
    REFRESH_TOKEN_REUSED = "REFRESH_TOKEN_REUSED"  # noqa: S105 - a reason, not a secret
    REPLACED = "REPLACED"
    SESSION_LIMIT = "SESSION_LIMIT"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105 - likewise
    EMAIL_CHANGED = "EMAIL_CHANGED"
    FACTOR_CHANGED = "FACTOR_CHANGED"
    SUSPENDED = "SUSPENDED"
    ACCOUNT_DELETED = "ACCOUNT_DELETED"


class InactiveReason(StrEnum):
    """Why an access token is not good."""

    MALFORMED = "MALFORMED"
    INVALID = "INVALID"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    USER_INACTIVE = "USER_INACTIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An account with what its password is checked against."""

    user: User
    password_hash: str | None = field(repr=False)
    password_change_time: datetime | None
    sign_up_request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller(Principal):
    """Who calls auth itself, with the account that was read on the way in."""

    user: User

    @classmethod
    def behind(cls, principal: Principal, user: User) -> "Caller":
        """The caller that a token was found to stand for."""
        return cls(user=user, **{each.name: getattr(principal, each.name) for each in fields(Principal)})


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshState:
    """The row of a session's refresh token, with what the session and the user add to an access token."""

    session_id: UUID
    user_id: UUID
    generation: int
    rotate_time: datetime
    expire_time: datetime
    roles: tuple[str, ...]
    auth_methods: tuple[str, ...]
    assurance: int
    auth_time: datetime
    alive: bool
    in_grace: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a session is used with."""

    access_token: str = field(repr=False)
    access_token_expire_time: datetime
    refresh_token: str = field(repr=False)
    refresh_token_expire_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """The answer to a sign-up or a log-in."""

    user: User
    session: Session
    tokens: Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What an access token is worth now; `reason` is None where it is good."""

    reason: InactiveReason | None = None
    user: User | None = None
    principal: Principal | None = None


class SigningAlgorithm(StrEnum):
    """How access tokens are signed (RFC 7518, RFC 8037)."""

    EDDSA = "EdDSA"
    ES256 = "ES256"
    RS256 = "RS256"


class KeyState(StrEnum):
    """Where a signing key stands in its life, which goes in this order."""

    PUBLISHED = "PUBLISHED"
    SIGNING = "SIGNING"
    RETIRING = "RETIRING"
    REMOVED = "REMOVED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Something that happened to an account or a session; `actor_id` is the administrator who did it."""

    id: UUID
    type: str
    user_id: UUID | None
    session_id: UUID | None
    actor_id: UUID | None
    address: str
    details: Mapping[str, str | int | Sequence[str]]
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyRow:
    """A signing key as it is stored; its private half is erased when it retires."""

    kid: str
    algorithm: str
    public_jwk: dict[str, str]
    private_key_sealed: bytes | None = field(repr=False)
    state: KeyState


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyStatus:
    """Where a signing key stands; the next time that it has not reached is when it will happen by itself."""

    kid: str
    algorithm: str
    state: KeyState
    create_time: datetime
    sign_time: datetime | None
    retire_time: datetime | None
    remove_time: datetime | None


class ImportVerdict(StrEnum):
    """What became of a row that was sent for import."""

    IMPORTED = "IMPORTED"
    ALREADY_IMPORTED = "ALREADY_IMPORTED"
    EMAIL_TAKEN = "EMAIL_TAKEN"
    EXTERNAL_ID_REUSED = "EXTERNAL_ID_REUSED"
    INVALID = "INVALID"
    HASH_REFUSED = "HASH_REFUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRow:
    """An account as it was in another system, its fields checked; no `create_time` means now."""

    external_id: str
    email: str
    email_verified: bool
    display_name: str
    password_hash: str | None = field(repr=False)
    roles: tuple[str, ...]
    state: UserState
    locale: str
    create_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What became of a row: the account that it is, or all that is wrong with it."""

    verdict: ImportVerdict
    user_id: UUID | None = None
    violations: Sequence[FieldViolation] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRow:
    """A sealed text, the name of its row in its table, and the context that it was sealed in."""

    id: UUID | str
    sealed: bytes = field(repr=False)
    context: bytes

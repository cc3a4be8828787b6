"""The things that auth knows, as values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final, Self
from uuid import UUID

from shared.calls import Principal
from shared.errors import FieldViolation
from shared.identity import Session, SessionKind, User, UserKind, UserState

__all__ = [
    "ONE_TIME_CODE",
    "PASSWORD",
    "ROLES",
    "TWO_FACTORS",
    "AddedPasskey",
    "AuditEvent",
    "Caller",
    "Challenge",
    "ChallengeRow",
    "ChallengeToken",
    "Credentials",
    "ErasedUser",
    "FactorChange",
    "FactorProof",
    "ImportOrigin",
    "ImportResult",
    "ImportRow",
    "ImportVerdict",
    "InactiveReason",
    "MachineCredential",
    "NewPasskey",
    "Passkey",
    "PasskeyCredential",
    "PasskeyOptions",
    "PasskeyRow",
    "PendingLogIn",
    "Proven",
    "RefreshState",
    "RevokeReason",
    "SecondFactor",
    "SecondFactors",
    "ServiceAccount",
    "Session",
    "SessionKind",
    "SignedIn",
    "SigningKeyRow",
    "Strengthened",
    "Tokens",
    "TotpEnrolment",
    "TotpRow",
    "User",
    "UserKind",
    "UserState",
    "Verification",
    "with_second",
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
class MachineCredential:
    """An API key or a client secret: a session, whose place it takes, and about when it was last used."""

    session: Session
    replaces_id: UUID | None
    last_use_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """A user that is a machine, whom its tokens may be for, and what it may do."""

    user: User
    audiences: tuple[str, ...]
    scopes: tuple[str, ...]


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


# RFC 8176 section 2: how somebody has proven who they are.
PASSWORD: Final = "pwd"  # noqa: S105 - a name
ONE_TIME_CODE: Final = "otp"
TWO_FACTORS: Final = "mfa"
HARDWARE_KEY: Final = "hwk"
SOFTWARE_KEY: Final = "swk"  # one that is copied to other devices
PRESENCE: Final = "user"


class SecondFactor(StrEnum):
    """What an account may have beside its password."""

    TOTP = "TOTP"
    RECOVERY_CODE = "RECOVERY_CODE"
    PASSKEY = "PASSKEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactors:
    """What an account has beside its password; the time is when its authenticator app came into use."""

    totp_confirm_time: datetime | None
    recovery_code_count: int
    passkey_count: int

    @property
    def required(self) -> bool:
        """Whether one factor is not enough to sign in."""
        return self.totp_confirm_time is not None or self.passkey_count > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What somebody has proven so far: whose account it is, and by which methods of RFC 8176.

    `password_change_time` is when the password was chosen that was right, where it was a password.
    """

    user: User
    methods: tuple[str, ...]
    password_change_time: datetime | None = None

    @classmethod
    def by_password(cls, credentials: Credentials, second: Iterable[str] = ()) -> Self:
        """What a right password proves, and with it a second factor's methods where there are any."""
        methods = with_second((PASSWORD,), second) if second else (PASSWORD,)
        return cls(user=credentials.user, methods=methods, password_change_time=credentials.password_change_time)

    @property
    def password(self) -> tuple[bool, datetime | None]:
        """Whether it was a password, and when that one was chosen: it must still be the account's."""
        return PASSWORD in self.methods, self.password_change_time

    @property
    def assurance(self) -> int:
        """The authenticator assurance level of NIST SP 800-63B."""
        return 2 if TWO_FACTORS in self.methods else 1


def with_second(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    """The methods of one factor and of another, as those of two."""
    return tuple(dict.fromkeys((*first, *second, TWO_FACTORS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorProof:
    """A second factor as it is presented."""

    kind: SecondFactor
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChallengeToken:
    """What the token of a log-in that lacks its second factor says."""

    id: UUID
    secret: bytes = field(repr=False)

    @property
    def digest(self) -> bytes:
        """What the secret is compared by in the database."""
        return sha256(b"log-in challenge\n" + self.secret).digest()

    @property
    def passkey_challenge(self) -> bytes:
        """What a passkey signs to complete the log-in; nobody who does not hold the token knows it."""
        return sha256(b"passkey challenge\n" + self.secret).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorChange:
    """Who changes their second factors, in which session and from where."""

    user_id: UUID
    session_id: UUID
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strengthened:
    """What the session that adds a second factor has proven with it, and its key in the cache."""

    auth_methods: tuple[str, ...]
    stale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpRow:
    """The authenticator app of an account, and the one that is being enrolled."""

    secret_sealed: bytes | None = field(repr=False)
    confirm_time: datetime | None
    pending_sealed: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpEnrolment:
    """What an authenticator app needs, and until when it can be confirmed."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)
    expire_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeRow:
    """What a log-in that lacks its second factor may be answered with, and until when."""

    totp: bool
    recovery_code: bool
    passkey: bool
    expire_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLogIn:
    """A log-in whose second factor is being checked."""

    user_id: UUID
    email: str
    auth_methods: tuple[str, ...]
    password_change_time: datetime | None
    device_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a log-in is answered with that lacks its second factor."""

    token: str = field(repr=False)
    second_factors: tuple[SecondFactor, ...]
    passkey_options: str
    expire_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """A passkey as its owner sees it."""

    id: UUID
    name: str
    synced: bool
    create_time: datetime
    use_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyCredential:
    """What a browser is told of a passkey, so that it asks the right authenticator in the right way."""

    credential_id: bytes
    transports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasskey:
    """What an authenticator has made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    synced: bool
    user_verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyRow:
    """What a passkey's answer is checked against, and whose it is."""

    id: UUID
    public_key: bytes
    synced: bool
    user_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyOptions:
    """What a browser gives to an authenticator, as JSON, and until when the answer is good."""

    json: str
    expire_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedPasskey:
    """A passkey that was added, with the recovery codes that come with an account's first second factor."""

    passkey: Passkey
    recovery_codes: list[str] = field(repr=False)


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
class ImportOrigin:
    """The system that an account came from, and what it was called there."""

    source: str
    external_id: str
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedUser:
    """The id of a user who is no more, and since when."""

    user_id: UUID
    erase_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRow:
    """A sealed text, the name of its row in its table, and the context that it was sealed in."""

    id: UUID | str
    sealed: bytes = field(repr=False)
    context: bytes

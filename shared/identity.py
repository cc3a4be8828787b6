"""Users and sessions as every service knows them: what auth keeps in the shared cache, and what a verifier reads there.

A change of a field's meaning needs a higher shape, so that an entry of the former one is a miss.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared import clock

USER_KEY_KIND: Final = "user"
USER_SHAPE: Final = 2
SESSION_KEY_KIND: Final = "session"
SESSION_SHAPE: Final = 2


class UserKind(StrEnum):
    """Who an account belongs to."""

    PERSON = "PERSON"
    SERVICE = "SERVICE"


class UserState(StrEnum):
    """Whether an account may be used."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DELETED = "DELETED"


class SessionKind(StrEnum):
    """What a session is held with: a sign-in on a device, or a machine's credential that stands for itself."""

    SIGN_IN = "SIGN_IN"
    API_KEY = "API_KEY"
    CLIENT_SECRET = "CLIENT_SECRET"  # noqa: S105 - a kind, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account. The email of a SERVICE is empty; `purge_time` is when a DELETED one is erased."""

    id: UUID
    kind: UserKind
    email: str
    email_verify_time: datetime | None
    display_name: str
    locale: str
    roles: tuple[str, ...]
    state: UserState
    purge_time: datetime | None
    revision: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sign-in of a user on a device, or one credential of a machine.

    `assurance` is NIST SP 800-63B's authenticator assurance level; `scopes` limit it, and empty ones do not.
    """

    id: UUID
    user_id: UUID
    kind: SessionKind
    device_label: str
    user_agent: str
    address: str
    auth_methods: tuple[str, ...]
    assurance: int
    scopes: tuple[str, ...]
    secret_digest: bytes | None = field(repr=False)
    auth_time: datetime
    create_time: datetime
    expire_time: datetime
    revoke_time: datetime | None


class Objection(StrEnum):
    """Why nobody may act under a session."""

    REVOKED = "REVOKED"
    USER_INACTIVE = "USER_INACTIVE"


def objection(user_id: UUID, session: Session | None, user: User | None) -> Objection | None:
    """What speaks against a session of a user; None where both stand."""
    if session is None or session.user_id != user_id or session.revoke_time or session.expire_time <= clock.now():
        return Objection.REVOKED
    if user is None or user.state is not UserState.ACTIVE:
        return Objection.USER_INACTIVE
    return None

"""What auth tells people by mail, and for how long each is worth telling."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from auth_service.models import UserState
from auth_service.one_time_codes import CODE_LIFETIME, Purpose


class MailKind(StrEnum):
    """Each is an entry of every file in `languages/`."""

    NEW_DEVICE = "NEW_DEVICE"
    EMAIL_VERIFICATION = "EMAIL_VERIFICATION"
    EMAIL_CHANGE = "EMAIL_CHANGE"
    EMAIL_CHANGED = "EMAIL_CHANGED"
    PASSWORD_RESET = "PASSWORD_RESET"  # noqa: S105 - a kind of mail, not a secret
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105 - likewise
    LOG_IN = "LOG_IN"
    ACCOUNT_DELETED = "ACCOUNT_DELETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """Something to tell the owner of an account; what its kind does not tell of is left out.

    `happen_time` is when that happened, `device` and `address` where from. Where `recipient` is empty, the mail goes to
    the address that the account has when it is sent. `code_id` is the row that its link and code are derived from.
    """

    kind: MailKind
    user_id: UUID
    recipient: str = field(default="", repr=False)
    happen_time: datetime | None = None
    device: str = ""
    address: str = ""
    code_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """What holds for all mails of a kind: how long one is worth sending, and in which state its account must be.

    `purpose` is what its link is good for, where it has one; `typed` is whether there is a code to type, too.
    """

    lifetime: timedelta
    states: tuple[UserState, ...] = (UserState.ACTIVE,)
    purpose: Purpose | None = None
    typed: bool = True


_NEWS: Final = timedelta(days=2)

NATURES: Final[Mapping[MailKind, Nature]] = {
    MailKind.NEW_DEVICE: Nature(lifetime=_NEWS),
    MailKind.EMAIL_VERIFICATION: Nature(lifetime=timedelta(hours=24), purpose=Purpose.EMAIL_VERIFICATION),
    MailKind.EMAIL_CHANGE: Nature(lifetime=CODE_LIFETIME, purpose=Purpose.EMAIL_CHANGE),
    MailKind.EMAIL_CHANGED: Nature(lifetime=_NEWS),
    MailKind.PASSWORD_RESET: Nature(lifetime=CODE_LIFETIME, purpose=Purpose.PASSWORD_RESET),
    MailKind.PASSWORD_CHANGED: Nature(lifetime=_NEWS),
    MailKind.LOG_IN: Nature(lifetime=CODE_LIFETIME, purpose=Purpose.LOG_IN),
    MailKind.ACCOUNT_DELETED: Nature(
        lifetime=_NEWS, states=(UserState.DELETED,), purpose=Purpose.ACCOUNT_RESTORE, typed=False
    ),
}

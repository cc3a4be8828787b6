"""What auth tells people by mail, and for how long each is worth telling."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from auth_service.models import UserState


class MailKind(StrEnum):
    """Each is an entry of every file in `languages/`."""

    NEW_DEVICE = "NEW_DEVICE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """Something to tell the owner of an account; what its kind does not tell of is left out.

    `happen_time` is when that happened, `device` and `address` where from. Where `recipient` is empty, the mail goes to
    the address that the account has when it is sent.
    """

    kind: MailKind
    user_id: UUID
    recipient: str = field(default="", repr=False)
    happen_time: datetime | None = None
    device: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """What holds for all mails of a kind: how long one is worth sending, and in which state its account must be."""

    lifetime: timedelta
    states: tuple[UserState, ...] = (UserState.ACTIVE,)


_NEWS: Final = timedelta(days=2)

NATURES: Final[Mapping[MailKind, Nature]] = {
    MailKind.NEW_DEVICE: Nature(lifetime=_NEWS),
}

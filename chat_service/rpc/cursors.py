"""The cursors of streams: opaque, and good for the one thing that they were given for."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from struct import Struct, error
from typing import Any, Final
from uuid import UUID

from chat_service.models import ChangeKind, Place

# A form, and the end of the id of what it is for; then revision, kind, id, digest of the settings, answer and pieces of
# it, or microseconds.
_PLACE: Final = Struct(">B4sqB16s8s16sI")
_TIME: Final = Struct(">B4sq")
_PLACE_FORM: Final = 1
_TIME_FORM: Final = 2
_KINDS: Final = frozenset(ChangeKind)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LATEST: Final = (datetime(9000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND


def write(conversation_id: UUID, place: Place) -> str:
    """The cursor of a place in a conversation."""
    what = (place.revision, place.kind, place.id.bytes, place.settings, place.answer.bytes, place.pieces)
    return _text(_PLACE.pack(_PLACE_FORM, conversation_id.bytes[-4:], *what))


def read(conversation_id: UUID, cursor: str) -> Place | None:
    """The place that a cursor stands for; None for what is no cursor of this conversation."""
    form, home, revision, kind, row, settings, answer, pieces = _fields(_PLACE, cursor) or (0,) * 8
    if (form, home) != (_PLACE_FORM, conversation_id.bytes[-4:]) or revision < 0 or kind not in _KINDS:
        return None
    return Place(
        revision=revision,
        kind=ChangeKind(kind),
        id=UUID(bytes=row),
        settings=settings,
        answer=UUID(bytes=answer),
        pieces=pieces,
    )


def write_time(user_id: UUID, time: datetime) -> str:
    """The cursor of a time in the history of a user's conversations."""
    return _text(_TIME.pack(_TIME_FORM, user_id.bytes[-4:], (time - _EPOCH) // _MICROSECOND))


def read_time(user_id: UUID, cursor: str) -> datetime | None:
    """The time that a cursor stands for; None for what is no cursor of this user."""
    form, owner, micros = _fields(_TIME, cursor) or (0, b"", 0)
    if (form, owner) != (_TIME_FORM, user_id.bytes[-4:]) or not 0 <= micros < _LATEST:
        return None
    return _EPOCH + timedelta(microseconds=micros)


def _text(packed: bytes) -> str:
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _fields(form: Struct, cursor: str) -> tuple[Any, ...] | None:
    try:
        return form.unpack(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, error):
        return None

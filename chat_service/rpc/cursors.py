"""The cursors of streams: opaque, and good for the one thing that they were given for."""

import base64
import binascii
from struct import Struct, error
from typing import Final
from uuid import UUID

from chat_service.models import ChangeKind, Place

_FORM: Final = 1
# Form, the beginning of the conversation's random part, revision, kind, id, digest of the settings.
_PLACE: Final = Struct(">B4sqB16s8s")
_KINDS: Final = frozenset(ChangeKind)


def write(conversation_id: UUID, place: Place) -> str:
    """The cursor of a place in a conversation."""
    packed = _PLACE.pack(_FORM, conversation_id.bytes[-4:], place.revision, place.kind, place.id.bytes, place.settings)
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def read(conversation_id: UUID, cursor: str) -> Place | None:
    """The place that a cursor stands for; None for what is no cursor of this conversation."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        form, home, revision, kind, row, settings = _PLACE.unpack(raw)
    except (binascii.Error, ValueError, error):
        return None
    if (form, home) != (_FORM, conversation_id.bytes[-4:]) or revision < 0 or kind not in _KINDS:
        return None
    return Place(revision=revision, kind=ChangeKind(kind), id=UUID(bytes=row), settings=settings)

"""What all readers of files share: what they give, how they refuse, and how they take what a file says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Protocol, TypeAlias, TypeVar
from uuid import UUID

import msgspec
import orjson

from chat_service import parameters
from chat_service.models import Part
from chat_service.rpc import defaults, json_values
from chat_service.rpc.parse import generation as parse_generation
from chat_service.rpc.parse import parts as parse_parts
from chat_service.rpc.parse.parts import MAX_JSON_BYTES, MAX_JSON_DEPTH, MAX_TEXT
from chat_service.rpc.transfer.splitting import Document
from chat_service.transfer_models import ImportEnd, NewImport, Record, timed_id
from protos.chat.v1 import resources_pb2 as pb
from shared import clock, ids
from shared.validation import Violations

MAX_TITLE: Final = 200
MAX_EXTERNAL_ID: Final = 255
MAX_METADATA_BYTES: Final = 16_384
MAX_DEFAULTS_BYTES: Final = 262_144
MAX_REASONS: Final = 5
_MAX_REASON: Final = 300
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


class Refused(Exception):
    """A conversation cannot be imported as it is."""

    def __init__(self, *reasons: str) -> None:
        """Why, as far as anybody wants to read it."""
        self.reasons = [reason[:_MAX_REASON] for reason in reasons[:MAX_REASONS]]
        super().__init__(*self.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A conversation that was refused while it was read."""

    external_id: str
    title: str
    reasons: list[str]


Read: TypeAlias = NewImport | Record | ImportEnd | Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a file comes from, and on which sign-in it is brought in."""

    source: str
    session_id: UUID


class Reader(Protocol):
    """Reads documents, one after the other."""

    def read(self, document: Document) -> Iterator[Read]:
        """What a document says."""

    def end(self) -> Iterator[Read]:
        """What is to be said at the end of the file."""


class Maker:
    """Makes the ids of one imported conversation, and keeps times within what has been.

    An id is made of the one in the file, so that what refers to it there is led to it without remembering it; and of
    that of the conversation, so that no file can name an id that it would like.
    """

    def __init__(self, create_time: datetime | None) -> None:
        """Begin a conversation of that moment, or of now."""
        self._now = clock.now()
        self.create_time = self.moment(create_time, self._now)
        self.id = timed_id(self.create_time, ids.new_id().bytes[6:] + ids.new_id().bytes[9:])

    def moment(self, told: datetime | None, otherwise: datetime) -> datetime:
        """A moment that has been."""
        return otherwise if told is None else min(max(told, _EARLIEST), self._now)

    def made(self, told: str | bytes, moment: datetime) -> UUID:
        """The id of what is called so in the file, and was made at that moment."""
        name = told.encode() if isinstance(told, str) else told
        return timed_id(moment, sha256(self.id.bytes + name).digest())

    def renamed(self, told: UUID) -> UUID:
        """The id of what has that id in the file, and was made when that one says."""
        milliseconds = told.int >> 80 if told.version == 7 else 0  # noqa: PLR2004 - of RFC 9562
        seconds = min(milliseconds / 1000, self._now.timestamp())
        return self.made(told.bytes, datetime.fromtimestamp(seconds, UTC))


def decode(data: bytes, kind: type[T]) -> T:
    """A document as what it should be; raises Refused."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise Refused(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"is not JSON: {error}") from None
    except RecursionError:
        raise Refused("is nested too deeply") from None


def title(text: str | None) -> str:
    """A title as it may stand here: on one line, and no longer than one may be."""
    return " ".join((text or "").replace("\0", " ").split())[:MAX_TITLE]


def metadata(raw: Mapping[str, object] | bytes) -> str:
    """The JSON of a conversation's metadata; raises Refused."""
    try:
        value = json_values.load(raw.decode() if isinstance(raw, bytes) else orjson.dumps(raw).decode())
        if value.WhichOneof("kind") != "struct_value":
            raise Refused("metadata: must be an object")
        text = json_values.dump(value.struct_value)
    except (ValueError, RecursionError) as error:
        raise Refused(f"metadata: {error}") from None
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise Refused(f"metadata: must have at most {MAX_METADATA_BYTES} bytes as JSON")
    return text


def model_defaults(raw: bytes) -> str:
    """The JSON of how models answer in a conversation; raises Refused."""
    violations = Violations()
    try:
        told = defaults.from_json(raw.decode()) or pb.Conversation().model_defaults
        found = parse_generation.model_defaults(violations, "model_defaults", told)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        raise Refused("model_defaults: are not what an export writes") from None
    refuse(violations)
    text = parameters.dump_defaults(found)
    if len(text.encode()) > MAX_DEFAULTS_BYTES:
        raise Refused(f"model_defaults: must have at most {MAX_DEFAULTS_BYTES} bytes as JSON")
    return text


def said(parts: list[pb.Part], path: str) -> tuple[tuple[Part, ...], int]:
    """The parts of a message and what they weigh; raises Refused with all that is wrong with them."""
    violations = Violations()
    found, weighs = parse_parts.read(violations, parts, path)
    refuse(violations)
    return found, weighs


def texts(text: str) -> list[pb.Part]:
    """A text in parts of the length that a part may have."""
    return [pb.Part(text=text[at : at + MAX_TEXT]) for at in range(0, len(text), MAX_TEXT)]


def json_part(raw: bytes | str) -> pb.Part:
    """A part for programs; raises Refused."""
    try:
        value = json_values.load(raw if isinstance(raw, str) else raw.decode())
        # Before it is put into a message: protobuf takes no deeper one there.
        json_values.dump(value, deepest=MAX_JSON_DEPTH)
    except (ValueError, RecursionError) as error:
        raise Refused(f"json: {error}") from None
    return pb.Part(json=value)


def kept_whole(value: object) -> list[pb.Part]:
    """What has no other form here: as JSON, or where that is too much for a part, as the text of it."""
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, RecursionError) as error:
        raise Refused(f"json: {error}") from None
    try:
        return [json_part(text)] if len(text.encode()) <= MAX_JSON_BYTES else texts(text)
    except Refused:
        return texts(text)


def refuse(violations: Violations) -> None:
    """Raise Refused with all that was noted."""
    if violations.found:
        raise Refused(*(f"{violation.field}: {violation.description}" for violation in violations.found))

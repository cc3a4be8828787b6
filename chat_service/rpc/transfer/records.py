"""The lines of our own format: the shape of each, and what its fields may hold."""

from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec

from chat_service.models import Feedback, FeedbackRating, InteractionError, InteractionState, Part, Role, Usage
from chat_service.rpc.transfer import reading
from chat_service.rpc.transfer.reading import Maker, Refused
from chat_service.transfer_models import TransferInteraction, TransferResponse
from protos.chat.v1 import resources_pb2 as pb
from shared.validation import Violations

MAX_NAME: Final = 200
MAX_TYPE: Final = 100
MAX_CONTENT_BYTES: Final = 1_000_000
MAX_COMMENT: Final = 2_000
MAX_MODEL: Final = 200
MAX_CODE: Final = 100
MAX_ERROR: Final = 2_000
MAX_PRICE_VERSION: Final = 64
MAX_RESPONSES: Final = 100
_MAX_COUNT: Final = 2**31 - 1
_MAX_TOKENS: Final = 2**63 - 1
_ROLES: Final = {role.name: role for role in Role}
_RATINGS: Final = {rating.name: rating for rating in FeedbackRating}
_FINAL: Final = {state.name: state for state in InteractionState if state > InteractionState.RUNNING}
_MAX_MICROS: Final = 365 * 86_400 * 1_000_000


class ConversationLine(msgspec.Struct):
    """The first line of a conversation."""

    id: UUID
    message_count: int
    create_time: datetime
    title: str = ""
    pinned: bool = False
    archived: bool = False
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    model_defaults: msgspec.Raw = msgspec.Raw(b"{}")
    active_branch: int = 1
    branch_count: int = 1
    delete_time: datetime | None = None


class BranchLine(msgspec.Struct):
    """A branch; they come before all messages, in the order of their numbers, and the trunk has none."""

    branch: int
    parent: int
    fork_depth: int
    session_id: UUID
    create_time: datetime


class ImageLine(msgspec.Struct):
    """A picture."""

    uri: str
    media_type: str = ""


class FileLine(msgspec.Struct):
    """A file."""

    uri: str
    media_type: str = ""
    name: str = ""


class ToolCallLine(msgspec.Struct):
    """A model's wish."""

    id: str
    name: str
    arguments: str = ""


class ToolResultLine(msgspec.Struct):
    """What a tool answered."""

    tool_call_id: str
    content: str = ""
    is_error: bool = False


class PartLine(msgspec.Struct):
    """A part: one of them is set."""

    text: str | None = None
    image: ImageLine | None = None
    file: FileLine | None = None
    tool_call: ToolCallLine | None = None
    tool_result: ToolResultLine | None = None
    json: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    def part(self) -> pb.Part:
        """As a message of the contract, for its checks."""
        if self.json is not msgspec.UNSET:
            return reading.json_part(bytes(self.json))
        if self.text is not None:
            return pb.Part(text=self.text)
        for name, kind in _KINDS.items():
            told = getattr(self, name)
            if told is not None:
                return pb.Part(**{name: kind(**msgspec.structs.asdict(told))})
        return pb.Part()


_KINDS: Final[dict[str, Any]] = {
    "image": pb.Image,
    "file": pb.File,
    "tool_call": pb.ToolCall,
    "tool_result": pb.ToolResult,
}


class FeedbackLine(msgspec.Struct):
    """What the user thinks of a message."""

    rating: str
    comment: str = ""

    def model(self) -> Feedback:
        """As a value; raises Refused."""
        rating = _RATINGS.get(self.rating)
        if rating is None:
            raise Refused(f"feedback.rating: {self.rating[:30]!r} is not known")
        check_text("feedback.comment", self.comment, MAX_COMMENT)
        return Feedback(rating=rating, comment=self.comment)


class MessageLine(msgspec.Struct):
    """A message; they come in the order of branches and depths. A deleted one has no parts."""

    id: UUID
    position: int
    branch: int
    depth: int
    role: str
    session_id: UUID
    create_time: datetime
    parts: list[PartLine] = []
    delete_time: datetime | None = None
    replaces: UUID | None = None
    feedback: FeedbackLine | None = None

    def said(self) -> tuple[tuple[Part, ...], int]:
        """Its parts, and what they weigh; raises Refused."""
        if self.delete_time is None:
            return reading.said([part.part() for part in self.parts], f"message {self.id}: ")
        if self.parts:
            raise Refused(f"message {self.id}: a deleted one has no parts")
        return (), 0

    def role_here(self) -> Role:
        """Who speaks; raises Refused."""
        role = _ROLES.get(self.role)
        if role is None:
            raise Refused(f"message {self.id}: role {self.role[:30]!r} is not known")
        return role


class ComponentLine(msgspec.Struct):
    """A component; its versions follow it, each in a line."""

    id: UUID
    name: str
    type: str
    version: int
    session_id: UUID
    create_time: datetime
    update_time: datetime | None = None
    delete_time: datetime | None = None


class VersionLine(msgspec.Struct):
    """A version of the component before it."""

    component_id: UUID
    version: int
    content: str
    session_id: UUID
    create_time: datetime


class UsageLine(msgspec.Struct, frozen=True):
    """What a run used and cost."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cost_micros: int = 0
    price_version: str = ""

    def model(self) -> Usage:
        """As a value; raises Refused."""
        check_text("usage.price_version", self.price_version, MAX_PRICE_VERSION)
        told = msgspec.structs.asdict(self)
        if any(isinstance(value, int) and not 0 <= value <= _MAX_TOKENS for value in told.values()):
            raise Refused("usage: no number may be negative, or larger than 2^63 - 1")
        return Usage(**told)


class ErrorLine(msgspec.Struct):
    """Why a run failed."""

    code: str
    message: str = ""


class ResponseLine(msgspec.Struct):
    """What a model answered, for the record."""

    id: UUID
    model: str
    create_time: datetime
    finish_reason: str = ""
    usage: UsageLine = UsageLine()
    usage_estimated: bool = False
    first_token_micros: int | None = None
    duration_micros: int | None = None
    provider: str = ""
    error_code: str = ""

    def read(self, maker: Maker) -> TransferResponse:
        """As a value; raises Refused."""
        check_text("response.model", self.model, MAX_MODEL, shortest=1)
        for name in ("finish_reason", "provider", "error_code"):
            check_text(f"response.{name}", getattr(self, name), MAX_CODE)
        return TransferResponse(
            id=maker.renamed(self.id),
            model=self.model,
            finish_reason=self.finish_reason,
            usage=self.usage.model(),
            usage_estimated=self.usage_estimated,
            time_to_first_token=_span(self.first_token_micros),
            duration=_span(self.duration_micros),
            create_time=maker.moment(self.create_time, maker.create_time),
            provider=self.provider,
            error_code=self.error_code,
        )


class InteractionLine(msgspec.Struct):
    """A run that has ended."""

    id: UUID
    session_id: UUID
    state: str
    model: str
    create_time: datetime
    end_time: datetime
    message_id: UUID | None = None
    usage: UsageLine = UsageLine()
    usage_estimated: bool = False
    error: ErrorLine | None = None
    responses: list[ResponseLine] = []

    def read(self, maker: Maker) -> TransferInteraction:
        """As a value; raises Refused."""
        state = _FINAL.get(self.state)
        if state is None or (self.error is not None and state is not InteractionState.FAILED):
            raise Refused(f"interaction {self.id}: must be of a final state, and only a failed one has an error")
        if len(self.responses) > MAX_RESPONSES:
            raise Refused(f"interaction {self.id}: has more than {MAX_RESPONSES} responses")
        check_text("interaction.model", self.model, MAX_MODEL, shortest=1)
        moment = maker.moment(self.create_time, maker.create_time)
        return TransferInteraction(
            id=maker.renamed(self.id),
            session_id=self.session_id,
            state=state,
            model=self.model,
            message_id=maker.renamed(self.message_id) if self.message_id else None,
            usage=self.usage.model(),
            usage_estimated=self.usage_estimated,
            error=_error(self.error) if self.error else None,
            create_time=moment,
            end_time=maker.moment(self.end_time, moment),
            responses=tuple(response.read(maker) for response in self.responses),
        )


class SessionLine(msgspec.Struct):
    """How far a sign-in has read."""

    session_id: UUID
    create_time: datetime
    read_position: int = 0
    update_time: datetime | None = None


class EndLine(msgspec.Struct):
    """The last line of a conversation."""

    conversation_id: UUID
    message_count: int


Told: TypeAlias = BranchLine | MessageLine | ComponentLine | VersionLine | InteractionLine | SessionLine


class Line(msgspec.Struct):
    """A line: exactly one of them is set. What it has beside them is of a later version, and passed over."""

    conversation: ConversationLine | None = None
    branch: BranchLine | None = None
    message: MessageLine | None = None
    component: ComponentLine | None = None
    component_version: VersionLine | None = None
    interaction: InteractionLine | None = None
    session: SessionLine | None = None
    end: EndLine | None = None

    def record(self) -> tuple[str, Told]:
        """What a line between the first and the last is, and says; raises Refused."""
        for name in ("message", "branch", "component", "component_version", "interaction", "session"):
            told = getattr(self, name)
            if told is not None:
                return name, told
        raise Refused("a line is none of the records that there are")


def check_text(field: str, text: str, longest: int, shortest: int = 0) -> None:
    """Refuse a text that cannot be kept, or is too long or too short."""
    violations = Violations()
    violations.text(field, text, longest=longest, shortest=shortest)
    reading.refuse(violations)


def check_component(told: ComponentLine) -> None:
    """Refuse a component of a name, type or version that none can have."""
    check_text("component.name", told.name, MAX_NAME, shortest=1)
    check_text("component.type", told.type, MAX_TYPE, shortest=1)
    if not 1 <= told.version <= _MAX_COUNT:
        raise Refused("component.version: must be at least 1")


def check_content(told: VersionLine) -> None:
    """Refuse content that is too large, or cannot be kept."""
    check_text("component_version.content", told.content, MAX_CONTENT_BYTES)
    if len(told.content.encode()) > MAX_CONTENT_BYTES:
        raise Refused(f"component_version.content: must have at most {MAX_CONTENT_BYTES} bytes of UTF-8")


def _error(told: ErrorLine) -> InteractionError:
    check_text("interaction.error.code", told.code, MAX_CODE, shortest=1)
    check_text("interaction.error.message", told.message, MAX_ERROR)
    return InteractionError(code=told.code, message=told.message)


def _span(micros: int | None) -> timedelta | None:
    if micros is not None and not 0 <= micros <= _MAX_MICROS:
        raise Refused("response: a time is negative, or longer than a year")
    return None if micros is None else timedelta(microseconds=micros)

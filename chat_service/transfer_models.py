"""What conversations are when they are taken out and brought in, as values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias
from uuid import UUID

from chat_service.models import Feedback, InteractionError, InteractionState, Part, Role, Usage

# The depth up to which a branch goes along itself: without an end.
NO_END: Final = 2**63 - 1
_VERSION_7: Final = 0x7 << 76
_VARIANT: Final = 0b10 << 62

Lineage: TypeAlias = tuple[tuple[int, int], ...]


class Verdict(StrEnum):
    """What became of a conversation that was sent for import."""

    IMPORTED = "IMPORTED"
    ALREADY_THERE = "ALREADY_THERE"
    CHANGED = "CHANGED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferBranch:
    """A branch, and the path to it: branches, and the depth up to which it goes along each."""

    branch: int
    parent: int
    fork_depth: int
    lineage: Lineage
    session_id: UUID
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferMessage:
    """A message with its place; a deleted one has no parts, and weighs nothing."""

    id: UUID
    position: int
    branch: int
    depth: int
    role: Role
    parts: tuple[Part, ...] = field(repr=False)
    text_bytes: int
    session_id: UUID
    create_time: datetime
    delete_time: datetime | None = None
    replaces: UUID | None = None
    feedback: Feedback | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferComponent:
    """A component, without what it is: its versions follow it."""

    id: UUID
    name: str
    type: str
    version: int
    session_id: UUID
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferVersion:
    """What a component was."""

    component_id: UUID
    version: int
    content: str = field(repr=False)
    session_id: UUID
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferResponse:
    """What a model answered, for the record."""

    id: UUID
    model: str
    finish_reason: str
    usage: Usage
    time_to_first_token: timedelta | None
    duration: timedelta | None
    create_time: datetime
    provider: str
    error_code: str
    usage_estimated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferInteraction:
    """A run that has ended, with its answers."""

    id: UUID
    session_id: UUID
    state: InteractionState
    model: str
    message_id: UUID | None
    usage: Usage
    usage_estimated: bool
    error: InteractionError | None
    create_time: datetime
    end_time: datetime
    responses: tuple[TransferResponse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLink:
    """How far a sign-in has read."""

    session_id: UUID
    read_position: int
    create_time: datetime
    update_time: datetime


Record: TypeAlias = (
    TransferBranch | TransferMessage | TransferComponent | TransferVersion | TransferInteraction | TransferLink
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImport:
    """A conversation that is to be brought in: where it comes from, and its settings; `metadata` is JSON."""

    id: UUID
    source: str
    external_id: str
    title: str
    pinned: bool
    archived: bool
    metadata: str = field(repr=False)
    model_defaults: str = field(repr=False, default="{}")
    create_time: datetime
    delete_time: datetime | None = None
    # Its id in the file, where it may be one of this service's own.
    own_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportEnd:
    """What all records of a conversation come to, and a digest of what the file says of it."""

    message_count: int
    branch_count: int
    active_branch: int
    active_depth: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOutcome:
    """What became of a conversation; for one that was refused, why."""

    external_id: str
    title: str
    verdict: Verdict
    conversation_id: UUID | None = None
    reasons: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedConversation:
    """The beginning of a conversation in an export: its settings, and how much of it follows."""

    id: UUID
    title: str
    pinned: bool
    archived: bool
    metadata: str = field(repr=False)
    model_defaults: str = field(repr=False)
    active_branch: int
    branch_count: int
    message_count: int
    revision: int
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None


def lineage(parents: Lineage, fork_depth: int, branch: int) -> Lineage:
    """The path to a branch that leaves another's path after a depth."""
    shared, begin = [], 0
    for other, depth in parents:
        if begin >= fork_depth:
            break
        shared.append((other, min(depth, fork_depth)))
        begin = depth
    return (*shared, (branch, NO_END))


def timed_id(moment: datetime, randomness: bytes) -> UUID:
    """A UUIDv7 of a moment, with at least 74 random bits."""
    milliseconds = max(int(moment.timestamp() * 1000), 0)
    noise = int.from_bytes(randomness[:10], "big")
    high, low = noise >> 68, noise & (2**62 - 1)
    return UUID(int=(milliseconds & (2**48 - 1)) << 80 | _VERSION_7 | (high & 0xFFF) << 64 | _VARIANT | low)

"""The things that chat keeps, as values."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from hashlib import sha256
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID

import orjson

from shared import ids

T = TypeVar("T")

TRUNK = 1
_NO_ID = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """A part of a list, and whether it goes on."""

    items: list[T]
    more: bool


class Role(IntEnum):
    """Who speaks in a message; numbered as in chat.v1 and in the table."""

    SYSTEM = 1
    USER = 2
    ASSISTANT = 3
    TOOL = 4


class InteractionState(IntEnum):
    """Where a run of a model is, numbered likewise; the last four are final."""

    QUEUED = 1
    RUNNING = 2
    COMPLETED = 3
    FAILED = 4
    CANCELLED = 5
    INTERRUPTED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A chat thread; `metadata` and `model_defaults` are JSON, `etag_revision` is when settings were last written."""

    id: UUID
    title: str
    pinned: bool
    archived: bool
    metadata: str = field(repr=False)
    model_defaults: str = field(repr=False, default="{}")
    active_branch: int
    message_count: int
    revision: int
    etag_revision: int
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None
    purge_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenConversation:
    """A conversation as one session sees it, with how many messages come after what it has marked as read."""

    conversation: Conversation
    unread_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConversation:
    """A conversation that is to be made."""

    id: UUID = field(default_factory=ids.new_id)
    user_id: UUID
    title: str
    pinned: bool
    archived: bool
    metadata: str = field(repr=False)
    model_defaults: str = field(repr=False, default="{}")
    request_id: str | None

    @property
    def request_digest(self) -> bytes | None:
        """What a repeat of the request must say again; None where it cannot be repeated."""
        said = (self.title, self.pinned, self.archived, self.metadata, self.model_defaults)
        return sha256(orjson.dumps(said)).digest() if self.request_id else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationChange:
    """New settings of a conversation; None leaves one as it is. `etag_revision` is what they were read at, if told."""

    id: UUID
    title: str | None
    pinned: bool | None
    archived: bool | None
    metadata: str | None = field(repr=False)
    model_defaults: str | None = field(repr=False, default=None)
    etag_revision: int | None

    @property
    def empty(self) -> bool:
        """Whether it leaves everything as it is."""
        settings = (self.title, self.pinned, self.archived, self.metadata, self.model_defaults)
        return all(value is None for value in settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationList:
    """Which conversations to list, after an id; a filter that is None lets both kinds in."""

    user_id: UUID
    show_deleted: bool
    pinned: bool | None
    archived: bool | None
    after: UUID | None
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSession:
    """A sign-in that took part in a conversation, and how far it has read there."""

    conversation_id: UUID
    session_id: UUID
    read_position: int
    unread_count: int
    revision: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSessionList:
    """Which links to list: of a conversation, of a session, or the one of both; after a time and an id."""

    user_id: UUID
    conversation_id: UUID | None
    session_id: UUID | None
    after: tuple[datetime, UUID] | None
    size: int

    def cursor(self, last: ConversationSession) -> tuple[str, str]:
        """What the page after a link goes on after."""
        other = last.session_id if self.conversation_id is not None else last.conversation_id
        return (last.create_time.isoformat(), str(other))


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture, by its URI."""

    uri: str
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file, by its URI."""

    uri: str
    media_type: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A model's wish that a tool be run; `arguments` is what the model wrote, which need not be JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool answered."""

    tool_call_id: str
    content: str
    is_error: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Json:
    """A value for programs, as JSON with sorted keys."""

    text: str


Part: TypeAlias = str | Image | File | ToolCall | ToolResult | Json  # a text is a plain str: nearly all of them are


class FeedbackRating(IntEnum):
    """What a user thinks of a message, numbered as in chat.v1 and in the table."""

    NONE = 0
    GOOD = 1
    BAD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What a user thinks of a message, and why."""

    rating: FeedbackRating
    comment: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Siblings:
    """A message among the alternatives in its place: "2 of 3", and the branches of the one before and the one after."""

    index: int
    count: int
    previous_branch: int | None
    next_branch: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something said; a deleted one has no parts, and one without alternatives no siblings.

    `replaces` is the message in whose place it was written.
    """

    id: UUID
    conversation_id: UUID
    session_id: UUID
    position: int
    branch: int
    depth: int
    revision: int
    role: Role
    parts: tuple[Part, ...] = field(repr=False)
    create_time: datetime
    replaces: UUID | None = None
    delete_time: datetime | None = None
    feedback: Feedback | None = None
    siblings: Siblings | None = None

    def says(self, parts: tuple[Part, ...]) -> bool:
        """Whether a request that said this wrote it; what a deleted one said is forgotten, so any may have."""
        return self.delete_time is not None or self.parts == parts


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message that is to be appended; `text_bytes` is what its parts weigh."""

    id: UUID = field(default_factory=ids.new_id)
    user_id: UUID
    conversation_id: UUID
    session_id: UUID
    role: Role
    parts: tuple[Part, ...] = field(repr=False)
    text_bytes: int
    request_id: str | None
    replaces: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEdit:
    """Other parts for a message, to stand in its place on a branch of their own; `text_bytes` is what they weigh."""

    user_id: UUID
    session_id: UUID
    message_id: UUID
    parts: tuple[Part, ...] = field(repr=False)
    text_bytes: int
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageList:
    """Which messages to list: of a conversation's branch (0: the active one), or of a session, or of both.

    A list with a conversation goes on after a depth, or with a session too after a position; one without after an id.
    """

    user_id: UUID
    conversation_id: UUID | None
    session_id: UUID | None
    branch: int
    role: Role | None
    descending: bool
    after: int | UUID | None
    size: int

    def cursor(self, branch: int, last: Message) -> tuple[str | int, ...]:
        """What the page after a message goes on after, and the branch along which."""
        if self.conversation_id is None:
            return (str(last.id),)
        return (last.depth if self.session_id is None else last.position, branch)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage(Page[Message]):
    """A page of messages, and the branch that they were listed along; 0 for those of all conversations."""

    branch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One of the ways in which a conversation goes on, from after `fork_depth`; the trunk has no session."""

    conversation_id: UUID
    branch: int
    parent: int
    fork_depth: int
    leaf_depth: int
    active: bool
    session_id: UUID | None
    revision: int
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchList:
    """Which branches to list: a conversation's, after a number."""

    user_id: UUID
    conversation_id: UUID
    after: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A named thing that a model built, at its current version."""

    id: UUID
    conversation_id: UUID
    session_id: UUID
    name: str
    type: str
    version: int
    content: str = field(repr=False)
    content_hash: bytes
    revision: int
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewComponent:
    """A component that is to be made."""

    id: UUID = field(default_factory=ids.new_id)
    user_id: UUID
    conversation_id: UUID
    session_id: UUID
    name: str
    type: str
    content: str = field(repr=False)
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentChange:
    """New content of a component, made from a version; None stands for an etag that was never one."""

    id: UUID
    user_id: UUID
    session_id: UUID
    content: str = field(repr=False)
    from_version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentRestoration:
    """A version whose content is wanted again. `from_version` is what the caller takes for the current one, if told."""

    id: UUID
    user_id: UUID
    session_id: UUID
    version: int
    from_version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentList:
    """Which components to list: of a conversation, of a session, or of both; after an id."""

    user_id: UUID
    conversation_id: UUID | None
    session_id: UUID | None
    type: str | None
    show_deleted: bool
    after: UUID | None
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentVersion:
    """What a component was."""

    component_id: UUID
    version: int
    content: str = field(repr=False)
    content_hash: bytes
    session_id: UUID
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentVersionPair:
    """Two versions to compare; the number 0 stands for the empty text before the first."""

    former: int
    former_content: str = field(repr=False)
    latter: int
    latter_content: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a run used and cost, the cost in millionths of a US dollar."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cost_micros: int = 0
    price_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionError:
    """Why a run failed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResponse:
    """What a model answered, as it is to be recorded."""

    id: UUID = field(default_factory=ids.new_id)
    model: str
    finish_reason: str
    usage: Usage
    time_to_first_token: timedelta | None
    duration: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a model answered: the record of it."""

    id: UUID
    interaction_id: UUID
    model: str
    message_id: UUID | None
    finish_reason: str
    usage: Usage
    time_to_first_token: timedelta | None
    duration: timedelta | None
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInteraction:
    """A run that has ended and is to be recorded."""

    id: UUID = field(default_factory=ids.new_id)
    user_id: UUID
    conversation_id: UUID
    session_id: UUID
    state: InteractionState
    model: str
    message_id: UUID | None
    usage: Usage
    error: InteractionError | None
    response: NewResponse | None
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One run of a model in a conversation, with what it answered."""

    id: UUID
    conversation_id: UUID
    session_id: UUID
    state: InteractionState
    model: str
    message_id: UUID | None
    usage: Usage
    revision: int
    create_time: datetime
    end_time: datetime | None
    error: InteractionError | None
    response: Response | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionList:
    """Which runs to list: of a conversation, of a session, or of both; after an id."""

    user_id: UUID
    conversation_id: UUID | None
    session_id: UUID | None
    after: UUID | None
    size: int


class ChangeKind(IntEnum):
    """What a row is that a change has touched; changes of one revision are told in this order."""

    NONE = 0
    MESSAGE = 1
    COMPONENT = 2
    INTERACTION = 3
    CONVERSATION_SESSION = 4
    BRANCH = 5
    END = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A row of a conversation, the revision that touched it last, and about how many bytes it costs to read.

    The id of a branch is its number.
    """

    kind: ChangeKind
    revision: int
    id: UUID
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a conversation's history: behind a revision, or behind one row within it.

    `settings` is a digest of the conversation's own settings as they were told last; zeros where they were not.
    `pieces` is how many pieces of a running answer were told.
    """

    revision: int
    kind: ChangeKind = ChangeKind.END
    id: UUID = _NO_ID
    settings: bytes = bytes(8)
    answer: UUID = _NO_ID
    pieces: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """That everything has been told that there was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typing:
    """That a sign-in is typing, or no more."""

    session_id: UUID
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerDelta:
    """More of the text of an answer that is being written."""

    interaction_id: UUID
    text: str = field(repr=False)


ConversationRow: TypeAlias = Message | Component | Interaction | ConversationSession | Branch
ConversationEvent: TypeAlias = Conversation | ConversationRow | AnswerDelta | Typing | Synced


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPlace:
    """A place in the history of a user's conversations: behind a time, and behind an id of that very time."""

    user_id: UUID
    time: datetime
    id: UUID = _NO_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedConversation:
    """A conversation, the revision that it has reached, and when."""

    id: UUID
    revision: int
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedConversations:
    """A page of those that have changed, and when it was asked for, by the clock of Postgres."""

    asked: datetime
    items: list[ChangedConversation]

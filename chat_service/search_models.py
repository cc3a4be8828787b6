"""What search asks for and finds, as values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chat_service.models import Conversation, Message, Role
from chat_service.questions import Question, Term
from chat_service.snippets import Snippet


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A run of hits that are ranked together, and a place in it: the newest hits below a serial, after one of them."""

    below: int
    rank: float | None
    serial: int

    @property
    def cursor(self) -> tuple[str | int, ...]:
        """As it travels in a page token."""
        return (self.below, "" if self.rank is None else repr(self.rank), self.serial)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSearch:
    """Which messages to look for; None lets all in."""

    user_id: UUID
    terms: Sequence[Term]
    conversation_id: UUID | None
    role: Role | None
    start_time: datetime | None
    end_time: datetime | None
    after: Block | None
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSearch:
    """Which titles to look for, after a rank and an id."""

    user_id: UUID
    terms: Sequence[Term]
    after: tuple[float, UUID] | None
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question to the index: about a window, below a serial; `indexed` is what the index must tell beside that."""

    asked: MessageSearch
    question: Question
    indexed: str
    window: str
    below: int
    rows: int
    hits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A message that fits, with how well it does and what its text weighs."""

    id: UUID
    serial: int
    rank: float
    text_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a probe found: the newest hits, and how many rows were looked at for them."""

    looked: int
    hits: Sequence[Hit]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMessage:
    """A message that was found."""

    message: Message
    snippet: Snippet
    rank: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMessages:
    """A page of them, and where the next one begins."""

    items: Sequence[FoundMessage]
    after: Block | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundConversation:
    """A conversation that was found."""

    conversation: Conversation
    snippet: Snippet
    rank: float

    @property
    def cursor(self) -> tuple[str, str]:
        """What the page after it goes on after."""
        return (repr(self.rank), str(self.conversation.id))

"""The streams of chat.v1 (live.proto): from where, and what is told."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from google.protobuf.message import Message as ProtoMessage

from chat_service.conversation_watches import ConversationWatches
from chat_service.models import (
    AnswerDelta,
    Branch,
    Component,
    Conversation,
    ConversationEvent,
    ConversationSession,
    Interaction,
    Message,
    Place,
    Synced,
    Typing,
)
from chat_service.presence import Presence
from chat_service.rpc import convert, cursors
from chat_service.user_watches import BEGINNING, UserWatches
from protos.chat.v1 import live_pb2 as pb
from shared.validation import Violations

_NO_CURSOR: Final = "is not a cursor of this conversation: begin with after_revision alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRules:
    """The rules of what is live."""

    conversations: ConversationWatches
    users: UserWatches
    presence: Presence


def watch_conversation(request: pb.WatchConversationRequest) -> tuple[UUID, Place]:
    """The conversation, and behind which place to begin."""
    violations = Violations()
    conversation_id = violations.id("conversation_id", request.conversation_id)
    place: Place | None = Place(revision=request.after_revision)
    if request.after_revision < 0:
        violations.add("after_revision", "must not be negative")
    if request.cursor:
        place = cursors.read(conversation_id, request.cursor)
    if place is None:
        violations.add("cursor", _NO_CURSOR)
    violations.done()
    return conversation_id, place or Place(revision=0)


def conversation_event(conversation_id: UUID, place: Place, event: ConversationEvent) -> pb.WatchConversationResponse:
    """One thing that has changed, and how to go on after it."""
    told = pb.WatchConversationResponse(cursor=cursors.write(conversation_id, place))
    name, render = _RENDERED[type(event)]
    getattr(told, name).CopyFrom(render(event))
    return told


def watch_conversations(user_id: UUID, request: pb.WatchConversationsRequest) -> datetime | None:
    """Since when; None is from now on."""
    if not request.cursor:
        return None if request.only_new else BEGINNING
    violations = Violations()
    since = cursors.read_time(user_id, request.cursor)
    if since is None:
        violations.add("cursor", "is not a cursor of this user's conversations: begin without one")
    violations.done()
    return since


def conversations_event(user_id: UUID, time: datetime, event: Conversation | Synced) -> pb.WatchConversationsResponse:
    """One conversation that has changed, and how to go on after it."""
    cursor = cursors.write_time(user_id, time)
    if isinstance(event, Conversation):
        return pb.WatchConversationsResponse(cursor=cursor, conversation=convert.conversation(event))
    return pb.WatchConversationsResponse(cursor=cursor, synced=pb.Synced())


def _typing(model: Typing) -> pb.Typing:
    return pb.Typing(session_id=str(model.session_id), active=model.active)


def _delta(model: AnswerDelta) -> pb.AnswerDelta:
    return pb.AnswerDelta(interaction_id=str(model.interaction_id), text=model.text)


def _synced(_: Synced) -> pb.Synced:
    return pb.Synced()


# The field of each event, and what renders it.
_RENDERED: Final[dict[type, tuple[str, Callable[[Any], ProtoMessage]]]] = {
    Conversation: ("conversation", convert.conversation),
    Message: ("message", convert.message),
    Component: ("component", convert.component),
    Interaction: ("interaction", convert.interaction),
    ConversationSession: ("conversation_session", convert.conversation_session),
    Branch: ("branch", convert.branch),
    AnswerDelta: ("delta", _delta),
    Typing: ("typing", _typing),
    Synced: ("synced", _synced),
}

"""The streams of chat.v1 (live.proto): from where, and what is told."""

from typing import Final
from uuid import UUID

from chat_service.models import (
    Component,
    Conversation,
    ConversationEvent,
    ConversationSession,
    Interaction,
    Message,
    Place,
    Synced,
)
from chat_service.rpc import convert, cursors
from protos.chat.v1 import live_pb2 as pb
from shared.validation import Violations

_NO_CURSOR: Final = "is not a cursor of this conversation: begin with after_revision alone"


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
    cursor = cursors.write(conversation_id, place)
    match event:
        case Conversation():
            return pb.WatchConversationResponse(cursor=cursor, conversation=convert.conversation(event))
        case Message():
            return pb.WatchConversationResponse(cursor=cursor, message=convert.message(event))
        case Component():
            return pb.WatchConversationResponse(cursor=cursor, component=convert.component(event))
        case Interaction():
            return pb.WatchConversationResponse(cursor=cursor, interaction=convert.interaction(event))
        case ConversationSession():
            link = convert.conversation_session(event)
            return pb.WatchConversationResponse(cursor=cursor, conversation_session=link)
        case Synced():
            return pb.WatchConversationResponse(cursor=cursor, synced=pb.Synced())

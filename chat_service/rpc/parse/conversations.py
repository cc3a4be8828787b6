"""The requests of chat.v1.ConversationService."""

from typing import Final
from uuid import UUID

from chat_service import parameters
from chat_service.models import ConversationChange, ConversationList, ConversationSessionList, NewConversation
from chat_service.rpc import metadata
from chat_service.rpc.convert import etag_revision
from chat_service.rpc.pages import Pages, Place
from chat_service.rpc.parse import generation
from protos.chat.v1 import conversation_service_pb2 as pb
from protos.chat.v1 import resources_pb2
from shared.calls import Principal
from shared.validation import Violations

_MAX_TITLE: Final = 200
_MAX_DEFAULTS_BYTES: Final = 262_144
_WRITABLE: Final = ("archived", "metadata", "model_defaults", "pinned", "title")


def create(principal: Principal, request: pb.CreateConversationRequest) -> NewConversation:
    """The conversation to make."""
    violations = Violations()
    wanted = request.conversation
    new = NewConversation(
        user_id=principal.user_id,
        title=_title(violations, wanted),
        pinned=wanted.pinned,
        archived=wanted.archived,
        metadata=_metadata(violations, wanted),
        model_defaults=_model_defaults(violations, wanted),
        request_id=violations.request_id(request.request_id),
    )
    violations.done()
    return new


def conversation_id(text: str) -> UUID:
    """The conversation that a request names."""
    violations = Violations()
    parsed = violations.id("conversation_id", text)
    violations.done()
    return parsed


def list_conversations(
    principal: Principal, request: pb.ListConversationsRequest, pages: Pages
) -> tuple[ConversationList, Place]:
    """Which conversations, and where the page is."""
    violations = Violations()
    pinned = request.pinned if request.HasField("pinned") else None
    archived = request.archived if request.HasField("archived") else None
    scope = ("ListConversations", principal.user_id, request.show_deleted, pinned, archived)
    place = pages.read(violations, request, *scope)
    violations.done()
    asked = ConversationList(
        user_id=principal.user_id,
        show_deleted=request.show_deleted,
        pinned=pinned,
        archived=archived,
        after=place.after_id,
        size=place.size,
    )
    return asked, place


def update(request: pb.UpdateConversationRequest) -> ConversationChange:
    """The settings to write."""
    violations = Violations()
    wanted = request.conversation
    given = {field.name for field, _ in wanted.ListFields()}
    fields = violations.mask(request.update_mask.paths, _WRITABLE, given)
    title, notes = _title(violations, wanted), _metadata(violations, wanted)
    defaults = _model_defaults(violations, wanted)
    change = ConversationChange(
        id=violations.id("conversation.id", wanted.id),
        title=title if "title" in fields else None,
        pinned=wanted.pinned if "pinned" in fields else None,
        archived=wanted.archived if "archived" in fields else None,
        metadata=notes if "metadata" in fields else None,
        model_defaults=defaults if "model_defaults" in fields else None,
        etag_revision=etag_revision(wanted.etag),
    )
    violations.done()
    return change


def list_sessions(
    principal: Principal, request: pb.ListConversationSessionsRequest, pages: Pages
) -> tuple[ConversationSessionList, Place]:
    """Which links, and where the page is."""
    violations = Violations()
    conversation = violations.optional_id("conversation_id", request.conversation_id)
    session = violations.optional_id("session_id", request.session_id)
    if conversation is session is None:
        violations.add("conversation_id", "must be set, or session_id must be")
    place = pages.read(violations, request, "ListConversationSessions", principal.user_id, conversation, session)
    violations.done()
    asked = ConversationSessionList(
        user_id=principal.user_id,
        conversation_id=conversation,
        session_id=session,
        after=place.after_time,
        size=place.size,
    )
    return asked, place


def mark_read(request: pb.MarkReadRequest) -> tuple[UUID, int]:
    """The conversation and the position."""
    violations = Violations()
    conversation = violations.id("conversation_id", request.conversation_id)
    if request.position < 1:
        violations.add("position", "must be at least 1")
    violations.done()
    return conversation, request.position


def _title(violations: Violations, wanted: resources_pb2.Conversation) -> str:
    return violations.text("conversation.title", wanted.title, longest=_MAX_TITLE)


def _model_defaults(violations: Violations, wanted: resources_pb2.Conversation) -> str:
    defaults = generation.model_defaults(violations, "conversation.model_defaults", wanted.model_defaults)
    text = parameters.dump_defaults(defaults)
    if len(text.encode()) > _MAX_DEFAULTS_BYTES:
        violations.add("conversation.model_defaults", f"must have at most {_MAX_DEFAULTS_BYTES} bytes as JSON")
    return text


def _metadata(violations: Violations, wanted: resources_pb2.Conversation) -> str:
    try:
        text = metadata.to_json(wanted.metadata)
    except ValueError as error:
        violations.add("conversation.metadata", str(error))
        return ""
    if len(text.encode()) > metadata.MAX_BYTES:
        violations.add("conversation.metadata", f"must have at most {metadata.MAX_BYTES} bytes as JSON")
    return text

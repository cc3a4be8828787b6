"""The requests of chat.v1.MessageService."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from chat_service.models import Feedback, FeedbackRating, MessageList, NewMessage, Role
from chat_service.rpc.pages import Pages, Place
from chat_service.rpc.parse import parts
from protos.chat.v1 import message_service_pb2 as pb
from protos.chat.v1 import resources_pb2
from shared.calls import Principal
from shared.validation import MAX_REQUEST_ID, Violations

_MAX_MESSAGES: Final = 100
MAX_COMMENT: Final = 2_000
_RATINGS: Final = {rating.value: rating for rating in FeedbackRating}
_ROLES: Final = {role.value: role for role in Role}


def send(principal: Principal, request: pb.SendMessageRequest) -> NewMessage:
    """The message to append."""
    violations = Violations()
    conversation = violations.id("conversation_id", request.conversation_id)
    new = _message(violations, principal, conversation, request, "")
    violations.done()
    return new


def send_batch(principal: Principal, request: pb.BatchSendMessagesRequest) -> list[NewMessage]:
    """The messages to append to one conversation."""
    violations = Violations()
    conversation = violations.id("conversation_id", request.conversation_id)
    violations.count("requests", request.requests, most=_MAX_MESSAGES)
    messages = []
    for number, one in enumerate(request.requests[:_MAX_MESSAGES]):
        if one.conversation_id not in ("", request.conversation_id):
            violations.add(f"requests[{number}].conversation_id", "must be empty, or the batch's conversation_id")
        messages.append(_message(violations, principal, conversation, one, f"requests[{number}]."))
    _check_distinct(violations, [message.request_id for message in messages])
    violations.done()
    return messages


def message_id(text: str) -> UUID:
    """The message that a request names."""
    violations = Violations()
    parsed = violations.id("message_id", text)
    violations.done()
    return parsed


def set_feedback(request: pb.SetFeedbackRequest) -> tuple[UUID, Feedback | None]:
    """The message, and what the user thinks of it."""
    violations = Violations()
    message = violations.id("message_id", request.message_id)
    said = request.feedback
    rating = _RATINGS.get(said.rating)
    if rating is None:
        violations.add("feedback.rating", "is not a known rating")
    comment = violations.text("feedback.comment", said.comment, longest=MAX_COMMENT)
    violations.done()
    return message, Feedback(rating=rating or FeedbackRating.NONE, comment=comment) if rating or comment else None


def list_messages(principal: Principal, request: pb.ListMessagesRequest, pages: Pages) -> tuple[MessageList, Place]:
    """Which messages, and where the page is."""
    violations = Violations()
    conversation = violations.optional_id("conversation_id", request.conversation_id)
    session = violations.optional_id("session_id", request.session_id)
    if conversation is session is None:
        violations.add("conversation_id", "must be set, or session_id must be")
    role = _ROLES.get(request.role)
    if role is None and request.role != resources_pb2.ROLE_UNSPECIFIED:
        violations.add("role", "is not a known role")
    if request.branch < 0 or (request.branch and not request.conversation_id):
        violations.add("branch", "must be a branch's number, and go with conversation_id")
    scope = ("ListMessages", principal.user_id, conversation, session, role, request.branch, request.descending)
    place = pages.read(violations, request, *scope)
    violations.done()
    asked = MessageList(
        user_id=principal.user_id,
        conversation_id=conversation,
        session_id=session,
        branch=int(place.cursor[1]) if place.cursor and conversation else request.branch,
        role=role,
        descending=request.descending,
        after=place.after_number if conversation else place.after_id,
        size=place.size,
    )
    return asked, place


def _message(
    violations: Violations, principal: Principal, conversation: UUID, request: pb.SendMessageRequest, path: str
) -> NewMessage:
    role = _ROLES.get(request.role)
    if role is None:
        violations.add(f"{path}role", "must be set to a known role")
    said, weighs = parts.read(violations, request.parts, path)
    return NewMessage(
        user_id=principal.user_id,
        conversation_id=conversation,
        session_id=principal.session_id,
        role=role or Role.USER,
        parts=said,
        text_bytes=weighs,
        request_id=violations.text(f"{path}request_id", request.request_id, longest=MAX_REQUEST_ID) or None,
    )


def _check_distinct(violations: Violations, request_ids: Sequence[str | None]) -> None:
    seen: set[str] = set()
    for number, request_id in enumerate(request_ids):
        if request_id in seen:
            violations.add(f"requests[{number}].request_id", "must differ from those before it")
        elif request_id is not None:
            seen.add(request_id)

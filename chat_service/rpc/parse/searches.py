"""The requests of chat.v1's search."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from chat_service import questions
from chat_service.models import Role
from chat_service.questions import Term
from chat_service.rpc.pages import Pages, Place
from chat_service.search_models import Block, ConversationSearch, MessageSearch
from protos.chat.v1 import resources_pb2, search_pb2
from shared.calls import Principal
from shared.validation import Violations

MAX_QUERY: Final = 500
_ROLES: Final = {role.value: role for role in Role}


def messages(
    principal: Principal, request: search_pb2.SearchMessagesRequest, pages: Pages
) -> tuple[MessageSearch, Place]:
    """Which messages, and where the page is."""
    violations = Violations()
    terms = _terms(violations, request.query)
    conversation = violations.optional_id("conversation_id", request.conversation_id)
    role = _ROLES.get(request.role)
    if role is None and request.role != resources_pb2.ROLE_UNSPECIFIED:
        violations.add("role", "is not a known role")
    begin = _moment(violations, "start_time", request.start_time) if request.HasField("start_time") else None
    end = _moment(violations, "end_time", request.end_time) if request.HasField("end_time") else None
    scope = ("SearchMessages", principal.user_id, request.query, conversation, role, begin, end)
    place = pages.read(violations, request, *scope)
    violations.done()
    asked = MessageSearch(
        user_id=principal.user_id,
        terms=terms,
        conversation_id=conversation,
        role=role,
        start_time=begin,
        end_time=end,
        after=_block(place),
        size=place.size,
    )
    return asked, place


def conversations(
    principal: Principal, request: search_pb2.SearchConversationsRequest, pages: Pages
) -> tuple[ConversationSearch, Place]:
    """Which titles, and where the page is."""
    violations = Violations()
    terms = _terms(violations, request.query)
    place = pages.read(violations, request, "SearchConversations", principal.user_id, request.query)
    violations.done()
    after = (float(place.cursor[0]), UUID(str(place.cursor[1]))) if place.cursor else None
    return ConversationSearch(user_id=principal.user_id, terms=terms, after=after, size=place.size), place


def _terms(violations: Violations, query: str) -> Sequence[Term]:
    violations.text("query", query, shortest=1, longest=MAX_QUERY)
    terms = questions.parse(query[:MAX_QUERY])
    if len(terms) > questions.MAX_TERMS:
        violations.add("query", f"must have at most {questions.MAX_TERMS} words, phrases and beginnings of words")
    elif terms and all(term.excluded for term in terms):
        violations.add("query", "must have something to look for, not only what to leave out")
    return terms


def _moment(violations: Violations, field: str, value: Timestamp) -> datetime | None:
    try:
        return value.ToDatetime(UTC)
    except (ValueError, OverflowError):
        violations.add(field, "must be a moment between the years 1 and 9999")
        return None


def _block(place: Place) -> Block | None:
    if place.cursor is None:
        return None
    below, rank, serial = place.cursor
    return Block(below=int(below), rank=float(rank) if rank else None, serial=int(serial))

"""The requests of chat.v1.MessageService that are about branches."""

from uuid import UUID

from chat_service.models import BranchList, MessageEdit
from chat_service.rpc.pages import Pages, Place
from chat_service.rpc.parse import parts
from protos.chat.v1 import branches_pb2 as pb
from shared.calls import Principal
from shared.validation import Violations


def edit(principal: Principal, request: pb.EditMessageRequest) -> MessageEdit:
    """The message, and what shall stand in its place."""
    violations = Violations()
    message = violations.id("message_id", request.message_id)
    said, weighs = parts.read(violations, request.parts, "")
    request_id = violations.request_id(request.request_id)
    violations.done()
    return MessageEdit(
        user_id=principal.user_id,
        session_id=principal.session_id,
        message_id=message,
        parts=said,
        text_bytes=weighs,
        request_id=request_id,
    )


def switch(request: pb.SwitchBranchRequest) -> tuple[UUID, int]:
    """The conversation and the branch."""
    violations = Violations()
    conversation = violations.id("conversation_id", request.conversation_id)
    if request.branch < 1:
        violations.add("branch", "must be a branch's number")
    violations.done()
    return conversation, request.branch


def list_branches(principal: Principal, request: pb.ListBranchesRequest, pages: Pages) -> tuple[BranchList, Place]:
    """Of which conversation, and where the page is."""
    violations = Violations()
    conversation = violations.id("conversation_id", request.conversation_id)
    place = pages.read(violations, request, "ListBranches", principal.user_id, conversation)
    violations.done()
    after = place.after_number or 0
    return BranchList(user_id=principal.user_id, conversation_id=conversation, after=after, size=place.size), place

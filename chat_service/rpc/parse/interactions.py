"""The requests of chat.v1.InteractionService."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from google.protobuf.duration_pb2 import Duration

from chat_service.models import (
    InteractionError,
    InteractionList,
    InteractionState,
    NewInteraction,
    NewResponse,
    Usage,
)
from chat_service.rpc.pages import Pages, Place
from protos.chat.v1 import interaction_service_pb2 as pb
from protos.chat.v1 import resources_pb2
from shared.calls import Principal
from shared.validation import Violations

_MAX_MODEL: Final = 200
_MAX_ERROR_CODE: Final = 100
_MAX_ERROR_MESSAGE: Final = 2_000
_MAX_FINISH_REASON: Final = 100
_MAX_PRICE_VERSION: Final = 64
_MAX_DURATION_SECONDS: Final = 315_576_000_000  # the longest google.protobuf.Duration
_NANOS: Final = 1_000_000_000
_NUMBERS: Final = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens", "cost_micros")
_FINAL: Final = {
    state.value: state
    for state in (
        InteractionState.COMPLETED,
        InteractionState.FAILED,
        InteractionState.CANCELLED,
        InteractionState.INTERRUPTED,
    )
}


def record(principal: Principal, request: pb.RecordInteractionRequest) -> NewInteraction:
    """The run to record."""
    violations = Violations()
    wanted = request.interaction
    state = _state(violations, request)
    model = violations.text("interaction.model", wanted.model, shortest=1, longest=_MAX_MODEL)
    response = _response(violations, request, model)
    usage = _usage(violations, "interaction.usage", wanted.usage)
    new = NewInteraction(
        user_id=principal.user_id,
        conversation_id=violations.id("interaction.conversation_id", wanted.conversation_id),
        session_id=principal.session_id,
        state=state,
        model=model,
        message_id=violations.optional_id("interaction.message_id", wanted.message_id),
        usage=response.usage if response and not wanted.HasField("usage") else usage,
        error=_error(violations, wanted),
        response=response,
        request_id=violations.request_id(request.request_id),
    )
    violations.done()
    return new


def interaction_id(request: pb.GetInteractionRequest) -> UUID:
    """The run to get."""
    violations = Violations()
    parsed = violations.id("interaction_id", request.interaction_id)
    violations.done()
    return parsed


def list_interactions(
    principal: Principal, request: pb.ListInteractionsRequest, pages: Pages
) -> tuple[InteractionList, Place]:
    """Which runs, and where the page is."""
    violations = Violations()
    conversation = violations.optional_id("conversation_id", request.conversation_id)
    session = violations.optional_id("session_id", request.session_id)
    if conversation is session is None:
        violations.add("conversation_id", "must be set, or session_id must be")
    place = pages.read(violations, request, "ListInteractions", principal.user_id, conversation, session)
    violations.done()
    asked = InteractionList(
        user_id=principal.user_id,
        conversation_id=conversation,
        session_id=session,
        after=place.after_id,
        size=place.size,
    )
    return asked, place


def _state(violations: Violations, request: pb.RecordInteractionRequest) -> InteractionState:
    state = _FINAL.get(request.interaction.state)
    if state is None:
        violations.add("interaction.state", "must be COMPLETED, FAILED, CANCELLED or INTERRUPTED")
    elif state is InteractionState.COMPLETED and not request.HasField("response"):
        violations.add("response", "must be set for a completed interaction")
    if request.interaction.HasField("error") and state is not InteractionState.FAILED:
        violations.add("interaction.error", "must be left out unless the state is FAILED")
    return state or InteractionState.COMPLETED


def _error(violations: Violations, wanted: resources_pb2.Interaction) -> InteractionError | None:
    if not wanted.HasField("error"):
        return None
    code, message = wanted.error.code, wanted.error.message
    return InteractionError(
        code=violations.text("interaction.error.code", code, shortest=1, longest=_MAX_ERROR_CODE),
        message=violations.text("interaction.error.message", message, longest=_MAX_ERROR_MESSAGE),
    )


def _response(violations: Violations, request: pb.RecordInteractionRequest, model: str) -> NewResponse | None:
    if not request.HasField("response"):
        return None
    wanted = request.response
    return NewResponse(
        model=violations.text("response.model", wanted.model, longest=_MAX_MODEL) or model,
        finish_reason=violations.text("response.finish_reason", wanted.finish_reason, longest=_MAX_FINISH_REASON),
        usage=_usage(violations, "response.usage", wanted.usage),
        time_to_first_token=_duration(violations, wanted, "time_to_first_token"),
        duration=_duration(violations, wanted, "duration"),
    )


def _usage(violations: Violations, path: str, usage: resources_pb2.Usage) -> Usage:
    for name in _NUMBERS:
        if getattr(usage, name) < 0:
            violations.add(f"{path}.{name}", "must not be negative")
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_micros=usage.cost_micros,
        price_version=violations.text(f"{path}.price_version", usage.price_version, longest=_MAX_PRICE_VERSION),
    )


def _duration(violations: Violations, response: resources_pb2.Response, name: str) -> timedelta | None:
    if not response.HasField(name):  # type: ignore[arg-type]
        return None
    value: Duration = getattr(response, name)
    if not (0 <= value.seconds <= _MAX_DURATION_SECONDS and 0 <= value.nanos < _NANOS):
        violations.add(f"response.{name}", "must be a valid duration, and not negative")
        return None
    return timedelta(seconds=value.seconds, microseconds=value.nanos // 1_000)

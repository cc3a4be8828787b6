"""Models into messages."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final, assert_never

from google.protobuf.duration_pb2 import Duration

from chat_service.diffs import Diff
from chat_service.models import (
    Branch,
    Component,
    ComponentVersion,
    ComponentVersionPair,
    Conversation,
    ConversationSession,
    File,
    Image,
    Interaction,
    InteractionError,
    Json,
    Message,
    Response,
    Siblings,
    ToolCall,
    ToolResult,
    Usage,
)
from chat_service.rpc import defaults, json_values, metadata
from chat_service.run_models import UsageOfDay, UsageOfUser
from protos.chat.v1 import branches_pb2, component_service_pb2, usage_pb2
from protos.chat.v1 import resources_pb2 as pb
from shared.grpc.values import seconds_and_nanos, timestamp
from shared.ids import text_of

_ACTIVE: Final = pb.CONVERSATION_STATE_ACTIVE
_DELETED: Final = pb.CONVERSATION_STATE_DELETED
_DAY_SECONDS: Final = 86_400
_REVISION_ETAG: Final = "r"
_VERSION_ETAG: Final = "v"
_FOREIGN: Final = -1
_MAX_DIGITS: Final = 18


def conversation(model: Conversation) -> pb.Conversation:
    """A conversation."""
    return pb.Conversation(
        id=str(model.id),
        title=model.title,
        state=_DELETED if model.delete_time else _ACTIVE,
        active_branch=model.active_branch,
        message_count=model.message_count,
        revision=model.revision,
        pinned=model.pinned,
        archived=model.archived,
        metadata=metadata.from_json(model.metadata),
        model_defaults=defaults.from_json(model.model_defaults),
        create_time=timestamp(model.create_time),
        update_time=timestamp(model.update_time),
        delete_time=timestamp(model.delete_time) if model.delete_time else None,
        purge_time=timestamp(model.purge_time) if model.purge_time else None,
        etag=f"{_REVISION_ETAG}{model.etag_revision}",
    )


def etag_revision(etag: str) -> int | None:
    """The revision in a conversation's etag; None for an empty one, and one that never was for a foreign one."""
    return _number(etag, _REVISION_ETAG) if etag else None


def conversation_session(model: ConversationSession) -> pb.ConversationSession:
    """A sign-in's link with a conversation."""
    return pb.ConversationSession(
        conversation_id=text_of(model.conversation_id),
        session_id=text_of(model.session_id),
        read_position=model.read_position,
        unread_count=model.unread_count,
        revision=model.revision,
        create_time=timestamp(model.create_time),
        update_time=timestamp(model.update_time),
    )


def message(model: Message, make: Callable[..., pb.Message] = pb.Message) -> pb.Message:
    """A message, made by its class or by the `add` of a list, which spares a long page half of its cost."""
    rendered = make(
        id=str(model.id),
        conversation_id=text_of(model.conversation_id),
        session_id=text_of(model.session_id),
        position=model.position,
        branch=model.branch,
        depth=model.depth,
        role=model.role,
        revision=model.revision,
        sibling_count=1,
        sibling_index=1,
    )
    for part in model.parts:
        if isinstance(part, str):
            rendered.parts.add(text=part)
        else:
            _add_part(rendered.parts.add, part)
    moment = rendered.create_time
    moment.seconds, moment.nanos = seconds_and_nanos(model.create_time)
    if model.replaces is not None:
        rendered.replaced_message_id = str(model.replaces)
    if model.siblings is not None:
        rendered.MergeFrom(_siblings(model.siblings))
    if model.feedback is not None:
        rendered.feedback.rating = model.feedback.rating.value  # type: ignore[assignment]
        rendered.feedback.comment = model.feedback.comment
    if model.delete_time is not None:
        rendered.delete_time.CopyFrom(timestamp(model.delete_time))
    return rendered


def branch(model: Branch) -> branches_pb2.Branch:
    """A branch."""
    return branches_pb2.Branch(
        conversation_id=text_of(model.conversation_id),
        branch=model.branch,
        parent=model.parent,
        fork_depth=model.fork_depth,
        leaf_depth=model.leaf_depth,
        message_count=model.leaf_depth - model.fork_depth,
        active=model.active,
        session_id=text_of(model.session_id) if model.session_id else "",
        create_time=timestamp(model.create_time),
        revision=model.revision,
    )


def _siblings(model: Siblings) -> pb.Message:
    return pb.Message(
        sibling_count=model.count,
        sibling_index=model.index,
        previous_sibling_branch=model.previous_branch or 0,
        next_sibling_branch=model.next_branch or 0,
    )


def _add_part(add: Callable[..., pb.Part], model: Image | File | ToolCall | ToolResult | Json) -> None:
    match model:
        case Image():
            add(image=pb.Image(uri=model.uri, media_type=model.media_type))
        case File():
            add(file=pb.File(uri=model.uri, media_type=model.media_type, name=model.name))
        case ToolCall():
            add(tool_call=pb.ToolCall(id=model.id, name=model.name, arguments=model.arguments))
        case ToolResult():
            answer = pb.ToolResult(tool_call_id=model.tool_call_id, content=model.content, is_error=model.is_error)
            add(tool_result=answer)
        case Json():
            add(json=json_values.load(model.text))
        case _:
            assert_never(model)


def component(model: Component) -> pb.Component:
    """A component at its current version."""
    return pb.Component(
        id=str(model.id),
        conversation_id=text_of(model.conversation_id),
        session_id=text_of(model.session_id),
        name=model.name,
        type=model.type,
        version=model.version,
        content=model.content,
        content_hash=model.content_hash.hex(),
        create_time=timestamp(model.create_time),
        update_time=timestamp(model.update_time),
        delete_time=timestamp(model.delete_time) if model.delete_time else None,
        etag=f"{_VERSION_ETAG}{model.version}",
        revision=model.revision,
    )


def component_version_of(etag: str) -> int | None:
    """The version in a component's etag; one that never was for a foreign one."""
    return _number(etag, _VERSION_ETAG)


def component_version(model: ComponentVersion) -> pb.ComponentVersion:
    """A version of a component."""
    return pb.ComponentVersion(
        component_id=str(model.component_id),
        version=model.version,
        content=model.content,
        content_hash=model.content_hash.hex(),
        session_id=text_of(model.session_id),
        create_time=timestamp(model.create_time),
    )


def diff(pair: ComponentVersionPair, found: Diff) -> component_service_pb2.DiffComponentVersionsResponse:
    """What differs between two versions."""
    rendered = component_service_pb2.DiffComponentVersionsResponse(
        from_version=pair.former,
        to_version=pair.latter,
        unified_diff=found.unified,
        segments_left_out=found.segments is None,
    )
    for segment in found.segments or ():
        rendered.segments.add(operation=segment.operation.value, text=segment.text)
    return rendered


def interaction(model: Interaction) -> pb.Interaction:
    """A run with its answer."""
    return pb.Interaction(
        id=str(model.id),
        conversation_id=text_of(model.conversation_id),
        session_id=text_of(model.session_id),
        state=model.state.value,  # type: ignore[arg-type]
        model=model.model,
        message_id=str(model.message_id) if model.message_id else "",
        usage=_usage(model.usage),
        create_time=timestamp(model.create_time),
        end_time=timestamp(model.end_time) if model.end_time else None,
        error=_error(model.error) if model.error else None,
        response=_response(model.response) if model.response else None,
        revision=model.revision,
    )


def usage_of_day(model: UsageOfDay) -> usage_pb2.UsageOfDay:
    """What a user used on a day."""
    return usage_pb2.UsageOfDay(
        day=model.day.isoformat(), model=model.model, runs=model.runs, usage=_usage(model.usage)
    )


def usage_of_user(model: UsageOfUser) -> usage_pb2.UsageOfUser:
    """What a user used in all."""
    return usage_pb2.UsageOfUser(user_id=str(model.user_id), runs=model.runs, usage=_usage(model.usage))


def _error(model: InteractionError) -> pb.InteractionError:
    return pb.InteractionError(code=model.code, message=model.message)


def _response(model: Response) -> pb.Response:
    return pb.Response(
        id=str(model.id),
        interaction_id=str(model.interaction_id),
        model=model.model,
        message_id=str(model.message_id) if model.message_id else "",
        finish_reason=model.finish_reason,
        usage=_usage(model.usage),
        time_to_first_token=_duration(model.time_to_first_token),
        duration=_duration(model.duration),
        create_time=timestamp(model.create_time),
    )


def _usage(model: Usage) -> pb.Usage:
    return pb.Usage(
        input_tokens=model.input_tokens,
        output_tokens=model.output_tokens,
        cached_input_tokens=model.cached_input_tokens,
        reasoning_tokens=model.reasoning_tokens,
        cost_micros=model.cost_micros,
        price_version=model.price_version,
    )


def _duration(span: timedelta | None) -> Duration | None:
    if span is None:
        return None
    return Duration(seconds=span.days * _DAY_SECONDS + span.seconds, nanos=span.microseconds * 1_000)


def _number(etag: str, prefix: str) -> int:
    digits = etag.removeprefix(prefix)
    ours = etag.startswith(prefix) and digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS
    return int(digits) if ours else _FOREIGN

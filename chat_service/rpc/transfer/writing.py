"""Our own format, written: each record as a line."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

import orjson

from chat_service.exports import Exported, ExportEnd
from chat_service.models import File, Image, Json, Part, ToolCall, ToolResult, Usage
from chat_service.transfer_models import (
    ExportedConversation,
    TransferBranch,
    TransferComponent,
    TransferInteraction,
    TransferLink,
    TransferMessage,
    TransferResponse,
    TransferVersion,
)

FORMAT: Final = "parley.chat.v1"
_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
_PARTS: Final[dict[type, str]] = {Image: "image", File: "file", ToolCall: "tool_call", ToolResult: "tool_result"}


def line(record: Exported) -> bytes:
    """A record as a line, with its end. What is not set is left out."""
    kind, told = _WRITE[type(record)](record)
    whole = {"format": FORMAT, kind: told} if isinstance(record, ExportedConversation) else {kind: told}
    return orjson.dumps(whole, default=str, option=_OPTIONS)  # str: the driver's own kind of UUID


def _conversation(record: ExportedConversation) -> tuple[str, dict[str, Any]]:
    told = _set(
        id=record.id,
        title=record.title,
        pinned=record.pinned,
        archived=record.archived,
        metadata=orjson.Fragment(record.metadata),
        model_defaults=orjson.Fragment(record.model_defaults),
        active_branch=record.active_branch,
        branch_count=record.branch_count,
        message_count=record.message_count,
        revision=record.revision,
        create_time=record.create_time,
        update_time=record.update_time,
        delete_time=record.delete_time,
    )
    return "conversation", told


def _branch(record: TransferBranch) -> tuple[str, dict[str, Any]]:
    told = {
        "branch": record.branch,
        "parent": record.parent,
        "fork_depth": record.fork_depth,
        "session_id": record.session_id,
        "create_time": record.create_time,
    }
    return "branch", told


def _message(record: TransferMessage) -> tuple[str, dict[str, Any]]:
    feedback = record.feedback
    told = _set(
        id=record.id,
        position=record.position,
        branch=record.branch,
        depth=record.depth,
        role=record.role.name,
        parts=list(map(_part, record.parts)),
        session_id=record.session_id,
        create_time=record.create_time,
        delete_time=record.delete_time,
        replaces=record.replaces,
        feedback={"rating": feedback.rating.name, "comment": feedback.comment} if feedback else None,
    )
    return "message", told


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"text": part}
    if isinstance(part, Json):
        return {"json": orjson.Fragment(part.text)}
    return {_PARTS[type(part)]: part}


def _component(record: TransferComponent) -> tuple[str, dict[str, Any]]:
    return "component", _set(**asdict(record))


def _version(record: TransferVersion) -> tuple[str, dict[str, Any]]:
    return "component_version", asdict(record)


def _interaction(record: TransferInteraction) -> tuple[str, dict[str, Any]]:
    told = _set(
        id=record.id,
        session_id=record.session_id,
        state=record.state.name,
        model=record.model,
        message_id=record.message_id,
        usage=_usage(record.usage),
        usage_estimated=record.usage_estimated or None,
        error=asdict(record.error) if record.error else None,
        create_time=record.create_time,
        end_time=record.end_time,
        responses=[_response(response) for response in record.responses],
    )
    return "interaction", told


def _response(record: TransferResponse) -> dict[str, Any]:
    return _set(
        id=record.id,
        model=record.model,
        finish_reason=record.finish_reason or None,
        usage=_usage(record.usage),
        usage_estimated=record.usage_estimated or None,
        first_token_micros=_micros(record.time_to_first_token),
        duration_micros=_micros(record.duration),
        create_time=record.create_time,
        provider=record.provider or None,
        error_code=record.error_code or None,
    )


def _usage(usage: Usage) -> dict[str, Any]:
    return {name: value for name, value in asdict(usage).items() if value}


def _link(record: TransferLink) -> tuple[str, dict[str, Any]]:
    return "session", asdict(record)


def _end(record: ExportEnd) -> tuple[str, dict[str, Any]]:
    return "end", asdict(record)


def _set(**told: Any) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}


def _micros(span: timedelta | None) -> int | None:
    return None if span is None else span // timedelta(microseconds=1)


_WRITE: Final[dict[type, Callable[[Any], tuple[str, dict[str, Any]]]]] = {
    ExportedConversation: _conversation,
    TransferBranch: _branch,
    TransferMessage: _message,
    TransferComponent: _component,
    TransferVersion: _version,
    TransferInteraction: _interaction,
    TransferLink: _link,
    ExportEnd: _end,
}

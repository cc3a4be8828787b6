"""Runs of models with their answers in Postgres."""

from datetime import datetime, timedelta
from uuid import UUID

from chat_service.errors import ConversationNotFound
from chat_service.models import (
    Interaction,
    InteractionError,
    InteractionList,
    InteractionState,
    NewInteraction,
    NewResponse,
    Page,
    Response,
    Usage,
)
from chat_service.store.pages import cut
from shared import sql
from shared.db import Executor, Record

queries = sql.load(__file__)


async def insert(executor: Executor, new: NewInteraction) -> Interaction:
    """Record a run that has ended, in a conversation that is locked."""
    [row] = await executor.fetch_all(
        queries.insert,
        new.user_id,
        new.conversation_id,
        new.id,
        new.session_id,
        new.state,
        new.model,
        new.message_id,
        *_usage_values(new.usage),
        new.error.code if new.error else None,
        new.error.message if new.error else None,
        new.request_id,
        *_response_values(new.response),
    )
    create_time = row["create_time"]
    return Interaction(
        id=new.id,
        conversation_id=new.conversation_id,
        session_id=new.session_id,
        state=new.state,
        model=new.model,
        message_id=new.message_id,
        usage=new.usage,
        revision=row["revision"],
        create_time=create_time,
        end_time=create_time,
        error=new.error,
        response=_recorded(new, new.response, create_time) if new.response else None,
    )


async def find_by_request_id(
    executor: Executor, user_id: UUID, conversation_id: UUID, request_id: str
) -> Interaction | None:
    """The run that a request recorded."""
    found = await executor.fetch_value(queries.find_by_request_id, user_id, conversation_id, request_id)
    return await find(executor, user_id, found) if found else None


async def find(executor: Executor, user_id: UUID, interaction_id: UUID) -> Interaction | None:
    """One run with its answer."""
    row = await executor.fetch_one(queries.find, user_id, interaction_id)
    return _interaction(row) if row else None


async def list_page(executor: Executor, asked: InteractionList) -> Page[Interaction]:
    """A page, the newest first."""
    limit = asked.size + 1
    if asked.session_id is not None:
        begin = (asked.user_id, asked.session_id, asked.after, limit)
        rows = await executor.fetch_all(queries.list_by_session, *begin, asked.conversation_id)
        return cut(rows, asked.size, _interaction)
    rows = await executor.fetch_all(
        queries.list_by_conversation, asked.user_id, asked.conversation_id, asked.after, limit
    )
    if not rows:
        raise ConversationNotFound
    return cut(rows if rows[0]["id"] else [], asked.size, _interaction)


def _usage_values(usage: Usage) -> tuple[object, ...]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.reasoning_tokens,
        usage.cost_micros,
        usage.price_version,
    )


def _response_values(response: NewResponse | None) -> tuple[object, ...]:
    if response is None:
        return (*_usage_values(Usage()), None, "", "", None, None)
    return (
        *_usage_values(response.usage),
        response.id,
        response.model,
        response.finish_reason,
        _micros(response.time_to_first_token),
        _micros(response.duration),
    )


def _recorded(new: NewInteraction, response: NewResponse, create_time: datetime) -> Response:
    return Response(
        id=response.id,
        interaction_id=new.id,
        model=response.model,
        message_id=new.message_id,
        finish_reason=response.finish_reason,
        usage=response.usage,
        time_to_first_token=response.time_to_first_token,
        duration=response.duration,
        create_time=create_time,
    )


def _interaction(row: Record) -> Interaction:
    code = row["error_code"]
    return Interaction(
        id=row["id"],
        conversation_id=row["conversation_id"],
        session_id=row["session_id"],
        state=InteractionState(row["state"]),
        model=row["model"],
        message_id=row["message_id"],
        usage=_usage(row, ""),
        revision=row["revision"],
        create_time=row["create_time"],
        end_time=row["end_time"],
        error=InteractionError(code=code, message=row["error_message"]) if code is not None else None,
        response=_response(row) if row["response_id"] else None,
    )


def _response(row: Record) -> Response:
    return Response(
        id=row["response_id"],
        interaction_id=row["id"],
        model=row["response_model"],
        message_id=row["response_message_id"],
        finish_reason=row["response_finish_reason"],
        usage=_usage(row, "response_"),
        time_to_first_token=_duration(row["response_first_token_micros"]),
        duration=_duration(row["response_duration_micros"]),
        create_time=row["response_create_time"],
    )


def _usage(row: Record, prefix: str) -> Usage:
    return Usage(
        input_tokens=row[f"{prefix}input_tokens"],
        output_tokens=row[f"{prefix}output_tokens"],
        cached_input_tokens=row[f"{prefix}cached_input_tokens"],
        reasoning_tokens=row[f"{prefix}reasoning_tokens"],
        cost_micros=row[f"{prefix}cost_micros"],
        price_version=row[f"{prefix}price_version"],
    )


def _micros(duration: timedelta | None) -> int | None:
    return None if duration is None else duration // timedelta(microseconds=1)


def _duration(micros: int | None) -> timedelta | None:
    return None if micros is None else timedelta(microseconds=micros)

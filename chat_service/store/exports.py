"""What an export reads, page by page; it is written by the other stores."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from chat_service import parts
from chat_service.models import Feedback, FeedbackRating, InteractionError, InteractionState, Role, Usage
from chat_service.store.pages import MAX_PAGE_BYTES
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
from shared import sql
from shared.db import Executor, Record

PAGE: Final = 200

queries = sql.load(__file__)

_NO_ID: Final = UUID(int=0)
_BEFORE: Final = datetime(1, 1, 1, tzinfo=UTC)


async def list_conversations(
    executor: Executor, user_id: UUID, after: UUID | None, *, deleted: bool
) -> list[ExportedConversation]:
    """The beginnings of conversations, the newest first."""
    rows = await executor.fetch_all(queries.list_conversations, user_id, after, deleted, PAGE)
    return [ExportedConversation(**dict(row)) for row in rows]


async def find_conversation(executor: Executor, user_id: UUID, conversation_id: UUID) -> ExportedConversation | None:
    """One, as it is now."""
    row = await executor.fetch_one(queries.find_conversation, user_id, conversation_id)
    return ExportedConversation(**dict(row)) if row else None


async def list_branches(
    executor: Executor, user_id: UUID, home: ExportedConversation, last: TransferBranch | None
) -> list[TransferBranch]:
    """Branches, in the order of their numbers; their lineage follows from their parents, and is left out."""
    after = last.branch if last else 1
    rows = await executor.fetch_all(queries.list_branches, user_id, home.id, after, home.branch_count, PAGE)
    return [TransferBranch(lineage=(), **dict(row)) for row in rows]


async def list_messages(
    executor: Executor, user_id: UUID, home: ExportedConversation, last: TransferMessage | None
) -> list[TransferMessage]:
    """Messages, in the order of branches and depths."""
    after = (last.branch, last.depth) if last else (0, 0)
    rows = await executor.fetch_all(
        queries.list_messages, user_id, home.id, *after, home.message_count, PAGE, MAX_PAGE_BYTES
    )
    return [_message(row) for row in rows]


async def list_components(
    executor: Executor, user_id: UUID, home: ExportedConversation, last: TransferComponent | None
) -> list[TransferComponent]:
    """Components, deleted ones too."""
    rows = await executor.fetch_all(queries.list_components, user_id, home.id, last.id if last else _NO_ID, PAGE)
    return [TransferComponent(**dict(row)) for row in rows]


async def list_versions(
    executor: Executor, user_id: UUID, component: TransferComponent, last: TransferVersion | None
) -> list[TransferVersion]:
    """Versions of a component, from the first on."""
    after = last.version if last else 0
    bounds = (after, component.version, PAGE, MAX_PAGE_BYTES)
    rows = await executor.fetch_all(queries.list_versions, user_id, component.id, *bounds)
    return [TransferVersion(component_id=component.id, **dict(row)) for row in rows]


async def list_interactions(
    executor: Executor, user_id: UUID, home: ExportedConversation, last: TransferInteraction | None
) -> list[TransferInteraction]:
    """Runs that have ended, with their answers."""
    after = last.id if last else _NO_ID
    rows = await executor.fetch_all(queries.list_interactions, user_id, home.id, after, home.revision, PAGE)
    answers: dict[UUID, list[TransferResponse]] = defaultdict(list)
    runs = [row["id"] for row in rows]
    for row in await executor.fetch_all(queries.list_responses, user_id, home.id, runs) if runs else ():
        answers[row["interaction_id"]].append(_response(row))
    return [_interaction(row, answers[row["id"]]) for row in rows]


async def list_links(
    executor: Executor, user_id: UUID, home: ExportedConversation, last: TransferLink | None
) -> list[TransferLink]:
    """The sign-ins that took part."""
    after = (last.create_time, last.session_id) if last else (_BEFORE, _NO_ID)
    rows = await executor.fetch_all(queries.list_links, user_id, home.id, *after, PAGE)
    return [TransferLink(**dict(row)) for row in rows]


def _message(row: Record) -> TransferMessage:
    rating = row["feedback_rating"]
    return TransferMessage(
        id=row["id"],
        position=row["position"],
        branch=row["branch"],
        depth=row["depth"],
        role=Role(row["role"]),
        parts=parts.load(row["parts"]),
        text_bytes=row["text_bytes"],
        session_id=row["session_id"],
        create_time=row["create_time"],
        delete_time=row["delete_time"],
        replaces=row["replaces"],
        feedback=None if rating is None else Feedback(rating=FeedbackRating(rating), comment=row["feedback_comment"]),
    )


def _interaction(row: Record, responses: Sequence[TransferResponse]) -> TransferInteraction:
    code = row["error_code"]
    return TransferInteraction(
        id=row["id"],
        session_id=row["session_id"],
        state=InteractionState(row["state"]),
        model=row["model"],
        message_id=row["message_id"],
        usage=_usage(row),
        usage_estimated=row["usage_estimated"],
        error=None if code is None else InteractionError(code=code, message=row["error_message"]),
        create_time=row["create_time"],
        end_time=row["end_time"],
        responses=tuple(responses),
    )


def _response(row: Record) -> TransferResponse:
    return TransferResponse(
        id=row["id"],
        model=row["model"],
        finish_reason=row["finish_reason"],
        usage=_usage(row),
        usage_estimated=row["usage_estimated"],
        time_to_first_token=_span(row["first_token_micros"]),
        duration=_span(row["duration_micros"]),
        create_time=row["create_time"],
        provider=row["provider"],
        error_code=row["error_code"],
    )


def _usage(row: Record) -> Usage:
    return Usage(
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cached_input_tokens=row["cached_input_tokens"],
        reasoning_tokens=row["reasoning_tokens"],
        cost_micros=row["cost_micros"],
        price_version=row["price_version"],
    )


def _span(micros: int | None) -> timedelta | None:
    return None if micros is None else timedelta(microseconds=micros)

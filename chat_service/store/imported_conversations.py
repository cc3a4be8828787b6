"""Conversations that are brought in, in Postgres; how they become visible as a whole stands in the `.sql`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import asyncpg

from chat_service import parts
from chat_service.models import Usage
from chat_service.transfer_models import (
    ImportEnd,
    NewImport,
    Record,
    TransferBranch,
    TransferComponent,
    TransferInteraction,
    TransferLink,
    TransferMessage,
    TransferVersion,
)
from shared import sql
from shared.db import Executor
from shared.sql import Query

queries = sql.load(__file__)


class Clash(Exception):
    """Two records of an import cannot both be."""


@dataclass(frozen=True, slots=True)
class Known:
    """A conversation that is there; the digest is of what was imported as it, and None where it was not imported."""

    conversation_id: UUID
    digest: bytes | None


async def find(executor: Executor, user_id: UUID, new: NewImport) -> Known | None:
    """The conversation that was imported by this name, or the user's own of its id."""
    row = await executor.fetch_one(queries.find, user_id, new.source, new.external_id, new.own_id)
    return Known(row["conversation_id"], row["content_digest"]) if row else None


async def stage(executor: Executor, user_id: UUID, new: NewImport) -> None:
    """Make the conversation, so that nobody sees it."""
    settings = (new.title, new.pinned, new.archived, new.metadata, new.model_defaults, new.create_time)
    await executor.fetch_one(queries.stage, user_id, new.id, *settings)


async def touch(executor: Executor, user_id: UUID, conversation_id: UUID) -> bool:
    """Hold it; False where it was abandoned."""
    return await executor.fetch_value(queries.touch, user_id, conversation_id) is not None


async def insert(executor: Executor, user_id: UUID, conversation_id: UUID, records: Sequence[Record]) -> None:
    """Put records into a conversation that is held; raises Clash."""
    home = (user_id, conversation_id)
    try:
        await _many(executor, queries.insert_branches, home, [_branch(r) for r in records if type(r) is TransferBranch])
        await _many(
            executor, queries.insert_messages, home, [_message(r) for r in records if type(r) is TransferMessage]
        )
        components = [_component(r) for r in records if type(r) is TransferComponent]
        await _many(executor, queries.insert_components, home, components)
        versions = [_version(r) for r in records if type(r) is TransferVersion]
        await _many(executor, queries.insert_versions, (user_id,), versions)
        runs = [record for record in records if type(record) is TransferInteraction]
        await _many(executor, queries.insert_interactions, home, list(map(_interaction, runs)))
        await _many(executor, queries.insert_responses, home, [row for run in runs for row in _responses(run)])
        await _many(executor, queries.insert_links, home, [_link(r) for r in records if type(r) is TransferLink])
    except asyncpg.IntegrityConstraintViolationError as error:
        raise Clash(error.constraint_name) from None


async def publish(
    executor: Executor, user_id: UUID, new: NewImport, end: ImportEnd, retention: timedelta
) -> int | None:
    """Show it, and say its revision; None where another of its name was shown meanwhile, or it was abandoned."""
    revision: int | None = await executor.fetch_value(
        queries.publish,
        user_id,
        new.id,
        new.source,
        new.external_id,
        end.digest,
        end.message_count,
        end.branch_count,
        end.active_branch,
        end.active_depth,
        new.delete_time,
        retention,
    )
    return revision


async def abandon(executor: Executor, user_id: UUID, conversation_id: UUID) -> None:
    """Leave it to clean-up."""
    await executor.fetch_one(queries.abandon, user_id, conversation_id)


async def _many(executor: Executor, query: Query, home: tuple[object, ...], rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        await executor.fetch_all(query, *home, *map(list, zip(*rows, strict=True)))


def _array(numbers: Sequence[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def _branch(record: TransferBranch) -> tuple[object, ...]:
    branches, depths = zip(*record.lineage, strict=True)
    lineage = (_array(branches), _array(depths))
    return record.branch, record.parent, record.fork_depth, *lineage, record.session_id, record.create_time


def _message(record: TransferMessage) -> tuple[object, ...]:
    feedback = record.feedback
    return (
        record.id,
        record.session_id,
        record.position,
        record.branch,
        record.depth,
        record.role,
        parts.dump(record.parts),
        record.text_bytes,
        record.replaces,
        feedback.rating if feedback else None,
        feedback.comment if feedback else None,
        record.create_time,
        record.delete_time,
    )


def _component(record: TransferComponent) -> tuple[object, ...]:
    times = (record.create_time, record.update_time, record.delete_time)
    return record.id, record.session_id, record.name, record.type, record.version, *times


def _version(record: TransferVersion) -> tuple[object, ...]:
    digest = sha256(record.content.encode()).digest()
    return record.component_id, record.version, record.content, digest, record.session_id, record.create_time


def _interaction(record: TransferInteraction) -> tuple[object, ...]:
    error = record.error
    return (
        record.id,
        record.session_id,
        record.state,
        record.model,
        record.message_id,
        *_usage(record.usage),
        record.usage_estimated,
        error.code if error else None,
        error.message if error else None,
        record.create_time,
        record.end_time,
    )


def _responses(record: TransferInteraction) -> list[tuple[object, ...]]:
    return [
        (
            one.id,
            record.id,
            record.session_id,
            record.message_id,
            one.model,
            one.finish_reason,
            *_usage(one.usage),
            one.usage_estimated,
            _micros(one.time_to_first_token),
            _micros(one.duration),
            one.provider,
            one.error_code,
            one.create_time,
        )
        for one in record.responses
    ]


def _link(record: TransferLink) -> tuple[object, ...]:
    return record.session_id, record.read_position, record.create_time, record.update_time


def _usage(usage: Usage) -> tuple[object, ...]:
    tokens = (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.reasoning_tokens)
    return *tokens, usage.cost_micros, usage.price_version


def _micros(span: timedelta | None) -> int | None:
    return None if span is None else span // timedelta(microseconds=1)

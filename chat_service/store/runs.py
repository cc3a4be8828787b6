"""Runs of models by the service itself, in Postgres; what must hold of them stands in `runs.sql`."""

from datetime import timedelta
from uuid import UUID

from chat_service.models import InteractionState, Usage
from chat_service.parts import load
from chat_service.run_models import Answer, Attempt, Ending, Lapsed, Lease, NewRun, Progress, Run
from shared import sql
from shared.db import Executor, Record

queries = sql.load(__file__)


async def find_by_request_id(
    executor: Executor, user_id: UUID, conversation_id: UUID, request_id: str
) -> tuple[UUID, bytes | None] | None:
    """The run that a request asked for, and the digest of what it said; none of a run that a caller recorded."""
    row = await executor.fetch_one(queries.find_by_request_id, user_id, conversation_id, request_id)
    return (row["id"], row["request_digest"]) if row else None


async def count_active(executor: Executor, user_id: UUID, conversation_id: UUID, most: int) -> tuple[UUID | None, int]:
    """The run that is under way in a conversation, and how many wait there: `most` at most."""
    row = await executor.fetch_one(queries.count_active, user_id, conversation_id, most)
    return (row["running"], row["queued"]) if row else (None, 0)


async def accept(executor: Executor, new: NewRun, lease: Lease | None) -> int:
    """Add a run to a conversation that is locked: waiting, or under way with a lease. The conversation's revision."""
    state = InteractionState.QUEUED if lease is None else InteractionState.RUNNING
    revision: int = await executor.fetch_value(
        queries.accept,
        new.user_id,
        new.conversation_id,
        new.id,
        new.session_id,
        new.model,
        new.branch,
        new.prompt_id,
        new.busy_policy,
        new.parameters,
        new.request_id,
        new.request_digest,
        state,
        lease.worker if lease else None,
        lease.seconds if lease else None,
        new.replaces_id,
    )
    return revision


async def claim(executor: Executor, user_id: UUID, conversation_id: UUID, lease: Lease) -> tuple[Run, int] | None:
    """Take the run whose turn it is in a conversation that is locked, with the new revision; None where one runs."""
    row = await executor.fetch_one(queries.claim, user_id, conversation_id, lease.worker, lease.seconds)
    return (_run(row), row["revision"]) if row else None


async def list_waiting(executor: Executor, most: int) -> list[tuple[UUID, UUID]]:
    """Users and conversations in which a run waits and none is under way."""
    rows = await executor.fetch_all(queries.list_waiting, most)
    return [(row["user_id"], row["conversation_id"]) for row in rows]


async def list_lapsed(executor: Executor, most: int) -> list[Lapsed]:
    """Runs whose lease has expired."""
    return [_lapsed(row) for row in await executor.fetch_all(queries.list_lapsed, most)]


async def checkpoint(
    executor: Executor, run: Run, progress: Progress, lease: timedelta
) -> tuple[bool, InteractionState | None]:
    """Store how far a run has come; whether the worker still has it, and the state in which it was asked to end."""
    stop = await executor.fetch_value(
        queries.checkpoint,
        run.user_id,
        run.id,
        run.fence,
        progress.text,
        progress.chunk_ends,
        progress.usage.input_tokens,
        progress.usage.output_tokens,
        lease,
    )
    return stop is not None, InteractionState(stop) if stop else None


async def lock_conversation(executor: Executor, run: Run) -> bool:
    """Hold a run's conversation, deleted or not, until the transaction's end; whether it is still there."""
    return await executor.fetch_value(queries.lock_conversation, run.user_id, run.conversation_id) is not None


async def hold(executor: Executor, run: Run) -> bool:
    """Hold a run until the transaction's end; whether the worker still has it. Its conversation is locked."""
    return await executor.fetch_value(queries.hold, run.user_id, run.id, run.fence) is not None


async def find_untitled(executor: Executor, run: Run) -> str:
    """What the user said first in a conversation without a title; empty where it has one, or said nothing in words."""
    stored = await executor.fetch_value(queries.find_untitled, run.user_id, run.conversation_id, run.prompt_id)
    return " ".join(part for part in load(stored or ()) if isinstance(part, str))


async def entitle(executor: Executor, run: Run, title: str) -> None:
    """Give a run's conversation, which is locked, a title."""
    await executor.fetch_value(queries.entitle, run.user_id, run.conversation_id, title)


async def end(executor: Executor, run: Run, ending: Ending) -> int:
    """End a run that is held, with all its attempts. The conversation's revision."""
    for attempt in ending.attempts:
        await _add_attempt(executor, run, attempt, ending.message_id)
    revision: int = await executor.fetch_value(
        queries.end,
        run.user_id,
        run.conversation_id,
        run.id,
        run.fence,
        ending.state,
        ending.chunk_ends,
        ending.message_id,
        *_usage(ending.usage),
        ending.usage_estimated,
        ending.error.code if ending.error else None,
        ending.error.message if ending.error else None,
        [component for component, _ in ending.components],
        [version for _, version in ending.components],
    )
    return revision


async def ask_to_stop(executor: Executor, user_id: UUID, interaction_id: UUID, state: InteractionState) -> UUID | None:
    """Ask for the end of a run that is under way, in this state; its worker, or None where it is not under way."""
    worker: UUID | None = await executor.fetch_value(queries.ask_to_stop, user_id, interaction_id, state)
    return worker


async def cancel_queued(executor: Executor, user_id: UUID, conversation_id: UUID, interaction_id: UUID) -> int | None:
    """End a run that waits, in a conversation that is locked: the new revision, or None where it does not wait."""
    revision: int | None = await executor.fetch_value(queries.cancel_queued, user_id, conversation_id, interaction_id)
    return revision


async def find(executor: Executor, user_id: UUID, interaction_id: UUID) -> Answer | None:
    """What is stored of an answer."""
    row = await executor.fetch_one(queries.find, user_id, interaction_id)
    return _answer(row) if row else None


async def _add_attempt(executor: Executor, run: Run, attempt: Attempt, message_id: UUID | None) -> None:
    await executor.fetch_value(
        queries.add_attempt,
        run.user_id,
        run.conversation_id,
        run.id,
        run.session_id,
        None if attempt.error_code else message_id,
        *_usage(attempt.usage),
        attempt.usage_estimated,
        attempt.id,
        attempt.provider,
        attempt.model,
        attempt.finish_reason,
        attempt.error_code,
        _micros(attempt.time_to_first_token),
        _micros(attempt.duration),
    )


def _usage(usage: Usage) -> tuple[object, ...]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.reasoning_tokens,
        usage.cost_micros,
        usage.price_version,
    )


def _run(row: Record) -> Run:
    return Run(
        id=row["id"],
        user_id=row["user_id"],
        conversation_id=row["conversation_id"],
        session_id=row["session_id"],
        model=row["model"],
        branch=row["branch"],
        prompt_id=row["prompt_id"],
        replaces_id=row["replaces_id"],
        parameters=row["parameters"],
        fence=row["fence"],
    )


def _lapsed(row: Record) -> Lapsed:
    usage = Usage(input_tokens=row["input_tokens"], output_tokens=row["output_tokens"])
    return Lapsed(
        run=_run(row),
        progress=Progress(text=row["text"], chunk_ends=tuple(row["chunk_ends"]), usage=usage),
        stop=InteractionState(row["stop"]) if row["stop"] else None,
    )


def _answer(row: Record) -> Answer:
    start_time = row["start_time"]
    return Answer(
        interaction_id=row["id"],
        state=InteractionState(row["state"]),
        conversation_id=row["conversation_id"],
        waited=row["generated"] and (start_time is None or start_time > row["create_time"]),
        started=start_time is not None,
        text=row["text"],
        chunk_ends=tuple(row["chunk_ends"]),
        message_id=row["message_id"],
        components=tuple(zip(row["component_ids"], row["component_versions"], strict=True)),
        worker=row["worker"],
    )


def _micros(duration: timedelta | None) -> int | None:
    return None if duration is None else duration // timedelta(microseconds=1)

"""The end of a run: its state, its message and what it used, in one transaction, by whoever still holds it."""

from typing import Final
from uuid import UUID

from chat_service.models import InteractionState, NewMessage, Part, Role
from chat_service.parts import weight
from chat_service.run_models import Attempt, Ending, Lapsed, Outcome, Run
from chat_service.store import chat_messages, runs
from shared.db import Database, Executor

_MAX_PART: Final = 100_000
_WORKER_LOST: Final = "worker_lost"


async def end(database: Database, run: Run, outcome: Outcome) -> int | None:
    """End a run, keeping its text as a message of its branch. The conversation's revision; None where it was lost."""
    async with database.transaction() as tx:
        if not await runs.lock_conversation(tx, run) or not await runs.hold(tx, run):
            return None
        message_id = await _keep(tx, run, outcome)
        ending = Ending(
            state=outcome.state,
            chunk_ends=outcome.progress.chunk_ends,
            message_id=message_id,
            usage=outcome.progress.usage,
            usage_estimated=outcome.usage_estimated,
            error=outcome.error,
            attempts=outcome.attempts,
        )
        return await runs.end(tx, run, ending)


async def end_lapsed(database: Database, lapsed: Lapsed) -> int | None:
    """End a run in the place of its worker, of whom nothing was heard: as it was asked to end, or INTERRUPTED."""
    attempt = Attempt(
        provider="",
        model=lapsed.run.model,
        error_code=_WORKER_LOST,
        usage=lapsed.progress.usage,
        usage_estimated=True,
    )
    outcome = Outcome(
        state=lapsed.stop or InteractionState.INTERRUPTED,
        progress=lapsed.progress,
        usage_estimated=True,
        attempts=(attempt,),
    )
    return await end(database, lapsed.run, outcome)


async def _keep(executor: Executor, run: Run, outcome: Outcome) -> UUID | None:
    text = outcome.progress.text
    parts: tuple[Part, ...] = (
        *(text[begin : begin + _MAX_PART] for begin in range(0, len(text), _MAX_PART)),
        *outcome.tool_calls,
    )
    if not parts:
        return None
    new = NewMessage(
        user_id=run.user_id,
        conversation_id=run.conversation_id,
        session_id=run.session_id,
        role=Role.ASSISTANT,
        parts=parts,
        text_bytes=weight(parts),
        request_id=None,
    )
    await chat_messages.append_one(executor, new, run.branch)
    return new.id

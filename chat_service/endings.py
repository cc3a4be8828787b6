"""The end of a run: its state, its message, the components in it and what it used, in one transaction.

It is written by whoever still holds the run, and by nobody else.
"""

from typing import Final
from uuid import UUID

from chat_service import blocks, titles
from chat_service.blocks import Block
from chat_service.models import ComponentChange, InteractionState, NewComponent, NewMessage, Part, Role
from chat_service.parts import weight
from chat_service.run_models import Attempt, Ending, Lapsed, Outcome, Run
from chat_service.store import ai_usage, chat_messages, components, runs
from shared.db import Database, Executor

_MAX_PART: Final = 100_000
_WORKER_LOST: Final = "worker_lost"


async def end(database: Database, run: Run, outcome: Outcome) -> int | None:
    """End a run, keeping its text as a message of its branch. The conversation's revision; None where it was lost."""
    async with database.transaction() as tx:
        if not await runs.lock_conversation(tx, run) or not await runs.hold(tx, run):
            return None
        message_id = await _keep(tx, run, outcome)
        made = await _build(tx, run, outcome.progress.text)
        await _entitle(tx, run, outcome)
        ending = Ending(
            state=outcome.state,
            chunk_ends=outcome.progress.chunk_ends,
            message_id=message_id,
            usage=outcome.progress.usage,
            usage_estimated=outcome.usage_estimated,
            error=outcome.error,
            components=made,
            attempts=outcome.attempts,
        )
        await ai_usage.add(tx, run.user_id, run.model, ending.usage)
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


async def _entitle(executor: Executor, run: Run, outcome: Outcome) -> None:
    if run.prompt_id is None or outcome.state is not InteractionState.COMPLETED:
        return
    title = titles.from_words(await runs.find_untitled(executor, run))
    if title:
        await runs.entitle(executor, run, title)


async def _build(executor: Executor, run: Run, text: str) -> tuple[tuple[UUID, int], ...]:
    """Make a component of each named block of an answer, or a new version of the one that has the name."""
    made = []
    for block in blocks.find(text):
        current = await components.find_by_name(executor, run.user_id, run.conversation_id, block.name)
        if current is None:
            built = await components.insert(executor, _new_component(run, block))
        elif current.content == block.content:
            continue
        else:
            change = ComponentChange(
                id=current.id,
                user_id=run.user_id,
                session_id=run.session_id,
                content=block.content,
                from_version=current.version,
            )
            built = await components.update(executor, current, change)
        made.append((built.id, built.version))
    return tuple(made)


def _new_component(run: Run, block: Block) -> NewComponent:
    return NewComponent(
        user_id=run.user_id,
        conversation_id=run.conversation_id,
        session_id=run.session_id,
        name=block.name,
        type=block.type,
        content=block.content,
        request_id=None,
    )


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
        replaces=run.replaces_id,
    )
    await chat_messages.append_one(executor, new, run.branch)
    return new.id

"""The rules of interactions: runs of models."""

from uuid import UUID

from chat_service.errors import InteractionNotFound, MessageNotFound
from chat_service.hints import Hints
from chat_service.models import Interaction, InteractionList, NewInteraction, NewResponse, Page, Response
from chat_service.store import ai_interactions as store
from chat_service.store import ai_usage, chat_messages, conversations
from shared.db import Database, Executor
from shared.errors import RequestIdReused


class Interactions:
    """Records and shows runs of models."""

    def __init__(self, database: Database, hints: Hints) -> None:
        """Keep the runs in this database."""
        self._database, self._hints = database, hints

    async def record(self, new: NewInteraction) -> Interaction:
        """Record a run that has ended; a repeat of the request gets the run that the first recorded."""
        first = await self._first_answer(self._database, new)
        if first is not None:
            return first
        async with self._database.transaction() as tx:
            await conversations.lock(tx, new.user_id, new.conversation_id)
            first = await self._first_answer(tx, new)
            if first is None and new.message_id is not None:
                await self._check_message(tx, new, new.message_id)
            if first is None:
                await ai_usage.add(tx, new.user_id, new.model, new.usage)
            recorded = first or await store.insert(tx, new)
        self._hints.changed(new.user_id, new.conversation_id, recorded.revision)
        return recorded

    async def get(self, user_id: UUID, interaction_id: UUID) -> Interaction:
        """One run with its answer."""
        found = await store.find(self._database, user_id, interaction_id)
        if found is None:
            raise InteractionNotFound
        return found

    async def list(self, asked: InteractionList) -> Page[Interaction]:
        """A page, the newest first."""
        if asked.session_id is not None and asked.conversation_id is not None:
            await conversations.check(self._database, asked.user_id, asked.conversation_id)
        return await store.list_page(self._database, asked)

    async def _check_message(self, executor: Executor, new: NewInteraction, message_id: UUID) -> None:
        key = (new.user_id, message_id)
        message = (await chat_messages.find_many(executor, [key])).get(key)
        if message is None or message.conversation_id != new.conversation_id:
            raise MessageNotFound

    async def _first_answer(self, executor: Executor, new: NewInteraction) -> Interaction | None:
        if new.request_id is None:
            return None
        first = await store.find_by_request_id(executor, new.user_id, new.conversation_id, new.request_id)
        if first is not None and not _same(first, new):
            raise RequestIdReused
        return first


def _same(first: Interaction, new: NewInteraction) -> bool:
    """Whether a run was recorded by the same request, whichever session sent it."""
    said, says = first.response, new.response
    return (
        (first.state, first.model, first.message_id, first.usage, first.error)
        == (new.state, new.model, new.message_id, new.usage, new.error)
        and (said is None) == (says is None)
        and (said is None or says is None or _contents(said) == _contents(says))
    )


def _contents(response: Response | NewResponse) -> tuple[object, ...]:
    return (
        response.model,
        response.finish_reason,
        response.usage,
        response.time_to_first_token,
        response.duration,
    )

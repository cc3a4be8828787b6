"""The rules of asking for answers: once for each request, in turn, and ended when the user has had enough."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final
from uuid import UUID

from chat_service import parameters, quotas
from chat_service.answers import BEGINNING, Answers, Event, Place
from chat_service.errors import ConversationBusy, InteractionNotFound, MessageNotFound
from chat_service.hints import Hints
from chat_service.models import Conversation, Interaction, InteractionState, NewMessage, Role
from chat_service.quotas import Quota
from chat_service.run_models import FINAL, Ask, BusyPolicy, Lease, NewRun, Run
from chat_service.runs import Runs
from chat_service.store import ai_interactions, chat_messages, conversation_branches, conversations
from chat_service.store import runs as store
from shared.background import Background
from shared.db import Database, Executor
from shared.errors import FieldViolation, InvalidFields, RequestIdReused

MAX_QUEUED: Final = 16
_CANCEL_SECONDS: Final = 12.0
_LOOK_SECONDS: Final = 0.25


class Generation:
    """Accepts requests for answers, tells of them, and cancels them."""

    def __init__(
        self, database: Database, runs: Runs, answers: Answers, hints: Hints, background: Background, quota: Quota
    ) -> None:
        """Have these workers do it, within this quota of each user."""
        self._quota = quota
        self._database, self._runs, self._answers = database, runs, answers
        self._hints, self._background = hints, background

    async def generate(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """The events of an answer; a repeat of the request gets those of the answer that the first asked for."""
        interaction_id = await self._accepted(ask)
        async with contextlib.aclosing(self._answers.follow(ask.user_id, interaction_id, BEGINNING)) as events:
            async for event in events:
                yield event

    def resume(self, user_id: UUID, interaction_id: UUID, after: Place) -> AsyncGenerator[Event, None]:
        """The events after a place."""
        return self._answers.follow(user_id, interaction_id, after)

    async def cancel(self, user_id: UUID, interaction_id: UUID) -> Interaction:
        """End a run, and wait until it has ended; one that has ended stays as it is."""
        found = await self._find(user_id, interaction_id)
        if found.state is InteractionState.QUEUED and await self._cancel_queued(user_id, found):
            return await self._find(user_id, interaction_id)
        if found.state in FINAL:
            return found
        await store.ask_to_stop(self._database, user_id, interaction_id, InteractionState.CANCELLED)
        self._runs.ask_to_stop(interaction_id, InteractionState.CANCELLED)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                return await self._until_final(user_id, interaction_id)
        return await self._find(user_id, interaction_id)

    async def _until_final(self, user_id: UUID, interaction_id: UUID) -> Interaction:
        news = asyncio.Event()
        with self._hints.watching(user_id, lambda _: news.set()):
            while True:
                news.clear()
                found = await self._find(user_id, interaction_id)
                if found.state in FINAL:
                    return found
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await news.wait()

    async def _cancel_queued(self, user_id: UUID, found: Interaction) -> bool:
        async with self._database.transaction() as tx:
            await conversations.lock(tx, user_id, found.conversation_id)
            revision = await store.cancel_queued(tx, user_id, found.conversation_id, found.id)
        if revision is None:
            return False
        self._hints.changed(user_id, found.conversation_id, revision)
        return True

    async def _find(self, user_id: UUID, interaction_id: UUID) -> Interaction:
        found = await ai_interactions.find(self._database, user_id, interaction_id)
        if found is None:
            raise InteractionNotFound
        return found

    async def _accepted(self, ask: Ask) -> UUID:
        """The interaction of a request. It is accepted or not, whatever becomes of the caller meanwhile."""
        first = await self._first(self._database, ask)
        if first is not None:
            return first
        accepted: asyncio.Future[UUID] = asyncio.get_running_loop().create_future()

        async def accept() -> None:
            try:
                answer = await self._accept(ask)
            except Exception as error:
                if not accepted.done():
                    accepted.set_exception(error)
            else:
                if not accepted.done():
                    accepted.set_result(answer)

        self._background.spawn("accept a run", accept())
        return await accepted

    async def _first(self, executor: Executor, ask: Ask) -> UUID | None:
        if ask.request_id is None:
            return None
        first = await store.find_by_request_id(executor, ask.user_id, ask.conversation_id, ask.request_id)
        if first is None:
            return None
        interaction_id, digest = first
        if digest != ask.digest:
            raise RequestIdReused
        return interaction_id

    async def _accept(self, ask: Ask) -> UUID:
        async with self._database.transaction() as tx:
            await conversations.lock(tx, ask.user_id, ask.conversation_id)
            first = await self._first(tx, ask)
            if first is not None:
                return first
            await quotas.check(tx, self._quota, ask.user_id)
            lease, running = await self._turn(tx, ask)
            new = await self._new_run(tx, ask)
            revision = await store.accept(tx, new, lease)
            if running is not None and ask.busy_policy is BusyPolicy.INTERRUPT:
                await store.ask_to_stop(tx, ask.user_id, running, InteractionState.INTERRUPTED)
        if lease is not None:
            self._runs.begin(_run(new))
        elif running is not None and ask.busy_policy is BusyPolicy.INTERRUPT:
            self._runs.ask_to_stop(running, InteractionState.INTERRUPTED)
        self._hints.changed(ask.user_id, ask.conversation_id, revision)
        return new.id

    async def _turn(self, tx: Executor, ask: Ask) -> tuple[Lease | None, UUID | None]:
        """A lease where it is the request's turn at once, and the run that is under way; raises ConversationBusy."""
        running, queued = await store.count_active(tx, ask.user_id, ask.conversation_id, MAX_QUEUED)
        if running is None and not queued:
            return self._runs.lease(), None
        if ask.busy_policy is BusyPolicy.REJECT or queued >= MAX_QUEUED:
            raise ConversationBusy
        return None, running

    async def _new_run(self, tx: Executor, ask: Ask) -> NewRun:
        conversation = await conversations.get(tx, ask.user_id, ask.conversation_id)
        defaults = parameters.load_defaults(conversation.model_defaults)
        if ask.regenerate is not None:
            branch, prompt_id = await _fork(tx, ask, ask.regenerate), None
        else:
            branch, prompt_id = conversation.active_branch, await _append(tx, ask, conversation)
        return NewRun(
            user_id=ask.user_id,
            conversation_id=ask.conversation_id,
            session_id=ask.session_id,
            model=self._runs.model(ask.model or defaults.model),
            branch=branch,
            prompt_id=prompt_id,
            replaces_id=ask.regenerate,
            busy_policy=ask.busy_policy,
            parameters=parameters.dump(parameters.merged(ask.parameters, defaults.parameters)),
            request_id=ask.request_id,
            request_digest=ask.digest,
        )


async def _append(tx: Executor, ask: Ask, conversation: Conversation) -> UUID | None:
    """The user's message, if the request has one."""
    if not ask.parts:
        if not conversation.message_count:
            raise InvalidFields([FieldViolation("parts", "must be set in a conversation without messages")])
        return None
    new = NewMessage(
        user_id=ask.user_id,
        conversation_id=ask.conversation_id,
        session_id=ask.session_id,
        role=Role.USER,
        parts=ask.parts,
        text_bytes=ask.weight,
        request_id=None,
    )
    await chat_messages.append_one(tx, new)
    return new.id


async def _fork(tx: Executor, ask: Ask, message_id: UUID) -> int:
    """A branch on which another answer is written in the place of one."""
    replaced = await chat_messages.find(tx, ask.user_id, message_id)
    if replaced.conversation_id != ask.conversation_id:
        raise MessageNotFound
    if replaced.role is not Role.ASSISTANT or replaced.depth == 1:
        raise InvalidFields([FieldViolation("regenerate_message_id", "must be an answer to another message")])
    return await conversation_branches.fork(tx, ask.user_id, ask.session_id, replaced)


def _run(new: NewRun) -> Run:
    return Run(
        id=new.id,
        user_id=new.user_id,
        conversation_id=new.conversation_id,
        session_id=new.session_id,
        model=new.model,
        branch=new.branch,
        prompt_id=new.prompt_id,
        replaces_id=new.replaces_id,
        parameters=new.parameters,
        fence=1,
    )

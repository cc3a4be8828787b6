"""The workers: each run that this process holds, from the provider's first word to the end in Postgres.

A worker reports every 0.7 s how far it has come, and learns then whether it still has the run and whether somebody
wants it ended. Every 2 s each process takes up runs that wait, and ends those whose worker was not heard of for 8 s.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from openai.types.chat import ChatCompletionMessageParam

from chat_service import context, endings, parameters
from chat_service.attempts import Attempts, Patience
from chat_service.errors import ConversationDeleted, ConversationNotFound
from chat_service.hints import Hints
from chat_service.live_answers import LiveAnswer, LiveAnswers
from chat_service.models import InteractionError, InteractionState
from chat_service.prices import Prices
from chat_service.providers import Providers
from chat_service.run_models import Lapsed, Lease, Outcome, Parameters, Run
from chat_service.store import contexts, conversations
from chat_service.store import runs as store
from shared import ids, metrics
from shared.background import Background
from shared.db import Database
from shared.errors import ServiceError

log = structlog.get_logger()

TICK_SECONDS: Final = 2.0
REPORT_SECONDS: Final = 0.7
LEASE: Final = timedelta(seconds=8)
_MOST_AT_ONCE: Final = 50
_MOST_MESSAGES: Final = 500
_PAUSES: Final = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
_LAST_WORDS_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What runs are made with."""

    providers: Providers
    prices: Prices
    patience: Patience
    at_once: int


class Runs:
    """The runs of this process."""

    def __init__(
        self, database: Database, live: LiveAnswers, hints: Hints, background: Background, means: Means
    ) -> None:
        """Hold none yet; `tick` is to be called every 2 s."""
        self._database, self._live, self._hints = database, live, hints
        self._background, self._means = background, means
        self.worker = ids.new_id()
        self._stopping = False
        self.ended = asyncio.Event()
        metrics.runs_active.set_function(lambda: len(live))

    def model(self, asked: str) -> str:
        """The model that is to answer: the one that is asked for, or the first of the first provider."""
        return self._means.providers.check(asked) if asked else self._means.providers.default_model()

    def lease(self) -> Lease | None:
        """What a run is taken with; None while this process has all that it can do."""
        if self._stopping or len(self._live) >= self._means.at_once:
            return None
        return Lease(worker=self.worker, seconds=LEASE)

    def begin(self, run: Run) -> None:
        """Work on a run that this process has taken."""
        live = self._live.open(run.id)
        self._background.spawn("run", self._work(run, live))

    def ask_to_stop(self, run_id: UUID, state: InteractionState) -> None:
        """Have a run ended at once, if this process has it; another finds the wish when it reports next."""
        live = self._live.get(run_id)
        if live is not None:
            live.ask_to_stop(state)

    async def tick(self) -> None:
        """End what has lost its worker, and take up what waits."""
        for lapsed in await store.list_lapsed(self._database, _MOST_AT_ONCE):
            if self._live.get(lapsed.run.id) is None:
                await self._end_lapsed(lapsed)
        if self.lease() is not None:
            for user_id, conversation_id in await store.list_waiting(self._database, _MOST_AT_ONCE):
                await self._take(user_id, conversation_id)

    async def end(self, ending: asyncio.Event, grace: float) -> None:
        """When the service ends, take nothing more, give runs so many seconds, and end the rest as INTERRUPTED."""
        await ending.wait()
        self._stopping = True
        try:
            if not await self._empty(grace):
                self._live.ask_all_to_stop(InteractionState.INTERRUPTED)
                await self._empty(_LAST_WORDS_SECONDS)
        finally:
            self.ended.set()

    async def _end_lapsed(self, lapsed: Lapsed) -> None:
        try:
            revision = await endings.end_lapsed(self._database, lapsed)
        except ServiceError as error:
            log.warning("a run cannot be ended yet", interaction_id=str(lapsed.run.id), reason=error.reason)
            return
        self._tell(lapsed.run, revision)
        log.warning("ended a run that lost its worker", interaction_id=str(lapsed.run.id))

    async def _empty(self, seconds: float) -> bool:
        """Whether all runs have ended within so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._live.until_none()
        return not self._live

    async def _take(self, user_id: UUID, conversation_id: UUID) -> None:
        lease = self.lease()
        if lease is None:
            return
        with contextlib.suppress(ConversationDeleted, ConversationNotFound):
            async with self._database.transaction() as tx:
                await conversations.lock(tx, user_id, conversation_id)
                taken = await store.claim(tx, user_id, conversation_id, lease)
            if taken is not None:
                run, revision = taken
                self.begin(run)
                self._tell(run, revision)

    async def _work(self, run: Run, live: LiveAnswer) -> None:
        try:
            outcome = await self._answer(run, live)
            if outcome is not None:
                await self._end(run, outcome)
        finally:
            self._live.close(run.id)
        with contextlib.suppress(ServiceError):  # somebody's next tick comes to it
            await self._take(run.user_id, run.conversation_id)

    async def _answer(self, run: Run, live: LiveAnswer) -> Outcome | None:
        """What came of a run; None where it was lost to another."""
        attempts = Attempts(live, self._means.prices, self._means.patience)
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write(run, attempts))
            held, stop = await self._watch(run, live, attempts, writing)
            writing.cancel()
        if not held:
            metrics.runs_lost.inc()
            return None
        failure = None if writing.cancelled() else writing.result()
        return attempts.outcome(stop, failure)

    async def _write(self, run: Run, attempts: Attempts) -> InteractionError | None:
        """Have the model write; what nobody has foreseen fails the run, and goes to the log."""
        try:
            asked = parameters.load(run.parameters)
            offers = self._means.providers.offers(run.model)
            if not offers:
                return InteractionError(code="model_not_offered", message="The service no longer offers this model.")
            shown, tokens = await self._shown(run, min(offer.context_tokens for offer in offers), asked)
            await attempts.make(offers, shown, asked, tokens)
        except Exception as error:
            log.exception("a run failed", interaction_id=str(run.id), error=type(error).__name__)
            return InteractionError(code="internal", message="Something went wrong on our side.")
        return None

    async def _shown(
        self, run: Run, context_tokens: int, asked: Parameters
    ) -> tuple[list[ChatCompletionMessageParam], int]:
        """What the model is shown, and about how many tokens that is."""
        conversation = await conversations.find(self._database, run.user_id, run.conversation_id)
        system = parameters.load_defaults(conversation.model_defaults).system_prompt if conversation else ""
        said = await contexts.list_newest(self._database, run, _MOST_MESSAGES)
        others = await contexts.list_waiting_prompts(self._database, run)
        room = context.room(context_tokens, asked.max_output_tokens, system)
        chosen = context.choose([one for one in said if one.id not in others], run.prompt_id, room)
        tokens = context.tokens([system]) + sum(context.tokens(one.parts) for one in chosen)
        return context.for_provider(system, chosen), tokens

    async def _watch(
        self, run: Run, live: LiveAnswer, attempts: Attempts, writing: "asyncio.Task[InteractionError | None]"
    ) -> tuple[bool, InteractionState | None]:
        """Report until the model has ended; whether the run is still held, and the state in which it is to end."""
        while True:
            waited: set[asyncio.Future[Any]] = {writing, live.stop}
            await asyncio.wait(waited, timeout=REPORT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                return True, None
            if live.stop.done():
                return True, live.stop.result()
            with contextlib.suppress(ServiceError):  # Postgres may come back before the lease has lapsed
                progress = live.settled(attempts.usage())
                held, stop = await store.checkpoint(self._database, run, progress, LEASE)
                if not held:
                    return False, None
                if stop is not None:
                    return True, stop

    async def _end(self, run: Run, outcome: Outcome) -> None:
        revision = None
        for pause in _PAUSES:
            try:
                revision = await endings.end(self._database, run, outcome)
                break
            except ServiceError as error:
                log.warning("a run cannot be ended yet", interaction_id=str(run.id), reason=error.reason)
                await asyncio.sleep(pause)
        if revision is None:
            metrics.runs_lost.inc()
            return
        metrics.runs_ended.labels(outcome.state.name).inc()
        self._tell(run, revision)

    def _tell(self, run: Run, revision: int | None) -> None:
        if revision is not None:
            self._hints.changed(run.user_id, run.conversation_id, revision)

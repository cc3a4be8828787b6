"""How a model is brought to answer: one provider after the other until one begins, with limits to patience.

Once a piece of the answer has been sent there is no other attempt: readers have seen it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chat_service.live_answers import LiveAnswer
from chat_service.models import InteractionError, InteractionState, ToolCall, Usage
from chat_service.parameters import for_provider
from chat_service.prices import Prices
from chat_service.providers import Offer, Piece, ProviderFailed, ToolPiece
from chat_service.run_models import Attempt, Outcome, Parameters
from shared import clock, metrics

if TYPE_CHECKING:  # a second of CPU, which only who has a provider pays
    from openai.types.chat import ChatCompletionMessageParam

ROUNDS: Final = 2
MAX_ANSWER_BYTES: Final = 900_000
_PAUSE_SECONDS: Final = 0.25
_MAX_TOOL_CALLS: Final = 32
_MAX_NAME: Final = 200
_MAX_ARGUMENTS: Final = 20_000
_TOO_LONG: Final = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait, in seconds: for the first token, for each next one, and for the whole answer."""

    first_token: float
    silence: float
    whole: float


@dataclass(slots=True, kw_only=True)
class _Try:
    """One attempt while it is made."""

    offer: Offer
    started: float = field(default_factory=clock.monotonic)
    first: float | None = None
    ended: float | None = None
    model: str = ""
    finish_reason: str = ""
    error_code: str = ""
    pieces: int = 0
    usage: Usage | None = None


class Attempts:
    """The attempts of one run, and what has come of them so far."""

    def __init__(self, live: LiveAnswer, prices: Prices, patience: Patience) -> None:
        """What is said goes to readers by way of the live answer."""
        self._live, self._prices, self._patience = live, prices, patience
        self._tries: list[_Try] = []
        self._tools: dict[int, ToolPiece] = {}
        self._bytes = 0
        self._asked_tokens = 0
        self._error: InteractionError | None = None

    async def make(
        self,
        offers: Sequence[Offer],
        messages: Sequence[ChatCompletionMessageParam],
        parameters: Parameters,
        asked_tokens: int,
    ) -> None:
        """Try until a model has answered, or nobody is left; `asked_tokens` is about what the messages are."""
        self._asked_tokens = asked_tokens
        try:
            async with asyncio.timeout(self._patience.whole):
                await self._rounds(offers, messages, parameters)
        except TimeoutError:
            self._note(ProviderFailed("answer_timeout", "The answer took too long.", again=False))

    def usage(self) -> Usage:
        """What has been used so far, as far as we can tell."""
        return _sum([attempt.usage for attempt in self._attempts()])

    def outcome(self, stop: InteractionState | None, failure: InteractionError | None) -> Outcome:
        """What came of it: as the attempts ended, or in a state in which somebody else ended them, or as a failure."""
        attempts = self._attempts()
        error = None if stop else failure or self._error
        return Outcome(
            state=stop or (InteractionState.FAILED if error else InteractionState.COMPLETED),
            progress=self._live.whole(_sum([attempt.usage for attempt in attempts])),
            tool_calls=() if stop or error else self._tool_calls(),
            usage_estimated=any(attempt.usage_estimated for attempt in attempts),
            error=error,
            attempts=attempts,
        )

    async def _rounds(
        self, offers: Sequence[Offer], messages: Sequence[ChatCompletionMessageParam], parameters: Parameters
    ) -> None:
        for number, offer in enumerate((*offers,) * ROUNDS):
            if number == len(offers):
                await asyncio.sleep(_PAUSE_SECONDS)
            self._error = None
            answer = offer.answer(messages, for_provider(parameters, offer.output_limit))
            try:
                await self._try(_Try(offer=offer), answer)
            except ProviderFailed as error:
                self._note(error)
                if self._tries[-1].first is None and error.again:
                    continue
            return

    async def _try(self, attempt: _Try, answer: AsyncGenerator[Piece, None]) -> None:
        self._tries.append(attempt)
        async with aclosing(answer) as pieces:
            while (piece := await self._next(attempt, pieces)) is not None:
                self._take(attempt, piece)
                if self._bytes > MAX_ANSWER_BYTES:
                    attempt.finish_reason = _TOO_LONG
                    break
        if not attempt.finish_reason:
            raise ProviderFailed("cut_off", "The model's provider broke the answer off.", again=True)
        attempt.ended = clock.monotonic()
        self._measure(attempt)

    async def _next(self, attempt: _Try, pieces: AsyncGenerator[Piece, None]) -> Piece | None:
        patience = self._patience
        if attempt.first is None:
            limit, code = attempt.started + patience.first_token - clock.monotonic(), "first_token_timeout"
        else:
            limit, code = patience.silence, "silence_timeout"
        try:
            async with asyncio.timeout(limit):
                return await anext(pieces, None)
        except TimeoutError:
            raise ProviderFailed(code, "The model's provider did not answer in time.", again=True) from None

    def _take(self, attempt: _Try, piece: Piece) -> None:
        if piece.begins and attempt.first is None:
            attempt.first = clock.monotonic()
        attempt.pieces += piece.begins
        attempt.model = piece.model or attempt.model
        attempt.finish_reason = piece.finish_reason or attempt.finish_reason
        attempt.usage = piece.usage or attempt.usage
        self._bytes += len(piece.text.encode())
        self._live.add(piece.text)
        for tool in piece.tools:
            self._take_tool(tool)

    def _take_tool(self, piece: ToolPiece) -> None:
        known = self._tools.get(piece.index)
        if known is None and len(self._tools) >= _MAX_TOOL_CALLS:
            return
        self._tools[piece.index] = (
            piece
            if known is None
            else ToolPiece(
                index=piece.index,
                id=known.id or piece.id,
                name=known.name or piece.name,
                arguments=(known.arguments + piece.arguments)[:_MAX_ARGUMENTS],
            )
        )

    def _tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(
            ToolCall(
                id=(piece.id or f"call_{index}")[:_MAX_NAME],
                name=(piece.name or "unnamed")[:_MAX_NAME],
                arguments=piece.arguments,
            )
            for index, piece in sorted(self._tools.items())
        )

    def _note(self, error: ProviderFailed) -> None:
        self._error = InteractionError(code=error.code, message=error.message)
        if self._tries:
            attempt = self._tries[-1]
            attempt.error_code, attempt.ended = error.code, clock.monotonic()
            self._measure(attempt)

    def _attempts(self) -> tuple[Attempt, ...]:
        return tuple(self._attempt(attempt) for attempt in self._tries)

    def _attempt(self, attempt: _Try) -> Attempt:
        counted = Usage(input_tokens=self._asked_tokens if attempt.first else 0, output_tokens=attempt.pieces)
        ended = attempt.ended or clock.monotonic()
        return Attempt(
            provider=attempt.offer.provider,
            model=(attempt.model or attempt.offer.model)[:_MAX_NAME],
            finish_reason=attempt.finish_reason[:100],
            error_code=attempt.error_code,
            usage=self._prices.priced(attempt.model or attempt.offer.model, attempt.usage or counted),
            usage_estimated=attempt.usage is None and attempt.first is not None,
            time_to_first_token=timedelta(seconds=attempt.first - attempt.started) if attempt.first else None,
            duration=timedelta(seconds=ended - attempt.started),
        )

    def _measure(self, attempt: _Try) -> None:
        done = self._attempt(attempt)
        labels = (done.provider, attempt.offer.model)
        metrics.gen_ai_duration.labels(*labels, done.error_code).observe((done.duration or timedelta()).total_seconds())
        if done.time_to_first_token is not None:
            metrics.gen_ai_first_token.labels(*labels).observe(done.time_to_first_token.total_seconds())
        for kind, number in (("input", done.usage.input_tokens), ("output", done.usage.output_tokens)):
            metrics.gen_ai_tokens.labels(*labels, kind).inc(number)


def _sum(usages: Sequence[Usage]) -> Usage:
    return Usage(
        input_tokens=sum(usage.input_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        cached_input_tokens=sum(usage.cached_input_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
        cost_micros=sum(usage.cost_micros for usage in usages),
        price_version=usages[-1].price_version if usages else "",
    )

"""The scripted provider does what it is told, as the client that the services use sees it."""

import asyncio
import json
from collections.abc import AsyncIterator

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.providertest import (
    CallTool,
    Cut,
    Fail,
    Finish,
    Hold,
    Open,
    Provider,
    Say,
    Silence,
    Step,
    Used,
    answer_json,
    running_provider,
)

_TEXT = "Ferns grow\nin the shade, and hostas too."


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as running:
        yield running


async def _chunks(
    provider: Provider, *steps: Step, until: list[str] | None = None, **options: float
) -> AsyncIterator[ChatCompletionChunk]:
    provider.answer(*steps)
    async with provider.client(max_retries=0, **options) as client:
        stream = await client.chat.completions.create(
            model="small",
            messages=[{"role": "user", "content": "What grows in the shade?"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            if until is not None and chunk.choices:
                until.append(chunk.choices[0].delta.content or "")
            yield chunk


async def test_an_answer_streams_word_by_word_and_ends_with_its_usage(provider: Provider) -> None:
    chunks = [chunk async for chunk in _chunks(provider, Say(_TEXT, pace=0.001))]
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(text or "" for text in texts) == _TEXT
    assert len([text for text in texts if text]) == 8
    assert chunks[-2].choices[0].finish_reason == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (5, 8, 13)


async def test_calls_are_counted_and_kept_with_what_was_sent(provider: Provider) -> None:
    [_ async for _ in _chunks(provider, Say(_TEXT))]
    assert len(provider.calls) == 1
    call = provider.calls[0]
    assert call.model == "small"
    assert call.messages == [{"role": "user", "content": "What grows in the shade?"}]
    assert call.headers["authorization"] == "Bearer test-key"
    assert call.text == _TEXT
    assert call.done.is_set()


async def test_an_answer_can_be_had_whole(provider: Provider) -> None:
    provider.models["small"] = (Say(_TEXT), Used(input=100, output=20, cached=64, reasoning=5), Finish("length"))
    async with provider.client() as client:
        answer = await client.chat.completions.create(model="small", messages=[{"role": "user", "content": "Shade?"}])
    assert answer.choices[0].message.content == _TEXT
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 64
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 5


async def test_a_tool_call_arrives_in_pieces(provider: Provider) -> None:
    tool = CallTool("water", '{"plant": "fern"}', id="call_7")
    chunks = [chunk async for chunk in _chunks(provider, tool)]
    pieces = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or []]
    assert [piece.id for piece in pieces] == ["call_7", None]
    assert "".join(piece.function.arguments or "" for piece in pieces if piece.function) == '{"plant": "fern"}'
    assert chunks[-2].choices[0].finish_reason == "tool_calls"


async def test_an_answer_can_be_json(provider: Provider) -> None:
    chunks = [chunk async for chunk in _chunks(provider, answer_json({"plants": ["fern", "moss"]}))]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert json.loads(text) == {"plants": ["fern", "moss"]}


async def test_a_limit_says_when_to_come_again(provider: Provider) -> None:
    with pytest.raises(openai.RateLimitError) as refused:
        [_ async for _ in _chunks(provider, Fail(429, retry_after="7", code="rate_limit_exceeded"))]
    assert refused.value.response.headers["retry-after"] == "7"
    assert refused.value.code == "rate_limit_exceeded"


async def test_a_server_error_is_one(provider: Provider) -> None:
    with pytest.raises(openai.InternalServerError):
        [_ async for _ in _chunks(provider, Fail(500))]


async def test_an_error_in_the_stream_comes_after_the_text(provider: Provider) -> None:
    texts: list[str] = []
    with pytest.raises(openai.APIError, match="overloaded"):
        [_ async for _ in _chunks(provider, Say("Ferns and"), Fail(500, "overloaded"), until=texts)]
    assert "".join(texts) == "Ferns and"


async def test_a_wrong_key_is_refused_and_counts_as_no_call(provider: Provider) -> None:
    async with provider.client(max_retries=0).with_options(api_key="wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
    assert provider.calls == []


async def test_the_models_are_listed(provider: Provider) -> None:
    provider.models["small"] = (Say("yes"),)
    async with provider.client() as client:
        assert [model.id async for model in client.models.list()] == ["small"]


async def test_a_connection_is_cut_before_the_head(provider: Provider) -> None:
    with pytest.raises(openai.APIConnectionError):
        [_ async for _ in _chunks(provider, Cut())]


@pytest.mark.parametrize("before", [Open(), Say("Ferns and")], ids=["before_the_first_token", "in_the_middle"])
async def test_a_connection_is_cut(provider: Provider, before: Step) -> None:
    texts: list[str] = []
    with pytest.raises(openai.APIConnectionError):
        [_ async for _ in _chunks(provider, before, Cut(), until=texts)]
    assert "".join(texts) == getattr(before, "text", "")


async def test_a_clean_cut_has_no_finish_and_no_error(provider: Provider) -> None:
    chunks = [chunk async for chunk in _chunks(provider, Say("Ferns and"), Cut(clean=True))]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Ferns and"
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


@pytest.mark.parametrize("before", [(), (Open(),), (Say("Ferns and"),)], ids=["head", "first_token", "middle"])
async def test_silence_lasts_until_the_client_loses_patience(provider: Provider, before: tuple[Step, ...]) -> None:
    with pytest.raises(openai.APITimeoutError):
        [_ async for _ in _chunks(provider, *before, Silence(), timeout=0.2)]
    call = await provider.called()
    await asyncio.wait_for(call.gone.wait(), 20)
    assert not call.done.is_set()


async def test_nothing_more_is_sent_to_a_client_that_went_away(provider: Provider) -> None:
    go_on = asyncio.Event()
    stream = _chunks(provider, Say("Ferns and"), Hold(go_on), Say(" moss"))
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content == " and":
            break
    await stream.aclose()  # type: ignore[attr-defined]
    call = await provider.called()
    await asyncio.wait_for(call.gone.wait(), 20)
    go_on.set()
    assert call.text == "Ferns and"


async def test_a_held_answer_goes_on_when_the_test_says_so(provider: Provider) -> None:
    go_on = asyncio.Event()
    texts: list[str] = []

    async def read() -> None:
        async for _ in _chunks(provider, Say("Ferns"), Hold(go_on), Say(" and moss"), until=texts):
            if "".join(texts) == "Ferns":
                go_on.set()

    await asyncio.wait_for(read(), 20)
    assert "".join(texts) == "Ferns and moss"

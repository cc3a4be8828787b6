"""Who writes the answers: OpenAI-compatible endpoints, in the order in which they are asked.

Nothing of a provider's words reaches a caller: an error is told by its code and in words of ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from chat_service.errors import ModelNotOffered, ProviderNotConfigured
from chat_service.models import Usage

if TYPE_CHECKING:  # a second of CPU, which only who has a provider pays
    import openai
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_MAX_CODE: Final = 100
_CONNECT_SECONDS: Final = 5.0
_MOST_TOKENS: Final = 10**12  # a provider may say anything
_AGAIN: Final = frozenset({408, 409, 425, 429})
_SERVER_ERROR: Final = 500
_THOUGHTS: Final = ("reasoning_content", "reasoning")
_OPENAIS: Final = (".openai.com", ".openai.azure.com")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class ProviderSettings(BaseModel):
    """A provider as an operator names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(default="default", min_length=1, max_length=100)
    url: str = Field(pattern=r"^https?://")
    api_key: SecretStr = SecretStr("none")
    models: tuple[str, ...] = Field(min_length=1)
    context_tokens: int = Field(default=8192, ge=256)
    output_limit: Annotated[str, Field(pattern=r"^max_(completion_)?tokens$")] | None = None

    @property
    def limit_name(self) -> str:
        """What the most tokens to write are called there: OpenAI refuses the old name, many others ignore the new."""
        if self.output_limit is not None:
            return self.output_limit
        host = urlsplit(self.url).hostname or ""
        return "max_completion_tokens" if host.endswith(_OPENAIS) else "max_tokens"

    @property
    def in_plaintext(self) -> bool:
        """Whether the key could be read on its way: not on the loopback."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and parts.hostname not in _LOOPBACK


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPiece:
    """A part of a tool call: the first has the id and the name, all have pieces of the arguments."""

    index: int
    id: str
    name: str
    arguments: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What a provider sends at once."""

    text: str = field(default="", repr=False)
    tools: tuple[ToolPiece, ...] = ()
    model: str = ""
    finish_reason: str = ""
    usage: Usage | None = None
    thinks: bool = False

    @property
    def begins(self) -> bool:
        """Whether the model is at work: it writes, or thinks aloud."""
        return bool(self.text or self.tools or self.thinks)


class ProviderFailed(Exception):
    """An attempt that came to nothing, or broke off; `again` says that another may do better."""

    def __init__(self, code: str, message: str, *, again: bool) -> None:
        """The code for programs, the message for people."""
        self.code, self.message, self.again = code, message, again
        super().__init__(code)


_BROKEN_OFF: Final = "The model's provider broke the answer off."
_UNREACHABLE: Final = ProviderFailed("unreachable", "The model's provider could not be reached.", again=True)
_CUT_OFF: Final = ProviderFailed("cut_off", _BROKEN_OFF, again=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A model of a provider."""

    provider: str
    model: str
    context_tokens: int
    output_limit: str
    client: AsyncOpenAI = field(repr=False)

    async def answer(
        self, messages: Iterable[ChatCompletionMessageParam], told: Mapping[str, Any]
    ) -> AsyncGenerator[Piece, None]:
        """The pieces of an answer; raises ProviderFailed."""
        with _in_our_words(_UNREACHABLE):
            stream = await self.client.chat.completions.create(
                model=self.model, messages=messages, stream=True, stream_options={"include_usage": True}, **told
            )
        with _in_our_words(_CUT_OFF):
            async with aclosing(stream):
                async for chunk in stream:
                    yield _piece(chunk)


class Providers:
    """All that can be asked."""

    def __init__(self, settings: Sequence[ProviderSettings], clients: Sequence[AsyncOpenAI]) -> None:
        """Each provider with its client, in the order in which they are to be asked."""
        self._offers = [
            Offer(
                provider=one.name,
                model=model,
                context_tokens=one.context_tokens,
                output_limit=one.limit_name,
                client=client,
            )
            for one, client in zip(settings, clients, strict=True)
            for model in one.models
        ]

    def default_model(self) -> str:
        """The model of whoever names none."""
        if not self._offers:
            raise ProviderNotConfigured
        return self._offers[0].model

    def check(self, model: str) -> str:
        """The same model, if it is offered."""
        if not self._offers:
            raise ProviderNotConfigured
        if not self.offers(model):
            raise ModelNotOffered
        return model

    def offers(self, model: str) -> list[Offer]:
        """Who has the model, in the order in which they are to be asked."""
        return [offer for offer in self._offers if offer.model == model]


@contextlib.asynccontextmanager
async def connect(settings: Sequence[ProviderSettings]) -> AsyncIterator[Providers]:
    """Hold a client for each provider. How long an answer may take is the business of whoever asks for it."""
    if not settings:
        yield Providers((), ())
        return
    from openai import AsyncOpenAI, Timeout  # noqa: PLC0415 - see above

    timeout = Timeout(None, connect=_CONNECT_SECONDS)
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                AsyncOpenAI(base_url=one.url, api_key=one.api_key.get_secret_value(), max_retries=0, timeout=timeout)
            )
            for one in settings
        ]
        yield Providers(settings, clients)


@contextlib.contextmanager
def _in_our_words(lost: ProviderFailed) -> Iterator[None]:
    import httpx2  # noqa: PLC0415 - see above
    import openai  # noqa: PLC0415

    try:
        yield
    except (openai.APIConnectionError, httpx2.HTTPError):
        raise lost from None
    except openai.APIStatusError as error:
        raise _refused(error) from None
    except openai.APIError as error:
        raise ProviderFailed(_code(error, "stream"), _BROKEN_OFF, again=True) from None
    except (openai.OpenAIError, ValueError):
        raise ProviderFailed("malformed", "The model's provider answered what nobody can read.", again=True) from None


def _refused(error: openai.APIStatusError) -> ProviderFailed:
    status = error.status_code
    if status in (401, 403):
        return ProviderFailed("provider_refused_us", "The model's provider does not let the service in.", again=True)
    again = status in _AGAIN or status >= _SERVER_ERROR
    words = "has too much to do or is out of order" if again else "refused the request"
    return ProviderFailed(_code(error, f"http_{status}"), f"The model's provider {words}.", again=again)


def _code(error: openai.APIError, otherwise: str) -> str:
    code = error.code if isinstance(error.code, str) else ""
    plain = "".join(letter for letter in code if letter.isascii() and (letter.isalnum() or letter in "_-."))
    return plain[:_MAX_CODE] or otherwise


def _piece(chunk: ChatCompletionChunk) -> Piece:
    choice = chunk.choices[0] if chunk.choices else None
    tools = (choice.delta.tool_calls or ()) if choice and choice.delta else ()
    return Piece(
        text=clean((choice.delta.content or "") if choice and choice.delta else ""),
        tools=tuple(
            ToolPiece(
                index=tool.index,
                id=clean(tool.id or ""),
                name=clean((tool.function.name or "") if tool.function else ""),
                arguments=clean((tool.function.arguments or "") if tool.function else ""),
            )
            for tool in tools
        ),
        model=clean(chunk.model or ""),
        finish_reason=clean((choice.finish_reason or "") if choice else ""),
        usage=_usage(chunk),
        thinks=bool(choice and choice.delta and any((choice.delta.model_extra or {}).get(name) for name in _THOUGHTS)),
    )


def _usage(chunk: ChatCompletionChunk) -> Usage | None:
    told = chunk.usage
    if told is None:
        return None
    asked, wrote = told.prompt_tokens_details, told.completion_tokens_details
    return Usage(
        input_tokens=_natural(told.prompt_tokens),
        output_tokens=_natural(told.completion_tokens),
        cached_input_tokens=_natural(asked.cached_tokens if asked else 0),
        reasoning_tokens=_natural(wrote.reasoning_tokens if wrote else 0),
    )


def _natural(number: int | None) -> int:
    return min(max(number or 0, 0), _MOST_TOKENS)


def clean(text: str) -> str:
    """A text without what Postgres and UTF-8 cannot hold: U+0000 and halves of surrogate pairs."""
    if text.isprintable() and text.isascii():
        return text
    return text.replace("\0", _REPLACEMENT).encode("utf-16", "surrogatepass").decode("utf-16", "replace")

"""What a model is shown of a conversation: the newest whole turns of a branch that fit into its budget of tokens.

A turn is a message of the user's with all that follows until the next one, so that no tool call is parted from its
result. The last turn is always shown, however long it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

from chat_service.models import File, Image, Json, Part, Role, ToolCall, ToolResult
from chat_service.run_models import Said

if TYPE_CHECKING:  # a second of CPU, which only who has a provider pays
    from openai.types.chat import ChatCompletionMessageParam

_BYTES_OF_TOKEN: Final = 3  # cautious: 4 of English, 3 of a Chinese word that is one or two tokens
_TOKENS_OF_MESSAGE: Final = 4
_TOKENS_OF_IMAGE: Final = 1_000
_MOST_OF_BUDGET: Final = 4  # a quarter is left to the answer where nobody says how long it may be


def choose(messages: Sequence[Said], prompt_id: UUID | None, room: int) -> list[Said]:
    """The messages to show, the oldest first, of a branch's newest ones in the same order; the prompt comes last."""
    turns = _turns([*(one for one in messages if one.id != prompt_id), *(m for m in messages if m.id == prompt_id)])
    chosen: list[list[Said]] = []
    for turn in reversed(turns):
        room -= sum(tokens(message.parts) for message in turn)
        if chosen and room < 0:
            break
        chosen.append(turn)
    return [message for turn in reversed(chosen) for message in turn]


def room(context_tokens: int, max_output_tokens: int | None, system_prompt: str) -> int:
    """How many tokens of messages a model can be shown, beside its instructions and its answer."""
    answer = context_tokens // _MOST_OF_BUDGET if max_output_tokens is None else max_output_tokens
    return context_tokens - min(answer, context_tokens // 2) - tokens([system_prompt])


def tokens(parts: Iterable[Part]) -> int:
    """About how many tokens a message is."""
    return _TOKENS_OF_MESSAGE + sum(map(_part_tokens, parts))


def for_provider(system_prompt: str, messages: Iterable[Said]) -> list[ChatCompletionMessageParam]:
    """Messages as a provider takes them; those without parts, which were deleted, are left out."""
    shown: list[ChatCompletionMessageParam] = []
    if system_prompt:
        shown.append({"role": "system", "content": system_prompt})
    for message in messages:
        if message.parts:
            shown.extend(_shown(message))
    return shown


def _turns(messages: Iterable[Said]) -> list[list[Said]]:
    turns: list[list[Said]] = []
    for message in messages:
        if message.role is Role.USER or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


def _part_tokens(part: Part) -> int:
    if isinstance(part, Image):
        return _TOKENS_OF_IMAGE
    return -(-len(_text(part).encode()) // _BYTES_OF_TOKEN)


def _shown(message: Said) -> list[ChatCompletionMessageParam]:
    match message.role:
        case Role.SYSTEM:
            return [{"role": "system", "content": _texts(message.parts)}]
        case Role.USER:
            return [_user(message.parts)]
        case Role.ASSISTANT:
            return [_assistant(message.parts)]
        case Role.TOOL:
            return [_result(part) for part in message.parts if isinstance(part, ToolResult)]


def _user(parts: Sequence[Part]) -> ChatCompletionMessageParam:
    if not any(isinstance(part, Image) for part in parts):
        return {"role": "user", "content": _texts(parts)}
    return {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": part.uri}}
            if isinstance(part, Image)
            else {"type": "text", "text": _text(part)}
            for part in parts
        ],
    }


def _assistant(parts: Sequence[Part]) -> ChatCompletionMessageParam:
    calls = [part for part in parts if isinstance(part, ToolCall)]
    said = _texts([part for part in parts if not isinstance(part, ToolCall)])
    if not calls:
        return {"role": "assistant", "content": said}
    return {
        "role": "assistant",
        "content": said or None,
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ],
    }


def _result(part: ToolResult) -> ChatCompletionMessageParam:
    said = f"Error: {part.content}" if part.is_error else part.content
    return {"role": "tool", "tool_call_id": part.tool_call_id, "content": said}


def _texts(parts: Iterable[Part]) -> str:
    return "\n\n".join(map(_text, parts))


def _text(part: Part) -> str:
    match part:
        case str():
            return part
        case Json():
            return part.text
        case Image():
            return f"[image {part.uri}]"
        case File():
            return f"[file {part.name or part.uri}]"
        case ToolCall():
            return f"{part.name}({part.arguments})"
        case ToolResult():
            return part.content

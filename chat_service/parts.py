"""The parts of messages: the form in which they are stored, and what they weigh."""

from collections.abc import Iterable, Mapping
from dataclasses import astuple
from typing import Any, Final

import orjson

from chat_service.models import File, Image, Json, Part, ToolCall, ToolResult

# What a value costs beside its text. A list of digits is 11 bytes an item on the wire, and 2 as JSON; and to make a
# message of it takes a microsecond an item, so that a page of nothing else would hold everybody up.
VALUE_BYTES: Final = 32

_KINDS: Final[Mapping[str, type[Image | File | ToolCall | ToolResult | Json]]] = {
    "image": Image,
    "file": File,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
    "json": Json,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


def dump(parts: Iterable[Part]) -> str:
    """Parts as they are stored: a list of objects, each with the kind of the part as its one key."""
    return orjson.dumps(
        [{"text": part} if isinstance(part, str) else {_NAMES[type(part)]: part} for part in parts]
    ).decode()


def load(stored: Iterable[Mapping[str, Any]]) -> tuple[Part, ...]:
    """Stored parts as values."""
    return tuple([part["text"] if "text" in part else _typed(part) for part in stored])


def weight(parts: Iterable[Part]) -> int:
    """Bytes that parts take on the wire, by their contents: no less than they take in a page, but for their framing."""
    return sum(_weight(part) for part in parts)


def _typed(part: Mapping[str, Any]) -> Part:
    ((name, fields),) = part.items()
    return _KINDS[name](**fields)


def _weight(part: Part) -> int:
    if isinstance(part, str):
        return len(part.encode())
    texts = sum(len(value.encode()) for value in astuple(part) if isinstance(value, str))
    return texts + VALUE_BYTES * _values(orjson.loads(part.text)) if isinstance(part, Json) else texts


def _values(value: Any) -> int:
    """How many values there are in a JSON value, itself and the keys of objects among them."""
    if isinstance(value, dict):
        return 1 + sum(1 + _values(item) for item in value.values())
    return 1 + sum(map(_values, value)) if isinstance(value, list) else 1

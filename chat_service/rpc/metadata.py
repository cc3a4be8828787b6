"""The client's own notes: a google.protobuf.Struct as the text of a JSON object, and back."""

import math
from typing import Final

import orjson
from google.protobuf.struct_pb2 import ListValue, Struct, Value

MAX_BYTES: Final = 16 * 1024
_EMPTY: Final = "{}"
_EXACT: Final = 2**53
_NEGATIVE_ZERO: Final = "-0.0"


def to_json(struct: Struct) -> str:
    """The notes as JSON, the same for the same notes; raises ValueError with what they must not have."""
    return orjson.dumps(_object(struct), option=orjson.OPT_SORT_KEYS).decode()


def from_json(text: str) -> Struct | None:
    """The notes of a JSON object; None where there are none."""
    if text == _EMPTY:
        return None
    struct = Struct()
    struct.update(orjson.loads(text))
    return struct


def _object(struct: Struct) -> dict[str, object]:
    return {_text(key): _value(value) for key, value in struct.fields.items()}


def _array(values: ListValue) -> list[object]:
    return [_value(value) for value in values.values]


def _value(value: Value) -> object:
    match value.WhichOneof("kind"):
        case "string_value":
            return _text(value.string_value)
        case "number_value":
            return _number(value.number_value)
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return _object(value.struct_value)
        case "list_value":
            return _array(value.list_value)
    return None


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain U+0000")
    return text


def _number(number: float) -> float | int:
    if not math.isfinite(number):
        raise ValueError("must not contain NaN or infinity, which JSON has no words for")
    exact = number.is_integer() and abs(number) <= _EXACT and str(number) != _NEGATIVE_ZERO
    return int(number) if exact else number

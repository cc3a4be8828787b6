"""The client's own notes: a google.protobuf.Struct as the text of a JSON object, and back."""

from typing import Final

import orjson
from google.protobuf.struct_pb2 import Struct

from chat_service.rpc import json_values

MAX_BYTES: Final = 16 * 1024
_EMPTY: Final = "{}"


def to_json(struct: Struct) -> str:
    """The notes as JSON, the same for the same notes; raises ValueError with what they must not have."""
    return json_values.dump(struct)


def from_json(text: str) -> Struct | None:
    """The notes of a JSON object; None where there are none."""
    if text == _EMPTY:
        return None
    struct = Struct()
    struct.update(orjson.loads(text))
    return struct

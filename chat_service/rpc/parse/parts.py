"""The parts of a message."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from chat_service.models import File, Image, Json, Part, ToolCall, ToolResult
from chat_service.parts import weight
from chat_service.rpc import json_values
from protos.chat.v1 import resources_pb2 as pb
from shared.validation import Violations

MAX_PARTS: Final = 64
MAX_TEXT: Final = 100_000
MAX_BYTES: Final = 1_000_000
MAX_URI: Final = 2_048
MAX_NAME: Final = 200
MAX_FILE_NAME: Final = 255
MAX_JSON_BYTES: Final = 100_000
# Two messages a level; protobuf readers take a hundred, and an answer wraps a part more often than a request.
MAX_JSON_DEPTH: Final = 32
_MAX_MEDIA_TYPE: Final = 100
_WORD: Final = r"[A-Za-z0-9!#$&^_.+-]+"
_MEDIA_TYPE: Final = re.compile(rf"{_WORD}/{_WORD}(?:; ?{_WORD}=(?:{_WORD}|\"[ !#-~]*\"))*")
# Only what nobody runs when it is shown or opened as a link, so no javascript:, and no file: of whoever opens it.
_ELSEWHERE: Final = re.compile(r"(?:https?://[!#-.0-;=@-~]|urn:[a-z0-9][a-z0-9-]*:)[!#-;=?-~]*", re.IGNORECASE)
_CARRIED: Final = re.compile(r"data:[!#-;=?-~]*,[!#-;=?-~]*", re.IGNORECASE)
_DATA: Final = "data:"


def read(violations: Violations, parts: Sequence[pb.Part], path: str) -> tuple[tuple[Part, ...], int]:
    """The parts of a message and what they weigh; `path` is what the field's name stands behind."""
    violations.count(f"{path}parts", parts, most=MAX_PARTS)
    found = tuple([_part(violations, part, f"{path}parts[{n}]") for n, part in enumerate(parts[:MAX_PARTS])])
    weighs = weight(found)
    if weighs > MAX_BYTES:
        violations.add(f"{path}parts", f"must have at most {MAX_BYTES} bytes of UTF-8 together")
    return found, weighs


def _part(violations: Violations, part: pb.Part, path: str) -> Part:
    kind = part.WhichOneof("content")
    if kind is None or kind == "text":
        return violations.text(f"{path}.text", part.text, shortest=1, longest=MAX_TEXT)
    return _KINDS[kind](violations, part, f"{path}.{kind}")


def _image(violations: Violations, part: pb.Part, path: str) -> Image:
    wanted = part.image
    return Image(
        uri=_uri(violations, f"{path}.uri", wanted.uri, carried="data:image/"),
        media_type=_media_type(violations, f"{path}.media_type", wanted.media_type),
    )


def _file(violations: Violations, part: pb.Part, path: str) -> File:
    wanted = part.file
    return File(
        uri=_uri(violations, f"{path}.uri", wanted.uri, carried=_DATA),
        media_type=_media_type(violations, f"{path}.media_type", wanted.media_type),
        name=violations.line(f"{path}.name", wanted.name, longest=MAX_FILE_NAME),
    )


def _tool_call(violations: Violations, part: pb.Part, path: str) -> ToolCall:
    wanted = part.tool_call
    return ToolCall(
        id=violations.text(f"{path}.id", wanted.id, shortest=1, longest=MAX_NAME),
        name=violations.text(f"{path}.name", wanted.name, shortest=1, longest=MAX_NAME),
        arguments=violations.text(f"{path}.arguments", wanted.arguments, longest=MAX_TEXT),
    )


def _tool_result(violations: Violations, part: pb.Part, path: str) -> ToolResult:
    wanted = part.tool_result
    return ToolResult(
        tool_call_id=violations.text(f"{path}.tool_call_id", wanted.tool_call_id, shortest=1, longest=MAX_NAME),
        content=violations.text(f"{path}.content", wanted.content, longest=MAX_TEXT),
        is_error=wanted.is_error,
    )


def _json(violations: Violations, part: pb.Part, path: str) -> Json:
    try:
        text = json_values.dump(part.json, deepest=MAX_JSON_DEPTH)
    except ValueError as error:
        violations.add(path, str(error))
        return Json(text="null")
    if len(text.encode()) > MAX_JSON_BYTES:
        violations.add(path, f"must have at most {MAX_JSON_BYTES} bytes as JSON")
    return Json(text=text)


_KINDS: Final[Mapping[str, Callable[[Violations, pb.Part, str], Part]]] = {
    "image": _image,
    "file": _file,
    "tool_call": _tool_call,
    "tool_result": _tool_result,
    "json": _json,
}


def _uri(violations: Violations, path: str, uri: str, *, carried: str) -> str:
    if not uri:
        violations.add(path, "must be set")
    elif uri[: len(_DATA)].lower() == _DATA:
        if len(uri) > MAX_BYTES:
            violations.add(path, f"must have at most {MAX_BYTES} characters")
        elif not uri.lower().startswith(carried) or not _CARRIED.fullmatch(uri):
            violations.add(path, f"must be a data URI that begins with {carried} (RFC 2397)")
    elif len(uri) > MAX_URI:
        violations.add(path, f"must have at most {MAX_URI} characters")
    elif not _ELSEWHERE.fullmatch(uri):
        violations.add(path, "must be an http, https, urn or data URI (RFC 3986)")
    return uri


def _media_type(violations: Violations, path: str, media_type: str) -> str:
    if len(media_type) > _MAX_MEDIA_TYPE:
        violations.add(path, f"must have at most {_MAX_MEDIA_TYPE} characters")
    elif media_type and not _MEDIA_TYPE.fullmatch(media_type):
        violations.add(path, "must be a media type such as image/png (RFC 6838)")
    return media_type

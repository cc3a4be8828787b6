"""The conversations of ChatGPT's own export: each a tree of messages, of which one is the current.

What the tree says is kept, by the pointers to parents; the lists of children give their order. A node that says nothing
has those that follow it take its place.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

import msgspec

from chat_service.models import Role
from chat_service.rpc.parse.parts import MAX_NAME, MAX_TEXT
from chat_service.rpc.transfer import reading
from chat_service.rpc.transfer.reading import Maker, Origin, Read, Refusal, Refused
from chat_service.rpc.transfer.splitting import Document
from chat_service.rpc.transfer.trees import MAX_NODES, Before, Node, Placing, Said
from chat_service.transfer_models import NewImport
from protos.chat.v1 import resources_pb2 as pb

_EVERYBODY: Final = "all"
_ROLES: Final = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
}
# The one field that holds the text of contents of these types, in the order in which they are looked for.
_TEXTS: Final = ("text", "result", "content", "summary")
_KEPT_WHOLE: Final = ("tether_quote", "thoughts", "user_editable_context", "model_editable_context")


class _Author(msgspec.Struct):
    role: str
    name: str | None = None


class _Message(msgspec.Struct):
    author: _Author
    content: dict[str, Any] | None = None
    create_time: float | None = None
    recipient: str | None = None


class _Node(msgspec.Struct):
    message: _Message | None = None
    parent: str | None = None
    children: list[str] = []


class _Conversation(msgspec.Struct):
    mapping: dict[str, _Node]
    id: str | None = None
    conversation_id: str | None = None
    title: str | None = None
    create_time: float | None = None
    current_node: str | None = None
    is_archived: bool | None = None
    is_starred: bool | None = None
    default_model_slug: str | None = None


@dataclass(slots=True)
class ChatGpt:
    """Reads each element of the array as a conversation."""

    origin: Origin

    def read(self, document: Document) -> Iterator[Read]:
        """What an element says."""
        known = _Known()
        try:
            if document.problem:
                raise Refused(document.problem)
            yield from self._read(document.data, known)
        except Refused as refused:
            yield Refusal(external_id=known.external_id, title=known.title, reasons=refused.reasons)

    def end(self) -> Iterator[Read]:
        """Nothing is left."""
        return iter(())

    def _read(self, data: bytes, known: "_Known") -> Iterator[Read]:
        found = reading.decode(data, _Conversation)
        external_id = found.conversation_id or found.id or ""
        known.external_id, known.title = external_id[: reading.MAX_EXTERNAL_ID], reading.title(found.title)
        if not external_id or len(external_id) > reading.MAX_EXTERNAL_ID or "\0" in external_id:
            raise Refused(f"id: must have 1 to {reading.MAX_EXTERNAL_ID} characters")
        maker = Maker(_moment(found.create_time))
        yield NewImport(
            id=maker.id,
            source=self.origin.source,
            external_id=external_id,
            title=known.title,
            pinned=bool(found.is_starred),
            archived=bool(found.is_archived),
            metadata=_metadata(external_id, found.default_model_slug),
            create_time=maker.create_time,
        )
        placing = Placing(maker, self.origin.session_id, partial(_say, maker))
        yield from placing.place(_roots(found.mapping), found.current_node)
        yield placing.end(sha256(data).digest())


@dataclass(slots=True)
class _Known:
    """What can be told of a conversation that is refused."""

    external_id: str = ""
    title: str = ""


def _moment(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise Refused("create_time: is no moment") from None


def _metadata(external_id: str, model: str | None) -> str:
    told = {"id": external_id, "model": model} if model else {"id": external_id}
    return reading.metadata({"chatgpt": told})


def _roots(mapping: Mapping[str, _Node]) -> list[Node[_Message | None]]:
    """The nodes without a parent, with all that hangs on them; raises Refused where not everything does."""
    if len(mapping) > MAX_NODES:
        raise Refused(f"mapping: has more than {MAX_NODES:,} messages")
    nodes = {name: Node(name=name, message=node.message) for name, node in mapping.items()}
    order = {name: place for node in mapping.values() for place, name in enumerate(node.children)}
    roots = []
    for name in sorted(mapping, key=lambda name: order.get(name, len(mapping))):
        parent = mapping[name].parent
        if parent is None:
            roots.append(nodes[name])
        elif parent in nodes:
            nodes[parent].children.append(nodes[name])
        else:
            raise Refused(f"mapping: the parent of {name[:60]} is not there")
    reached, waiting = 0, list(roots)
    while waiting:
        reached += 1
        waiting.extend(waiting.pop().children)
    if reached < len(nodes):
        raise Refused("mapping: some messages are their own ancestors")
    return roots


def _say(maker: Maker, node: Node[_Message | None], before: Before) -> Said | None:
    message = node.message
    if message is None or not message.content:
        return None
    role = _ROLES.get(message.author.role)
    if role is None:
        raise Refused(f"mapping.{node.name[:60]}: {message.author.role[:30]!r} is no known role")
    parts = [part for part in _parts(node.name, message, message.content, before) if part.ByteSize()]
    if not parts:
        return None
    said, weighs = reading.said(parts, f"mapping.{node.name[:60]}.")
    moment = maker.moment(_moment(message.create_time), before.create_time)
    return Said(role=role, parts=said, weighs=weighs, create_time=moment)


def _parts(name: str, message: _Message, content: Mapping[str, Any], before: Before) -> list[pb.Part]:
    kind = content.get("content_type")
    if kind in ("text", "multimodal_text") and isinstance(content.get("parts"), list):
        parts = [one for item in content["parts"] for one in _piece(item)]
    elif kind in _KEPT_WHOLE:
        parts = reading.kept_whole(content)
    else:
        parts = _other(content)
    return _as_tools(name, message, parts, before)


def _other(content: Mapping[str, Any]) -> list[pb.Part]:
    """Code, the output of a program, an error, and what there may be more: as text, or as it is where it has none."""
    text = next((content[field] for field in _TEXTS if isinstance(content.get(field), str)), None)
    return reading.texts(text) if text is not None else reading.kept_whole(content)


def _piece(item: object) -> list[pb.Part]:
    if isinstance(item, str):
        return reading.texts(item)
    if not isinstance(item, dict):
        return reading.kept_whole(item)
    make = _POINTERS.get(str(item.get("content_type")))
    return [make(item)] if make else reading.kept_whole(item)


def _as_tools(name: str, message: _Message, parts: list[pb.Part], before: Before) -> list[pb.Part]:
    """What is said to a tool, or by one, where it fits into one part."""
    if len(parts) != 1 or parts[0].WhichOneof("content") != "text" or len(name) > MAX_NAME:
        return parts
    text, recipient = parts[0].text, message.recipient or _EVERYBODY
    if message.author.role == "assistant" and recipient != _EVERYBODY and len(recipient) <= MAX_NAME:
        return [pb.Part(tool_call=pb.ToolCall(id=name, name=recipient, arguments=text))]
    if message.author.role == "tool" and 0 < len(before.name) <= MAX_NAME:
        return [pb.Part(tool_result=pb.ToolResult(tool_call_id=before.name, content=text))]
    return parts


def _uri(pointer: object) -> str:
    """The name of something that stands in ChatGPT's own store."""
    return "urn:chatgpt:" + quote(str(pointer), safe="")[:2_000]


def _image(item: Mapping[str, Any]) -> pb.Part:
    return pb.Part(image=pb.Image(uri=_uri(item.get("asset_pointer"))))


def _asset(item: Mapping[str, Any]) -> pb.Part:
    return pb.Part(file=pb.File(uri=_uri(item.get("asset_pointer"))))


def _transcription(item: Mapping[str, Any]) -> pb.Part:
    return pb.Part(text=str(item.get("text", ""))[:MAX_TEXT])


_POINTERS: Final[Mapping[str, Callable[[Mapping[str, Any]], pb.Part]]] = {
    "image_asset_pointer": _image,
    "audio_asset_pointer": _asset,
    "video_container_asset_pointer": _asset,
    "audio_transcription": _transcription,
}

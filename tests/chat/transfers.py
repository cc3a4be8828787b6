"""Files of conversations, as tests send and receive them."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc

from protos.chat.v1 import transfer_pb2 as pb
from tests.chattest import Person

PARLEY = pb.CONVERSATION_FORMAT_PARLEY
CHATGPT = pb.CONVERSATION_FORMAT_CHATGPT
OASST = pb.CONVERSATION_FORMAT_OASST
IMPORTED = pb.CONVERSATION_IMPORT_VERDICT_IMPORTED
ALREADY_THERE = pb.CONVERSATION_IMPORT_VERDICT_ALREADY_THERE
CHANGED = pb.CONVERSATION_IMPORT_VERDICT_CHANGED
REFUSED = pb.CONVERSATION_IMPORT_VERDICT_REFUSED


async def exported(person: Person, **fields: Any) -> bytes:
    """A whole file."""
    return b"".join([piece.data async for piece in person.ExportConversations(**fields)])


async def records(person: Person, **fields: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (await exported(person, **fields)).splitlines()]


async def imported(
    person: Person, data: bytes, format_: int = PARLEY, *, piece: int = 500_000, source: str = ""
) -> list[pb.ConversationImportResult]:
    """What became of the conversations of a file."""
    stream = person.ImportConversations(pieces(data, format_, piece, source))
    results: list[pb.ConversationImportResult] = []
    while (response := await stream.read()) is not grpc.aio.EOF:
        results.extend(response.results)
    assert [result.number for result in results] == list(range(1, len(results) + 1))
    return results


async def pieces(
    data: bytes, format_: int = PARLEY, piece: int = 500_000, source: str = ""
) -> AsyncIterator[pb.ImportConversationsRequest]:
    yield pb.ImportConversationsRequest(format=format_, source=source, data=data[:piece])
    for at in range(piece, len(data), piece):
        yield pb.ImportConversationsRequest(data=data[at : at + piece])


def verdicts(results: Iterable[pb.ConversationImportResult]) -> list[int]:
    return [result.verdict for result in results]


def lines(told: Iterable[Any]) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in told).encode()


def node(name: str, parent: str | None, *children: str, text: str | None = None, **fields: Any) -> dict[str, Any]:
    """A node of a tree of ChatGPT's; by default one that says its name."""
    message = {
        "id": name,
        "author": {"role": "user"},
        "create_time": 1_700_000_000.5,
        "content": {"content_type": "text", "parts": [name if text is None else text]},
        "recipient": "all",
        **fields,
    }
    return {"id": name, "parent": parent, "children": list(children), "message": message}


def tree(*nodes: dict[str, Any], current: str | None = None, **fields: Any) -> dict[str, Any]:
    """A conversation of ChatGPT's."""
    return {
        "conversation_id": "c1",
        "title": "Plans",
        "create_time": 1_700_000_000.25,
        "current_node": current,
        "mapping": {each["id"]: each for each in nodes},
        **fields,
    }

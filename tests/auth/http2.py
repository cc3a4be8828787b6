"""HTTP/2 by hand, for headers that no client library would send."""

import asyncio
import struct
from collections.abc import Sequence

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _GOAWAY = 0, 1, 3, 4, 7
_END_STREAM, _END_HEADERS = 1, 4

Header = tuple[bytes, bytes]


async def call(port: int, path: str, message: bytes, extra: Sequence[Header] = ()) -> bytes:
    """Make one unary call, and return the frames of the answer as they came, up to the end of the stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    headers: list[Header] = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"test"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *extra,
    ]
    body = b"\0" + struct.pack(">I", len(message)) + message
    block = b"".join(b"\0" + _literal(name) + _literal(value) for name, value in headers)
    writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
    writer.write(_frame(_HEADERS, _END_HEADERS, 1, block) + _frame(_DATA, _END_STREAM, 1, body))
    try:
        async with asyncio.timeout(10):
            return await _read(reader)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    while True:
        head = await reader.readexactly(9)
        answer += await reader.readexactly(int.from_bytes(head[:3]))
        kind, flags = head[3], head[4]
        if kind in (_RESET, _GOAWAY) or (kind in (_DATA, _HEADERS) and flags & _END_STREAM):
            return answer


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _literal(text: bytes) -> bytes:
    """An HPACK string without Huffman coding, of fewer than 127 bytes (RFC 7541 section 5.2)."""
    assert len(text) < 127
    return bytes([len(text)]) + text

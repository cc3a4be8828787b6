"""Page tokens (AIP-158): opaque, signed, and good only for the question they were given for."""

import base64
import binascii

import orjson

from shared.crypto import MacKeys
from shared.errors import FieldViolation, InvalidFields

_MAC_BYTES = 16
DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200

Cursor = tuple[str | int, ...]


def page_size(asked: int) -> int:
    """The size of a page: 50 where none is asked, at most 200; a negative one is refused."""
    if asked < 0:
        raise InvalidFields([FieldViolation("page_size", "must not be negative")])
    return min(asked or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


class PageTokens:
    """Writes and reads page tokens; `scope` is all that the next page must share with this one."""

    def __init__(self, keys: MacKeys) -> None:
        """Sign with keys of its own."""
        self._keys = keys

    def write(self, scope: Cursor, cursor: Cursor) -> str:
        """The token of the page that begins after the cursor."""
        payload = orjson.dumps(cursor)
        return (
            base64.urlsafe_b64encode(self._keys.mac(_signed(scope, payload))[:_MAC_BYTES] + payload)
            .rstrip(b"=")
            .decode()
        )

    def read(self, scope: Cursor, token: str) -> Cursor | None:
        """The cursor in a token, None for the first page; a token of another question is refused."""
        if not token:
            return None
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        signature, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not self._keys.matches(signature, _signed(scope, payload), _MAC_BYTES):
            message = "is not a token of this list: ask for the first page with the same arguments"
            raise InvalidFields([FieldViolation("page_token", message)])
        return tuple(orjson.loads(payload))


def _signed(scope: Cursor, payload: bytes) -> bytes:
    return orjson.dumps(scope) + b"\n" + payload

"""Keys derived from a service's master key, and small secrets sealed for the database.

While a master key is being replaced there are two: the present one, which everything new is made with, and the former
one, which is accepted beside it. `KeyRing` holds both, and what is derived from it accepts both, each for one purpose.
"""

import hmac
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_ID_BYTES: Final = 8
MAC_BYTES: Final = 32
_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class KeyRing:
    """A service's master key, and the former one while there is something left that was made with it."""

    present: bytes = field(repr=False)
    former: bytes | None = field(default=None, repr=False)

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose, from the present master key alone: all that it made ends with that one."""
        return _derive(self.present, purpose)

    def sealing(self, purpose: str) -> "SealingKeys":
        """What seals for one purpose; no two purposes share a key."""
        return SealingKeys(self._all(purpose))

    def macs(self, purpose: str) -> "MacKeys":
        """What signs for one purpose."""
        return MacKeys(self._all(purpose))

    @property
    def key_ids(self) -> tuple[bytes, ...]:
        """What the master keys are called where it is noted that they are in use, the present one first."""
        return tuple(map(_key_id, self._all("key id")))

    def _all(self, purpose: str) -> tuple[bytes, ...]:
        return tuple(_derive(master, purpose) for master in (self.present, self.former) if master is not None)


class SealingKeys:
    """Encrypts small secrets with AES-256-GCM. A sealed text begins with the id of the key that sealed it."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        """Seal with the first key, open with any."""
        self._keys = {_key_id(key): key for key in keys}
        self.present_id = _key_id(keys[0])

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt; the same context must be given to open it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self.present_id + nonce + AESGCM(self._keys[self.present_id]).encrypt(nonce, plaintext, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes | None:
        """The plaintext, or None where the key, the context or a bit of the text is another one."""
        key = self._keys.get(sealed[:KEY_ID_BYTES])
        if key is not None:
            return _open(key, sealed[KEY_ID_BYTES:], context)
        # Before there were ids a sealed text began with its nonce.
        opened = (_open(key, sealed, context) for key in self._keys.values())
        return next((plaintext for plaintext in opened if plaintext is not None), None)


class MacKeys:
    """Signs with HMAC-SHA256."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        """Sign with the first key, accept any."""
        self._keys = keys

    def mac(self, message: bytes) -> bytes:
        """The tag of a message under the present key, 32 bytes."""
        return mac(self._keys[0], message)

    def tags(self, message: bytes) -> tuple[bytes, ...]:
        """Every tag that counts, the present key's first; compare them with `hmac.compare_digest`."""
        return tuple(mac(key, message) for key in self._keys)

    def matches(self, tag: bytes, message: bytes, length: int = MAC_BYTES) -> bool:
        """Whether the tag, cut to so many bytes, is the message's under one of the keys."""
        return any(hmac.compare_digest(tag, good[:length]) for good in self.tags(message))


def mac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256, 32 bytes; compare it with `hmac.compare_digest`."""
    return hmac.digest(key, message, sha256)


def _derive(master_key: bytes, purpose: str) -> bytes:
    """HKDF-SHA256 (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"parley/{purpose}".encode()).derive(master_key)


def _key_id(key: bytes) -> bytes:
    return mac(key, b"key id")[:KEY_ID_BYTES]


def _open(key: bytes, text: bytes, context: bytes) -> bytes | None:
    try:
        return AESGCM(key).decrypt(text[:_NONCE_BYTES], text[_NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        return None

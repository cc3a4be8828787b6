"""Keys derived from a service's master key, and small secrets sealed for the database."""

import hmac
import secrets
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12


def derive(master_key: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose (HKDF-SHA256, RFC 5869); no two purposes share a key."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"parley/{purpose}".encode()).derive(master_key)


def seal(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Encrypt with AES-256-GCM; the same context must be given to open it."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes | None:
    """The plaintext, or None where the key, the context or a bit of the text is another one."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
    except InvalidTag:
        return None


def mac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256, 32 bytes; compare it with `hmac.compare_digest`."""
    return hmac.digest(key, message, sha256)

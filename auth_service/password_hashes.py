"""Stored hashes of passwords, ours and other systems': in which forms, at which cost, and whether a password fits.

A hash that costs too much is refused wherever it turns up, at its import and at each log-in: one row must not take the
memory or the cores of everybody else. One that costs next to nothing is refused as plain MD5 and SHA are.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import bcrypt
from argon2.exceptions import Argon2Error
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

MAX_LENGTH: Final = 1_024  # characters of a stored hash
MAX_MEMORY_KIB: Final = 128 * 1024
# What a core does in about a second, and at the lower end in about a millisecond.
ARGON2_KIB_PASSES: Final = range(1_024, 1024 * 1024 + 1)
BCRYPT_COSTS: Final = range(4, 15)
SCRYPT_BLOCKS: Final = range(2**11, 2**21 + 1)
PBKDF2_ROUNDS: Final = {
    "sha1": range(1_000, 2_000_001),
    "sha256": range(1_000, 2_000_001),
    "sha512": range(1_000, 1_000_001),
}
MAX_LANES: Final = 16
MAX_BLOCK: Final = 64
_DIGEST_BYTES: Final = range(16, 129)  # a shorter one would fit many passwords
_SALT_BYTES: Final = range(1, 257)
_SEPARATOR_BYTES: Final = range(257)
_ARGON2_SALT_BYTES: Final = range(8, 257)
_BCRYPT_BYTES: Final = 72
_EXPONENTS: Final = 64
_FIREBASE_KEY_BYTES: Final = 32

_ARGON2_TYPES: Final = {"d": Type.D, "i": Type.I, "id": Type.ID}
_TO_STANDARD: Final = str.maketrans({"-": "+", "_": "/", ".": "+", "=": None})


class HashRefused(ValueError):
    """A stored hash that no password is checked against; the text says why, and is for whoever imports it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHash:
    """A hash whose cost is within bounds: `derive` makes of a password what is compared with the digest."""

    digest: bytes = field(repr=False)
    derive: Callable[[bytes], bytes] = field(repr=False)

    def fits(self, password: bytes) -> bool:
        """Whether it was made of this password."""
        return hmac.compare_digest(self.derive(password), self.digest)


def parse(text: str) -> StoredHash:
    """The hash in a text of one of the forms that `docs/operations.md` lists; raises HashRefused."""
    if len(text) > MAX_LENGTH:
        raise HashRefused(f"must have at most {MAX_LENGTH} characters")
    for form, read in _FORMS:
        found = form.fullmatch(text)
        if found is not None:
            return read(*found.groups())
    if _FAST.match(text):
        raise HashRefused(
            "is of a fast hash such as MD5 or SHA, which is guessed in no time: import the account without a hash, "
            "and have its password reset"
        )
    raise HashRefused("must be a hash by Argon2, bcrypt, scrypt, PBKDF2 or Firebase's scrypt, in a documented form")


def verify(text: str, passwords: Iterable[str]) -> bool:
    """Whether one of these fits a stored hash, tried in their order; whatever goes wrong, none does."""
    try:
        stored = parse(text)
        return any(stored.fits(password.encode()) for password in passwords)
    except (ValueError, Argon2Error, MemoryError):
        return False


def _argon2(kind: str, version: str | None, costs: str, salt: str, digest: str) -> StoredHash:
    """The PHC string of the reference implementation; without a version it is of the first one."""
    kib, passes, lanes = _numbers(costs)
    if not 1 <= lanes <= MAX_LANES or kib < 8 * lanes or passes < 1 or version not in (None, "16", "19"):
        raise HashRefused("has parameters that Argon2 does not take")
    _require_affordable(kib, kib * passes, ARGON2_KIB_PASSES)
    decoded, raw_salt = _bytes(digest, _DIGEST_BYTES), _bytes(salt, _ARGON2_SALT_BYTES)
    of_kind, of_version = _ARGON2_TYPES[kind], int(version or 16)

    def derive(password: bytes) -> bytes:
        return hash_secret_raw(password, raw_salt, passes, kib, lanes, len(decoded), of_kind, of_version)

    return StoredHash(digest=decoded, derive=derive)


def _bcrypt(prehash: str | None, salt: str, cost: str, digest: str) -> StoredHash:
    """Whoever made it has hashed the first 72 bytes; Django's bcrypt_sha256 the digest of all of them."""
    _require_affordable(0, int(cost), BCRYPT_COSTS)

    def derive(password: bytes) -> bytes:
        secret = hashlib.sha256(password).hexdigest().encode() if prehash else password[:_BCRYPT_BYTES]
        return bcrypt.hashpw(secret, salt.encode())[-len(digest) :]

    return StoredHash(digest=digest.encode(), derive=derive)


def _scrypt(costs: str, salt: str, digest: str) -> StoredHash:
    """The PHC string, also passlib's and Zitadel's; Ory writes N itself where its logarithm belongs."""
    written, block, lanes = _numbers(costs)
    n = 1 << written if written < _EXPONENTS else written
    return _scrypt_of(n, block, lanes, _bytes(salt, _SALT_BYTES), _bytes(digest, _DIGEST_BYTES))


def _django_scrypt(n: str, salt: str, block: str, lanes: str, digest: str) -> StoredHash:
    return _scrypt_of(int(n), int(block), int(lanes), salt.encode(), _bytes(digest, _DIGEST_BYTES))


def _werkzeug_scrypt(costs: str, salt: str, digest: str) -> StoredHash:
    n, block, lanes = _numbers(costs)
    return _scrypt_of(n, block, lanes, salt.encode(), bytes.fromhex(digest))


def _scrypt_of(n: int, block: int, lanes: int, salt: bytes, digest: bytes) -> StoredHash:
    return StoredHash(digest=digest, derive=_scrypt_function(n, block, lanes, salt, len(digest)))


def _firebase(costs: str, salt: str, digest: str, separator: str, key: str) -> StoredHash:
    """As firebase/scrypt does it: what scrypt derives encrypts the project's key, and that is the hash."""
    exponent, block, lanes = _numbers(costs)
    decoded, signer_key = _bytes(digest, _DIGEST_BYTES), _bytes(key, _DIGEST_BYTES)
    if len(decoded) != len(signer_key):
        raise HashRefused("must be as long as the signer key")
    salted = _bytes(salt, _SALT_BYTES) + _bytes(separator, _SEPARATOR_BYTES)
    scrypt = _scrypt_function(1 << min(exponent, _EXPONENTS), block, lanes, salted, _FIREBASE_KEY_BYTES)

    def derive(password: bytes) -> bytes:
        encryptor = Cipher(algorithms.AES256(scrypt(password)), modes.CTR(bytes(16))).encryptor()
        return encryptor.update(signer_key) + encryptor.finalize()

    return StoredHash(digest=decoded, derive=derive)


def _scrypt_function(n: int, block: int, lanes: int, salt: bytes, length: int) -> Callable[[bytes], bytes]:
    if n.bit_count() != 1 or n == 1 or not 1 <= block <= MAX_BLOCK or not 1 <= lanes <= MAX_LANES:
        raise HashRefused("has parameters that scrypt does not take")
    _require_affordable(n * block // 8, n * block * lanes, SCRYPT_BLOCKS)
    limit = 128 * block * (n + lanes + 4)  # what OpenSSL counts, with some room

    def derive(password: bytes) -> bytes:
        return hashlib.scrypt(password, salt=salt, n=n, r=block, p=lanes, maxmem=limit, dklen=length)

    return derive


def _pbkdf2(hash_name: str, rounds: str, length: str | None, salt: str, digest: str) -> StoredHash:
    """Ory's form, with the digest's length or without."""
    decoded = _bytes(digest, _DIGEST_BYTES)
    if length is not None and int(length) != len(decoded):
        raise HashRefused("must be as long as it says")
    return _pbkdf2_of(hash_name, rounds, _bytes(salt, _SALT_BYTES), decoded)


def _passlib_pbkdf2(hash_name: str | None, rounds: str, salt: str, digest: str) -> StoredHash:
    """The form of passlib and Zitadel; no name means SHA-1."""
    return _pbkdf2_of(hash_name or "sha1", rounds, _bytes(salt, _SALT_BYTES), _bytes(digest, _DIGEST_BYTES))


def _django_pbkdf2(hash_name: str, rounds: str, salt: str, digest: str) -> StoredHash:
    return _pbkdf2_of(hash_name, rounds, salt.encode(), _bytes(digest, _DIGEST_BYTES))


def _werkzeug_pbkdf2(hash_name: str, rounds: str, salt: str, digest: str) -> StoredHash:
    return _pbkdf2_of(hash_name, rounds, salt.encode(), bytes.fromhex(digest))


def _pbkdf2_of(hash_name: str, rounds: str, salt: bytes, digest: bytes) -> StoredHash:
    blocks = -(-len(digest) // hashlib.new(hash_name).digest_size)
    _require_affordable(0, int(rounds) * blocks, PBKDF2_ROUNDS[hash_name])

    def derive(password: bytes) -> bytes:
        return hashlib.pbkdf2_hmac(hash_name, password, salt, int(rounds), len(digest))

    return StoredHash(digest=digest, derive=derive)


def _numbers(costs: str) -> tuple[int, int, int]:
    first, second, third = map(int, _DIGITS.findall(costs))
    return first, second, third


def _require_affordable(memory_kib: int, work: int, allowed: range) -> None:
    if memory_kib > MAX_MEMORY_KIB or work >= allowed.stop:
        raise HashRefused("costs more memory or time to check than a log-in may: import the account without a hash")
    if work < allowed.start:
        raise HashRefused("costs so little that it is guessed in no time: import the account without a hash")


def _bytes(text: str, lengths: range) -> bytes:
    """Base64 in the alphabet of RFC 4648, of URLs or of passlib, padded or not."""
    standard = text.translate(_TO_STANDARD)
    try:
        decoded = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error:
        raise HashRefused("has a part that is not base64") from None
    if len(decoded) not in lengths:
        raise HashRefused("has a salt or a digest that is too short or too long")
    return decoded


_INT: Final = "[0-9]{1,10}"
_DIGITS: Final = re.compile(_INT)
_BASE64: Final = r"([A-Za-z0-9+/._=-]+)"
_TEXT: Final = r"([^$]{1,256})"
_HEX: Final = "((?:[0-9a-f]{2}){16,128})"
_SCRYPT_COSTS: Final = rf"\$(ln={_INT},r={_INT},p={_INT})"

_FORMS: Final[list[tuple[re.Pattern[str], Callable[..., StoredHash]]]] = [
    (re.compile(form), read)
    for form, read in (
        (
            rf"(?:argon2)?\$argon2(id|i|d)(?:\$v=({_INT}))?\$(m={_INT},t={_INT},p={_INT})\${_BASE64}\${_BASE64}",
            _argon2,
        ),
        (r"(?:bcrypt(_sha256)?\$)?(\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{22})([./A-Za-z0-9]{31})", _bcrypt),
        (rf"\$scrypt{_SCRYPT_COSTS}\${_BASE64}\${_BASE64}", _scrypt),
        (rf"scrypt\$({_INT})\${_TEXT}\$({_INT})\$({_INT})\${_BASE64}", _django_scrypt),
        (rf"scrypt:({_INT}:{_INT}:{_INT})\${_TEXT}\${_HEX}", _werkzeug_scrypt),
        (rf"\$firescrypt{_SCRYPT_COSTS}\${_BASE64}\${_BASE64}\$([A-Za-z0-9+/=_-]*)\${_BASE64}", _firebase),
        (rf"\$pbkdf2-(sha1|sha256|sha512)\$i=({_INT})(?:,l=({_INT}))?\${_BASE64}\${_BASE64}", _pbkdf2),
        (rf"\$pbkdf2(?:-(sha1|sha256|sha512))?\$({_INT})\${_BASE64}\${_BASE64}", _passlib_pbkdf2),
        (rf"pbkdf2_(sha1|sha256)\$({_INT})\${_TEXT}\${_BASE64}", _django_pbkdf2),
        (rf"pbkdf2:(sha1|sha256|sha512):({_INT})\${_TEXT}\${_HEX}", _werkzeug_pbkdf2),
    )
]
_FAST: Final = re.compile(r"\$(?:1|apr1|md5|sha|hmac)|\{S?SHA|(?:md5|sha1)\$|[0-9A-Fa-f]{32,128}\Z")

"""JSON Web Keys (RFC 7517) into keys to check signatures with, each for one algorithm (RFC 8725 section 3.1).

A key set comes from another process, so nothing in it is believed: a key that is not exactly what its algorithm asks
for is left out, and one that shows a private half is refused whatever else it says.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

log = structlog.get_logger()

ALGORITHMS: Final = ("EdDSA", "ES256", "RS256")
MIN_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 8192
_RSA_EXPONENT: Final = 65537
_COORDINATE_BYTES: Final = 32
_KID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

Jwk: TypeAlias = Mapping[str, object]
PublicKeyMaterial: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey


class UnusableKey(ValueError):
    """A JSON Web Key that no signature is checked with; the text says why and has nothing of the key."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key with the one algorithm that it counts for, whatever a token says of itself."""

    algorithm: str
    material: PublicKeyMaterial

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is of this message, by this key."""
        return bool(jwt.get_algorithm_by_name(self.algorithm).verify(message, self.material, signature))


def key_set(jwks: Iterable[Jwk]) -> dict[str, PublicKey]:
    """The usable keys of a set by their `kid`; the others are logged and left out (RFC 7517 section 5)."""
    listed = list(jwks)
    times = Counter(str(jwk.get("kid")) for jwk in listed)
    keys: dict[str, PublicKey] = {}
    for jwk in listed:
        kid = str(jwk.get("kid"))
        try:
            if times[kid] > 1:
                raise UnusableKey("its kid stands twice in the set")
            keys[kid] = public_key(jwk)
        except UnusableKey as error:
            log.warning("a key of the key set is left out", kid=kid[:64], problem=str(error))
    return keys


def public_key(jwk: Jwk) -> PublicKey:
    """The key in a JWK of `auth.v1.GetJwks`; raises UnusableKey. Members that are not known are passed over."""
    if jwk.keys() & _PRIVATE_MEMBERS:
        raise UnusableKey("it shows a private half")
    if not _KID.fullmatch(_text(jwk, "kid")):
        raise UnusableKey("its kid is not 1 to 64 letters, digits, - and _")
    if _text(jwk, "use") != "sig":
        raise UnusableKey("it is not for signatures")
    match (jwk.get("kty"), jwk.get("crv") or "", jwk.get("alg")):
        case ("OKP", "Ed25519", "EdDSA"):
            return PublicKey("EdDSA", _ed25519(jwk))
        case ("EC", "P-256", "ES256"):
            return PublicKey("ES256", _p256(jwk))
        case ("RSA", "", "RS256"):
            return PublicKey("RS256", _rsa(jwk))
    raise UnusableKey("its kty, crv and alg are none of those that go together here")


def to_jwk(kid: str, key: PublicKey) -> dict[str, str]:
    """The JWK of a key: only its public half, under the id by which tokens name it."""
    return _members(key.material) | {"kid": kid, "alg": key.algorithm, "use": "sig"}


def _members(material: PublicKeyMaterial) -> dict[str, str]:
    if isinstance(material, Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": _encode(material.public_bytes(Encoding.Raw, PublicFormat.Raw))}
    if isinstance(material, EllipticCurvePublicKey):
        point = material.public_numbers()
        x, y = (_encode(number.to_bytes(_COORDINATE_BYTES)) for number in (point.x, point.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    numbers = material.public_numbers()
    n, e = (_encode(number.to_bytes((number.bit_length() + 7) // 8)) for number in (numbers.n, numbers.e))
    return {"kty": "RSA", "n": n, "e": e}


def _ed25519(jwk: Jwk) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(_octets(jwk, "x", _COORDINATE_BYTES))


def _p256(jwk: Jwk) -> EllipticCurvePublicKey:
    x, y = (int.from_bytes(_octets(jwk, name, _COORDINATE_BYTES)) for name in ("x", "y"))
    try:
        return EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
    except ValueError:
        raise UnusableKey("its point is not on the curve") from None


def _rsa(jwk: Jwk) -> RSAPublicKey:
    modulus, exponent = (int.from_bytes(_octets(jwk, name)) for name in ("n", "e"))
    if not MIN_RSA_BITS <= modulus.bit_length() <= _MAX_RSA_BITS:
        raise UnusableKey(f"its modulus has not {MIN_RSA_BITS} to {_MAX_RSA_BITS} bits")
    if modulus % 2 == 0 or exponent != _RSA_EXPONENT:
        raise UnusableKey("its modulus is even or its exponent not 65537")
    return RSAPublicNumbers(exponent, modulus).public_key()


def _text(jwk: Jwk, name: str) -> str:
    value = jwk.get(name)
    return value if isinstance(value, str) else ""


def _octets(jwk: Jwk, name: str, length: int | None = None) -> bytes:
    """The bytes of a member in their one spelling: base64url without padding, a number without leading zeros."""
    text = _text(jwk, name)
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    if not raw or _encode(raw) != text:
        raise UnusableKey(f"its {name} is not base64url")
    if len(raw) != length if length is not None else raw[0] == 0:
        raise UnusableKey(f"its {name} has the wrong length")
    return raw


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

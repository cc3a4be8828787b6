"""Access tokens as an attacker would make them, and as only the service could."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from auth_service import private_keys
from auth_service.models import KeyState, SigningKeyRow
from auth_service.private_keys import PrivateKey
from protos.auth.v1.resources_pb2 import Tokens
from tests.authtest import Auth
from tests.servers import fetch

Json = dict[str, Any]


@dataclass
class Forge:
    """The service's own key, and a good token to start from. None as a value takes the member out."""

    private: PrivateKey
    good: str
    header: Json = field(init=False)
    claims: Json = field(init=False)

    def __post_init__(self) -> None:
        self.header = jwt.get_unverified_header(self.good)
        self.claims = jwt.decode(self.good, options={"verify_signature": False})

    def token(self, *, header: Json | None = None, key: PrivateKey | None = None, **claims: object) -> str:
        """Signed by the service's key unless another is given."""
        return self.raw(_changed(self.header, header or {}), _changed(self.claims, claims), key)

    def raw(self, header: object, payload: object, key: PrivateKey | None = None) -> str:
        signed = f"{encode(header)}.{encode(payload)}"
        return f"{signed}.{encode(sign(signed.encode(), key or self.private))}"


def sign(message: bytes, key: PrivateKey) -> bytes:
    """As the one algorithm of the key's kind signs."""
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(message, ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)
    return key.sign(message, PKCS1v15(), SHA256())


def encode(part: object) -> str:
    """base64url of bytes as they are, or of anything else as JSON."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def forge(auth: Auth, tokens: Tokens) -> Forge:
    """The key as it lies sealed in the database, opened with the master key."""
    query = "SELECT kid, algorithm, public_jwk, private_key_sealed FROM signing_keys WHERE state = 'SIGNING'"
    [row] = await fetch(auth.database.url, query)
    key = SigningKeyRow(**dict(row), state=KeyState.SIGNING)
    private = private_keys.unseal(key, auth.config.key_ring.sealing("signing keys"))
    assert private is not None
    return Forge(private, tokens.access_token)


def _changed(members: Json, changes: Json) -> Json:
    merged = members | changes
    return {name: value for name, value in merged.items() if value is not None}

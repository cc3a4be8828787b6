"""Access tokens as an attacker would make them, and as only the service could."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protos.auth.v1.resources_pb2 import Tokens
from tests.authtest import Auth
from tests.servers import fetch

Json = dict[str, Any]


@dataclass
class Forge:
    """The service's own key, and a good token to start from. None as a value takes the member out."""

    private: Ed25519PrivateKey
    good: str
    header: Json = field(init=False)
    claims: Json = field(init=False)

    def __post_init__(self) -> None:
        self.header = jwt.get_unverified_header(self.good)
        self.claims = jwt.decode(self.good, options={"verify_signature": False})

    def token(self, *, header: Json | None = None, key: Ed25519PrivateKey | None = None, **claims: object) -> str:
        """Signed by the service's key unless another is given."""
        return self.raw(_changed(self.header, header or {}), _changed(self.claims, claims), key)

    def raw(self, header: object, payload: object, key: Ed25519PrivateKey | None = None) -> str:
        signed = f"{encode(header)}.{encode(payload)}"
        return f"{signed}.{encode((key or self.private).sign(signed.encode()))}"


def encode(part: object) -> str:
    """base64url of bytes as they are, or of anything else as JSON."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def forge(auth: Auth, tokens: Tokens) -> Forge:
    """The key as it lies sealed in the database, opened with the master key."""
    [row] = await fetch(auth.database.url, "SELECT kid, private_key_sealed FROM signing_keys WHERE state = 'SIGNING'")
    sealing = auth.config.key_ring.sealing("signing keys")
    raw = sealing.unseal(row["private_key_sealed"], row["kid"].encode())
    assert raw is not None
    return Forge(Ed25519PrivateKey.from_private_bytes(raw), tokens.access_token)


def _changed(members: Json, changes: Json) -> Json:
    merged = members | changes
    return {name: value for name, value in merged.items() if value is not None}

"""The keys that sign access tokens: made on first start, kept sealed in Postgres, public halves given to everybody."""

import secrets
from dataclasses import dataclass, field
from typing import Final

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import OKPAlgorithm

from auth_service.models import SigningKeyRow
from auth_service.store import signing_keys
from shared import crypto
from shared.config import Unusable
from shared.db import Executor

ALGORITHM: Final = "EdDSA"
REFRESH_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs now."""

    kid: str
    private: Ed25519PrivateKey = field(repr=False)


class Keys:
    """What signs, and what checks."""

    def __init__(self, executor: Executor, sealing_key: bytes) -> None:
        """Know no key before `load`."""
        self._executor, self._sealing_key = executor, sealing_key
        self._signing: SigningKey | None = None
        self.public: dict[str, Ed25519PublicKey] = {}
        self.jwks: list[dict[str, str]] = []

    @property
    def signing(self) -> SigningKey:
        """The key that signs."""
        if self._signing is None:
            raise LookupError("no signing key has been loaded")
        return self._signing

    async def load(self) -> None:
        """Read the keys, making the first one where there is none; another's master key raises Unusable."""
        rows = await signing_keys.list_all(self._executor)
        if not any(row.state == "SIGNING" for row in rows):
            await signing_keys.insert_if_none_signs(self._executor, self._generate())
            rows = await signing_keys.list_all(self._executor)
        self.jwks = [row.public_jwk for row in rows]
        self.public = {row.kid: _public(row.public_jwk) for row in rows}
        self._signing = next(self._open(row) for row in rows if row.state == "SIGNING")

    def _generate(self) -> SigningKeyRow:
        kid = secrets.token_urlsafe(12)
        private = Ed25519PrivateKey.generate()
        raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        public: dict[str, str] = orjson.loads(OKPAlgorithm.to_jwk(private.public_key()))
        return SigningKeyRow(
            kid=kid,
            algorithm=ALGORITHM,
            public_jwk={
                "kty": public["kty"],
                "crv": public["crv"],
                "x": public["x"],
                "kid": kid,
                "alg": ALGORITHM,
                "use": "sig",
            },
            private_key_sealed=crypto.seal(self._sealing_key, raw, kid.encode()),
            state="SIGNING",
        )

    def _open(self, row: SigningKeyRow) -> SigningKey:
        raw = crypto.unseal(self._sealing_key, row.private_key_sealed, row.kid.encode())
        if raw is None:
            raise Unusable("master_key", "is not the key that the signing keys in this database were sealed with")
        return SigningKey(row.kid, Ed25519PrivateKey.from_private_bytes(raw))


def _public(jwk: dict[str, str]) -> Ed25519PublicKey:
    key = OKPAlgorithm.from_jwk(dict(jwk))
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError("a private key stands where a public one belongs")
    return key

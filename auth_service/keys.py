"""The keys that sign access tokens: made on first start, kept sealed in Postgres, public halves given to everybody."""

import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from auth_service.models import SigningKeyRow
from auth_service.store import signing_keys
from shared import jwks
from shared.config import Unusable
from shared.crypto import SealingKeys
from shared.db import Executor
from shared.jwks import PublicKey

ALGORITHM: Final = "EdDSA"
REFRESH_SECONDS: Final = 30.0
_VERSION_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs now."""

    kid: str
    private: Ed25519PrivateKey = field(repr=False)


class Keys:
    """What signs, and what checks."""

    def __init__(self, executor: Executor, sealing: SealingKeys) -> None:
        """Know no key before `load`."""
        self._executor, self._sealing = executor, sealing
        self._signing: SigningKey | None = None
        self.public: dict[str, PublicKey] = {}
        self.jwks: list[dict[str, str]] = []
        self.version = ""

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
        self.public = jwks.key_set(self.jwks)
        self.version = sha256(orjson.dumps(self.jwks, option=orjson.OPT_SORT_KEYS)).hexdigest()[:_VERSION_LENGTH]
        self._signing = next(self._open(row) for row in rows if row.state == "SIGNING")

    def _generate(self) -> SigningKeyRow:
        kid = secrets.token_urlsafe(12)
        private = Ed25519PrivateKey.generate()
        raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return SigningKeyRow(
            kid=kid,
            algorithm=ALGORITHM,
            public_jwk=jwks.to_jwk(kid, PublicKey(ALGORITHM, private.public_key())),
            private_key_sealed=self._sealing.seal(raw, kid.encode()),
            state="SIGNING",
        )

    def _open(self, row: SigningKeyRow) -> SigningKey:
        raw = self._sealing.unseal(row.private_key_sealed, row.kid.encode())
        if raw is None:
            raise Unusable("master_key", "is not the key that the signing keys in this database were sealed with")
        return SigningKey(row.kid, Ed25519PrivateKey.from_private_bytes(raw))

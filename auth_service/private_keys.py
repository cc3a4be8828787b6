"""The private halves of signing keys, one way for each algorithm: made, sealed for the database, and opened again."""

import secrets
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from auth_service.models import KeyState, SigningAlgorithm, SigningKeyRow
from shared import jwks
from shared.crypto import SealingKeys
from shared.jwks import PublicKey

PrivateKey: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey

_RSA_BITS: Final = 3072  # as strong as the curves of the other two (NIST SP 800-57 part 1, table 2)
_RSA_EXPONENT: Final = 65537


def make(algorithm: SigningAlgorithm, sealing: SealingKeys) -> SigningKeyRow:
    """A new key under a new name, its private half sealed. RSA takes some tenths of a second: not on the event loop."""
    kid = secrets.token_urlsafe(12)
    private = _generate(algorithm)
    return SigningKeyRow(
        kid=kid,
        algorithm=algorithm.value,
        public_jwk=jwks.to_jwk(kid, PublicKey(algorithm.value, private.public_key())),
        private_key_sealed=sealing.seal(_serialised(private), kid.encode()),
        state=KeyState.PUBLISHED,
    )


def unseal(row: SigningKeyRow, sealing: SealingKeys) -> PrivateKey | None:
    """The private half of a key; None where it is erased, or was sealed under another master key."""
    raw = sealing.unseal(row.private_key_sealed, row.kid.encode()) if row.private_key_sealed else None
    if raw is None:
        return None
    if row.algorithm == SigningAlgorithm.EDDSA:
        return Ed25519PrivateKey.from_private_bytes(raw)
    # What was sealed by us is as we made it; checking that the primes are some would take longer than all the rest.
    key = load_der_private_key(raw, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, EllipticCurvePrivateKey | RSAPrivateKey):
        raise TypeError(f"a key for {row.algorithm} is of another kind")
    return key


def _generate(algorithm: SigningAlgorithm) -> PrivateKey:
    match algorithm:
        case SigningAlgorithm.EDDSA:
            return Ed25519PrivateKey.generate()
        case SigningAlgorithm.ES256:
            return ec.generate_private_key(ec.SECP256R1())
        case SigningAlgorithm.RS256:
            return rsa.generate_private_key(_RSA_EXPONENT, _RSA_BITS)


def _serialised(private: PrivateKey) -> bytes:
    if isinstance(private, Ed25519PrivateKey):
        return private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

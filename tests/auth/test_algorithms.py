"""ES256 and RS256 by setting: as good as EdDSA for whoever checks, and each key for its own algorithm alone (R27)."""

import contextlib
import hmac
import json
from collections.abc import Callable
from hashlib import sha256, sha384, sha512

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.json_format import MessageToDict

from auth_service import private_keys
from auth_service.models import SigningAlgorithm
from auth_service.private_keys import PrivateKey
from protos.auth.v1.auth_service_pb2 import GetJwksRequest
from protos.auth.v1.resources_pb2 import INACTIVE_REASON_INVALID
from tests.auth.forge import Forge, encode, forge
from tests.auth.replicas import RING
from tests.authtest import Auth, auth_config, running_auth
from tests.servers import Servers, TestDatabase

ALGORITHMS = ["EdDSA", "ES256", "RS256"]
OTHERS: dict[str, Callable[[], PrivateKey]] = {
    "EdDSA": Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
}
HMACS = {"HS256": sha256, "HS384": sha384, "HS512": sha512}
CLAIMED = ["none", "None", "nOnE", "", "RS512", "PS256", "ES384", "ES256K", "Ed25519", "ed448", *HMACS, *ALGORITHMS]

algorithms = pytest.mark.parametrize("algorithm", ALGORITHMS)


async def jwks(auth: Auth) -> list[dict[str, str]]:
    return [MessageToDict(key) for key in (await auth.auth.GetJwks(GetJwksRequest())).keys]


@algorithms
async def test_plain_pyjwt_checks_a_token_with_the_keys_of_get_jwks(
    servers: Servers, auth_database: TestDatabase, algorithm: str
) -> None:
    config = auth_config(auth_database, servers.redis.url, AUTH_SIGNING_ALGORITHM=algorithm)
    async with running_auth(auth_database, config) as auth:
        made = await auth.sign_up()
        [key] = await jwks(auth)
        assert key["alg"] == algorithm
        assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi"}
        found = jwt.PyJWKClient("https://auth.example/jwks")
        found.fetch_data = lambda: {"keys": [key]}  # type: ignore[method-assign]
        signing = found.get_signing_key_from_jwt(made.tokens.access_token)
        options = {"require": ["exp", "iat", "sub", "jti"]}
        claims = jwt.decode(made.tokens.access_token, signing, [algorithm], options, audience="chat", issuer="parley")
        assert claims["sub"] == made.user.id
        assert (await auth.verify(made.tokens.access_token)).active
        assert (await auth.refresh(made.tokens.refresh_token)).tokens.access_token


def test_an_rsa_key_is_as_strong_as_the_curves() -> None:
    """R32: ASVS 11.2.3 asks for 128 bits, which is RSA of 3,072."""
    row = private_keys.make(SigningAlgorithm.RS256, RING.sealing("signing keys"))
    private = private_keys.unseal(row, RING.sealing("signing keys"))
    assert isinstance(private, rsa.RSAPrivateKey)
    assert (private.key_size, private.public_key().public_numbers().e) == (3072, 65537)


def otherwise_signed(f: Forge) -> dict[str, str]:
    """By the right key, as PyJWT signs with it for another algorithm than its own."""
    tokens: dict[str, str] = {}
    named = {"kid": f.header["kid"], "typ": f.header["typ"]}
    for algorithm in jwt.algorithms.get_default_algorithms():
        if algorithm not in ("none", f.header["alg"]):
            with contextlib.suppress(TypeError, jwt.InvalidKeyError, ValueError):
                tokens[f"{algorithm} signed by the right key"] = jwt.encode(f.claims, f.private, algorithm, named)
    return tokens


def confused(f: Forge, key: dict[str, str]) -> dict[str, str]:
    """Tokens of another algorithm under the kid of a key that everybody has: CVE-2022-29217 and its family."""
    tokens = {}
    public = f.private.public_key()
    secrets = {
        "PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "JWK": json.dumps(key).encode(),
        "nothing": b"",
    }
    for claimed in CLAIMED:
        header = f.header | {"alg": claimed}
        signed = f"{encode(header)}.{encode(f.claims)}"
        if claimed != f.header["alg"]:
            tokens[f"{claimed} in the header alone"] = f.raw(header, f.claims)
        for name, secret in secrets.items():
            digest = HMACS.get(claimed, sha256)
            tokens[f"{claimed} by HMAC of {name}"] = f"{signed}.{encode(hmac.digest(secret, signed.encode(), digest))}"
        for kind, make in OTHERS.items():
            tokens[f"{claimed} signed by an {kind} key of the attacker"] = f.raw(header, f.claims, make())
    return tokens


@algorithms
async def test_a_token_of_another_algorithm_or_key_is_refused(
    servers: Servers, auth_database: TestDatabase, algorithm: str
) -> None:
    """R26, R27: whatever the header says, the key counts for its own algorithm alone."""
    config = auth_config(auth_database, servers.redis.url, AUTH_SIGNING_ALGORITHM=algorithm)
    async with running_auth(auth_database, config) as auth:
        f = await forge(auth, (await auth.sign_up()).tokens)
        assert f.header["alg"] == algorithm
        assert (await auth.verify(f.token())).active, "the forge makes good tokens"
        forged = confused(f, (await jwks(auth))[0]) | otherwise_signed(f)
        assert len(forged) > 100
        answers = {name: await auth.verify(token) for name, token in forged.items()}
        assert {name for name, it in answers.items() if it.inactive_reason != INACTIVE_REASON_INVALID} == set()


@algorithms
async def test_a_signature_that_is_no_number_or_too_large_a_one_is_refused(
    servers: Servers, auth_database: TestDatabase, algorithm: str
) -> None:
    """R26: CVE-2022-21449 took r = s = 0 of ECDSA for a signature of everything."""
    config = auth_config(auth_database, servers.redis.url, AUTH_SIGNING_ALGORITHM=algorithm)
    async with running_auth(auth_database, config) as auth:
        f = await forge(auth, (await auth.sign_up()).tokens)
        signed, _, signature = f.good.rpartition(".")
        length = len(signature) * 3 // 4
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        for wrong in (
            bytes(length),
            b"\xff" * length,
            b"\x01" * (length - 1),
            b"\x01" * (length + 1),
            b"\x01",
            order.to_bytes(32) * 2,
            bytes(31) + b"\x01" + bytes(31) + b"\x01",
        ):
            answer = await auth.verify(f"{signed}.{encode(wrong)}")
            assert answer.inactive_reason == INACTIVE_REASON_INVALID

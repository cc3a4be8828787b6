"""Key sets of another process: what is taken of them is exactly what an algorithm asks for."""

import base64
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import jwks
from shared.jwks import PublicKey, UnusableKey

RSA_PRIVATE = rsa.generate_private_key(65537, 2048)
KEYS = {
    "EdDSA": PublicKey("EdDSA", Ed25519PrivateKey.generate().public_key()),
    "ES256": PublicKey("ES256", ec.generate_private_key(ec.SECP256R1()).public_key()),
    "RS256": PublicKey("RS256", RSA_PRIVATE.public_key()),
}
JWKS: dict[str, dict[str, Any]] = {name: dict(jwks.to_jwk(f"k-{name}", key)) for name, key in KEYS.items()}


def encode(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def refused(jwk: dict[str, Any]) -> str:
    with pytest.raises(UnusableKey) as problem:
        jwks.public_key(jwk)
    return str(problem.value)


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_key_survives_its_jwk(algorithm: str) -> None:
    assert jwks.public_key(JWKS[algorithm]) == KEYS[algorithm]
    assert jwt.PyJWK(JWKS[algorithm]).algorithm_name == algorithm
    assert JWKS[algorithm].keys() & {"d", "p", "q", "k"} == set()


@pytest.mark.parametrize("algorithm", KEYS)
def test_members_that_are_empty_or_not_known_are_passed_over(algorithm: str) -> None:
    """A message of the proto has all members, empty where they are not of the key's kind."""
    empty = dict.fromkeys(("kty", "crv", "x", "y", "n", "e"), "")
    assert jwks.public_key(empty | JWKS[algorithm] | {"x5t": "later"}) == KEYS[algorithm]


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_private_member_is_refused(algorithm: str, member: str) -> None:
    assert refused(JWKS[algorithm] | {member: ""}) == "it shows a private half"


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("member", ["kty", "crv", "alg", "use", "kid", "x", "y", "n", "e"])
@pytest.mark.parametrize("value", [None, 1, "", "none", "HS256", "sig ", ["sig"], "AQAB=", "A", "a" * 65])
def test_a_member_that_is_anything_else_is_refused(algorithm: str, member: str, value: object) -> None:
    """R27, R28: no other algorithm, curve or use; no kid that could be a path or a query."""
    good = JWKS[algorithm]
    if member not in good or (member == "kid" and value in ("none", "HS256", "A")):
        return
    assert refused(good | {member: value})
    assert refused({name: text for name, text in good.items() if name != member})


@pytest.mark.parametrize("kid", ["../key", "a b", "a'--", "/dev/null", "a\n", "ä"])
def test_a_kid_is_a_plain_name(kid: str) -> None:
    assert "kid" in refused(JWKS["EdDSA"] | {"kid": kid})


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("other", [*KEYS, "HS256", "RS512", "PS256", "ES384", "none"])
def test_a_key_counts_for_its_own_algorithm_alone(algorithm: str, other: str) -> None:
    """R27: RFC 8725 section 3.1."""
    if other != algorithm:
        assert "alg" in refused(JWKS[algorithm] | {"alg": other})


def test_a_point_off_the_curve_is_refused() -> None:
    x = JWKS["ES256"]["x"]
    assert refused(JWKS["ES256"] | {"y": x}) == "its point is not on the curve"
    assert refused(JWKS["ES256"] | {"x": "A" * 43, "y": "A" * 43}) == "its point is not on the curve"


def test_a_coordinate_of_another_length_is_refused() -> None:
    for algorithm in ("EdDSA", "ES256"):
        for raw in (b"\0" + b"\1" * 32, b"\1" * 31):
            text = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
            assert refused(JWKS[algorithm] | {"x": text}) == "its x has the wrong length"


def test_a_weak_rsa_key_is_refused() -> None:
    """R32: fewer than 2,048 bits, an exponent that is easy to forge for, an even modulus, one that takes for ever."""
    n = RSA_PRIVATE.public_key().public_numbers().n
    for changed in (
        {"n": encode(n >> 1)},
        {"n": encode(n ^ 1)},
        {"n": encode((1 << 8192) | n)},
        {"e": encode(3)},
        {"e": encode(1)},
        {"e": encode((1 << 64) + 1)},
        {"n": base64.urlsafe_b64encode(b"\0" + n.to_bytes(256)).rstrip(b"=").decode()},
    ):
        assert refused(JWKS["RS256"] | changed)


def test_a_set_leaves_out_what_it_cannot_use_and_names_that_stand_twice() -> None:
    twice = JWKS["ES256"] | {"kid": "k-EdDSA"}
    assert jwks.key_set(JWKS.values()).keys() == {"k-EdDSA", "k-ES256", "k-RS256"}
    assert jwks.key_set([*JWKS.values(), {"kty": "later", "kid": "new"}]).keys() == jwks.key_set(JWKS.values()).keys()
    assert jwks.key_set([*JWKS.values(), twice]).keys() == {"k-ES256", "k-RS256"}
    assert jwks.key_set([{}, {}, {"kid": 3}, {"kid": None}]) == {}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    jwk=st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"]),
        st.none() | st.integers() | st.text() | st.sampled_from(["OKP", "EC", "RSA", "EdDSA", "ES256", "RS256", "sig"]),
    ),
    algorithm=st.sampled_from(list(KEYS)),
)
def test_rubbish_is_refused_and_never_an_accident(jwk: dict[str, Any], algorithm: str) -> None:
    """R50."""
    for listed in (jwk, JWKS[algorithm] | jwk):
        assert all(key in KEYS.values() for key in jwks.key_set([listed]).values())

"""Checking access tokens: what is remembered of a good one, and for how long."""

import json
import time
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import access_tokens, clock
from shared.access_tokens import LEEWAY_SECONDS, Refusal, TokenChecker, TokenRefused, UnknownKey
from shared.jwks import PublicKey

USER, SESSION = UUID(int=1), UUID(int=2)
PRIVATE = Ed25519PrivateKey.generate()
KEYS = {"k1": PublicKey("EdDSA", PRIVATE.public_key())}
NOW = 1_900_000_000


def make(**claims: object) -> str:
    good = {
        "iss": "parley",
        "aud": ["auth", "chat"],
        "sub": str(USER),
        "sid": str(SESSION),
        "jti": "j1",
        "iat": int(time.time()) - 10,
        "exp": int(time.time()) + 600,
    }
    return jwt.encode(good | claims, PRIVATE, "EdDSA", {"kid": "k1", "typ": access_tokens.TYPE})


def checker(audience: str = "auth") -> TokenChecker:
    return TokenChecker("parley", audience)


def refusal(token: str, by: TokenChecker | None = None) -> Refusal:
    with pytest.raises(TokenRefused) as refused:
        (by or checker()).check(token, KEYS)
    return refused.value.refusal


def test_a_good_token_tells_what_it_says() -> None:
    claims = checker().check(make(exp=4_000_000_000, iat=1), KEYS)
    assert (claims.user_id, claims.session_id, claims.token_id) == (USER, SESSION, "j1")
    assert (claims.issue_time, claims.expire_time) == (1, 4_000_000_000)
    assert claims.principal.expire_time == datetime(2096, 10, 2, 7, 6, 40, tzinfo=UTC)


def test_a_token_counts_for_the_audience_of_its_checker_alone() -> None:
    """R31: what is for auth alone is nothing to chat."""
    token = make(aud=["auth"])
    assert checker("auth").check(token, KEYS).user_id == USER
    assert refusal(token, checker("chat")) is Refusal.INVALID


def test_a_token_is_good_until_the_leeway_is_over() -> None:
    """R29: five seconds."""
    assert checker().check(make(exp=int(time.time()) - LEEWAY_SECONDS + 2), KEYS).user_id == USER
    assert refusal(make(exp=int(time.time()) - LEEWAY_SECONDS)) is Refusal.EXPIRED


def test_a_remembered_token_expires_at_the_same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    checking, token = checker(), make()
    end = checking.check(token, KEYS).expire_time
    monkeypatch.setattr(clock, "timestamp", lambda: end + LEEWAY_SECONDS - 1)
    assert checking.check(token, KEYS).user_id == USER
    monkeypatch.setattr(clock, "timestamp", lambda: end + LEEWAY_SECONDS)
    assert refusal(token, checking) is Refusal.EXPIRED
    assert checking._remembered == {}


def test_a_remembered_token_is_not_looked_at_again() -> None:
    checking, token = checker(), make()
    first = checking.check(token, KEYS)
    another = PublicKey("EdDSA", Ed25519PrivateKey.generate().public_key())
    assert checking.check(token, {"k1": another}) is first


def test_a_remembered_token_ends_with_its_key_and_leaves_those_of_other_keys() -> None:
    """A key that is withdrawn is left out of the set: from then on no token of it counts, and nobody else's ends."""
    checking, token = checker(), make()
    private = Ed25519PrivateKey.generate()
    both = KEYS | {"k2": PublicKey("EdDSA", private.public_key())}
    claims = jwt.decode(token, options={"verify_signature": False})
    other = jwt.encode(claims, private, "EdDSA", {"kid": "k2", "typ": access_tokens.TYPE})
    checking.check(token, both)
    remembered = checking.check(other, both)
    rest = {"k2": both["k2"]}
    with pytest.raises(UnknownKey):
        checking.check(token, rest)
    assert checking.check(other, rest) is remembered


def test_a_token_that_was_refused_once_is_good_when_its_key_is_known() -> None:
    """Nothing is remembered of a refusal: around a rotation a key may be known a moment later."""
    checking, token = checker(), make()
    with pytest.raises(UnknownKey):
        checking.check(token, {})
    assert checking.check(token, KEYS).user_id == USER


def test_what_is_remembered_is_bounded_and_the_expired_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_tokens, "_REMEMBERED", 3)
    checking, real = checker(), clock.timestamp
    lasting = make(jti="lasting")
    short = [make(jti=str(number), exp=int(time.time()) + 5) for number in range(2)]
    for token in (lasting, *short):
        checking.check(token, KEYS)
    monkeypatch.setattr(clock, "timestamp", lambda: real() + 60)
    checking.check(make(jti="next"), KEYS)
    assert checking.check(lasting, KEYS).token_id == "lasting"
    for number in range(10):
        checking.check(make(jti=f"many {number}"), KEYS)
    assert len(checking._remembered) <= 3


def test_no_token_is_kept_but_its_digest() -> None:
    checking, token = checker(), make()
    checking.check(token, KEYS)
    assert list(checking._remembered) == [sha256(token.encode()).digest()]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_token_with_any_one_character_changed_added_or_left_out_is_refused(data: st.DataObject) -> None:
    """R26, R37: there is one spelling of a token."""
    token = make(exp=4_000_000_000, iat=NOW - 500_000_000, jti="fixed")
    place = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters(codec="utf-8"))
    kind = data.draw(st.sampled_from(["change", "add", "leave out"]))
    changed = {
        "change": token[:place] + character + token[place + 1 :],
        "add": token[:place] + character + token[place:],
        "leave out": token[:place] + token[place + 1 :],
    }[kind]
    if changed == token:
        assert checker().check(changed, KEYS).user_id == USER
    else:
        assert refusal(changed) in (Refusal.MALFORMED, Refusal.INVALID)


@settings(max_examples=100, deadline=None)
@given(
    claims=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )
)
@pytest.mark.parametrize("claim", ["sub", "sid", "jti", "iat", "exp", "iss", "aud", "nbf"])
def test_a_claim_of_any_other_kind_is_refused_and_never_an_accident(claim: str, claims: object) -> None:
    """R29, R50: signed by the right key, and still no crash."""
    body = {"iss": "parley", "aud": ["auth"], "sub": str(USER), "sid": str(SESSION), "jti": "j", "iat": 1, "exp": 4e9}
    payload = json.dumps(body | {claim: claims}).encode()
    token = jwt.api_jws.encode(payload, PRIVATE, "EdDSA", {"kid": "k1", "typ": access_tokens.TYPE})
    try:
        checked = checker().check(token, KEYS)
    except TokenRefused:
        return
    assert checked.user_id == USER
    assert claim in ("jti", "iat", "exp", "nbf")

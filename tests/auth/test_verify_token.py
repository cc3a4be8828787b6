"""VerifyToken and BatchVerifyTokens: a good token is good, and no other is (RFC 8725)."""

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from hashlib import sha256

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protos.auth.v1.account_service_pb2 import GetProfileRequest
from protos.auth.v1.auth_service_pb2 import BatchVerifyTokensRequest, VerifyTokenResponse
from protos.auth.v1.resources_pb2 import (
    INACTIVE_REASON_EXPIRED,
    INACTIVE_REASON_INVALID,
    INACTIVE_REASON_MALFORMED,
    INACTIVE_REASON_REVOKED,
    INACTIVE_REASON_USER_INACTIVE,
    SESSION_KIND_SIGN_IN,
    InactiveReason,
)
from tests.auth.forge import Forge, encode, forge
from tests.authtest import Auth, auth_config, bearer, running_auth
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, fetch

REQUIRED = ("sub", "sid", "jti", "iat", "exp", "iss", "aud")
HOUR = 3600


def now() -> int:
    return int(time.time())


def other_spelling(token: str) -> str:
    """The last letter of a 64-byte signature holds four bits that say nothing: another letter decodes to the same."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


def with_hmac(f: Forge, secret: bytes, **header: object) -> str:
    """Key confusion (CVE-2022-29217): the public key, which everybody has, as the secret of an HMAC."""
    signed = f"{encode(f.header | {'alg': 'HS256'} | header)}.{encode(f.claims)}"
    return f"{signed}.{encode(hmac.digest(secret, signed.encode(), sha256))}"


def with_ecdsa(f: Forge) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    signed = f"{encode(f.header | {'alg': 'ES256'})}.{encode(f.claims)}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
    return f"{signed}.{encode(r.to_bytes(32) + s.to_bytes(32))}"


def with_own_key(f: Forge, **header: object) -> str:
    """The attacker's key, and a header that offers it."""
    own = Ed25519PrivateKey.generate()
    x = encode(own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    offered = {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": x}} if header == {"jwk": None} else header
    return f.token(header=offered, key=own)


def public(f: Forge, encoding: Encoding, form: PublicFormat) -> bytes:
    return f.private.public_key().public_bytes(encoding, form)


def parts(token: str) -> list[str]:
    return token.split(".")


def doubled(f: Forge, part: str) -> str:
    """A member that stands twice: which one counts depends on the parser."""
    header, claims = json.dumps(f.header), json.dumps(f.claims)
    if part == "header":
        header = header[:-1] + ', "kid": "another"}'
    else:
        claims = claims[:-1] + ', "sub": "00000000-0000-7000-8000-000000000000"}'
    return f.raw(header.encode(), claims.encode())


MALFORMED: dict[str, Callable[[Forge], str]] = {
    "empty": lambda _: "",
    "a word": lambda _: "token",
    "dots": lambda _: "..",
    "two parts": lambda f: ".".join(parts(f.good)[:2]),
    "four parts": lambda f: f.good + "." + parts(f.good)[2],
    "no signature": lambda f: ".".join(parts(f.good)[:2]) + ".",
    "alg none without a signature": lambda f: f"{encode(f.header | {'alg': 'none'})}.{encode(f.claims)}.",
    "padded": lambda f: f.good + "=",
    "padded twice": lambda f: f.good + "==",
    "a line end": lambda f: f.good + "\n",
    "a blank": lambda f: " " + f.good,
    "a NUL": lambda f: f.good + "\0",
    "with its scheme": lambda f: "Bearer " + f.good,
    "another spelling of the signature": lambda f: other_spelling(f.good),
    "the other alphabet": lambda f: f.good.replace("-", "+").replace("_", "/") + "+",
    "an accent": lambda f: f.good + "é",
    "a claim twice": lambda f: doubled(f, "claims"),
    "a header twice": lambda f: doubled(f, "header"),
    "a list of claims": lambda f: f.raw(f.header, [f.claims]),
    "claims that are a text": lambda f: f.raw(f.header, "claims"),
    "claims that are no JSON": lambda f: f.raw(f.header, b"{sub: 1}"),
    "claims with something behind": lambda f: f.raw(f.header, json.dumps(f.claims).encode() + b"{}"),
    "claims that are no UTF-8": lambda f: f.raw(f.header, b'{"sub": "\xff"}'),
    "claims in UTF-16": lambda f: f.raw(f.header, json.dumps(f.claims).encode("utf-16")),
    "claims behind a byte order mark": lambda f: f.raw(f.header, json.dumps(f.claims).encode("utf-8-sig")),
    "a header that is null": lambda f: f.raw(None, f.claims),
    "deeply nested": lambda f: f.raw(f.header, b"[" * 2000),
    "a number of 2,000 digits": lambda f: f.raw(f.header, b'{"exp": ' + b"9" * 2000 + b"]"),
    "over 4,096 characters": lambda f: f.token(padding="x" * 4096),
    "a megabyte": lambda f: f.token(padding="x" * 1_000_000),
}

INVALID: dict[str, Callable[[Forge], str]] = {
    "alg none": lambda f: f.token(header={"alg": "none"}),
    "alg None": lambda f: f.token(header={"alg": "None"}),
    "alg nOnE": lambda f: f.token(header={"alg": "nOnE"}),
    "alg null": lambda f: f.raw(f.header | {"alg": None}, f.claims),
    "alg EDDSA": lambda f: f.token(header={"alg": "EDDSA"}),
    "alg a list": lambda f: f.token(header={"alg": ["EdDSA"]}),
    "HS256 with the raw public key": lambda f: with_hmac(f, public(f, Encoding.Raw, PublicFormat.Raw)),
    "HS256 with its PEM": lambda f: with_hmac(f, public(f, Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
    "HS256 with its DER": lambda f: with_hmac(f, public(f, Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    "HS256 with its OpenSSH form": lambda f: with_hmac(f, public(f, Encoding.OpenSSH, PublicFormat.OpenSSH)),
    "HS256 with nothing": lambda f: with_hmac(f, b""),
    "HS256 called EdDSA": lambda f: with_hmac(f, public(f, Encoding.Raw, PublicFormat.Raw), alg="EdDSA"),
    "HS256 with an empty file": lambda f: with_hmac(f, b"", kid="/dev/null"),
    "ES256": with_ecdsa,
    "another key": with_own_key,
    "another key in jwk": lambda f: with_own_key(f, jwk=None),
    "another key at jku": lambda f: with_own_key(f, jku="https://attacker.example/jwks"),
    "another key at x5u": lambda f: with_own_key(f, x5u="https://attacker.example/certificate"),
    "another key in x5c": lambda f: with_own_key(f, x5c=["MIIB"]),
    "our key and a jku": lambda f: f.token(header={"jku": "https://attacker.example/jwks"}),
    "our key and a jwk": lambda f: f.token(header={"jwk": {"kty": "OKP"}}),
    "our key and an x5u": lambda f: f.token(header={"x5u": "https://attacker.example/certificate"}),
    "a crit": lambda f: f.token(header={"crit": ["exp"]}),
    "an empty crit": lambda f: f.token(header={"crit": []}),
    "b64 false": lambda f: f.token(header={"b64": False, "crit": ["b64"]}),
    "an unknown kid": lambda f: f.token(header={"kid": "unknown"}),
    "no kid": lambda f: f.token(header={"kid": None}),
    "a kid that is a path": lambda f: f.token(header={"kid": "../../../../dev/null"}),
    "a kid that is SQL": lambda f: f.token(header={"kid": "' OR 1=1 --"}),
    "a kid that is a number": lambda f: f.token(header={"kid": 0}),
    "a kid that is a list": lambda f: f.token(header={"kid": [f.header["kid"]]}),
    "a kid that is an object": lambda f: f.token(header={"kid": {}}),
    "typ JWT": lambda f: f.token(header={"typ": "JWT"}),
    "typ of another kind": lambda f: f.token(header={"typ": "rt+jwt"}),
    "no typ": lambda f: f.token(header={"typ": None}),
    "a changed claim": lambda f: ".".join(
        [parts(f.good)[0], encode(f.claims | {"roles": ["admin"]}), parts(f.good)[2]]
    ),
    "the signature of another token": lambda f: ".".join([*parts(f.token(jti="x"))[:2], parts(f.good)[2]]),
    "half a signature": lambda f: ".".join([*parts(f.good)[:2], encode(bytes(32))]),
    "a zero signature": lambda f: ".".join([*parts(f.good)[:2], encode(bytes(64))]),
    "another issuer": lambda f: f.token(iss="https://attacker.example"),
    "a part of the issuer": lambda f: f.token(iss="parle"),
    "a list of issuers": lambda f: f.token(iss=["parley"]),
    "for chat alone": lambda f: f.token(aud=["chat"]),
    "for nobody": lambda f: f.token(aud=[]),
    "for a part of auth": lambda f: f.token(aud=["aut"]),
    "an audience that is a text": lambda f: f.token(aud="auth"),
    "an audience with a number": lambda f: f.token(aud=["auth", 1]),
    "an empty scope": lambda f: f.token(scope=""),
    "a scope that is a list": lambda f: f.token(scope=["chat.read"]),
    "scopes with two blanks": lambda f: f.token(scope="chat.read  chat.write"),
    "scopes with a line end": lambda f: f.token(scope="chat.read\n"),
    "a null scope": lambda f: f.raw(f.header, f.claims | {"scope": None}),
    "acted for without a scope": lambda f: f.token(act={"sub": f.claims["sub"], "sid": f.claims["sid"]}),
    "acted for by a text": lambda f: f.token(act=f.claims["sub"], scope="chat.read"),
    "acted for by half an actor": lambda f: f.token(act={"sub": f.claims["sub"]}, scope="chat.read"),
    "a null actor": lambda f: f.raw(f.header, f.claims | {"act": None, "scope": "chat.read"}),
    "a client that is no id": lambda f: f.token(client_id="me"),
    "a user that is no id": lambda f: f.token(sub="ada@example.com"),
    "a user that is a number": lambda f: f.token(sub=1),
    "a session that is a list": lambda f: f.token(sid=[]),
    "an empty session": lambda f: f.token(sid=""),
    "a jti that is a number": lambda f: f.token(jti=1),
    "issued in the future": lambda f: f.token(iat=now() + HOUR),
    "issued as a text": lambda f: f.token(iat=str(now())),
    "good only later": lambda f: f.token(nbf=now() + HOUR),
    "nbf as a text": lambda f: f.token(nbf="0"),
    "an expiry as a text": lambda f: f.token(exp=str(now() + HOUR)),
    "an expiry that is true": lambda f: f.token(exp=True),
    "an expiry that is a fraction": lambda f: f.token(exp=now() + 0.5),
    "a negative expiry": lambda f: f.token(exp=-1),
    "an expiry that is no date": lambda f: f.token(exp=10**30),
    "an endless expiry": lambda f: f.raw(f.header, json.dumps(f.claims | {"exp": float("inf")}).encode()),
    "an expiry that is not a number": lambda f: f.raw(f.header, json.dumps(f.claims | {"exp": float("nan")}).encode()),
    **{f"no {claim}": lambda f, claim=claim: f.token(**{claim: None}) for claim in REQUIRED},
    **{f"{claim} null": lambda f, claim=claim: f.raw(f.header, f.claims | {claim: None}) for claim in REQUIRED},
}

EXPIRED: dict[str, Callable[[Forge], str]] = {
    "an hour ago": lambda f: f.token(iat=now() - 2 * HOUR, exp=now() - HOUR),
    "just over the leeway ago": lambda f: f.token(iat=now() - HOUR, exp=now() - 6),
    "in 1970": lambda f: f.token(exp=0),
}

BAD = [
    pytest.param(make, reason, id=f"{InactiveReason.Name(reason)[16:]}-{name}")
    for reason, cases in (
        (INACTIVE_REASON_MALFORMED, MALFORMED),
        (INACTIVE_REASON_INVALID, INVALID),
        (INACTIVE_REASON_EXPIRED, EXPIRED),
    )
    for name, make in cases.items()
]


async def test_the_forge_makes_tokens_that_count(auth: Auth) -> None:
    """What the tests below change is then what is refused."""
    made = await auth.sign_up()
    forged = await forge(auth, made.tokens)
    assert (await auth.verify(forged.token())).active
    assert (await auth.verify(forged.token(padding="x" * 1000, nbf=now()))).session_id == made.session.id


async def test_every_bad_token_is_inactive_for_its_reason_and_says_nothing_else(auth: Auth) -> None:
    """R26, R27, R28, R29, R30, R37. One server for all of them: they leave nothing behind."""
    forged = await forge(auth, (await auth.sign_up()).tokens)
    assert (await auth.verify(forged.good)).active  # remembered, so that another spelling of it would be found
    wrong = {}
    for case in BAD:
        make, reason = case.values
        answer = await auth.verify(make(forged))
        if answer != VerifyTokenResponse(active=False, inactive_reason=reason):
            wrong[case.id] = str(answer)
    assert wrong == {}
    assert (await auth.verify(forged.good)).active


async def test_a_bad_bearer_token_opens_no_method_and_the_error_tells_why(auth: Auth) -> None:
    """R26, R50: what VerifyToken refuses, auth's own methods refuse."""
    forged = await forge(auth, (await auth.sign_up()).tokens)
    for case in BAD:
        make, reason = case.values
        token = make(forged)
        if not token.isascii() or not token.isprintable() or len(token) > 4000:
            continue
        failed = await failure(auth.account.GetProfile(GetProfileRequest(), metadata=bearer(token)))
        assert (case.id, failed.code, failed.reason) == (case.id, grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
        told = failed.facts["inactive_reason"]
        assert (case.id, f"INACTIVE_REASON_{told}") == (case.id, InactiveReason.Name(reason))


async def test_a_refresh_token_is_no_access_token_nor_the_other_way_round(auth: Auth) -> None:
    """R30."""
    tokens = (await auth.sign_up()).tokens
    assert (await auth.verify(tokens.refresh_token)).inactive_reason == INACTIVE_REASON_MALFORMED
    assert (await failure(auth.refresh(tokens.access_token))).reason == "REFRESH_TOKEN_INVALID"


async def test_an_active_token_tells_whose_it_is(auth: Auth) -> None:
    made = await auth.sign_up()
    answer = await auth.verify(made.tokens.access_token)
    assert answer == VerifyTokenResponse(
        active=True,
        user_id=made.user.id,
        session_id=made.session.id,
        auth_methods=["pwd"],
        expire_time=made.tokens.access_token_expire_time,
        session_kind=SESSION_KIND_SIGN_IN,
        assurance_level=1,
        auth_time=made.session.auth_time,
    )


async def test_a_token_of_another_users_session_is_refused_though_we_signed_it(auth: Auth) -> None:
    """R33: user and session must belong together."""
    ada, eve = await auth.sign_up(), await auth.sign_up(email="eve@example.com")
    forged = await forge(auth, ada.tokens)
    assert (await auth.verify(forged.token(sid=eve.session.id))).inactive_reason == INACTIVE_REASON_REVOKED
    assert (await auth.verify(forged.token(sub=eve.user.id))).inactive_reason == INACTIVE_REASON_REVOKED


async def test_a_token_of_nobodys_session_is_refused_though_we_signed_it(auth: Auth) -> None:
    """R33."""
    forged = await forge(auth, (await auth.sign_up()).tokens)
    nobody = "01900000-0000-7000-8000-000000000000"
    assert (await auth.verify(forged.token(sid=nobody))).inactive_reason == INACTIVE_REASON_REVOKED
    assert (await auth.verify(forged.token(sub=nobody, sid=nobody))).inactive_reason == INACTIVE_REASON_REVOKED


async def test_a_session_past_its_absolute_end_is_over_for_tokens_that_are_not(auth: Auth) -> None:
    """R19."""
    made = await auth.sign_up()
    await fetch(auth.database.url, "UPDATE sessions SET expire_time = now() - interval '1 second'")
    assert (await auth.verify(made.tokens.access_token)).inactive_reason == INACTIVE_REASON_REVOKED


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE users SET state = 'SUSPENDED'", INACTIVE_REASON_USER_INACTIVE),
        ("DELETE FROM users", INACTIVE_REASON_REVOKED),
    ],
)
async def test_the_tokens_of_a_user_who_is_suspended_or_gone_are_inactive(
    auth: Auth, statement: str, reason: InactiveReason
) -> None:
    """R21."""
    made = await auth.sign_up()
    await fetch(auth.database.url, statement)
    assert (await auth.verify(made.tokens.access_token)).inactive_reason == reason
    failed = await failure(auth.account.GetProfile(GetProfileRequest(), metadata=bearer(made.tokens)))
    assert failed.reason == "UNAUTHENTICATED"


async def batch(auth: Auth, tokens: list[str]) -> list[VerifyTokenResponse]:
    return list((await auth.auth.BatchVerifyTokens(BatchVerifyTokensRequest(access_tokens=tokens))).results)


async def test_a_batch_is_answered_in_its_order_repeats_and_bad_tokens_included(auth: Auth) -> None:
    people = [await auth.sign_up(email=f"person{number}@example.com") for number in range(4)]
    tokens = [person.tokens.access_token for person in people]
    asked = [tokens[2], "rubbish", tokens[0], tokens[2], "", tokens[3], tokens[1]]
    answers = await batch(auth, asked)
    assert [answer.user_id for answer in answers] == [
        people[2].user.id, "", people[0].user.id, people[2].user.id, "", people[3].user.id, people[1].user.id
    ]  # fmt: skip
    assert answers == [await auth.verify(token) for token in asked]


async def test_a_batch_has_one_to_a_hundred_tokens(auth: Auth) -> None:
    token = (await auth.sign_up()).tokens.access_token
    assert [answer.active for answer in await batch(auth, [token] * 100)] == [True] * 100
    for tokens in ([], [token] * 101):
        failed = await failure(batch(auth, tokens))
        assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
        assert failed.violations == {"access_tokens": "must have 1 to 100 items"}


async def test_a_token_is_as_good_alone_as_among_many_at_once(auth: Auth) -> None:
    made = await auth.sign_up()
    other = await auth.sign_up(email="eve@example.com")
    await auth.log_out(other.tokens)
    asked = [made.tokens.access_token, other.tokens.access_token, "rubbish"] * 40
    answers = await asyncio.gather(*map(auth.verify, asked))
    assert [answer.active for answer in answers] == [True, False, False] * 40
    assert {answer.user_id for answer in answers} == {made.user.id, ""}


async def test_a_token_does_not_outlive_its_session(auth_database: TestDatabase, servers: Servers) -> None:
    """R19, F24: who checks it without reading the session ends it in time too."""
    minute = str(1 / 24 / 60)
    async with running_auth(
        auth_database, auth_config(auth_database, servers.redis.url, AUTH_SESSION_DAYS=minute)
    ) as auth:
        made = await auth.sign_up()
        renewed = await auth.refresh(made.tokens.refresh_token)
        for tokens in (made.tokens, renewed.tokens):
            assert tokens.access_token_expire_time.seconds == made.session.expire_time.seconds


async def test_tokens_are_for_the_audiences_of_the_settings(auth_database: TestDatabase, servers: Servers) -> None:
    """R31."""
    config = auth_config(auth_database, servers.redis.url, AUTH_AUDIENCES="chat,orders")
    async with running_auth(auth_database, config) as auth:
        token = (await auth.sign_up()).tokens.access_token
        assert jwt.decode(token, options={"verify_signature": False})["aud"] == ["auth", "chat", "orders"]
        assert (await auth.verify(token)).active

"""The key that signs access tokens: who can check with it, and who can read it."""

import asyncio
import json
from contextlib import AsyncExitStack

import jwt
import pytest
from google.protobuf.json_format import MessageToDict

from protos.auth.v1.auth_service_pb2 import GetJwksRequest
from shared.config import Unusable
from tests.authtest import Auth, auth_config, running_auth
from tests.servers import Servers, TestDatabase, fetch, make_master_key


async def jwks(auth: Auth) -> list[dict[str, str]]:
    return [MessageToDict(key) for key in (await auth.auth.GetJwks(GetJwksRequest())).keys]


async def test_a_client_checks_a_token_with_the_keys_of_get_jwks_alone(auth: Auth) -> None:
    made = await auth.sign_up()
    keys = {key["kid"]: jwt.PyJWK(key) for key in await jwks(auth)}
    token = made.tokens.access_token
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=[key.algorithm_name], audience="chat", issuer="parley")
    assert claims["sub"] == made.user.id
    assert claims["sid"] == made.session.id
    assert claims["exp"] == made.tokens.access_token_expire_time.seconds
    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "exp", "roles", "amr", "acr", "auth_time"}
    assert 570 <= claims["exp"] - claims["iat"] <= 600


async def test_the_key_set_has_public_halves_alone_and_says_how_long_it_holds(auth: Auth) -> None:
    [key] = await jwks(auth)
    assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("OKP", "Ed25519", "EdDSA", "sig")
    assert (await auth.auth.GetJwks(GetJwksRequest())).max_age.seconds == 30


async def test_no_two_tokens_have_one_id(auth: Auth) -> None:
    tokens = [(await auth.sign_up(f"a{number}@example.com")).tokens.access_token for number in range(5)]
    assert len({jwt.decode(token, options={"verify_signature": False})["jti"] for token in tokens}) == 5


async def test_tokens_and_keys_survive_a_restart(servers: Servers, auth_database: TestDatabase) -> None:
    config = auth_config(auth_database, servers.redis.url)
    async with running_auth(auth_database, config) as before:
        made, keys = await before.sign_up(), await jwks(before)
    async with running_auth(auth_database, config) as after:
        assert await jwks(after) == keys
        assert (await after.verify(made.tokens.access_token)).session_id == made.session.id
        assert (await after.refresh(made.tokens.refresh_token)).tokens.access_token


async def test_servers_that_start_at_once_agree_on_one_key(servers: Servers, auth_database: TestDatabase) -> None:
    config = auth_config(auth_database, servers.redis.url)
    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(running_auth(auth_database, config)) for _ in range(3)]
        running = await asyncio.gather(*starting)
        sets = [await jwks(auth) for auth in running]
        assert sets == [sets[0]] * 3
        token = (await running[0].sign_up()).tokens.access_token
        assert [(await auth.verify(token)).active for auth in running] == [True] * 3
    assert len(await fetch(auth_database.url, "SELECT kid FROM signing_keys")) == 1


async def test_the_private_half_lies_sealed_in_the_database(auth: Auth) -> None:
    [row] = await fetch(auth.database.url, "SELECT kid, private_key_sealed, public_jwk::text FROM signing_keys")
    sealing = auth.config.key_ring.sealing("signing keys")
    raw = sealing.unseal(row["private_key_sealed"], row["kid"].encode())
    assert raw is not None
    assert len(raw) == 32
    assert raw not in row["private_key_sealed"]
    assert sealing.unseal(row["private_key_sealed"], b"another kid") is None
    assert "d" not in json.loads(row["public_jwk"])


async def test_another_master_key_refuses_to_start_and_changes_nothing(auth: Auth) -> None:
    before = await fetch(auth.database.url, "SELECT * FROM signing_keys")
    other = auth_config(auth.database, auth.config.redis_url.get_secret_value(), AUTH_MASTER_KEY=make_master_key())
    with pytest.raises(Unusable, match=r"master_key is not the key that the signing keys .* were sealed with"):
        async with running_auth(auth.database, other):
            pass
    assert await fetch(auth.database.url, "SELECT * FROM signing_keys") == before

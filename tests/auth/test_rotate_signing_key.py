"""RotateSigningKey and its command: a key is replaced before it is time, quietly or all at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import grpc
import jwt
import pytest

from auth_service.keys import OVERLAP
from protos.auth.v1.account_service_pb2 import GetProfileRequest
from protos.auth.v1.administration_pb2 import ListAuditEventsRequest
from protos.auth.v1.auth_service_pb2 import GetJwksRequest
from protos.auth.v1.resources_pb2 import INACTIVE_REASON_INVALID, Tokens
from protos.auth.v1.signing_keys_pb2 import (
    SIGNING_KEY_STATE_PUBLISHED,
    SIGNING_KEY_STATE_REMOVED,
    SIGNING_KEY_STATE_RETIRING,
    SIGNING_KEY_STATE_SIGNING,
    RotateSigningKeyRequest,
    SigningKey,
)
from tests.auth.processes import environment, run
from tests.auth.replicas import later
from tests.authtest import Auth, auth_config, bearer, running_auth
from tests.grpc_errors import code_of, failure
from tests.servers import Servers, TestDatabase, fetch


async def administrator(auth: Auth) -> Tokens:
    made = await auth.sign_up("admin@example.com")
    await fetch(auth.database.url, "UPDATE users SET roles = '{admin}' WHERE email = 'admin@example.com'")
    return made.tokens


async def rotate(auth: Auth, tokens: Tokens, *, emergency: bool = False) -> list[SigningKey]:
    request = RotateSigningKeyRequest(emergency=emergency)
    return list((await auth.admin.RotateSigningKey(request, metadata=bearer(tokens))).keys)


async def kids(auth: Auth) -> list[str]:
    return [key.kid for key in (await auth.auth.GetJwks(GetJwksRequest())).keys]


def kid_of(tokens: Tokens) -> str:
    return str(jwt.get_unverified_header(tokens.access_token)["kid"])


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await true():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def two_replicas(servers: Servers, database: TestDatabase) -> AsyncIterator[tuple[Auth, Auth]]:
    config = auth_config(database, servers.redis.url)
    async with running_auth(database, config) as one, running_auth(database, config) as other:
        yield one, other


async def test_a_quiet_rotation_publishes_first_and_signs_when_all_know(auth: Auth) -> None:
    admin = await administrator(auth)
    former = kid_of(admin)
    published, signing = await rotate(auth, admin)
    assert (published.state, signing.state) == (SIGNING_KEY_STATE_PUBLISHED, SIGNING_KEY_STATE_SIGNING)
    assert published.sign_time.ToDatetime() == published.create_time.ToDatetime() + OVERLAP
    assert (signing.kid, signing.HasField("retire_time"), signing.HasField("remove_time")) == (former, False, False)
    assert [key.kid for key in await rotate(auth, admin)] == [published.kid, former]
    await until(lambda: is_listed(auth, published.kid))
    assert kid_of((await auth.log_in("admin@example.com")).tokens) == former

    await later(auth.database, OVERLAP)
    signing, retiring = await rotate(auth, admin)
    assert (signing.kid, signing.state) == (published.kid, SIGNING_KEY_STATE_SIGNING)
    assert (retiring.kid, retiring.state) == (former, SIGNING_KEY_STATE_RETIRING)
    assert retiring.remove_time.ToDatetime() > retiring.retire_time.ToDatetime() + timedelta(hours=1)
    await until(lambda: signs(auth, signing.kid))
    assert sorted(await kids(auth)) == sorted([signing.kid, former])
    assert (await auth.verify(admin.access_token)).active


async def is_listed(auth: Auth, kid: str) -> bool:
    return kid in await kids(auth)


async def signs(auth: Auth, kid: str) -> bool:
    return kid_of((await auth.log_in("admin@example.com")).tokens) == kid


async def test_after_an_emergency_no_replica_accepts_a_token_of_before_and_sessions_go_on(
    servers: Servers, auth_database: TestDatabase
) -> None:
    """R20 for keys: when the call has returned, remembered tokens are refused everywhere."""
    async with two_replicas(servers, auth_database) as (one, other):
        admin, ada = await administrator(one), await one.sign_up()
        for auth in (one, other):
            for tokens in (admin, ada.tokens):
                assert (await auth.verify(tokens.access_token)).active
        keys = await rotate(one, admin, emergency=True)
        answers = [await auth.verify(tokens.access_token) for auth in (other, one) for tokens in (admin, ada.tokens)]
        assert [(answer.active, answer.inactive_reason) for answer in answers] == [(False, INACTIVE_REASON_INVALID)] * 4
        refused = await failure(other.account.GetProfile(GetProfileRequest(), metadata=bearer(ada.tokens)))
        assert (refused.reason, refused.facts) == ("UNAUTHENTICATED", {"inactive_reason": "INVALID"})

        assert [key.state for key in keys] == [SIGNING_KEY_STATE_SIGNING, SIGNING_KEY_STATE_REMOVED]
        assert await kids(one) == await kids(other) == [keys[0].kid]
        renewed = (await other.refresh(ada.tokens.refresh_token)).tokens
        assert kid_of(renewed) == keys[0].kid
        assert [(await auth.verify(renewed.access_token)).active for auth in (one, other)] == [True, True]
        rows = await fetch(auth_database.url, "SELECT private_key_sealed FROM signing_keys WHERE state = 'REMOVED'")
        assert [row["private_key_sealed"] for row in rows] == [None]


async def test_a_replica_that_cannot_ask_for_the_keys_accepts_nothing(auth: Auth) -> None:
    """R50: it might be a key that another replica has removed."""
    token = (await auth.sign_up()).tokens.access_token
    assert (await auth.verify(token)).active
    blocker = await asyncpg.connect(auth.database.owner_url)
    async with blocker.transaction():
        await blocker.execute("LOCK TABLE signing_key_sets IN ACCESS EXCLUSIVE MODE")
        await until(lambda: fails(auth, token))
    await blocker.close()
    await until(lambda: is_active(auth, token))


async def fails(auth: Auth, token: str) -> bool:
    try:
        await auth.verify(token)
    except grpc.aio.AioRpcError:
        return True
    return False


async def is_active(auth: Auth, token: str) -> bool:
    return not await fails(auth, token) and (await auth.verify(token)).active


async def test_each_rotation_leaves_an_event_with_who_asked_for_it(auth: Auth) -> None:
    """R48."""
    admin = await administrator(auth)
    published, _ = await rotate(auth, admin)
    await later(auth.database, OVERLAP)
    await rotate(auth, admin)
    replaced, *_ = await rotate(auth, admin, emergency=True)
    again = await auth.log_in("admin@example.com")
    page = await auth.admin.ListAuditEvents(ListAuditEventsRequest(), metadata=bearer(again.tokens))
    events = [event for event in reversed(page.events) if event.type.startswith("SIGNING")]
    assert [(event.type, event.actor_id, event.user_id, event.address) for event in events] == [
        (name, again.user.id, "", "127.0.0.1")
        for name in ("SIGNING_KEY_PUBLISHED", "SIGNING_KEY_ROTATED", "SIGNING_KEYS_REPLACED")
    ]
    assert [event.details["kid"] for event in events] == [published.kid, published.kid, replaced.kid]


@pytest.mark.parametrize("roles", ["{}", "{service}", "{user}"])
async def test_nobody_but_an_administrator_rotates(auth: Auth, roles: str) -> None:
    made = await auth.sign_up()
    await fetch(auth.database.url, "UPDATE users SET roles = $1::text::text[]", roles)
    for emergency in (False, True):
        request = RotateSigningKeyRequest(emergency=emergency)
        code = await code_of(auth.admin.RotateSigningKey(request, metadata=bearer(made.tokens)))
        assert code is grpc.StatusCode.PERMISSION_DENIED
    assert len(await fetch(auth.database.url, "SELECT kid FROM signing_keys")) == 1


async def test_an_administrator_who_signed_in_long_ago_signs_in_first(auth: Auth) -> None:
    """R24: a stolen access token of an administrator is not enough."""
    admin = await administrator(auth)
    await fetch(auth.database.url, "UPDATE sessions SET auth_time = now() - interval '11 minutes'")
    refused = await failure(auth.admin.RotateSigningKey(RotateSigningKeyRequest(), metadata=bearer(admin)))
    assert refused.reason == "STEP_UP_REQUIRED"


async def test_an_operator_rotates_by_a_command(auth: Auth, servers: Servers) -> None:
    token = (await auth.sign_up()).tokens.access_token
    settings = environment(auth.database, servers.redis.url, AUTH_MASTER_KEY=auth.config.master_key.get_secret_value())
    published = await run(settings, "rotate-signing-key")
    assert published.code == 0
    kid = published.output.partition(" ")[0]
    assert " is published and signs from 20" in published.output
    await until(lambda: is_listed(auth, kid))
    await later(auth.database, OVERLAP)
    assert (await run(settings, "rotate-signing-key")).output == f"{kid} signs\n"
    assert (await auth.verify(token)).active

    replaced = await run(settings, "rotate-signing-key", "--emergency")
    assert replaced.code == 0
    assert replaced.output.endswith("no other key and no access token of before is accepted, and clients refresh\n")
    assert (await auth.verify(token)).inactive_reason == INACTIVE_REASON_INVALID
    assert await kids(auth) == [replaced.output.partition(" ")[0]]

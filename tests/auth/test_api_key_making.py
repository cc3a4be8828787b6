"""API keys: how they are made, listed, rotated, and how many there may be."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from protos.auth.v1.api_keys_pb2 import (
    CreateApiKeyResponse,
    ListApiKeysRequest,
    RevokeApiKeyRequest,
    RotateApiKeyRequest,
)
from protos.auth.v1.resources_pb2 import (
    INACTIVE_REASON_EXPIRED,
)
from shared import ids
from tests.auth.api_keys import SCOPES, behind, create, in_days, listed, revoke
from tests.authtest import Auth, auth_config, bearer, running_auth
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, fetch, make_master_key


async def test_making_a_key_takes_a_sign_in_of_the_last_minutes(auth: Auth, servers: Servers) -> None:
    ada = await auth.sign_up()
    made = await create(auth, ada.tokens)
    await behind(auth, servers, "UPDATE sessions SET auth_time = now() - interval '11 minutes'")
    rotation = RotateApiKeyRequest(api_key_id=made.api_key.id)
    for making in (create(auth, ada.tokens), auth.account.RotateApiKey(rotation, metadata=bearer(ada.tokens))):
        refused = await failure(making)
        assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "STEP_UP_REQUIRED")


async def test_a_rotated_key_goes_on_for_the_overlap_and_not_longer(auth: Auth, servers: Servers) -> None:
    tokens = (await auth.sign_up()).tokens
    old = await create(auth, tokens)
    request = RotateApiKeyRequest(api_key_id=old.api_key.id, overlap=Duration(seconds=3600), request_id="r1")
    new = await auth.account.RotateApiKey(request, metadata=bearer(tokens))
    assert (new.api_key.name, list(new.api_key.scopes)) == ("robot", SCOPES)
    assert new.api_key.replaces_id == old.api_key.id
    assert new.key_text != old.key_text
    assert (await auth.verify(new.key_text)).active
    still = await auth.verify(old.key_text)
    rest = still.expire_time.ToDatetime(UTC) - datetime.now(UTC)
    assert timedelta(minutes=59) < rest <= timedelta(minutes=60)
    again = await auth.account.RotateApiKey(request, metadata=bearer(tokens))
    assert (again.api_key, again.key_text) == (new.api_key, new.key_text)
    an_hour_later = "UPDATE sessions SET expire_time = expire_time - interval '1 hour' WHERE id = $1"
    await behind(auth, servers, an_hour_later, old.api_key.id)
    assert (await auth.verify(old.key_text)).inactive_reason == INACTIVE_REASON_EXPIRED
    ended = await failure(
        auth.account.RotateApiKey(RotateApiKeyRequest(api_key_id=old.api_key.id), metadata=bearer(tokens))
    )
    assert (ended.code, ended.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "API_KEY_ENDED")


async def test_an_overlap_never_prolongs_a_key(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    old = await create(auth, tokens, expire_time=in_days(0.01))
    rotation = RotateApiKeyRequest(api_key_id=old.api_key.id, overlap=Duration(seconds=7 * 86_400))
    await auth.account.RotateApiKey(rotation, metadata=bearer(tokens))
    assert (await auth.verify(old.key_text)).expire_time == old.api_key.expire_time


async def test_keys_are_listed_newest_first_without_their_text(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    made = [await create(auth, tokens, name=f"robot {number}", scopes=["chat.read"]) for number in range(5)]
    found = await listed(auth, tokens)
    assert found == [one.api_key for one in reversed(made)]
    assert all(one.key_text[:-8] not in str(found) for one in made)
    ended = await revoke(auth, tokens, made[2].api_key.id)
    assert ended.HasField("revoke_time")
    assert await revoke(auth, tokens, made[2].api_key.id) == ended
    assert [key.name for key in await listed(auth, tokens)] == ["robot 4", "robot 3", "robot 1", "robot 0"]
    assert (await listed(auth, tokens, show_revoked=True))[2] == ended
    page = await auth.account.ListApiKeys(ListApiKeysRequest(page_size=3), metadata=bearer(tokens))
    rest = ListApiKeysRequest(page_size=3, page_token=page.next_page_token)
    last = await auth.account.ListApiKeys(rest, metadata=bearer(tokens))
    assert [key.name for key in last.api_keys] == ["robot 0"]
    assert last.next_page_token == ""


async def test_a_key_of_another_user_is_answered_as_one_that_never_was(auth: Auth) -> None:
    """R38: also a sign-in of the caller's own, which is no key."""
    ada, eve = await auth.sign_up(), await auth.sign_up("eve@example.com")
    made = await create(auth, ada.tokens)
    for rpc, kind in (
        (auth.account.RevokeApiKey, RevokeApiKeyRequest),
        (auth.account.RotateApiKey, RotateApiKeyRequest),
    ):
        asked = (made.api_key.id, str(ids.new_id()), eve.session.id)
        refused = [await failure(rpc(kind(api_key_id=one), metadata=bearer(eve.tokens))) for one in asked]
        assert {it.reason for it in refused} == {"API_KEY_NOT_FOUND"}
        assert [it.seen for it in refused] == [refused[0].seen] * 3
    assert (await auth.verify(made.key_text)).active
    assert (await auth.verify(eve.tokens.access_token)).active
    assert await listed(auth, eve.tokens) == []


async def test_a_repeated_request_gets_the_same_key_and_another_content_is_refused(auth: Auth) -> None:
    """R66: the text is not stored, and yet the same."""
    tokens = (await auth.sign_up()).tokens
    end = in_days(30)
    asked = {"request_id": "r1", "expire_time": end}
    racing = await asyncio.gather(*(create(auth, tokens, **asked) for _ in range(8)))
    assert {one.key_text for one in racing} == {racing[0].key_text}
    assert len(await listed(auth, tokens)) == 1
    for other in ({"name": "x"}, {"scopes": ["chat.read"]}, {"expire_time": in_days(31)}):
        refused = await failure(create(auth, tokens, **{**asked, **other}))
        assert (refused.code, refused.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    rotation = RotateApiKeyRequest(api_key_id=racing[0].api_key.id, request_id="r1")
    refused = await failure(auth.account.RotateApiKey(rotation, metadata=bearer(tokens)))
    assert refused.reason == "REQUEST_ID_REUSED"
    eve = (await auth.sign_up("eve@example.com")).tokens
    assert (await create(auth, eve, **asked)).key_text != racing[0].key_text


async def test_a_key_outlives_the_master_key_that_it_was_made_with(
    auth_database: TestDatabase, servers: Servers
) -> None:
    former, present = make_master_key(), make_master_key()
    async with running_auth(
        auth_database, auth_config(auth_database, servers.redis.url, AUTH_MASTER_KEY=former)
    ) as auth:
        tokens = (await auth.sign_up()).tokens
        made = await create(auth, tokens, request_id="r1")
    both = auth_config(auth_database, servers.redis.url, AUTH_MASTER_KEY=present, AUTH_FORMER_MASTER_KEY=former)
    async with running_auth(auth_database, both) as auth:
        assert (await auth.verify(made.key_text)).active
        assert (await create(auth, tokens, request_id="r1")).key_text == made.key_text
    await fetch(auth_database.url, "DELETE FROM signing_keys")
    async with running_auth(
        auth_database, auth_config(auth_database, servers.redis.url, AUTH_MASTER_KEY=present)
    ) as auth:
        assert (await auth.verify(made.key_text)).active
        tokens = (await auth.log_in()).tokens
        assert (await failure(create(auth, tokens, request_id="r1"))).reason == "REQUEST_ID_REUSED"


async def test_of_fifty_keys_there_is_not_one_more_however_many_ask_at_once(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    await asyncio.gather(*(create(auth, tokens) for _ in range(45)))
    answers = await asyncio.gather(*(create(auth, tokens) for _ in range(12)), return_exceptions=True)
    assert sum(isinstance(answer, CreateApiKeyResponse) for answer in answers) == 5
    assert len(await listed(auth, tokens)) == 50
    refused = await failure(create(auth, tokens))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_CREDENTIALS")
    assert refused.facts == {"limit": "50"}
    [oldest] = (await listed(auth, tokens))[-1:]
    rotation = RotateApiKeyRequest(api_key_id=oldest.id)
    await auth.account.RotateApiKey(rotation, metadata=bearer(tokens))
    await revoke(auth, tokens, oldest.id)
    await revoke(auth, tokens, (await listed(auth, tokens))[0].id)
    assert (await create(auth, tokens)).api_key.id


@pytest.mark.parametrize(
    ("fields", "violations"),
    [
        ({"name": ""}, {"name": "must be set"}),
        ({"name": "a\nb"}, {"name": "must not contain control characters"}),
        ({"name": "x" * 101}, {"name": "must have at most 100 characters"}),
        ({"scopes": []}, {"scopes": "must be some of account.read, account.write, chat.read, chat.write"}),
        ({"scopes": ["users.read"]}, {"scopes": "must be some of account.read, account.write, chat.read, chat.write"}),
        ({"scopes": [""]}, {"scopes": "must be some of account.read, account.write, chat.read, chat.write"}),
        ({"expire_time": in_days(-1)}, {"expire_time": "must be a moment in the next 365 days"}),
        ({"expire_time": in_days(366)}, {"expire_time": "must be a moment in the next 365 days"}),
        ({"expire_time": Timestamp(seconds=10**15)}, {"expire_time": "must be a moment in the next 365 days"}),
        ({"request_id": "x" * 65}, {"request_id": "must have at most 64 characters"}),
    ],
)
async def test_a_key_that_cannot_be_is_refused_by_its_fields(
    auth: Auth, fields: dict[str, Any], violations: dict[str, str]
) -> None:
    tokens = (await auth.sign_up()).tokens
    assert (await failure(create(auth, tokens, **fields))).violations == violations


async def test_a_rotation_that_cannot_be_is_refused_by_its_fields(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    for overlap in (Duration(seconds=-1), Duration(seconds=7 * 86_400 + 1), Duration(seconds=10**15)):
        request = RotateApiKeyRequest(api_key_id="rubbish", overlap=overlap)
        refused = await failure(auth.account.RotateApiKey(request, metadata=bearer(tokens)))
        assert refused.violations == {"api_key_id": "must be a UUID", "overlap": "must be from zero to 7 days"}


async def test_without_an_end_a_key_lives_for_ninety_days(auth: Auth) -> None:
    """R15."""
    made = await create(auth, (await auth.sign_up()).tokens)
    lives = made.api_key.expire_time.ToDatetime() - made.api_key.create_time.ToDatetime()
    assert lives == timedelta(days=90)

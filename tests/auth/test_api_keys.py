"""API keys: what they open, what they cannot, and how they end."""

import asyncio
import base64
import os
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from redis.asyncio import Redis

from protos.auth.v1.account_service_pb2 import RevokeSessionRequest, UpdateProfileRequest
from protos.auth.v1.administration_pb2 import UpdateUserRequest
from protos.auth.v1.api_keys_pb2 import (
    RotateApiKeyRequest,
)
from protos.auth.v1.auth_service_pb2 import BatchVerifyTokensRequest, VerifyTokenRequest
from protos.auth.v1.resources_pb2 import (
    INACTIVE_REASON_EXPIRED,
    INACTIVE_REASON_INVALID,
    INACTIVE_REASON_MALFORMED,
    INACTIVE_REASON_REVOKED,
    INACTIVE_REASON_USER_INACTIVE,
    SESSION_KIND_API_KEY,
    Tokens,
    User,
)
from protos.options.v1 import access_pb2
from shared import ids, machine_secrets, metrics
from shared.identity import SessionKind
from tests.auth.api_keys import SCOPES, behind, create, listed, profile, revoke
from tests.auth.test_access import METHODS, access, call
from tests.auth.test_authorization import check
from tests.auth.test_revocation import trusting
from tests.authtest import Auth, auth_config, bearer, running_auth
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, fetch


async def test_a_key_stands_for_its_user_within_its_scopes(auth: Auth) -> None:
    ada = await auth.sign_up()
    made = await create(auth, ada.tokens)
    assert re.fullmatch(r"parley_ak_[A-Za-z0-9_-]{64}[0-9a-f]{8}", made.key_text)
    assert made.key_text.endswith(made.api_key.hint)
    assert len(made.api_key.hint) == 4
    verified = await auth.verify(made.key_text)
    assert (verified.active, verified.user_id, verified.session_id) == (True, ada.user.id, made.api_key.id)
    assert (verified.session_kind, list(verified.scopes)) == (SESSION_KIND_API_KEY, SCOPES)
    assert verified.expire_time == made.api_key.expire_time
    batch = BatchVerifyTokensRequest(access_tokens=[made.key_text] * 3, audience="chat")
    answers = (await auth.auth.BatchVerifyTokens(batch)).results
    assert [answer == verified for answer in answers] == [True] * 3
    assert (await profile(auth, made.key_text)).email == "ada@example.com"
    assert (await check(auth, made.key_text)).status.code == 0


async def test_a_key_opens_nothing_that_its_scopes_do_not_name(auth: Auth, servers: Servers) -> None:
    """Deny by default, whatever roles its user has: methods without a scope are closed to every key."""
    ada = await auth.sign_up()
    made = await create(auth, ada.tokens)
    await behind(auth, servers, "UPDATE users SET roles = '{admin,service}'")
    for method in METHODS:
        scope = method.GetOptions().Extensions[access_pb2.scope]
        if access(method) == access_pb2.ACCESS_PUBLIC or scope in SCOPES:
            continue
        refused = await failure(call(auth, method, bearer(made.key_text)))
        assert (method.name, refused.code, refused.facts) == (
            method.name, grpc.StatusCode.PERMISSION_DENIED, {"required_scope": scope}
        )  # fmt: skip
    renaming = UpdateProfileRequest(user=User(display_name="Robot"))
    able = await create(auth, ada.tokens, scopes=["account.write"])
    changed = await auth.account.UpdateProfile(renaming, metadata=bearer(able.key_text))
    assert changed.user.display_name == "Robot"


async def test_a_role_that_is_taken_away_is_gone_from_the_next_call_of_a_key(auth: Auth) -> None:
    """R40."""
    boss = await auth.sign_up("boss@example.com")
    await fetch(auth.database.url, "UPDATE users SET roles = '{admin}'")
    ada = await auth.sign_up()
    made = await create(auth, ada.tokens)
    await trusting(auth)
    for roles in ([], ["service"], [], ["admin", "service"]):
        request = UpdateUserRequest(user=User(id=ada.user.id, roles=roles), update_mask=FieldMask(paths=["roles"]))
        await auth.admin.UpdateUser(request, metadata=bearer(boss.tokens))
        assert list((await auth.verify(made.key_text)).roles) == roles


def flipped(text: str, place: int) -> str:
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]


async def test_a_slip_of_the_hand_is_malformed_and_a_wrong_secret_invalid(auth: Auth) -> None:
    """R17, R53: the secret has 256 bits, and a key that never was is answered as one with another secret."""
    made = await create(auth, (await auth.sign_up()).tokens)
    text = made.key_text
    slips = [flipped(text, place) for place in range(10, len(text))]
    slips += [text[:-1], text + "0", text + "=", text.upper(), "parley_ak_", text[:10] + "é" * 72, text + "\n"]
    for slip in slips:
        assert (slip, (await auth.verify(slip)).inactive_reason) == (slip, INACTIVE_REASON_MALFORMED)
    kind, session_id = SessionKind.API_KEY, machine_secrets.read(text).session_id
    wrong, _ = machine_secrets.write(kind, session_id, os.urandom(32))
    never, _ = machine_secrets.write(kind, ids.new_id(), os.urandom(32))
    answers = [await auth.verify(guess) for guess in (wrong, never)]
    assert answers[0] == answers[1]
    assert answers[0].inactive_reason == INACTIVE_REASON_INVALID
    refused = [await failure(profile(auth, guess)) for guess in (wrong, never)]
    assert refused[0].seen == refused[1].seen
    assert (await auth.verify(text)).active


async def test_no_secret_counts_in_anothers_place(auth: Auth) -> None:
    """R30."""
    ada = await auth.sign_up()
    text = (await create(auth, ada.tokens)).key_text
    assert (await failure(auth.refresh(text))).reason == "REFRESH_TOKEN_INVALID"
    assert (await auth.verify(ada.tokens.refresh_token)).inactive_reason == INACTIVE_REASON_MALFORMED
    secret = os.urandom(32)
    sign_in, _ = machine_secrets.write(SessionKind.API_KEY, ids.parse_id(ada.session.id), secret)
    assert (await auth.verify(sign_in)).inactive_reason == INACTIVE_REASON_INVALID
    # The same secret, called a client secret by its digest's row, and by its text.
    as_secret, digest = machine_secrets.write(SessionKind.CLIENT_SECRET, machine_secrets.read(text).session_id, secret)
    await fetch(auth.database.url, "UPDATE sessions SET secret_digest = $1 WHERE kind = 'API_KEY'", digest)
    assert (await auth.verify(as_secret)).inactive_reason == INACTIVE_REASON_MALFORMED


async def test_a_key_is_for_the_audiences_of_people_and_for_no_other(auth: Auth) -> None:
    """R31."""
    text = (await create(auth, (await auth.sign_up()).tokens)).key_text
    for audience, reason in (("", 0), ("auth", 0), ("chat", 0), ("billing", INACTIVE_REASON_INVALID)):
        answer = await auth.auth.VerifyToken(VerifyTokenRequest(access_token=text, audience=audience))
        assert (audience, answer.active, answer.inactive_reason) == (audience, not reason, reason)


Ending = Callable[[Auth, Tokens, str], Awaitable[Any]]


async def revoke_as_session(auth: Auth, tokens: Tokens, key_id: str) -> None:
    await auth.account.RevokeSession(RevokeSessionRequest(session_id=key_id), metadata=bearer(tokens))


async def replace_at_once(auth: Auth, tokens: Tokens, key_id: str) -> None:
    await auth.account.RotateApiKey(RotateApiKeyRequest(api_key_id=key_id, overlap=Duration()), metadata=bearer(tokens))


@pytest.mark.parametrize("end", [revoke, revoke_as_session, replace_at_once])
async def test_a_key_that_was_ended_is_refused_at_once_by_every_server(
    auth_database: TestDatabase, servers: Servers, end: Ending
) -> None:
    """R20, R23: though both have it in their cache."""
    config = auth_config(auth_database, servers.redis.url)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_auth(auth_database, config))
        second = await stack.enter_async_context(running_auth(auth_database, config))
        await asyncio.gather(trusting(first), trusting(second))
        tokens = (await first.sign_up()).tokens
        for _ in range(10):
            made = await create(first, tokens)
            for server in (first, second, first, second):
                assert (await server.verify(made.key_text)).active
            await end(first, tokens, made.api_key.id)
            for server in (second, first):
                assert (await server.verify(made.key_text)).inactive_reason == INACTIVE_REASON_REVOKED
                refused = await failure(profile(server, made.key_text))
                assert refused.facts == {"inactive_reason": "REVOKED"}


async def test_a_key_ends_by_itself_and_with_its_user(auth: Auth, servers: Servers) -> None:
    """R15, R21."""
    ada = await auth.sign_up()
    made = await create(auth, ada.tokens)
    await behind(auth, servers, "UPDATE users SET state = 'SUSPENDED'")
    assert (await auth.verify(made.key_text)).inactive_reason == INACTIVE_REASON_USER_INACTIVE
    await behind(auth, servers, "UPDATE users SET state = 'ACTIVE'")
    await behind(auth, servers, "UPDATE sessions SET expire_time = now() WHERE kind = 'API_KEY'")
    assert (await auth.verify(made.key_text)).inactive_reason == INACTIVE_REASON_EXPIRED
    await behind(auth, servers, "DELETE FROM users")
    assert (await auth.verify(made.key_text)).inactive_reason == INACTIVE_REASON_INVALID
    assert await fetch(auth.database.url, "SELECT 1 FROM machine_credentials") == []


async def test_no_call_of_a_key_writes_a_row_or_leaves_an_event(auth: Auth) -> None:
    """Calls leave a line in the log (R48); what machines do all day is not for the table of events."""
    tokens = (await auth.sign_up()).tokens
    made = await create(auth, tokens)
    await create(auth, tokens)
    await trusting(auth)
    before = await fetch(auth.database.url, "SELECT type FROM audit_events")
    rows = await written(auth)
    for _ in range(50):
        await profile(auth, made.key_text)
    assert await written(auth) == rows
    assert await fetch(auth.database.url, "SELECT type FROM audit_events") == before
    assert [event["type"] for event in before].count("API_KEY_CREATED") == 2


async def written(auth: Auth) -> list[Any]:
    """The row of each credential with the transaction that wrote it last."""
    return await fetch(auth.database.url, "SELECT xmin::text, session_id FROM machine_credentials ORDER BY session_id")


async def test_uses_are_written_in_the_background_and_at_most_once_a_minute(
    auth_database: TestDatabase, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth_service.server.WRITE_SECONDS", 0.05)
    async with running_auth(auth_database, auth_config(auth_database, servers.redis.url)) as auth:
        tokens = (await auth.sign_up()).tokens
        used, unused = await create(auth, tokens), await create(auth, tokens)
        start = datetime.now(UTC) - timedelta(seconds=1)

        async def last_use() -> datetime | None:
            [key] = [key for key in await listed(auth, tokens) if key.id == used.api_key.id]
            return key.last_use_time.ToDatetime(UTC) if key.HasField("last_use_time") else None

        async with asyncio.timeout(10):
            while await last_use() is None:
                await profile(auth, used.key_text)
        first = await last_use()
        assert first is not None
        assert first > start
        row = await written(auth)
        await noted(auth, used.key_text)
        assert await written(auth) == row
        [never] = [key for key in await listed(auth, tokens) if key.id == unused.api_key.id]
        assert not never.HasField("last_use_time")
        await fetch(auth.database.url, "UPDATE machine_credentials SET last_use_time = now() - interval '61 seconds'")
        async with asyncio.timeout(10):
            while (await last_use() or start) < first:
                await profile(auth, used.key_text)


async def noted(auth: Auth, key_text: str) -> None:
    """Use a key, and wait until the background has been at it twice."""

    def times() -> float:
        return metrics.query_seconds.labels("machine_credentials.touch")._sum.get()

    for _ in range(2):
        before = times()
        await profile(auth, key_text)
        async with asyncio.timeout(10):
            while times() == before:
                await asyncio.sleep(0.02)


async def test_neither_the_database_nor_redis_has_the_text_of_a_key(auth: Auth, servers: Servers) -> None:
    """R17: only a digest, from which no key can be made."""
    made = await create(auth, (await auth.sign_up()).tokens, request_id="r1")
    await trusting(auth)
    assert (await auth.verify(made.key_text)).active
    tables = await fetch(auth.database.owner_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    dump = [
        str(row["t"])
        for table in tables
        for row in await fetch(auth.database.owner_url, f"SELECT t::text AS t FROM {table['tablename']} t")
    ]
    async with Redis.from_url(servers.redis.url) as redis:
        entry = await redis.get(f"parley:session:{made.api_key.id}")
    everything = "\n".join([*dump, entry.decode()])
    assert everything.count(made.api_key.id) > 2
    body = made.key_text[10:74]
    secret = base64.urlsafe_b64decode(body)[16:]
    for form in (made.key_text, body, body[-40:], secret.hex(), base64.b64encode(secret).decode()):
        assert form not in everything

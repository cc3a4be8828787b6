"""Service accounts: how administrators make, change and end them, and what a client secret is exchanged for."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import jwt
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from protos.auth.v1.account_service_pb2 import GetProfileRequest
from protos.auth.v1.admin_service_pb2 import BatchGetUsersRequest
from protos.auth.v1.administration_pb2 import ListUsersRequest, ReinstateUserRequest, SuspendUserRequest
from protos.auth.v1.auth_service_pb2 import LogOutRequest, VerifyTokenRequest
from protos.auth.v1.resources_pb2 import (
    INACTIVE_REASON_INVALID,
    INACTIVE_REASON_MALFORMED,
    INACTIVE_REASON_REVOKED,
    INACTIVE_REASON_USER_INACTIVE,
    SESSION_KIND_CLIENT_SECRET,
)
from protos.auth.v1.service_accounts_pb2 import (
    CreateClientSecretResponse,
    DeleteServiceAccountRequest,
    GetServiceAccountRequest,
    ListServiceAccountsRequest,
    RevokeClientSecretRequest,
    ServiceAccount,
    UpdateServiceAccountRequest,
)
from shared import ids, machine_secrets
from shared.identity import SessionKind
from tests.auth import api_keys
from tests.auth.service_accounts import Client, add_secret, administrator, client, create, issue
from tests.auth.test_revocation import trusting
from tests.authtest import Auth, auth_config, bearer, running_auth
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, fetch


@pytest.fixture
async def boss(auth: Auth) -> Any:
    return (await administrator(auth)).tokens


async def revoke(auth: Auth, boss: Any, of: Client) -> Any:
    request = RevokeClientSecretRequest(service_account_id=of.account.id, client_secret_id=of.secret_id)
    return (await auth.admin.RevokeClientSecret(request, metadata=bearer(boss))).client_secret


async def update(auth: Auth, boss: Any, account: ServiceAccount, *paths: str, **fields: Any) -> ServiceAccount:
    request = UpdateServiceAccountRequest(
        service_account=ServiceAccount(id=account.id, **fields), update_mask=FieldMask(paths=paths)
    )
    return (await auth.admin.UpdateServiceAccount(request, metadata=bearer(boss))).service_account


async def test_a_client_secret_is_exchanged_for_tokens_of_the_account(auth: Auth, boss: Any) -> None:
    """RFC 6749 section 4.4, RFC 9068 section 2.2: two calls, and a service is known."""
    mailer = await client(auth, boss, scopes=["users.read"])
    token = await issue(auth, mailer, audiences=["auth"])
    verified = await auth.verify(token.access_token)
    assert (verified.active, verified.user_id, verified.session_id) == (True, mailer.account.id, mailer.secret_id)
    assert (verified.session_kind, list(verified.roles)) == (SESSION_KIND_CLIENT_SECRET, ["service"])
    assert list(verified.scopes) == list(token.scopes) == ["users.read"]
    claims = jwt.decode(token.access_token, options={"verify_signature": False})
    assert (claims["aud"], claims["client_id"], claims["scope"]) == (["auth"], mailer.account.id, "users.read")
    lifetime = token.expire_time.ToDatetime(UTC) - datetime.now(UTC)
    assert timedelta(minutes=9) < lifetime <= timedelta(minutes=10)
    request = BatchGetUsersRequest(ids=[mailer.account.id])
    found = await auth.admin.BatchGetUsers(request, metadata=bearer(token.access_token))
    assert (found.users[0].display_name, found.users[0].email) == ("mailer", "")


async def test_a_token_is_for_the_audience_that_was_asked_for_alone(auth: Auth, boss: Any) -> None:
    """R31."""
    biller = await client(auth, boss, audiences=["billing", "auth"], scopes=["users.read"])
    token = (await issue(auth, biller, audiences=["billing"])).access_token
    for audience, active in (("billing", True), ("auth", False), ("chat", False), ("", False)):
        answer = await auth.auth.VerifyToken(VerifyTokenRequest(access_token=token, audience=audience))
        assert (audience, answer.active) == (audience, active)
    refused = await failure(auth.admin.BatchGetUsers(BatchGetUsersRequest(), metadata=bearer(token)))
    assert refused.facts == {"inactive_reason": "INVALID"}
    assert list((await issue(auth, biller)).audiences) == ["auth", "billing"]
    refused = await failure(issue(auth, biller, audiences=["auth", "chat"]))
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "AUDIENCE_NOT_ALLOWED")
    assert refused.facts == {"audience": "chat"}


async def test_a_token_has_the_scopes_that_were_asked_for_and_opens_nothing_else(auth: Auth, boss: Any) -> None:
    mailer = await client(auth, boss, scopes=["users.read", "account.read"])
    reader = (await issue(auth, mailer, scopes=["account.read"])).access_token
    assert (await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(reader))).user.id == mailer.account.id
    refused = await failure(auth.admin.BatchGetUsers(BatchGetUsersRequest(), metadata=bearer(reader)))
    assert (refused.reason, refused.facts) == ("PERMISSION_DENIED", {"required_scope": "users.read"})
    refused = await failure(auth.auth.LogOut(LogOutRequest(), metadata=bearer(reader)))
    assert (refused.reason, refused.facts) == ("PERMISSION_DENIED", {"required_scope": ""})
    refused = await failure(issue(auth, mailer, scopes=["chat.write"]))
    assert (refused.reason, refused.facts) == ("SCOPE_NOT_ALLOWED", {"scope": "chat.write"})


async def test_without_scopes_an_account_may_do_what_its_roles_open_and_nothing_of_a_users(
    auth: Auth, boss: Any
) -> None:
    plain = await client(auth, boss, roles=["admin", "service"])
    token = (await issue(auth, plain)).access_token
    assert await auth.admin.BatchGetUsers(BatchGetUsersRequest(ids=[plain.account.id]), metadata=bearer(token))
    assert await auth.admin.ListUsers(ListUsersRequest(), metadata=bearer(token))
    refused = await failure(auth.account.GetProfile(GetProfileRequest(), metadata=bearer(token)))
    assert (refused.reason, refused.facts) == ("PERMISSION_DENIED", {"required_scope": "account.read"})
    refused = await failure(create(auth, token))
    assert refused.reason == "STEP_UP_REQUIRED"


async def test_whatever_is_wrong_with_a_client_has_one_answer(auth: Auth, boss: Any, servers: Servers) -> None:
    """R11, R30, R53: an unknown id, a wrong secret, another's, one that ended, an account out of use."""
    mailer, other = await client(auth, boss), await client(auth, boss)
    ended = await client(auth, boss)
    await revoke(auth, boss, ended)
    expired, suspended = await client(auth, boss), await client(auth, boss)
    late = "UPDATE sessions SET expire_time = now() WHERE id = $1"
    await api_keys.behind(auth, servers, late, expired.secret_id)
    await auth.admin.SuspendUser(SuspendUserRequest(user_id=suspended.account.id), metadata=bearer(boss))
    ada = await auth.sign_up()
    key = (await api_keys.create(auth, ada.tokens)).key_text
    guess, _ = machine_secrets.write(SessionKind.CLIENT_SECRET, ids.parse_id(mailer.secret_id), bytes(32))
    never, _ = machine_secrets.write(SessionKind.CLIENT_SECRET, ids.new_id(), bytes(32))
    wrong = [
        {"client_id": str(ids.new_id())},
        {"client_id": other.account.id},
        {"client_secret": other.secret},
        {"client_secret": guess},
        {"client_secret": never},
        {"client_secret": mailer.secret[:-1] + "x"},
        {"client_secret": "rubbish"},
        {"client_secret": key},
        {"client_id": ada.user.id, "client_secret": key},
        {"client_secret": ada.tokens.refresh_token},
        *({"client_id": it.account.id, "client_secret": it.secret} for it in (ended, expired, suspended)),
    ]
    answers = [await failure(issue(auth, mailer, **fields)) for fields in wrong]
    assert {(answer.code, answer.reason) for answer in answers} == {(grpc.StatusCode.UNAUTHENTICATED, "INVALID_CLIENT")}
    assert [answer.seen for answer in answers] == [answers[0].seen] * len(wrong)
    assert (await issue(auth, mailer)).access_token


async def test_wrong_client_secrets_of_an_address_are_limited_and_right_ones_are_not(
    auth_database: TestDatabase, servers: Servers
) -> None:
    config = auth_config(auth_database, servers.redis.url, AUTH_FAILURES_PER_ADDRESS_PER_MINUTE=5)
    async with running_auth(auth_database, config) as auth:
        mailer = await client(auth, (await administrator(auth)).tokens)
        for _ in range(20):
            await issue(auth, mailer)
        for _ in range(5):
            assert (await failure(issue(auth, mailer, client_secret="x"))).reason == "INVALID_CLIENT"
        assert (await failure(issue(auth, mailer, client_secret="x"))).reason == "RATE_LIMITED"


async def test_a_client_secret_is_good_for_nothing_but_its_exchange(auth: Auth, boss: Any) -> None:
    """R30: so the secret that lasts does not travel with every call."""
    mailer = await client(auth, boss, scopes=["account.read"])
    assert (await auth.verify(mailer.secret)).inactive_reason == INACTIVE_REASON_MALFORMED
    refused = await failure(auth.account.GetProfile(GetProfileRequest(), metadata=bearer(mailer.secret)))
    assert (refused.reason, refused.facts) == ("UNAUTHENTICATED", {"inactive_reason": "MALFORMED"})
    assert (await failure(auth.refresh(mailer.secret))).reason == "REFRESH_TOKEN_INVALID"
    token = (await issue(auth, mailer)).access_token
    assert (await failure(issue(auth, mailer, client_secret=token))).reason == "INVALID_CLIENT"


async def test_a_change_of_roles_and_scopes_counts_for_the_next_call_of_a_token(auth: Auth, boss: Any) -> None:
    """R40."""
    mailer = await client(auth, boss, scopes=["users.read", "account.read"])
    token = (await issue(auth, mailer)).access_token
    await trusting(auth)
    looking_up = BatchGetUsersRequest(ids=[mailer.account.id])
    assert await auth.admin.BatchGetUsers(looking_up, metadata=bearer(token))
    changed = await update(auth, boss, mailer.account, "scopes", scopes=["account.read"])
    assert list(changed.scopes) == ["account.read"]
    refused = await failure(auth.admin.BatchGetUsers(looking_up, metadata=bearer(token)))
    assert refused.facts == {"required_scope": "users.read"}
    assert list((await auth.verify(token)).scopes) == ["account.read"]
    await update(auth, boss, mailer.account, "scopes", scopes=["account.read", "users.read"])
    assert await auth.admin.BatchGetUsers(looking_up, metadata=bearer(token))
    await update(auth, boss, mailer.account, "roles")
    refused = await failure(auth.admin.BatchGetUsers(looking_up, metadata=bearer(token)))
    assert refused.facts == {"required_role": "service"}
    await update(auth, boss, mailer.account, "scopes")
    assert (await auth.verify(token)).inactive_reason == INACTIVE_REASON_INVALID


async def test_what_ends_a_client_secret_or_its_account_ends_its_tokens_on_every_server(
    auth_database: TestDatabase, servers: Servers
) -> None:
    """R20, R21: at once, though both servers have them in their cache."""
    config = auth_config(auth_database, servers.redis.url)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_auth(auth_database, config))
        second = await stack.enter_async_context(running_auth(auth_database, config))
        boss = (await administrator(first)).tokens
        await asyncio.gather(trusting(first), trusting(second))

        async def suspend(auth: Auth, boss: Any, of: Client) -> None:
            await auth.admin.SuspendUser(SuspendUserRequest(user_id=of.account.id), metadata=bearer(boss))

        async def delete(auth: Auth, boss: Any, of: Client) -> None:
            request = DeleteServiceAccountRequest(service_account_id=of.account.id)
            await auth.admin.DeleteServiceAccount(request, metadata=bearer(boss))

        for end, reason in (
            (revoke, INACTIVE_REASON_REVOKED),
            (delete, INACTIVE_REASON_REVOKED),
            (suspend, INACTIVE_REASON_USER_INACTIVE),
        ):
            for _ in range(5):
                mailer = await client(first, boss)
                token = (await issue(second, mailer)).access_token
                for server in (first, second, first, second):
                    assert (await server.verify(token)).active
                await end(first, boss, mailer)
                for server in (second, first):
                    assert (await server.verify(token)).inactive_reason == reason
                    assert (await failure(issue(server, mailer))).reason == "INVALID_CLIENT"
        request = ReinstateUserRequest(user_id=mailer.account.id)
        await first.admin.ReinstateUser(request, metadata=bearer(boss))
        assert (await issue(second, mailer)).access_token


async def test_an_account_has_two_client_secrets_to_change_over_and_never_three(auth: Auth, boss: Any) -> None:
    mailer = await client(auth, boss)
    answers = await asyncio.gather(*(add_secret(auth, boss, mailer.account) for _ in range(5)), return_exceptions=True)
    [second] = [answer for answer in answers if isinstance(answer, CreateClientSecretResponse)]
    refused = await failure(add_secret(auth, boss, mailer.account))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_CREDENTIALS")
    assert refused.facts == {"limit": "2"}
    new = Client(mailer.account, second.client_secret.id, second.secret_text)
    for each in (mailer, new):
        assert (await issue(auth, each)).access_token
    ended = await revoke(auth, boss, mailer)
    assert ended.HasField("revoke_time")
    assert await revoke(auth, boss, mailer) == ended
    assert (await failure(issue(auth, mailer))).reason == "INVALID_CLIENT"
    assert (await issue(auth, new)).access_token
    assert (await add_secret(auth, boss, mailer.account)).secret_text


async def test_accounts_are_shown_with_the_client_secrets_that_are_good(auth: Auth, boss: Any) -> None:
    made = [await client(auth, boss, display_name=f"service {number}") for number in range(3)]
    gone = await client(auth, boss, display_name="gone")
    deletion = DeleteServiceAccountRequest(service_account_id=gone.account.id)
    for _ in range(2):
        await auth.admin.DeleteServiceAccount(deletion, metadata=bearer(boss))
    request = GetServiceAccountRequest(service_account_id=made[0].account.id)
    shown = (await auth.admin.GetServiceAccount(request, metadata=bearer(boss))).service_account
    assert [secret.id for secret in shown.client_secrets] == [made[0].secret_id]
    assert made[0].secret.endswith(shown.client_secrets[0].hint)
    assert made[0].secret[:-8] not in str(shown)
    await revoke(auth, boss, made[1])
    page = await auth.admin.ListServiceAccounts(ListServiceAccountsRequest(page_size=2), metadata=bearer(boss))
    rest = ListServiceAccountsRequest(page_size=2, page_token=page.next_page_token)
    last = await auth.admin.ListServiceAccounts(rest, metadata=bearer(boss))
    accounts = [*page.service_accounts, *last.service_accounts]
    assert [account.display_name for account in accounts] == ["service 2", "service 1", "service 0"]
    assert [len(account.client_secrets) for account in accounts] == [1, 0, 1]
    assert last.next_page_token == ""
    for wrong in (gone.account.id, made[0].secret_id):
        request = GetServiceAccountRequest(service_account_id=wrong)
        refused = await failure(auth.admin.GetServiceAccount(request, metadata=bearer(boss)))
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_ACCOUNT_NOT_FOUND")
    people = await auth.admin.ListUsers(ListUsersRequest(), metadata=bearer(boss))
    assert "service 0" in [user.display_name for user in people.users]


async def test_no_person_gets_a_client_secret_nor_loses_a_key_to_the_rpcs_of_services(auth: Auth, boss: Any) -> None:
    ada = await auth.sign_up()
    key = await api_keys.create(auth, ada.tokens)
    person = ServiceAccount(id=ada.user.id)
    refused = await failure(add_secret(auth, boss, person))
    assert refused.reason == "SERVICE_ACCOUNT_NOT_FOUND"
    refused = await failure(revoke(auth, boss, Client(person, key.api_key.id, "")))
    assert refused.reason == "SERVICE_ACCOUNT_NOT_FOUND"
    refused = await failure(update(auth, boss, person, "roles", roles=["admin"]))
    assert refused.reason == "SERVICE_ACCOUNT_NOT_FOUND"
    mailer = await client(auth, boss)
    refused = await failure(revoke(auth, boss, Client(mailer.account, key.api_key.id, "")))
    assert refused.reason == "CLIENT_SECRET_NOT_FOUND"
    assert (await auth.verify(key.key_text)).active


async def test_a_repeated_request_makes_one_account_and_one_secret(auth: Auth, boss: Any) -> None:
    """R66."""
    racing = await asyncio.gather(*(create(auth, boss, "r1") for _ in range(8)))
    assert {account.id for account in racing} == {racing[0].id}
    refused = await failure(create(auth, boss, "r1", audiences=["chat"]))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    secrets = await asyncio.gather(*(add_secret(auth, boss, racing[0], request_id="s1") for _ in range(8)))
    assert {secret.secret_text for secret in secrets} == {secrets[0].secret_text}
    end = Timestamp(seconds=secrets[0].client_secret.expire_time.seconds - 60)
    refused = await failure(add_secret(auth, boss, racing[0], request_id="s1", expire_time=end))
    assert refused.reason == "REQUEST_ID_REUSED"


async def test_a_change_keeps_what_is_not_named_and_a_stale_one_is_refused(auth: Auth, boss: Any) -> None:
    """R39."""
    account = await create(auth, boss, scopes=["users.read"])
    renamed = await update(auth, boss, account, display_name="postman")
    assert (renamed.display_name, list(renamed.roles), list(renamed.scopes)) == ("postman", ["service"], ["users.read"])
    refused = await failure(update(auth, boss, account, "audiences", audiences=["chat"], etag=account.etag))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    changed = await update(auth, boss, account, "audiences", audiences=["chat"], etag=renamed.etag)
    assert list(changed.audiences) == ["chat"]
    refused = await failure(update(auth, boss, account, "state", "client_secrets"))
    assert "update_mask" in refused.violations


@pytest.mark.parametrize(
    ("fields", "violation"),
    [
        ({"display_name": ""}, "service_account.display_name"),
        ({"display_name": "x" * 101}, "service_account.display_name"),
        ({"roles": ["root"]}, "service_account.roles"),
        ({"roles": ["user"]}, "service_account.roles"),
        ({"audiences": []}, "service_account.audiences"),
        ({"audiences": ["Chat"]}, "service_account.audiences"),
        ({"audiences": ["x" * 65]}, "service_account.audiences"),
        ({"audiences": [f"a{number}" for number in range(21)]}, "service_account.audiences"),
        ({"scopes": ["everything"]}, "service_account.scopes"),
        ({"request_id": "x" * 65}, "request_id"),
    ],
)
async def test_an_account_that_cannot_be_is_refused_by_its_fields(
    auth: Auth, boss: Any, fields: dict[str, Any], violation: str
) -> None:
    assert list((await failure(create(auth, boss, **fields))).violations) == [violation]


async def test_nobody_but_an_administrator_makes_service_accounts(auth: Auth, boss: Any) -> None:
    """R13: and that with a sign-in of the last minutes."""
    account = await create(auth, boss)
    ada = (await auth.sign_up()).tokens
    for attempt in (create(auth, ada), add_secret(auth, ada, account), update(auth, ada, account, "roles")):
        assert (await failure(attempt)).facts == {"required_role": "admin"}


async def test_events_tell_who_did_what_to_accounts_and_none_tells_of_a_token(auth: Auth, boss: Any) -> None:
    """R16."""
    mailer = await client(auth, boss, scopes=["users.read"])
    await update(auth, boss, mailer.account, "roles")
    await revoke(auth, boss, mailer)
    another = await add_secret(auth, boss, mailer.account)
    before = await fetch(auth.database.url, "SELECT count(*) FROM audit_events")
    for _ in range(10):
        await issue(auth, Client(mailer.account, another.client_secret.id, another.secret_text))
    assert await fetch(auth.database.url, "SELECT count(*) FROM audit_events") == before
    await auth.admin.DeleteServiceAccount(
        DeleteServiceAccountRequest(service_account_id=mailer.account.id), metadata=bearer(boss)
    )
    rows = await fetch(
        auth.database.url,
        "SELECT type, actor_id IS NOT NULL AS by_somebody FROM audit_events WHERE user_id = $1 ORDER BY create_time",
        mailer.account.id,
    )
    assert [tuple(row) for row in rows] == [
        ("SERVICE_ACCOUNT_CREATED", True),
        ("CLIENT_SECRET_CREATED", True),
        ("SERVICE_ACCOUNT_UPDATED", True),
        ("CLIENT_SECRET_REVOKED", True),
        ("CLIENT_SECRET_CREATED", True),
        ("SERVICE_ACCOUNT_DELETED", True),
    ]

"""What administrators do with accounts, and what they read of them (R16, R21, R23, R40, R48)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from protos.auth.v1 import administration_pb2 as pb
from protos.auth.v1.account_service_pb2 import GetProfileRequest
from protos.auth.v1.resources_pb2 import (
    INACTIVE_REASON_USER_INACTIVE,
    USER_STATE_ACTIVE,
    USER_STATE_SUSPENDED,
    Tokens,
    User,
)
from tests.authtest import Auth, auth_config, bearer, running_auth
from tests.grpc_errors import failure
from tests.servers import Servers, fetch


@pytest.fixture
async def admin(auth: Auth) -> Tokens:
    made = await auth.sign_up("admin@example.com")
    await fetch(auth.database.url, "UPDATE users SET roles = '{admin}' WHERE email = 'admin@example.com'")
    return made.tokens


@pytest.fixture
async def replica(auth: Auth, servers: Servers) -> AsyncIterator[Auth]:
    config = auth_config(auth.database, servers.redis.url, AUTH_MASTER_KEY=auth.config.master_key)
    async with running_auth(auth.database, config) as other:
        yield other


def asking(auth: Auth, admin: Tokens, rpc: str, **fields: Any) -> Any:
    return getattr(auth.admin, rpc)(getattr(pb, f"{rpc}Request")(**fields), metadata=bearer(admin))


async def types(auth: Auth, admin: Tokens, **fields: Any) -> list[str]:
    return [event.type for event in (await asking(auth, admin, "ListAuditEvents", **fields)).events]


async def failures_noted(auth: Auth, count: int) -> None:
    """A failed log-in is noted after its answer."""
    async with asyncio.timeout(10):
        while len(await fetch(auth.database.url, "SELECT FROM audit_events WHERE type = 'LOG_IN_FAILED'")) < count:
            await asyncio.sleep(0.01)


async def test_a_suspended_account_is_out_everywhere_at_once_and_its_sign_ins_do_not_come_back(
    auth: Auth, replica: Auth, admin: Tokens
) -> None:
    """R21, R40."""
    made = await auth.sign_up()
    assert (await replica.verify(made.tokens.access_token)).active
    shut = (await asking(auth, admin, "SuspendUser", user_id=made.user.id, comment="spam")).user
    assert shut.state == USER_STATE_SUSPENDED
    for one in (auth, replica):
        verified = await one.verify(made.tokens.access_token)
        assert not verified.active
        assert (await failure(one.refresh(made.tokens.refresh_token))).reason == "REFRESH_TOKEN_INVALID"
        assert (await failure(one.log_in())).reason == "INVALID_CREDENTIALS"
    await failures_noted(auth, 2)
    assert (await asking(auth, admin, "SuspendUser", user_id=made.user.id)).user.state == USER_STATE_SUSPENDED
    assert (await asking(auth, admin, "ReinstateUser", user_id=made.user.id)).user.state == USER_STATE_ACTIVE
    assert not (await replica.verify(made.tokens.access_token)).active
    assert (await replica.log_in()).user.state == USER_STATE_ACTIVE
    assert await types(auth, admin, user_id=made.user.id) == [
        "LOG_IN",
        "USER_REINSTATED",
        "LOG_IN_FAILED",
        "LOG_IN_FAILED",
        "USER_SUSPENDED",
        "SIGN_UP",
    ]


async def test_the_state_alone_refuses_a_token_whose_session_stands(auth: Auth, admin: Tokens) -> None:
    made = await auth.sign_up()
    await asking(auth, admin, "SuspendUser", user_id=made.user.id)
    await fetch(auth.database.url, "UPDATE sessions SET revoke_time = null, revoke_reason = null")
    assert (await auth.verify(made.tokens.access_token)).inactive_reason == INACTIVE_REASON_USER_INACTIVE


async def test_administrators_do_not_shut_themselves_out(auth: Auth, admin: Tokens) -> None:
    own = (await asking(auth, admin, "GetUser", email="admin@example.com")).user
    failed = await failure(asking(auth, admin, "SuspendUser", user_id=own.id))
    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OWN_ACCOUNT")


async def test_roles_count_from_the_next_call_on(auth: Auth, replica: Auth, admin: Tokens) -> None:
    """R40."""
    made = await auth.sign_up()
    assert (await failure(asking(replica, made.tokens, "ListUsers"))).facts == {"required_role": "admin"}
    user = User(id=made.user.id, roles=["admin", "user", "admin"])
    changed = (await asking(auth, admin, "UpdateUser", user=user)).user
    assert list(changed.roles) == ["admin", "user"]
    assert (await asking(replica, made.tokens, "ListUsers")).users
    mask = FieldMask(paths=["roles"])
    await asking(auth, admin, "UpdateUser", user=User(id=made.user.id), update_mask=mask)
    assert (await failure(asking(replica, made.tokens, "ListUsers"))).reason == "PERMISSION_DENIED"


async def test_an_update_writes_what_the_mask_names_and_nothing_else(auth: Auth, admin: Tokens) -> None:
    """R39."""
    made = await auth.sign_up(display_name="Ada")
    user = User(id=made.user.id, display_name="Countess", locale="en-GB", email_verified=True, email="eve@example.com")
    changed = (await asking(auth, admin, "UpdateUser", user=user, update_mask=FieldMask(paths=["locale"]))).user
    assert (changed.display_name, changed.locale, changed.email_verified) == ("Ada", "en-GB", False)
    changed = (await asking(auth, admin, "UpdateUser", user=user)).user
    assert (changed.display_name, changed.email, changed.email_verified) == ("Countess", "ada@example.com", True)
    stale = User(id=made.user.id, display_name="Late", etag=made.user.etag)
    assert (await failure(asking(auth, admin, "UpdateUser", user=stale))).reason == "ETAG_MISMATCH"
    for path in ("state", "id", "email", "kind"):
        refused = asking(auth, admin, "UpdateUser", user=user, update_mask=FieldMask(paths=[path]))
        assert (await failure(refused)).reason == "INVALID_FIELDS"
    unknown = User(id=str(uuid4()), display_name="x")
    assert (await failure(asking(auth, admin, "UpdateUser", user=unknown))).reason == "USER_NOT_FOUND"


async def test_a_made_account_has_no_password_and_a_repeat_makes_no_second(auth: Auth, admin: Tokens) -> None:
    """R15."""
    fields = {"user": User(email="New@Example.com", display_name="New", roles=["user"]), "request_id": "once"}
    made = (await asking(auth, admin, "CreateUser", **fields)).user
    assert (made.email, list(made.roles)) == ("new@example.com", ["user"])
    assert (await asking(auth, admin, "CreateUser", **fields)).user == made
    fields["request_id"] = "twice"
    assert (await failure(asking(auth, admin, "CreateUser", **fields))).reason == "EMAIL_TAKEN"
    assert (await failure(auth.log_in("new@example.com"))).reason == "INVALID_CREDENTIALS"
    assert (await asking(auth, admin, "GetUser", user_id=made.id)).user == made


async def test_accounts_are_found_by_the_beginning_of_email_or_name_page_by_page(auth: Auth, admin: Tokens) -> None:
    names = ["Zoë", "zoe", "Zoltan", "Åsa", "%_", "Zo"]
    for number, name in enumerate(names):
        user = User(email=f"zo{number}@example.com", display_name=name)
        await asking(auth, admin, "CreateUser", user=user)

    async def found(**fields: Any) -> list[str]:
        token, people = "", []
        while True:
            page = await asking(auth, admin, "ListUsers", page_size=2, page_token=token, **fields)
            people += [(user.email, user.display_name) for user in page.users]
            token = page.next_page_token
            if not token:
                return people

    assert [email for email, _ in await found(email_prefix="ZO")] == [f"zo{n}@example.com" for n in range(6)]
    assert [email for email, _ in await found(email_prefix="zo3")] == ["zo3@example.com"]
    assert [name for _, name in await found(display_name_prefix="zo")] == ["Zo", "zoe", "Zoltan", "Zoë"]
    assert [name for _, name in await found(display_name_prefix="%")] == ["%_"]
    assert len(await found()) == 7
    assert await found(email_prefix="nobody") == []
    assert await found(state=USER_STATE_SUSPENDED) == []
    both = asking(auth, admin, "ListUsers", email_prefix="a", display_name_prefix="b")
    assert (await failure(both)).reason == "INVALID_FIELDS"
    token = (await asking(auth, admin, "ListUsers", page_size=2, email_prefix="zo")).next_page_token
    other = asking(auth, admin, "ListUsers", page_size=2, email_prefix="z", page_token=token)
    assert (await failure(other)).reason == "INVALID_FIELDS"


async def test_an_administrator_sees_and_ends_the_sign_ins_of_a_user(auth: Auth, replica: Auth, admin: Tokens) -> None:
    """R23."""
    first = await auth.sign_up()
    second, third = await auth.log_in(), await auth.log_in()
    listed = (await asking(auth, admin, "ListUserSessions", user_id=first.user.id)).sessions
    assert [session.id for session in listed] == [third.session.id, second.session.id, first.session.id]
    one = {"user_id": first.user.id, "session_id": second.session.id}
    assert (await asking(auth, admin, "RevokeUserSessions", **one)).revoked_count == 1
    assert not (await replica.verify(second.tokens.access_token)).active
    assert (await failure(asking(auth, admin, "RevokeUserSessions", **one))).reason == "SESSION_NOT_FOUND"
    foreign = {"user_id": first.user.id, "session_id": str(uuid4())}
    assert (await failure(asking(auth, admin, "RevokeUserSessions", **foreign))).reason == "SESSION_NOT_FOUND"
    assert (await asking(auth, admin, "RevokeUserSessions", user_id=first.user.id)).revoked_count == 2
    for tokens in (first.tokens, third.tokens):
        assert not (await replica.verify(tokens.access_token)).active
    events = (await asking(auth, admin, "ListAuditEvents", type="USER_SESSIONS_REVOKED")).events
    assert [event.details["count"] for event in events] == [2, 1]
    assert {event.address for event in events} == {"127.0.0.1"}


async def test_events_are_read_newest_first_by_user_type_and_time(auth: Auth, admin: Tokens) -> None:
    """R16, R48: a log-in that failed is among them."""
    made = await auth.sign_up()
    await failure(auth.log_in(password="not the password"))
    await failures_noted(auth, 1)
    await auth.log_in()
    await auth.log_out(made.tokens)
    everything = (await asking(auth, admin, "ListAuditEvents", page_size=200)).events
    assert [event.type for event in everything][-2:] == ["SIGN_UP", "SIGN_UP"]
    assert sorted(await types(auth, admin, user_id=made.user.id)) == [
        "LOG_IN",
        "LOG_IN_FAILED",
        "SESSION_LOG_OUT",
        "SIGN_UP",
    ]
    assert await types(auth, admin, user_id=made.user.id, type="LOG_IN") == ["LOG_IN"]
    assert await types(auth, admin, start_time=everything[0].create_time) == [everything[0].type]
    assert len(await types(auth, admin, end_time=everything[0].create_time)) == len(everything) - 1
    token, paged = "", []
    while True:
        page = await asking(auth, admin, "ListAuditEvents", page_size=2, page_token=token)
        paged += page.events
        token = page.next_page_token
        if not token:
            break
    assert paged == list(everything)


@pytest.mark.parametrize("rpc", [name for name in dir(pb) if name.endswith("Request")])
async def test_nobody_but_an_administrator_may(auth: Auth, rpc: str) -> None:
    made = await auth.sign_up()
    method = rpc.removesuffix("Request")
    failed = await failure(asking(auth, made.tokens, method))
    assert (failed.code, failed.facts) == (grpc.StatusCode.PERMISSION_DENIED, {"required_role": "admin"})
    assert (await failure(getattr(auth.admin, method)(getattr(pb, rpc)()))).reason == "UNAUTHENTICATED"
    assert (await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(made.tokens))).user == made.user

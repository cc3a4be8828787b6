"""Tokens that may do less than their user: for other audiences, with scopes, or held by a service that acts for one."""

from typing import Any

import grpc
import pytest

from protos.auth.v1.account_service_pb2 import GetProfileRequest, ListSessionsRequest, UpdateProfileRequest
from protos.auth.v1.auth_service_pb2 import (
    BatchVerifyTokensRequest,
    LogOutRequest,
    VerifyTokenRequest,
    VerifyTokenResponse,
)
from protos.auth.v1.resources_pb2 import (
    INACTIVE_REASON_INVALID,
    INACTIVE_REASON_REVOKED,
    INACTIVE_REASON_USER_INACTIVE,
    User,
)
from tests.auth.forge import forge
from tests.authtest import Auth, bearer
from tests.grpc_errors import failure
from tests.servers import fetch


async def verify(auth: Auth, token: str, audience: str) -> VerifyTokenResponse:
    alone = await auth.auth.VerifyToken(VerifyTokenRequest(access_token=token, audience=audience))
    many = await auth.auth.BatchVerifyTokens(BatchVerifyTokensRequest(access_tokens=[token], audience=audience))
    assert [alone] == list(many.results)
    return alone


async def test_a_token_counts_for_its_audiences_and_a_remembered_one_for_no_other(auth: Auth) -> None:
    """R31."""
    forged = await forge(auth, (await auth.sign_up()).tokens)
    for audience in ("", "auth", "chat"):
        assert (await verify(auth, forged.good, audience)).active
    for audience in ("billing", "Chat", "chat ", "aut", "\0", "x" * 10_000):
        assert (await verify(auth, forged.good, audience)).inactive_reason == INACTIVE_REASON_INVALID
    for_billing = forged.token(aud=["billing"])
    assert (await verify(auth, for_billing, "billing")).active
    for audience in ("", "auth", "chat"):
        assert (await verify(auth, for_billing, audience)).inactive_reason == INACTIVE_REASON_INVALID
    refused = await failure(auth.account.GetProfile(GetProfileRequest(), metadata=bearer(for_billing)))
    assert (refused.reason, refused.facts) == ("UNAUTHENTICATED", {"inactive_reason": "INVALID"})


async def test_a_token_with_scopes_opens_what_they_name_and_nothing_else(auth: Auth) -> None:
    """Deny by default: what names no scope is closed to it, though its user may do everything."""
    forged = await forge(auth, (await auth.sign_up()).tokens)
    limited = forged.token(scope="account.read chat.read")
    assert list((await auth.verify(limited)).scopes) == ["account.read", "chat.read"]
    assert (await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(limited))).user.email
    writing = auth.account.UpdateProfile(UpdateProfileRequest(user=User(display_name="x")), metadata=bearer(limited))
    refused = await failure(writing)
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert refused.facts == {"required_scope": "account.write"}
    for call in (
        auth.account.ListSessions(ListSessionsRequest(), metadata=bearer(limited)),
        auth.auth.LogOut(LogOutRequest(), metadata=bearer(limited)),
    ):
        refused = await failure(call)
        assert (refused.reason, refused.facts) == ("PERMISSION_DENIED", {"required_scope": ""})
    assert list((await auth.verify(forged.good)).scopes) == []


async def test_a_token_never_has_more_scopes_than_its_session(auth: Auth) -> None:
    """R40: the session is asked at each call, whatever the token said when it was made."""
    made = await auth.sign_up()
    await fetch(auth.database.url, "UPDATE sessions SET scopes = '{chat.read}'")
    forged = await forge(auth, made.tokens)
    assert list((await auth.verify(forged.good)).scopes) == ["chat.read"]
    assert list((await auth.verify(forged.token(scope="account.read chat.read"))).scopes) == ["chat.read"]
    assert (await auth.verify(forged.token(scope="account.read"))).inactive_reason == INACTIVE_REASON_INVALID


@pytest.fixture
async def acting(auth: Auth) -> Any:
    """A user, an actor, and a token with which the one acts for the other."""
    user, actor = await auth.sign_up(), await auth.sign_up("service@example.com")
    forged = await forge(auth, user.tokens)
    act = {"sub": actor.user.id, "sid": actor.session.id}
    return user, actor, forged.token(scope="account.read", act=act)


async def test_a_token_of_an_actor_tells_both_and_is_limited(auth: Auth, acting: Any) -> None:
    """R41: what counts is the user, and the actor is known beside them."""
    user, actor, token = acting
    verified = await auth.verify(token)
    assert (verified.active, verified.user_id, verified.actor_id) == (True, user.user.id, actor.user.id)
    profile = await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(token))
    assert profile.user.id == user.user.id
    refused = await failure(auth.auth.LogOut(LogOutRequest(), metadata=bearer(token)))
    assert refused.reason == "PERMISSION_DENIED"


async def test_what_an_actor_holds_ends_with_the_users_session_and_with_its_own(auth: Auth, acting: Any) -> None:
    """R20, R21."""
    user, actor, token = acting
    another = (await auth.log_in("service@example.com")).session.id
    forged = await forge(auth, user.tokens)
    by_another = forged.token(scope="account.read", act={"sub": actor.user.id, "sid": another})
    assert (await auth.verify(token)).active
    await auth.log_out(actor.tokens)
    assert (await auth.verify(token)).inactive_reason == INACTIVE_REASON_REVOKED
    assert (await auth.verify(by_another)).active
    await auth.log_out(user.tokens)
    assert (await auth.verify(by_another)).inactive_reason == INACTIVE_REASON_REVOKED


async def test_a_suspended_actor_acts_for_nobody(auth: Auth, acting: Any) -> None:
    """R21."""
    _, actor, token = acting
    await fetch(auth.database.url, "UPDATE users SET state = 'SUSPENDED' WHERE id = $1", actor.user.id)
    assert (await auth.verify(token)).inactive_reason == INACTIVE_REASON_USER_INACTIVE
    forged = await forge(auth, acting[0].tokens)
    stranger = forged.token(scope="account.read", act={"sub": actor.user.id, "sid": acting[0].session.id})
    assert (await auth.verify(stranger)).inactive_reason == INACTIVE_REASON_REVOKED

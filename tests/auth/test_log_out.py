"""LogOut: the session has ended, here and now, and no other one."""

import asyncio

import grpc

from protos.auth.v1.account_service_pb2 import GetProfileRequest
from protos.auth.v1.auth_service_pb2 import LogOutRequest
from protos.auth.v1.resources_pb2 import INACTIVE_REASON_REVOKED
from tests.authtest import Auth, bearer
from tests.grpc_errors import failure
from tests.servers import fetch


async def test_a_log_out_ends_the_session_with_all_its_tokens(auth: Auth) -> None:
    """R20."""
    tokens = (await auth.sign_up()).tokens
    later = (await auth.refresh(tokens.refresh_token)).tokens
    await auth.log_out(later)
    for access_token in (tokens.access_token, later.access_token):
        assert (await auth.verify(access_token)).inactive_reason == INACTIVE_REASON_REVOKED
    for refresh_token in (tokens.refresh_token, later.refresh_token):
        assert (await failure(auth.refresh(refresh_token))).reason == "REFRESH_TOKEN_INVALID"
    failed = await failure(auth.account.GetProfile(GetProfileRequest(), metadata=bearer(later)))
    assert (failed.reason, failed.facts) == ("UNAUTHENTICATED", {"inactive_reason": "REVOKED"})


async def test_a_log_out_leaves_the_users_other_sessions(auth: Auth) -> None:
    first, second = await auth.sign_up(), await auth.log_in()
    await auth.log_out(first.tokens)
    assert (await auth.verify(second.tokens.access_token)).active
    rows = await fetch(auth.database.url, "SELECT id::text, revoke_reason FROM sessions ORDER BY id")
    assert [tuple(row) for row in rows] == [(first.session.id, "LOG_OUT"), (second.session.id, None)]
    [event] = await fetch(
        auth.database.url, "SELECT session_id::text, address FROM audit_events WHERE type = 'SESSION_LOG_OUT'"
    )
    assert tuple(event) == (first.session.id, "127.0.0.1")


async def test_a_second_log_out_is_unauthenticated(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    await auth.log_out(tokens)
    failed = await failure(auth.log_out(tokens))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


async def test_of_log_outs_that_race_one_succeeds_and_leaves_one_event(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    answers = await asyncio.gather(*(auth.log_out(tokens) for _ in range(10)), return_exceptions=True)
    assert answers.count(None) == 1
    assert {answer.code() for answer in answers if isinstance(answer, grpc.aio.AioRpcError)} == {
        grpc.StatusCode.UNAUTHENTICATED
    }
    assert len(await fetch(auth.database.url, "SELECT id FROM audit_events WHERE type = 'SESSION_LOG_OUT'")) == 1


async def test_a_log_out_without_a_token_is_unauthenticated(auth: Auth) -> None:
    failed = await failure(auth.auth.LogOut(LogOutRequest()))
    assert (failed.reason, failed.facts) == ("UNAUTHENTICATED", {})


async def test_a_log_in_after_a_log_out_begins_anew(auth: Auth) -> None:
    """R18."""
    session_ids = {(await auth.sign_up()).session.id}
    for _ in range(5):
        made = await auth.log_in()
        session_ids.add(made.session.id)
        await auth.log_out(made.tokens)
    assert len(session_ids) == 6

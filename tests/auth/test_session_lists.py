"""ListSessions, RevokeSession and RevokeOtherSessions: a user's own sessions, and nobody else's."""

import asyncio
from uuid import UUID, uuid4

import grpc

from protos.auth.v1.account_service_pb2 import (
    ListSessionsRequest,
    ListSessionsResponse,
    RevokeOtherSessionsRequest,
    RevokeSessionRequest,
)
from protos.auth.v1.auth_service_pb2 import LogInRequest
from protos.auth.v1.resources_pb2 import INACTIVE_REASON_REVOKED, Session, Tokens
from tests.authtest import PASSWORD, Auth, bearer
from tests.grpc_errors import failure
from tests.servers import fetch


async def listed(auth: Auth, tokens: Tokens, **fields: object) -> ListSessionsResponse:
    request = ListSessionsRequest(**fields)  # type: ignore[arg-type]
    return await auth.account.ListSessions(request, metadata=bearer(tokens))


async def pages(auth: Auth, tokens: Tokens, **fields: object) -> list[list[str]]:
    found, token = [], ""
    while True:
        answer = await listed(auth, tokens, page_token=token, **fields)
        found.append([session.id for session in answer.sessions])
        token = answer.next_page_token
        if not token:
            return found


async def revoke(auth: Auth, tokens: Tokens, session_id: str) -> Session:
    request = RevokeSessionRequest(session_id=session_id)
    return (await auth.account.RevokeSession(request, metadata=bearer(tokens))).session


async def test_the_list_has_the_newest_session_first_and_marks_the_current_one(auth: Auth) -> None:
    first = await auth.sign_up()
    phone = LogInRequest(email="ada@example.com", password=PASSWORD, device_label="phone")
    second, third = await auth.auth.LogIn(phone), await auth.log_in()
    answer = await listed(auth, second.tokens)
    assert [session.id for session in answer.sessions] == [third.session.id, second.session.id, first.session.id]
    assert [session.current for session in answer.sessions] == [False, True, False]
    assert answer.sessions[1] == second.session
    assert answer.sessions[1].device_label == "phone"
    assert answer.next_page_token == ""


async def test_the_list_has_nobody_elses_sessions(auth: Auth) -> None:
    ada, eve = await auth.sign_up(), await auth.sign_up("eve@example.com")
    for person in (ada, eve):
        for show_revoked in (False, True):
            assert await pages(auth, person.tokens, show_revoked=show_revoked) == [[person.session.id]]


async def test_a_refresh_shows_in_the_time_of_last_use(auth: Auth) -> None:
    made = await auth.sign_up()
    [before] = (await listed(auth, made.tokens)).sessions
    assert before.last_used_time == before.create_time
    await auth.refresh(made.tokens.refresh_token)
    [after] = (await listed(auth, made.tokens)).sessions
    assert after.last_used_time.ToDatetime() > before.last_used_time.ToDatetime()
    assert after.create_time == before.create_time


async def test_ended_sessions_show_only_where_they_are_asked_for(auth: Auth) -> None:
    """R23."""
    stays, revoked, expired = await auth.sign_up(), await auth.log_in(), await auth.log_in()
    await revoke(auth, stays.tokens, revoked.session.id)
    await fetch(
        auth.database.url,
        "UPDATE sessions SET expire_time = now() - interval '1 second' WHERE id = $1",
        UUID(expired.session.id),
    )
    assert await pages(auth, stays.tokens) == [[stays.session.id]]
    shown = (await listed(auth, stays.tokens, show_revoked=True)).sessions
    assert [session.id for session in shown] == [expired.session.id, revoked.session.id, stays.session.id]
    assert [session.HasField("revoke_time") for session in shown] == [False, True, False]


async def test_the_pages_hold_every_session_once_in_the_order_of_the_list(auth: Auth) -> None:
    made = await auth.sign_up()
    for _ in range(6):
        await auth.log_in()
    for show_revoked in (False, True):
        [whole] = await pages(auth, made.tokens, show_revoked=show_revoked)
        assert len(whole) == 7
        for size in (1, 3, 6):
            found = await pages(auth, made.tokens, page_size=size, show_revoked=show_revoked)
            assert [len(page) for page in found[:-1]] == [size] * (len(found) - 1)
            assert [session_id for page in found for session_id in page] == whole
        assert await pages(auth, made.tokens, page_size=7, show_revoked=show_revoked) == [whole]
        assert await pages(auth, made.tokens, page_size=100_000, show_revoked=show_revoked) == [whole]


async def test_sessions_that_begin_or_end_between_pages_move_nothing_else(auth: Auth) -> None:
    made = await auth.sign_up()
    others = [await auth.log_in() for _ in range(4)]
    expected = [session.session.id for session in reversed(others)]
    first = await listed(auth, made.tokens, page_size=2)
    await auth.log_in()
    await revoke(auth, made.tokens, expected[1])
    second = await listed(auth, made.tokens, page_size=2, page_token=first.next_page_token)
    assert [session.id for session in first.sessions] == expected[:2]
    assert [session.id for session in second.sessions] == expected[2:]


async def test_a_page_has_fifty_sessions_where_no_size_is_asked_and_two_hundred_at_most(auth: Auth) -> None:
    made = await auth.sign_up()
    await fetch(
        auth.database.url,
        "INSERT INTO sessions (id, user_id, device_label, user_agent, address, auth_methods, expire_time)"
        " SELECT gen_random_uuid(), $1, '', '', '', '{pwd}', now() + interval '1 day' FROM generate_series(1, 210)",
        UUID(made.user.id),
    )
    assert [len(page) for page in await pages(auth, made.tokens)] == [50, 50, 50, 50, 11]
    assert [len(page) for page in await pages(auth, made.tokens, page_size=1_000)] == [200, 11]
    assert len(set(sum(await pages(auth, made.tokens, show_revoked=True), []))) == 211  # noqa: RUF017


async def test_a_page_token_is_good_for_its_own_list_and_user_alone(auth: Auth) -> None:
    """R38."""
    ada, eve = await auth.sign_up(), await auth.sign_up("eve@example.com")
    await auth.log_in()
    token = (await listed(auth, ada.tokens, page_size=1)).next_page_token
    assert (await listed(auth, ada.tokens, page_size=5, page_token=token)).sessions[0].id == ada.session.id
    for tokens, changes in (
        (eve.tokens, {"page_token": token}),
        (ada.tokens, {"page_token": token, "show_revoked": True}),
        (ada.tokens, {"page_token": token[:-1]}),
        (ada.tokens, {"page_token": "A" * len(token)}),
        (ada.tokens, {"page_token": "not a token"}),
    ):
        failed = await failure(listed(auth, tokens, **changes))
        assert (failed.code, list(failed.violations)) == (grpc.StatusCode.INVALID_ARGUMENT, ["page_token"])


async def test_a_negative_page_size_is_refused(auth: Auth) -> None:
    made = await auth.sign_up()
    assert list((await failure(listed(auth, made.tokens, page_size=-1))).violations) == ["page_size"]


async def test_a_revoked_session_is_over_at_once_and_shows_when(auth: Auth) -> None:
    """R20, R23."""
    here, there = await auth.sign_up(), await auth.log_in()
    assert (await auth.verify(there.tokens.access_token)).active
    ended = await revoke(auth, here.tokens, there.session.id)
    assert ended.id == there.session.id
    assert ended.HasField("revoke_time")
    assert (await auth.verify(there.tokens.access_token)).inactive_reason == INACTIVE_REASON_REVOKED
    assert (await failure(auth.refresh(there.tokens.refresh_token))).reason == "REFRESH_TOKEN_INVALID"
    assert (await auth.verify(here.tokens.access_token)).active
    assert await revoke(auth, here.tokens, there.session.id) == ended
    rows = await fetch(auth.database.url, "SELECT session_id::text FROM audit_events WHERE type = 'SESSION_REVOKED'")
    assert [row["session_id"] for row in rows] == [there.session.id]


async def test_the_current_session_may_be_revoked_too(auth: Auth) -> None:
    made = await auth.sign_up()
    assert (await revoke(auth, made.tokens, made.session.id.upper())).current
    assert not (await auth.verify(made.tokens.access_token)).active


async def test_another_users_session_is_as_unknown_as_nobodys_and_goes_on(auth: Auth) -> None:
    """R38: code, message and every byte of the details."""
    ada, eve = await auth.sign_up(), await auth.sign_up("eve@example.com")
    foreign = await failure(revoke(auth, eve.tokens, ada.session.id))
    nobodys = await failure(revoke(auth, eve.tokens, str(uuid4())))
    assert (foreign.code, foreign.reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")
    assert foreign.seen == nobodys.seen
    assert (await auth.verify(ada.tokens.access_token)).active
    assert (await auth.refresh(ada.tokens.refresh_token)).tokens.access_token
    assert await fetch(auth.database.url, "SELECT id FROM audit_events WHERE type LIKE 'SESSION%'") == []


async def test_a_session_id_that_is_none_is_refused_by_its_name(auth: Auth) -> None:
    made = await auth.sign_up()
    for session_id in ("", "1", "not-a-uuid", "{01900000-0000-7000-8000-000000000000}", "\0"):
        assert list((await failure(revoke(auth, made.tokens, session_id))).violations) == ["session_id"]


async def test_all_other_sessions_end_at_once_and_the_present_one_stays(auth: Auth) -> None:
    """R20, R22."""
    eve, here = await auth.sign_up("eve@example.com"), await auth.sign_up()
    others = [await auth.log_in() for _ in range(4)]
    await asyncio.gather(*(auth.verify(other.tokens.access_token) for other in others))
    answer = await auth.account.RevokeOtherSessions(RevokeOtherSessionsRequest(), metadata=bearer(here.tokens))
    assert answer.revoked_count == 4
    verified = await asyncio.gather(*(auth.verify(other.tokens.access_token) for other in others))
    assert {answer.inactive_reason for answer in verified} == {INACTIVE_REASON_REVOKED}
    for other in others:
        assert (await failure(auth.refresh(other.tokens.refresh_token))).reason == "REFRESH_TOKEN_INVALID"
    assert (await auth.verify(here.tokens.access_token)).active
    assert (await auth.verify(eve.tokens.access_token)).active
    again = await auth.account.RevokeOtherSessions(RevokeOtherSessionsRequest(), metadata=bearer(here.tokens))
    assert again.revoked_count == 0


async def test_more_other_sessions_than_one_statement_ends_all_end(auth: Auth) -> None:
    made = await auth.sign_up()
    await fetch(
        auth.database.url,
        "INSERT INTO sessions (id, user_id, device_label, user_agent, address, auth_methods, expire_time)"
        " SELECT gen_random_uuid(), $1, '', '', '', '{pwd}', now() + interval '1 day' FROM generate_series(1, 1001)",
        UUID(made.user.id),
    )
    answer = await auth.account.RevokeOtherSessions(RevokeOtherSessionsRequest(), metadata=bearer(made.tokens))
    assert answer.revoked_count == 1001
    assert await pages(auth, made.tokens) == [[made.session.id]]

"""A user has at most so many sign-ins; one more ends the oldest (R25)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from protos.auth.v1.account_service_pb2 import ListSessionsRequest
from tests.authtest import Auth, auth_config, bearer, running_auth
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase

MOST = 3


@pytest.fixture
async def few(servers: Servers, auth_database: TestDatabase) -> AsyncIterator[Auth]:
    config = auth_config(auth_database, servers.redis.url, AUTH_SESSIONS_PER_USER=MOST)
    async with running_auth(auth_database, config) as auth:
        yield auth


async def test_one_sign_in_too_many_ends_the_oldest_at_once(few: Auth) -> None:
    sign_ins = [await few.sign_up(), *[await few.log_in() for _ in range(MOST - 1)]]
    assert (await few.verify(sign_ins[0].tokens.access_token)).active
    latest = await few.log_in()
    assert not (await few.verify(sign_ins[0].tokens.access_token)).active
    assert (await failure(few.refresh(sign_ins[0].tokens.refresh_token))).reason == "REFRESH_TOKEN_INVALID"
    listed = (await few.account.ListSessions(ListSessionsRequest(), metadata=bearer(latest.tokens))).sessions
    assert {session.id for session in listed} == {one.session.id for one in [*sign_ins[1:], latest]}


async def test_fifty_log_ins_at_once_leave_no_more(few: Auth) -> None:
    """R25."""
    await few.sign_up()
    answers = await asyncio.gather(*(few.log_in() for _ in range(50)))
    active = [one for one in answers if (await few.verify(one.tokens.access_token)).active]
    assert len(active) == MOST

import asyncio

import grpc
import pytest

from auth_service.refresh_tokens import RefreshTokens
from shared.crypto import KeyRing
from tests.authtest import Auth
from tests.servers import fetch

_GENERATION = "SELECT generation, revoke_time FROM user_tokens"


async def test_fifty_callers_racing_with_one_token_get_one_identical_successor(auth: Auth) -> None:
    """R34, F21."""
    tokens = (await auth.sign_up()).tokens
    answers = await asyncio.gather(*(auth.refresh(tokens.refresh_token) for _ in range(50)))
    assert len({answer.tokens.refresh_token for answer in answers}) == 1
    assert answers[0].tokens.refresh_token != tokens.refresh_token
    assert [row["generation"] for row in await fetch(auth.database.url, _GENERATION)] == [2]
    for answer in answers:
        assert (await auth.verify(answer.tokens.access_token)).active


async def test_a_refresh_changes_its_row_in_place(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    for _ in range(20):
        tokens = (await auth.refresh(tokens.refresh_token)).tokens
    rows = await fetch(
        auth.database.url,
        "SELECT pg_stat_force_next_flush(), count(*) FROM user_tokens",
    )
    assert rows[0]["count"] == 1
    assert [row["generation"] for row in await fetch(auth.database.url, _GENERATION)] == [21]


async def test_the_former_token_is_good_again_until_its_successor_was_used(auth: Auth) -> None:
    """R34."""
    first = (await auth.sign_up()).tokens
    second = (await auth.refresh(first.refresh_token)).tokens
    again = (await auth.refresh(first.refresh_token)).tokens
    assert again.refresh_token == second.refresh_token
    third = (await auth.refresh(second.refresh_token)).tokens
    with pytest.raises(grpc.aio.AioRpcError, match="used before") as refused:
        await auth.refresh(first.refresh_token)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert not (await auth.verify(third.access_token)).active
    with pytest.raises(grpc.aio.AioRpcError, match="log in again"):
        await auth.refresh(third.refresh_token)


async def test_the_former_token_is_theft_once_the_grace_has_passed(auth: Auth) -> None:
    """R34: the session ends, and an event says why."""
    first = (await auth.sign_up()).tokens
    second = (await auth.refresh(first.refresh_token)).tokens
    await fetch(auth.database.url, "UPDATE user_tokens SET rotate_time = now() - interval '31 seconds'")
    with pytest.raises(grpc.aio.AioRpcError, match="used before"):
        await auth.refresh(first.refresh_token)
    assert not (await auth.verify(second.access_token)).active
    events = await fetch(auth.database.owner_url, "SELECT type FROM audit_events ORDER BY id DESC LIMIT 1")
    assert events[0]["type"] == "SESSION_REFRESH_TOKEN_REUSED"


async def test_a_token_dies_when_it_lies_unused_and_at_the_sessions_end(auth: Auth) -> None:
    """R19, R35."""
    idle = (await auth.sign_up()).tokens
    await fetch(auth.database.url, "UPDATE user_tokens SET rotate_time = now() - interval '31 days'")
    with pytest.raises(grpc.aio.AioRpcError, match="not good"):
        await auth.refresh(idle.refresh_token)
    ended = (await auth.log_in()).tokens
    await fetch(
        auth.database.url, "UPDATE user_tokens SET expire_time = now() WHERE rotate_time > now() - interval '1 day'"
    )
    with pytest.raises(grpc.aio.AioRpcError, match="not good"):
        await auth.refresh(ended.refresh_token)


async def test_a_suspended_user_cannot_refresh(auth: Auth) -> None:
    """R13, R21."""
    tokens = (await auth.sign_up()).tokens
    await fetch(auth.database.url, "UPDATE users SET state = 'SUSPENDED'")
    with pytest.raises(grpc.aio.AioRpcError, match="not good"):
        await auth.refresh(tokens.refresh_token)
    assert [row["generation"] for row in await fetch(auth.database.url, _GENERATION)] == [1]


async def test_a_generation_that_a_restored_backup_forgot_is_taken(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    for _ in range(3):
        tokens = (await auth.refresh(tokens.refresh_token)).tokens
    await fetch(auth.database.url, "UPDATE user_tokens SET generation = 2")
    renewed = (await auth.refresh(tokens.refresh_token)).tokens
    assert (await auth.verify(renewed.access_token)).active
    assert [row["generation"] for row in await fetch(auth.database.url, _GENERATION)] == [5]


async def test_nothing_in_the_database_can_mint_a_token(auth: Auth) -> None:
    """R17: whoever reads every table, without the master key, has no token."""
    up = await auth.sign_up()
    raw = await fetch(auth.database.url, "SELECT * FROM user_tokens")
    assert up.tokens.refresh_token not in str([dict(row) for row in raw])
    forged = RefreshTokens(KeyRing(b"another key" * 3).macs("refresh tokens")).write(
        _token_of(auth, up.tokens.refresh_token)
    )
    with pytest.raises(grpc.aio.AioRpcError, match="not good"):
        await auth.refresh(forged)


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "=", lambda t: t + "A", lambda t: t.upper(), lambda t: t[10:]]
)
async def test_no_other_spelling_of_a_token_is_one(auth: Auth, change) -> None:
    """R37."""
    token = (await auth.sign_up()).tokens.refresh_token
    with pytest.raises(grpc.aio.AioRpcError, match="not good"):
        await auth.refresh(change(token))
    assert (await auth.refresh(token)).tokens.refresh_token


async def test_nothing_minted_in_a_race_with_log_out_outlives_it(auth: Auth) -> None:
    """F22."""
    await auth.sign_up()
    for _ in range(40):
        tokens = (await auth.log_in()).tokens
        minted: list = []

        async def refresh(token: str, minted: list) -> None:
            try:
                minted.append((await auth.refresh(token)).tokens)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAUTHENTICATED  # noqa: PT017 - either outcome is right

        await asyncio.gather(
            refresh(tokens.refresh_token, minted), auth.log_out(tokens), refresh(tokens.refresh_token, minted)
        )
        for late in [tokens, *minted]:
            assert not (await auth.verify(late.access_token)).active
            with pytest.raises(grpc.aio.AioRpcError):
                await auth.refresh(late.refresh_token)


def _token_of(auth: Auth, text: str):
    token = RefreshTokens(auth.config.key_ring.macs("refresh tokens")).read(text)
    assert token is not None
    return token

"""Recovery codes: ten, told once, each good once in place of the phone (R14, F23)."""

import asyncio
import base64
import re
from itertools import chain

import grpc

from tests.auth.factors import Owner, Watch, forget_limits, regenerate, second_factors, succeeded, with_app
from tests.authtest import Auth
from tests.grpc_errors import failure
from tests.servers import Servers, fetch


async def left(owner: Owner) -> int:
    return (await second_factors(owner.auth, owner.tokens)).recovery_code_count


async def test_each_has_a_hundred_random_bits_in_groups_that_can_be_read(owner: Owner) -> None:
    """R17."""
    letters = [code.replace("-", "") for code in owner.recovery_codes]
    assert all(re.fullmatch(r"[a-z2-7]{5}(-[a-z2-7]{5}){3}", code) for code in owner.recovery_codes)
    assert len(letters[0]) * 5 == 100
    assert len({base64.b32decode(each.upper() + "=" * (-len(each) % 8)) for each in letters}) == 10
    assert len(set(chain.from_iterable(letters))) > 20


async def test_one_completes_a_log_in_once(owner: Owner) -> None:
    code = owner.recovery_codes[0]
    completed = await owner.complete(recovery_code=code)
    assert (completed.session.assurance_level, list(completed.session.auth_methods)) == (2, ["pwd", "otp", "mfa"])
    assert await left(owner) == 9
    failed = await failure(owner.complete(recovery_code=code))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "SECOND_FACTOR_INVALID")
    used = "SELECT user_id::text FROM audit_events WHERE type = 'RECOVERY_CODE_USED'"
    assert [row["user_id"] for row in await fetch(owner.auth.database.url, used)] == [owner.user.id]


async def test_one_in_sixteen_log_ins_at_once_opens_one(owner: Owner, servers: Servers) -> None:
    """F23."""
    for code in owner.recovery_codes[:5]:
        challenges = await asyncio.gather(*(owner.challenge() for _ in range(16)))
        calls = (owner.complete(challenge, recovery_code=code) for challenge in challenges)
        assert succeeded(await asyncio.gather(*calls, return_exceptions=True)) == 1
        await forget_limits(servers)
    assert await left(owner) == 5


async def test_how_one_is_typed_makes_no_difference(owner: Owner) -> None:
    first, second, third, fourth = owner.recovery_codes[:4]
    for typed in (first.upper(), second.replace("-", ""), third.replace("-", " "), f"  {fourth} "):
        assert (await owner.complete(recovery_code=typed)).HasField("tokens")


async def test_new_ones_void_all_former_ones(owner: Owner) -> None:
    await owner.complete(recovery_code=owner.recovery_codes[0])
    fresh = list((await regenerate(owner.auth, owner.tokens)).recovery_codes)
    assert len(set(fresh) - set(owner.recovery_codes)) == 10
    assert await left(owner) == 10
    assert (await failure(owner.complete(recovery_code=owner.recovery_codes[1]))).reason == "SECOND_FACTOR_INVALID"
    assert (await owner.complete(recovery_code=fresh[0])).HasField("tokens")


async def test_an_account_without_a_second_factor_has_none(auth: Auth, watch: Watch) -> None:
    made = await auth.sign_up()
    failed = await failure(regenerate(auth, made.tokens))
    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SECOND_FACTOR_NOT_FOUND")


async def test_only_a_fresh_session_gets_new_ones(owner: Owner) -> None:
    """R24."""
    stale = await owner.complete()
    await fetch(owner.auth.database.url, "UPDATE sessions SET auth_time = now() - interval '1 hour'")
    assert (await failure(regenerate(owner.auth, stale.tokens))).reason == "STEP_UP_REQUIRED"
    assert (await owner.complete(recovery_code=owner.recovery_codes[0])).HasField("tokens")


async def test_one_users_codes_are_kept_apart_from_anothers(owner: Owner) -> None:
    """R38: the digest has the user's id in it."""
    eve = await with_app(owner.auth, owner.watch, "eve@example.com")
    stolen = await fetch(
        owner.auth.database.url,
        "UPDATE recovery_codes SET user_id = $1::uuid WHERE user_id = $2::uuid RETURNING code_digest",
        eve.user.id,
        owner.user.id,
    )
    assert len(stolen) == 10
    assert (await failure(eve.complete(recovery_code=owner.recovery_codes[0]))).reason == "SECOND_FACTOR_INVALID"


async def test_the_database_holds_their_digests_alone(owner: Owner) -> None:
    rows = await fetch(owner.auth.database.url, "SELECT code_digest FROM recovery_codes")
    assert {len(row["code_digest"]) for row in rows} == {32}

"""ExportAccount: users get all that auth keeps of them. PullErasedUsers: services hear who is no more."""

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import grpc

from auth_service.account_export import PAGE
from auth_service.store import users
from protos.auth.v1.account_export_pb2 import ExportAccountRequest, ExportAccountResponse
from protos.auth.v1.erasures_pb2 import ErasedUser, PullErasedUsersRequest
from tests.auth.api_keys import create
from tests.auth.factors import Owner
from tests.authtest import Auth, bearer, service_bearer
from tests.grpc_errors import failure
from tests.servers import fetch

MAKE_STALE = "UPDATE sessions SET auth_time = now() - interval '1 hour'"
DOOM = "UPDATE users SET state = 'DELETED', purge_time = now() - interval '1 s' WHERE id = any($1::uuid[])"
MANY_EVENTS = """
INSERT INTO audit_events (id, type, user_id, address)
SELECT gen_random_uuid(), 'LOG_IN_FAILED', $1, '198.51.100.1' FROM generate_series(1, $2::integer)
"""


def exporting(auth: Auth, tokens: Any) -> Any:
    return auth.account.ExportAccount(ExportAccountRequest(), metadata=bearer(tokens))


async def export(auth: Auth, tokens: Any) -> list[ExportAccountResponse]:
    return [record async for record in exporting(auth, tokens)]


def kinds(records: list[ExportAccountResponse]) -> Counter[str]:
    return Counter(record.WhichOneof("record") or "" for record in records)


async def erase(auth: Auth, *user_ids: str) -> None:
    """What the clean-up does to accounts whose grace is over."""
    await fetch(auth.database.url, DOOM, user_ids)
    rows = await fetch(auth.database.url, users.queries.erase.text, 500, "parley:user:")
    assert rows[0][0] == len(user_ids)


async def pull(auth: Auth, after: ErasedUser | None = None, max_count: int = 0) -> list[ErasedUser]:
    request = PullErasedUsersRequest(max_count=max_count)
    if after is not None:
        request.after_time.CopyFrom(after.erase_time)
    return list((await auth.admin.PullErasedUsers(request, metadata=service_bearer())).erased_users)


async def test_an_export_has_all_that_auth_keeps_of_a_user_and_no_secret(owner: Owner) -> None:
    """R47 for what leaves the house: no hash, token or key stands in it."""
    auth = owner.auth
    key = await create(auth, owner.tokens)
    await auth.sign_up("eve@example.com")
    await fetch(
        auth.database.url,
        "INSERT INTO imported_users (source, external_id, user_id, content_digest) VALUES ('old', '7', $1, $2)",
        owner.user.id,
        b"\0" * 32,
    )
    records = await export(auth, owner.tokens)
    found = kinds(records)
    assert records[0].user.email == owner.user.email
    assert {found["user"], found["second_factors"], found["import_origin"], found["api_key"]} == {1}
    own = await fetch(auth.database.url, "SELECT FROM audit_events WHERE user_id = $1", owner.user.id)
    assert found["event"] == len(own) > 1
    assert [r.second_factors.totp_enabled for r in records if r.HasField("second_factors")] == [True]
    assert {r.event.user_id for r in records if r.HasField("event")} == {owner.user.id}
    assert [r.session.current for r in records if r.HasField("session")].count(True) == 1
    whole = b"".join(record.SerializeToString() for record in records)
    for secret in (key.key_text, owner.secret, owner.tokens.refresh_token, *owner.recovery_codes):
        assert secret.encode() not in whole
    assert b"argon2" not in whole


async def test_an_export_of_many_pages_has_each_record_once(auth: Auth) -> None:
    made = await auth.sign_up()
    await fetch(auth.database.url, MANY_EVENTS, made.user.id, 2 * PAGE + 1)
    events = [record.event.id for record in await export(auth, made.tokens) if record.HasField("event")]
    assert len(events) == len(set(events)) == 2 * PAGE + 2


async def test_an_export_wants_a_fresh_proof(auth: Auth) -> None:
    """R24: what a stolen token would be used for."""
    made = await auth.sign_up()
    await auth.log_in()
    await fetch(auth.database.url, MAKE_STALE)
    stale = await auth.refresh(made.tokens.refresh_token)
    failed = await failure(exporting(auth, stale.tokens).read())
    assert (failed.code, failed.reason) == (grpc.StatusCode.PERMISSION_DENIED, "STEP_UP_REQUIRED")


async def test_an_api_key_exports_nothing(auth: Auth) -> None:
    made = await auth.sign_up()
    key = await create(auth, made.tokens)
    assert (await failure(exporting(auth, key.key_text).read())).reason == "PERMISSION_DENIED"


async def test_an_export_ends_when_its_session_does(auth: Auth) -> None:
    """R20, in the middle of a stream: what is sent is bounded by what was under way."""
    made = await auth.sign_up()
    await fetch(auth.database.url, MANY_EVENTS, made.user.id, 300 * PAGE)
    stream = exporting(auth, made.tokens)
    assert (await stream.read()).user.id == made.user.id
    await auth.log_out(made.tokens)

    async def rest() -> None:
        while await stream.read() is not grpc.aio.EOF:
            pass

    assert (await failure(rest())).reason == "UNAUTHENTICATED"


async def test_services_hear_in_order_who_was_erased_and_nobody_else_does(auth: Auth) -> None:
    made = [await auth.sign_up(f"{name}@example.com") for name in ("a", "b", "c", "d")]
    ids = [one.user.id for one in made]
    assert await pull(auth) == []
    await erase(auth, ids[0])
    await erase(auth, *ids[1:3])
    erased = await pull(auth)
    assert erased[0].user_id == ids[0]
    assert {one.user_id for one in erased} == set(ids[:3])
    moments = [one.erase_time.ToNanoseconds() for one in erased]
    assert moments == sorted(set(moments))
    assert await pull(auth, erased[0]) == erased[1:]
    assert await pull(auth, erased[0], max_count=1) == erased[1:2]
    assert await pull(auth, erased[-1]) == []
    request = PullErasedUsersRequest()
    assert (await failure(auth.admin.PullErasedUsers(request, metadata=bearer(made[3].tokens)))).reason == (
        "PERMISSION_DENIED"
    )
    assert (await failure(auth.admin.PullErasedUsers(request))).reason == "UNAUTHENTICATED"


async def test_who_is_erased_while_others_are_comes_after_what_was_told(auth: Auth) -> None:
    """A reader that goes on after the last one misses none, whichever commits first."""
    ids = [(await auth.sign_up(f"{number}@example.com")).user.id for number in range(2)]
    first, second = [await asyncpg.connect(auth.database.url) for _ in ids]
    transaction = first.transaction()
    await transaction.start()
    await first.execute("DELETE FROM users WHERE id = $1", ids[0])
    later = asyncio.ensure_future(second.execute("DELETE FROM users WHERE id = $1", ids[1]))
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not (await fetch(auth.database.owner_url, waiting))[0][0]:
        await asyncio.sleep(0.01)
    assert await pull(auth) == []
    await transaction.commit()
    await later
    assert [one.user_id for one in await pull(auth)] == ids
    await first.close()
    await second.close()


async def test_a_clock_that_goes_back_gives_no_earlier_moment(auth: Auth) -> None:
    """F24."""
    ids = [(await auth.sign_up(f"{number}@example.com")).user.id for number in range(2)]
    await erase(auth, ids[0])
    await fetch(auth.database.owner_url, "UPDATE erased_users SET erase_time = erase_time + interval '1 hour'")
    before = await pull(auth)
    await erase(auth, ids[1])
    assert [one.user_id for one in await pull(auth, before[-1])] == [ids[1]]


async def test_bad_numbers_are_refused(auth: Auth) -> None:
    failed = await failure(pull(auth, max_count=-1))
    assert failed.violations == {"max_count": "must not be negative"}
    request = PullErasedUsersRequest()
    request.after_time.seconds = 2**60
    failed = await failure(auth.admin.PullErasedUsers(request, metadata=service_bearer()))
    assert list(failed.violations) == ["after_time"]

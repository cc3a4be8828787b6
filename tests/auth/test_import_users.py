"""ImportUsers: accounts of other systems, a verdict on each row, and passwords that work from the first log-in on."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from auth_service import imports
from auth_service.rpc import user_imports
from protos.auth.v1.administration_pb2 import ListAuditEventsRequest, UpdateUserRequest
from protos.auth.v1.imports_pb2 import ImportRow, ImportUsersRequest, ImportUsersResponse, ImportVerdict
from protos.auth.v1.resources_pb2 import USER_STATE_DELETED, USER_STATE_SUSPENDED, Tokens, User
from shared import metrics
from shared.errors import Conflict
from tests.auth.hash_vectors import BOMBS, VECTORS
from tests.authtest import Auth, bearer
from tests.grpc_errors import failure
from tests.servers import fetch

SOURCE = "the former application"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
PASSWORD_HASH = "$2b$04$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"


@pytest.fixture
async def admin(auth: Auth) -> Tokens:
    made = await auth.sign_up("admin@example.com")
    await fetch(auth.database.url, "UPDATE users SET roles = '{admin}' WHERE email = 'admin@example.com'")
    return made.tokens


def row(number: int | str = 1, **fields: Any) -> ImportRow:
    return ImportRow(**{"external_id": f"id-{number}", "email": f"person{number}@example.org", **fields})


def request(*rows: ImportRow, source: str = SOURCE) -> ImportUsersRequest:
    return ImportUsersRequest(source=source, rows=rows)


async def answers(auth: Auth, tokens: Tokens, requests: Iterable[ImportUsersRequest]) -> list[ImportUsersResponse]:
    return [answer async for answer in auth.admin.ImportUsers(iter(requests), metadata=bearer(tokens))]


async def send(auth: Auth, tokens: Tokens, *rows: ImportRow, source: str = SOURCE) -> list[Any]:
    [answer] = await answers(auth, tokens, [request(*rows, source=source)])
    assert [result.external_id for result in answer.results] == [sent.external_id for sent in rows]
    return list(answer.results)


async def verdicts(auth: Auth, tokens: Tokens, *rows: ImportRow, source: str = SOURCE) -> list[str]:
    results = await send(auth, tokens, *rows, source=source)
    return [ImportVerdict.Name(result.verdict).removeprefix("IMPORT_VERDICT_") for result in results]


async def stored(auth: Auth, email: str) -> Any:
    [found] = await fetch(auth.database.url, "SELECT * FROM users WHERE email = $1", email)
    return found


async def imported(auth: Auth) -> int:
    return int((await fetch(auth.database.url, "SELECT count(*) FROM imported_users"))[0][0])


async def first(call: Any) -> ImportUsersResponse:
    return await anext(aiter(call))


async def test_one_of_each_kind_of_hash_logs_in_and_is_hashed_anew_with_argon2id(auth: Auth, admin: Tokens) -> None:
    """R51."""
    rows = [row(number, password_hash=text) for number, (_, text) in enumerate(VECTORS.values())]
    assert set(await verdicts(auth, admin, *rows)) == {"IMPORTED"}
    for sent, (password, text) in zip(rows, VECTORS.values(), strict=True):
        assert (await failure(auth.log_in(sent.email, password + "x"))).reason == "INVALID_CREDENTIALS"
        assert (await stored(auth, sent.email))["password_hash"] == text
        assert (await auth.log_in(sent.email, password)).user.email == sent.email
        async with asyncio.timeout(10):
            while (renewed := (await stored(auth, sent.email))["password_hash"]) == text:
                await auth.verify("")
        assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        await auth.log_in(sent.email, password)


async def test_an_account_is_made_with_all_that_the_row_says(auth: Auth, admin: Tokens) -> None:
    made = datetime(2019, 5, 4, 12, 30, tzinfo=UTC)
    create_time = Timestamp()
    create_time.FromDatetime(made)
    full = ImportRow(
        external_id="auth0|5f7c",
        email="Ada@Bücher.example",
        email_verified=True,
        display_name="Ada Lovelace",
        password_hash=PASSWORD_HASH,
        roles=["user", "admin", "user"],
        state=USER_STATE_SUSPENDED,
        locale="de-AT",
        create_time=create_time,
    )
    [result] = await send(auth, admin, full)
    found = await stored(auth, "ada@bücher.example")
    assert str(found["id"]) == result.user_id
    assert (found["display_name"], found["locale"], found["state"]) == ("Ada Lovelace", "de-AT", "SUSPENDED")
    assert (found["password_hash"], found["roles"], found["kind"]) == (PASSWORD_HASH, ["admin", "user"], "PERSON")
    assert (found["create_time"], found["revision"], found["sign_up_request_id"]) == (made, 1, None)
    assert found["email_verify_time"] is not None
    await send(auth, admin, row())
    bare = await stored(auth, "person1@example.org")
    assert (bare["display_name"], bare["locale"], bare["state"], bare["roles"]) == ("", "", "ACTIVE", [])
    assert (bare["password_hash"], bare["email_verify_time"]) == (None, None)
    assert bare["create_time"] == bare["update_time"]


async def test_an_account_that_is_shut_or_has_no_password_does_not_log_in(auth: Auth, admin: Tokens) -> None:
    """R11, R13."""
    rows = [row(1, password_hash=VECTORS["bcrypt $2b$"][1], state=USER_STATE_SUSPENDED), row(2)]
    assert await verdicts(auth, admin, *rows) == ["IMPORTED"] * 2
    for sent in rows:
        for password in ("U*U", "*"):
            assert (await failure(auth.log_in(sent.email, password))).reason == "INVALID_CREDENTIALS"


async def test_one_bad_row_fails_none_of_its_neighbours(auth: Auth, admin: Tokens) -> None:
    await auth.sign_up("taken@example.org")
    rows = [
        row(1),
        row(2, email="no address"),
        row(3, password_hash="5f4dcc3b5aa765d61d8327deb882cf99"),
        row(4, email="Taken@Example.org"),
        row(5, email="person1@example.org"),
        row(6, password_hash=BOMBS["scrypt of N = 2^31"]),
        row(1),
        row(1, display_name="Another"),
        row(7),
    ]
    assert await verdicts(auth, admin, *rows) == [
        *("IMPORTED", "INVALID", "HASH_REFUSED", "EMAIL_TAKEN", "EMAIL_TAKEN", "HASH_REFUSED"),
        *("ALREADY_IMPORTED", "EXTERNAL_ID_REUSED", "IMPORTED"),
    ]
    emails = await fetch(auth.database.url, "SELECT email FROM users WHERE email LIKE '%.org' ORDER BY email")
    assert [found["email"] for found in emails] == ["person1@example.org", "person7@example.org", "taken@example.org"]


async def test_all_that_is_wrong_with_a_row_is_told(auth: Auth, admin: Tokens) -> None:
    """R45."""
    tomorrow = Timestamp()
    tomorrow.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    wrong = {
        "external_id": "x" * 256,
        "email": "a@b",
        "display_name": "two\nlines",
        "password_hash": "x" * 1_025,
        "roles": ["root"],
        "state": USER_STATE_DELETED,
        "locale": "x" * 36,
        "create_time": tomorrow,
    }
    [answer] = await answers(
        auth, admin, [request(row(**wrong), row("\0"), row(create_time=Timestamp(seconds=10**12)))]
    )
    everything, control, eternal = answer.results
    assert {violation.field for violation in everything.violations} == set(wrong)
    assert len(everything.violations) == len(wrong)
    assert everything.external_id == "x" * 255
    assert [violation.field for violation in control.violations] == ["email", "external_id"]
    assert [violation.field for violation in eternal.violations] == ["create_time"]
    assert await imported(auth) == 0


@pytest.mark.parametrize("kind", BOMBS)
async def test_a_cost_bomb_is_refused_with_its_reason_and_costs_nothing(auth: Auth, admin: Tokens, kind: str) -> None:
    """The cost bombs of Ory Kratos."""
    [result] = await send(auth, admin, row(password_hash=BOMBS[kind]))
    assert result.verdict == ImportVerdict.IMPORT_VERDICT_HASH_REFUSED
    assert [violation.field for violation in result.violations] == ["password_hash"]
    assert BOMBS[kind] not in str(result)
    assert await imported(auth) == 0


async def test_a_row_sent_again_is_known_whatever_its_user_has_done_since(auth: Auth, admin: Tokens) -> None:
    sent = row(password_hash=VECTORS["bcrypt $2b$"][1], roles=["user"])
    [made] = await send(auth, admin, sent)
    await auth.log_in(sent.email, "U*U")
    await fetch(
        auth.database.url,
        "UPDATE users SET email = 'other@example.org', display_name = 'Other' WHERE id = $1",
        made.user_id,
    )
    [again] = await send(auth, admin, sent)
    assert (again.verdict, again.user_id) == (ImportVerdict.IMPORT_VERDICT_ALREADY_IMPORTED, made.user_id)
    sent.display_name = "Ada"
    assert await verdicts(auth, admin, sent) == ["EXTERNAL_ID_REUSED"]
    assert await verdicts(auth, admin, sent, source="another application") == ["IMPORTED"]
    assert await imported(auth) == 2


async def test_a_broken_import_goes_on_by_sending_everything_again(auth: Auth, admin: Tokens) -> None:
    rows = [row(number) for number in range(60)]
    requests = [request(*rows[begin : begin + 10]) for begin in range(0, 60, 10)]

    async def until_it_breaks() -> AsyncIterator[ImportUsersRequest]:
        for each in requests[:4]:
            yield each
        await asyncio.Event().wait()

    call = auth.admin.ImportUsers(until_it_breaks(), metadata=bearer(admin))
    acknowledged = [result.user_id for _ in range(3) for result in (await call.read()).results]
    call.cancel()
    results = [result for answer in await answers(auth, admin, requests) for result in answer.results]
    assert [result.user_id for result in results[:30]] == acknowledged
    assert {result.verdict for result in results[:30]} == {ImportVerdict.IMPORT_VERDICT_ALREADY_IMPORTED}
    assert {result.verdict for result in results[40:]} == {ImportVerdict.IMPORT_VERDICT_IMPORTED}
    assert len({result.user_id for result in results}) == await imported(auth) == 60


async def test_imports_that_race_with_the_same_rows_make_each_account_once(auth: Auth, admin: Tokens) -> None:
    rows = [row(number) for number in range(200)]
    racing = [answers(auth, admin, [request(*(rows if turn % 2 else rows[::-1]))]) for turn in range(8)]
    results = [result for [answer] in await asyncio.gather(*racing) for result in answer.results]
    made = [result for result in results if result.verdict == ImportVerdict.IMPORT_VERDICT_IMPORTED]
    known = [result for result in results if result.verdict == ImportVerdict.IMPORT_VERDICT_ALREADY_IMPORTED]
    assert (len(made), len(known)) == (200, 1_400)
    assert len({(result.external_id, result.user_id) for result in results}) == 200


async def test_imports_in_opposite_orders_wait_for_each_other_and_never_in_a_circle(auth: Auth, admin: Tokens) -> None:
    """Both are held up in the middle of their rows: without one order each would then wait for the other."""
    deadlocks = metrics.query_errors.labels("imported_users.insert_many", "40P01")
    before = deadlocks._value.get()
    rows = [row(number) for number in (1, 2, 3)]
    blocker = await asyncpg.connect(auth.database.url)
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute(
        "INSERT INTO users (id, email, display_name) VALUES (gen_random_uuid(), 'person2@example.org', '')"
    )
    both = [asyncio.ensure_future(answers(auth, admin, [request(*order)])) for order in (rows, rows[::-1])]
    async with asyncio.timeout(10):
        while await blocker.fetchval(WAITING) < 2:
            await auth.verify("")
    await transaction.rollback()
    results = [[result.verdict for result in answer.results] for [answer] in await asyncio.gather(*both)]
    assert sorted(verdict for verdicts in results for verdict in verdicts) == [1, 1, 1, 2, 2, 2]
    assert deadlocks._value.get() == before
    await blocker.close()


async def test_a_conflict_is_tried_again_and_told_where_it_lasts(
    auth: Auth, admin: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_many, conflicts = imports.imported_users.insert_many, 2

    async def insert_after_conflicts(*arguments: Any) -> Any:
        nonlocal conflicts
        if conflicts:
            conflicts -= 1
            raise Conflict
        return await insert_many(*arguments)

    monkeypatch.setattr(imports.imported_users, "insert_many", insert_after_conflicts)
    assert await verdicts(auth, admin, row(1)) == ["IMPORTED"]
    conflicts = 3
    failed = await failure(first(auth.admin.ImportUsers(iter([request(row(2))]), metadata=bearer(admin))))
    assert (failed.code, failed.reason) == (grpc.StatusCode.ABORTED, "CONFLICT")
    assert await verdicts(auth, admin, row(1), row(2)) == ["ALREADY_IMPORTED", "IMPORTED"]


async def test_an_import_is_one_event_however_many_rows_and_requests_it_has(auth: Auth, admin: Tokens) -> None:
    """R48."""
    before = len(await fetch(auth.database.url, "SELECT FROM audit_events"))
    await answers(auth, admin, [request(row(1), row(2), row(3, email="")), request(row(4)), request(row(1))])
    asked = auth.admin.ListAuditEvents(ListAuditEventsRequest(type="USERS_IMPORTED"), metadata=bearer(admin))
    [event] = (await asked).events
    me = await stored(auth, "admin@example.com")
    assert (event.user_id, event.actor_id, event.address) == (str(me["id"]), str(me["id"]), "127.0.0.1")
    assert dict(event.details) == {"source": SOURCE, "count": 3}
    await answers(auth, admin, [request(row(1))])
    assert len(await fetch(auth.database.url, "SELECT FROM audit_events")) == before + 1


async def test_only_administrators_import(auth: Auth) -> None:
    """R40."""
    for number, roles in enumerate(["{}", "{user}", "{service}"]):
        made = await auth.sign_up(f"a{number}@example.com")
        await fetch(auth.database.url, f"UPDATE users SET roles = '{roles}' WHERE email = 'a{number}@example.com'")
        failed = await failure(first(auth.admin.ImportUsers(iter([request(row())]), metadata=bearer(made.tokens))))
        assert (failed.code, failed.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
        assert failed.facts == {"required_role": "admin"}
    failed = await failure(first(auth.admin.ImportUsers(iter([request(row())]))))
    assert failed.reason == "UNAUTHENTICATED"
    assert await imported(auth) == 0


@pytest.mark.parametrize("ended", ["session", "role"])
async def test_an_import_ends_with_the_session_or_the_role_that_it_began_with(
    auth: Auth, admin: Tokens, ended: str
) -> None:
    """R20: what was revoked writes nothing more, though its stream is open."""
    go_on = asyncio.Event()

    async def two() -> AsyncIterator[ImportUsersRequest]:
        yield request(row(1))
        await go_on.wait()
        yield request(row(2))

    call = auth.admin.ImportUsers(two(), metadata=bearer(admin))
    assert len((await call.read()).results) == 1
    if ended == "session":
        await auth.log_out(admin)
    else:
        me = str((await stored(auth, "admin@example.com"))["id"])
        change = UpdateUserRequest(user=User(id=me), update_mask=FieldMask(paths=["roles"]))
        await auth.admin.UpdateUser(change, metadata=bearer(admin))
    go_on.set()
    failed = await failure(call.read())
    assert failed.reason == ("UNAUTHENTICATED" if ended == "session" else "PERMISSION_DENIED")
    assert await imported(auth) == 1


async def test_a_request_over_its_limits_ends_the_import_and_what_was_answered_stays(auth: Auth, admin: Tokens) -> None:
    """R45."""
    many = [row(number) for number in range(user_imports.MAX_ROWS + 1)]
    for wrong, field in (
        (request(*many), "rows"),
        (request(), "rows"),
        (request(row(), source=""), "source"),
        (request(row(), source="x" * 65), "source"),
        (request(row(), source="a\nb"), "source"),
    ):
        failed = await failure(first(auth.admin.ImportUsers(iter([wrong]), metadata=bearer(admin))))
        assert (failed.reason, list(failed.violations)) == ("INVALID_FIELDS", [field])
    call = auth.admin.ImportUsers(iter([request(*many[:-1]), request()]), metadata=bearer(admin))
    assert len((await call.read()).results) == user_imports.MAX_ROWS
    assert (await failure(call.read())).reason == "INVALID_FIELDS"
    assert await imported(auth) == user_imports.MAX_ROWS


async def test_the_rows_of_an_import_keep_no_other_call_waiting() -> None:
    """Five hundred rows take some forty milliseconds to parse: others have their turns in between."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    rows = [row(number, password_hash=PASSWORD_HASH) for number in range(user_imports.MAX_ROWS)]
    assert len([read async for read in user_imports._rows(rows)]) == user_imports.MAX_ROWS
    waiting.cancel()
    assert turns >= 20


async def test_the_end_of_an_account_forgets_where_it_came_from(auth: Auth, admin: Tokens) -> None:
    """R36: nothing of an erased person stays, and the row may be imported anew."""
    [made] = await send(auth, admin, row())
    await fetch(auth.database.url, "DELETE FROM users WHERE id = $1", made.user_id)
    assert await imported(auth) == 0
    [anew] = await send(auth, admin, row())
    assert anew.verdict == ImportVerdict.IMPORT_VERDICT_IMPORTED
    assert anew.user_id != made.user_id

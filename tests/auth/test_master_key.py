"""Another master key takes over while the service serves: nothing is lost, and nobody logs in again."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from auth_service.models import SealedRow
from auth_service.resealing import Resealing, SealedTable
from auth_service.store import signing_keys
from protos.auth.v1.account_service_pb2 import ListSessionsRequest
from protos.auth.v1.auth_service_pb2 import RefreshTokenRequest
from shared import metrics
from shared.config import Unusable
from shared.crypto import KEY_ID_BYTES, KeyRing
from shared.db import Database
from tests.auth.replicas import later, replica
from tests.authtest import Auth, auth_config, bearer, running_auth
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, fetch, make_master_key

OLD, NEW = make_master_key(), make_master_key()
MONTH = timedelta(days=30)
SEALED = "SELECT kid, private_key_sealed AS sealed FROM signing_keys WHERE private_key_sealed IS NOT NULL"


@asynccontextmanager
async def serving(
    servers: Servers, database: TestDatabase, present: str, former: str | None = None
) -> AsyncIterator[Auth]:
    config = auth_config(database, servers.redis.url, AUTH_MASTER_KEY=present, AUTH_FORMER_MASTER_KEY=former)
    async with running_auth(database, config) as auth:
        yield auth


async def key_ids(database: TestDatabase) -> set[bytes]:
    return {row["sealed"][:KEY_ID_BYTES] for row in await fetch(database.url, SEALED)}


async def until_sealed_by(auth: Auth) -> None:
    present = {auth.config.key_ring.sealing("signing keys").present_id}
    async with asyncio.timeout(30):
        while await key_ids(auth.database) != present:
            await asyncio.sleep(0.02)


async def test_a_master_key_is_replaced_under_load_and_nobody_notices(
    servers: Servers, auth_database: TestDatabase
) -> None:
    """First all accept the new one, then all make things with it, then the former one goes."""
    async with serving(servers, auth_database, OLD) as only_old:
        session = (await only_old.sign_up()).session.id
        tokens = (await only_old.log_in()).tokens
        idle = (await only_old.log_in()).tokens

    async with (
        serving(servers, auth_database, OLD, NEW) as prepared,
        serving(servers, auth_database, NEW, OLD) as changed,
    ):
        await until_sealed_by(changed)
        for auth, other in ((prepared, changed), (changed, prepared)) * 3:
            tokens = (await auth.refresh(tokens.refresh_token)).tokens
            assert [(await it.verify(tokens.access_token)).active for it in (auth, other)] == [True, True]
        page = ListSessionsRequest(page_size=1)
        first = await prepared.account.ListSessions(page, metadata=bearer(tokens))
        page.page_token = first.next_page_token
        assert (await changed.account.ListSessions(page, metadata=bearer(tokens))).sessions[0].id != session
        made = (await changed.log_in()).tokens

    async with serving(servers, auth_database, NEW) as only_new:
        assert (await only_new.verify(tokens.access_token)).active
        assert (await only_new.refresh(made.refresh_token)).tokens.access_token
        refused = await failure(only_new.auth.RefreshToken(RefreshTokenRequest(refresh_token=idle.refresh_token)))
        assert refused.reason == "REFRESH_TOKEN_INVALID"


async def test_who_races_with_one_token_at_two_replicas_gets_tokens_that_both_accept(
    servers: Servers, auth_database: TestDatabase
) -> None:
    """F21 while the key changes: one generation, in as many spellings as there are present keys."""
    async with (
        serving(servers, auth_database, OLD, NEW) as prepared,
        serving(servers, auth_database, NEW, OLD) as changed,
    ):
        await prepared.sign_up()
        for _ in range(5):
            token = (await prepared.log_in()).tokens.refresh_token
            answers = await asyncio.gather(*(auth.refresh(token) for auth in (prepared, changed) * 4))
            successors = {answer.tokens.refresh_token for answer in answers}
            assert len(successors) == 2
            again = await asyncio.gather(*(auth.refresh(it) for it in successors for auth in (prepared, changed)))
            assert len({answer.tokens.refresh_token for answer in again}) == 2


async def test_without_the_former_key_what_it_sealed_keeps_auth_from_starting(
    servers: Servers, auth_database: TestDatabase
) -> None:
    async with serving(servers, auth_database, OLD):
        pass
    with pytest.raises(Unusable, match=r"master_key is not the key that the signing keys .* were sealed with"):
        async with serving(servers, auth_database, NEW):
            pass
    async with serving(servers, auth_database, NEW, OLD) as auth:
        await until_sealed_by(auth)
    async with serving(servers, auth_database, NEW) as auth:
        assert (await auth.sign_up()).tokens.access_token


async def test_the_former_key_alone_cannot_be_the_present_one(servers: Servers, auth_database: TestDatabase) -> None:
    with pytest.raises(ValueError, match="AUTH_FORMER_MASTER_KEY must be another key than the present one"):
        async with serving(servers, auth_database, OLD, OLD):
            pass


BEFORE, DURING, AFTER = KeyRing(b"1" * 32), KeyRing(b"2" * 32, b"1" * 32), KeyRing(b"2" * 32)


def signing_key_table(ring: KeyRing) -> SealedTable:
    return SealedTable(
        name="signing_keys",
        keys=ring.sealing("signing keys"),
        find=signing_keys.list_sealed_otherwise,
        replace=signing_keys.reseal,
    )


def resealing(database: Database, ring: KeyRing, *tables: SealedTable) -> Resealing:
    return Resealing(database, ring, tables or [signing_key_table(ring)], MONTH)


def told(logs: list[dict[str, object]]) -> list[object]:
    """What resealing has logged."""
    return [entry["event"] for entry in logs if entry["event"] in (GO, UNKNOWN)]


GO = "AUTH_FORMER_MASTER_KEY can be removed: nothing that it made is left"
UNKNOWN = "rows are sealed under a master key that is not known"


async def test_rows_without_the_id_of_a_key_are_sealed_anew_too(auth_database: TestDatabase) -> None:
    """As they were written before there were ids."""
    async with replica(auth_database, ring=BEFORE, reading=False) as one:
        await fetch(auth_database.url, "UPDATE signing_keys SET private_key_sealed = substr(private_key_sealed, 9)")
        await one.keys.refresh()
        assert one.mint()
        await resealing(one.database, BEFORE).work()
        assert await key_ids(auth_database) == {BEFORE.sealing("signing keys").present_id}
    async with replica(auth_database, ring=BEFORE, reading=False) as other:
        await other.keys.refresh()
        assert other.mint()


async def test_the_operator_is_told_when_the_former_key_may_go(
    auth_database: TestDatabase, logs: list[dict[str, object]]
) -> None:
    """Not before the last refresh token that was made with it has lain unused for too long."""
    async with replica(auth_database, ring=BEFORE, reading=False) as one:
        await resealing(one.database, BEFORE).work()
        during = resealing(one.database, DURING)
        for passed in (timedelta(), MONTH - timedelta(hours=1)):
            await fetch(
                auth_database.url, "UPDATE master_keys SET last_use_time = last_use_time - $1::interval", passed
            )
            await during.work()
            assert GO not in told(logs)
        await fetch(auth_database.url, "UPDATE master_keys SET last_use_time = last_use_time - interval '1 hour'")
        await during.work()
        await during.work()
        assert told(logs).count(GO) == 1


async def test_a_former_key_that_was_in_use_before_that_was_noted_may_go_too(
    auth_database: TestDatabase, logs: list[dict[str, object]]
) -> None:
    """What it has sealed shows that it was."""
    async with replica(auth_database, ring=BEFORE, reading=False) as one:
        during = resealing(one.database, DURING)
        await during.work()
        await fetch(auth_database.url, "UPDATE master_keys SET last_use_time = last_use_time - $1::interval", MONTH)
        await during.work()
        assert told(logs) == [GO]


async def test_a_key_that_is_only_accepted_in_advance_is_not_told_to_be_removed(
    auth_database: TestDatabase, logs: list[dict[str, object]]
) -> None:
    ring = KeyRing(b"1" * 32, b"2" * 32)
    async with replica(auth_database, ring=ring, reading=False) as one:
        work = resealing(one.database, ring)
        await work.work()
        await fetch(auth_database.url, "UPDATE master_keys SET last_use_time = last_use_time - interval '1 year'")
        await work.work()
        assert told(logs) == []


async def test_rows_of_a_key_that_nobody_knows_stay_as_they_are_and_are_told(
    auth_database: TestDatabase, logs: list[dict[str, object]]
) -> None:
    async with replica(auth_database, ring=KeyRing(b"0" * 32), reading=False) as one:
        before = await fetch(auth_database.url, "SELECT * FROM signing_keys")
        await resealing(one.database, DURING).work()
        assert await fetch(auth_database.url, "SELECT * FROM signing_keys") == before
        assert told(logs) == [UNKNOWN]
        assert metrics.sealed_otherwise.labels("signing_keys")._value.get() == 1


async def test_replicas_that_seal_at_once_lose_nothing(auth_database: TestDatabase) -> None:
    """And keys that change meanwhile are as they are."""
    async with replica(auth_database, ring=BEFORE, reading=False) as one:
        await one.rotation.rotate(None, emergency=False)
        await later(auth_database, timedelta(minutes=5))
        await asyncio.gather(
            *(resealing(one.database, DURING).work() for _ in range(5)),
            one.rotation.rotate(None, emergency=False),
        )
        await resealing(one.database, DURING).work()
        assert await key_ids(auth_database) == {AFTER.sealing("signing keys").present_id}
    async with replica(auth_database, ring=AFTER, reading=False) as after:
        await after.keys.refresh()
        assert await after.accepts(after.mint())


async def test_any_number_of_rows_is_sealed_anew(auth_database: TestDatabase) -> None:
    """By batches, until none is left."""
    old, new = (ring.sealing("things") for ring in (BEFORE, DURING))
    rows = {str(number): old.seal(os.urandom(16), str(number).encode()) for number in range(250)}

    async def find(_: Database, key_id: bytes, limit: int) -> Sequence[SealedRow]:
        others = [(name, sealed) for name, sealed in rows.items() if sealed[:KEY_ID_BYTES] != key_id]
        return [SealedRow(id=name, sealed=sealed, context=name.encode()) for name, sealed in others[:limit]]

    async def replace(_: Database, row: SealedRow, sealed: bytes) -> bool:
        rows[str(row.id)] = sealed
        return True

    secrets = {name: old.unseal(sealed, name.encode()) for name, sealed in rows.items()}
    async with replica(auth_database, reading=False) as one:
        await resealing(one.database, DURING, SealedTable(name="things", keys=new, find=find, replace=replace)).work()
    after = AFTER.sealing("things")
    assert {name: after.unseal(sealed, name.encode()) for name, sealed in rows.items()} == secrets

"""What `db-verify` fails for: an index that is missing, not valid, or not used by a query that names it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tests.servers import Servers
from tools import findings
from tools.findings import Findings
from tools.measures import Measures
from tools.plans import SERVICES


async def find(service: str, url: str) -> Findings:
    return await findings.find(service, url, Measures({}))


@asynccontextmanager
async def changed(url: str, change: str, undo: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(change)
        yield
        await connection.execute(undo)
    finally:
        await connection.close()


async def faults(urls, service: str, url: str, change: str, undo: str) -> Sequence[str]:
    async with changed(url, change, undo):
        return list((await find(service, urls[service])).faults)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_migrated_database_has_no_faults(urls, service):
    assert list((await find(service, urls[service])).faults) == []


async def test_a_dropped_index_is_a_fault_of_its_own_and_of_the_query_it_served(urls):
    before = (await find("auth", urls["auth"])).indexes["idx_user_tokens_expires_revoked"]
    found = await faults(urls, "auth", urls["auth"], f"DROP INDEX {before.name}", before.definition)
    assert found == [
        "idx_user_tokens_expires_revoked is missing: clean-up.",
        "user_tokens.delete_dead does not use idx_user_tokens_expires_revoked, which it names.",
    ]


async def test_an_invalid_index_is_a_fault(urls, servers: Servers):
    database = urls["chat"].rpartition("/")[2]
    mark = "UPDATE pg_index SET indisvalid = {} WHERE indexrelid = 'idx_chat_messages_role'::regclass"
    superuser = servers.postgres.superuser_url(database)
    found = await faults(urls, "chat", superuser, mark.format("false"), mark.format("true"))
    assert "idx_chat_messages_role is not valid: drop it and build it again." in found


async def test_an_index_of_the_right_name_on_other_columns_is_a_fault(urls):
    before = (await find("chat", urls["chat"])).indexes["idx_components_session_id"]
    found = await faults(
        urls,
        "chat",
        urls["chat"],
        f"DROP INDEX {before.name}; CREATE INDEX {before.name} ON components (create_time)",
        f"DROP INDEX {before.name}; {before.definition}",
    )
    assert "idx_components_session_id is used by no query: components made in a sign-in." in found


async def test_a_foreign_key_without_an_index_is_told(urls):
    before = (await find("auth", urls["auth"])).indexes["idx_user_tokens_user_id_type"]
    async with changed(urls["auth"], f"DROP INDEX {before.name}", before.definition):
        found = await find("auth", urls["auth"])
    assert found.bare_foreign_keys == ["user_tokens_user of user_tokens"]
    assert (await find("auth", urls["auth"])).bare_foreign_keys == []

"""Every named query uses the indexes that it names, and every promised index has a query that it serves."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tools import plans
from tools.indexes import PROMISED
from tools.plans import SERVICES, Planning
from tools.settings import ROOT

both_services = pytest.mark.parametrize("service", SERVICES)


async def unproven(connection: asyncpg.Connection, service: str, only: str = "") -> str:
    """The queries whose plans lack an index that they name, with the plan; of one index's queries, or of all."""
    leading = await plans.leading_columns(connection)
    chosen = [query for query in plans.queries(service) if not only or only in plans.named(query)]
    proofs = [await plans.prove(connection, query, leading, [Planning.NO_SEQ_SCAN]) for query in chosen]
    return "\n\n".join(
        "\n".join([f"{proof.query.name} lacks {', '.join(proof.missing)}:", *plans.lines(proof.plan)])
        for proof in proofs
        if proof.missing
    )


@both_services
async def test_every_named_query_looks_up_each_index_that_it_names_by_its_first_column(connection, service):
    assert await unproven(connection, service) == ""


@both_services
def test_a_query_that_names_no_index_says_why(service):
    assert [
        query.name for query in plans.queries(service) if not plans.choices(query) and not plans.reason(query)
    ] == []


def test_there_are_nineteen_promised_indexes():
    assert len({index.name for index in PROMISED}) == 19


@both_services
async def test_each_promised_index_exists_and_is_named_by_a_query_of_its_service(connection, service):
    promised = {index.name for index in PROMISED if index.service == service}
    existing = set(await plans.leading_columns(connection))
    assert promised - existing == set()
    assert promised - {name for query in plans.queries(service) for name in plans.named(query)} == set()


@both_services
async def test_the_proof_fails_without_the_index_whichever_of_the_nineteen_is_dropped(connection, service):
    still_proven = []
    for index in (index.name for index in PROMISED if index.service == service):
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(f"DROP INDEX {index} CASCADE")
        if not await unproven(connection, service, only=index):
            still_proven.append(index)
        await transaction.rollback()
    assert still_proven == []


@both_services
def test_every_query_is_used_in_its_service(service):
    used = {name for module in modules(service) for name in queries_of(module)}
    assert {query.name for query in plans.queries(service)} - used == set()


@both_services
def test_a_store_uses_the_queries_of_its_own_file_only(service):
    strangers = [
        (module.name, name)
        for module in (ROOT / f"{service}_service" / "store").glob("*.py")
        for name in queries_of(module)
        if name.partition(".")[0] != module.stem
    ]
    assert strangers == []


@both_services
def test_every_file_of_queries_has_a_store_that_loads_it(service):
    stores = {path.stem for path in modules(service) if "sql.load(__file__)" in path.read_text()}
    assert {path.stem for path in plans.files(service)} == stores


def modules(service: str) -> Iterator[Path]:
    return (ROOT / f"{service}_service").rglob("*.py")


def queries_of(module: Path) -> Iterator[str]:
    """The queries that a module names: `queries.find` in a store of its own, `users.queries.find` elsewhere."""
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Attribute(value=ast.Name(id="queries"), attr=name):
                yield f"{module.stem}.{name}"
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id=store), attr="queries"), attr=name):
                yield f"{store}.{name}"


def test_every_change_of_a_conversation_takes_a_revision_and_dates_it_and_every_link_is_stamped():
    """Who watches finds changes by their revision, and conversations by the time of their last change.

    Of what is purged at once there is nobody left to tell, and of what is being imported nobody knows yet: all of it is
    of the conversation's first revision.
    """
    changes = links = 0
    unseen = ("conversations.doom_erased", "imported_conversations.")
    for query in (query for query in plans.queries("chat") if not query.name.startswith(unseen)):
        for change in re.findall(r"UPDATE conversations\b[^;]*?(?=RETURNING|WHERE user_id|FROM |;|\Z)", query.text):
            changes += 1
            assert "revision" in change, query.name
            assert "update_time" in change, query.name
        for columns in re.findall(r"INSERT INTO conversation_sessions(?: AS \w+)? \((.*?)\)", query.text):
            links += 1
            assert "revision" in columns, query.name
    assert changes >= 10
    assert links >= 5

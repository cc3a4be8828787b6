"""The chat schema can be distributed by user_id as it is: shown by hash partitions, which could be anywhere."""

import re
from collections import Counter

import asyncpg
import pytest

from protos.chat.v1 import resources_pb2 as pb
from shared import ids
from tests.chattest import chat_config, message, running_chat, running_stand_in_auth
from tests.servers import PASSWORDS, ROOT, TestDatabase
from tools import plans

PARTITIONS = 4
VALUES = {
    "uuid": f"'{ids.new_id()}'::uuid",
    "text": "'{}'::text",
    "bytea": "'x'::bytea",
    "float4": "1::real",
    "text[]": "'{}'::text[]",
    "bool": "true",
    "int2": "1::smallint",
    "int4": "1",
    "int8": "1::bigint",
    "timestamptz": "'infinity'::timestamptz",
    "interval": "'1 day'::interval",
    "date": "now()::date",
    "int4[]": "'{}'::int4[]",
    "uuid[]": "'{}'::uuid[]",
}
MIGRATIONS = sorted((ROOT / "chat_service" / "migrations").glob("*.sql"))


def partitioned(migration):
    """A migration whose tables are partitioned by user_id; settings of storage belong to the partitions."""
    text = re.sub(r"^ALTER TABLE \w+ SET .*;$", "", migration, flags=re.MULTILINE).replace(" CONCURRENTLY", "")
    tables = re.findall(r"^CREATE TABLE (\w+)", text, flags=re.MULTILINE)
    text = re.sub(r"^\);$", ") PARTITION BY HASH (user_id);", text, flags=re.MULTILINE)
    parts = [
        f"CREATE TABLE {table}_{n} PARTITION OF {table} FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {n});"
        for table in tables
        for n in range(PARTITIONS)
    ]
    return "\n".join([text, *parts])


@pytest.fixture
async def distributed(servers):
    name = "distributed_chat"
    admin = await asyncpg.connect(servers.postgres.superuser_url())
    await admin.execute(f"CREATE DATABASE {name} OWNER parley_chat_owner")
    database = TestDatabase(
        url=servers.url(name, "parley_chat_owner", PASSWORDS.chat_owner),
        owner_url=servers.url(name, "parley_chat_owner", PASSWORDS.chat_owner),
    )
    connection = await asyncpg.connect(database.url)
    for path in MIGRATIONS:
        await connection.execute(partitioned(path.read_text()))
    await connection.close()
    yield database
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def connection(distributed):
    connection = await asyncpg.connect(distributed.url)
    yield connection
    await connection.close()


async def test_every_unique_key_leads_with_the_user_and_every_foreign_key_has_them(connection):
    keys = await connection.fetch(
        """SELECT i.relname AS name, pg_get_indexdef(i.oid, 1, true) AS leading
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
        WHERE x.indisunique AND t.relkind = 'p'"""
    )
    assert len(keys) >= 7
    assert {row["name"]: row["leading"] for row in keys if row["leading"] != "user_id"} == {}
    foreign = await connection.fetch(
        """SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
        WHERE contype = 'f' AND conparentid = 0"""
    )
    assert len(foreign) >= 5
    assert [row["conname"] for row in foreign if row["definition"].count("(user_id, ") != 2] == []


async def test_every_query_runs_against_the_distributed_schema(connection):
    for query in plans.queries("chat"):
        assert await connection.prepare(query.text), query.name


async def test_every_query_of_a_user_reads_one_partition_of_each_table(connection):
    """Those of the clean-up, which is nobody's, of several users at once, and of search are the exceptions."""
    shared_by_users = {
        "delete_purged",
        "append",
        "find_many",
        "find_many_by_request_id",
        "find_revisions",
        "list_conversations",
        "list_siblings",
        "list_waiting",
        "list_lapsed",
        "list_users",
        "delete_erased",
    }
    of_erasure = {f"erased_users.{name}" for name in ("find_last", "insert_many", "find_oldest_unfinished", "finish")}
    of_all = {
        "conversations.doom_erased",
        "conversations.delete_untouched",
        "imported_conversations.abandon_stale",
    } | of_erasure
    of_all |= {"searches.probe", "searches.titles"}  # the index of each partition knows at once that it has nothing
    for query in plans.queries("chat"):
        if query.name.partition(".")[2] in shared_by_users or query.name in of_all:
            continue
        text = re.sub(r"\$1\b", f"'{ids.new_id()}'::uuid", query.text)
        text = re.sub(r"\$(\d+)", lambda match: f"${int(match.group(1)) - 1}", text)
        prepared = await connection.prepare(text)
        plan = "\n".join(
            row[0] for row in await connection.fetch(f"EXPLAIN {with_values(text, prepared.get_parameters())}")
        )
        read = set(re.findall(r" on (\w+_\d)\b", plan))
        per_table = Counter(name.rpartition("_")[0] for name in read)
        assert set(per_table.values()) <= {1}, f"{query.name}\n{plan}"


def with_values(text, parameters):
    """A query with a value for each parameter."""
    kinds = [parameter.name for parameter in parameters]
    values = [f"'{{}}'::{kind}" if kind.endswith("[]") else VALUES[kind] for kind in kinds]
    return re.sub(r"\$(\d+)", lambda match: values[int(match.group(1)) - 1], text)


async def test_the_service_works_on_the_distributed_schema(servers, distributed):
    async with running_stand_in_auth() as target:
        config = chat_config(distributed, servers.redis.url, target)
        async with running_chat(distributed, config) as chat:
            for name in ("ada", "bob", "eve", "dan", "kim", "sam"):
                await use_everything(chat.person(name))


async def use_everything(person):
    conversation = await person.converse(title="Plans")
    said = [await person.say(conversation, str(number), request_id=str(number)) for number in range(3)]
    assert await person.say(conversation, "0", request_id="0") == said[0]
    await person.BatchSendMessages(conversation_id=conversation.id, requests=[message("")] * 3)
    listed = (await person.ListMessages(conversation_id=conversation.id)).messages
    assert [one.position for one in listed] == [1, 2, 3, 4, 5, 6]
    edited = (await person.EditMessage(message_id=said[1].id, parts=said[0].parts)).message
    assert (edited.depth, edited.sibling_index, edited.sibling_count) == (2, 2, 2)
    assert len((await person.ListMessages(conversation_id=conversation.id, descending=True)).messages) == 2
    await person.SwitchBranch(conversation_id=conversation.id, branch=1)
    assert len((await person.ListBranches(conversation_id=conversation.id)).branches) == 2
    await person.SetFeedback(message_id=edited.id, feedback=pb.Feedback(comment="Good"))
    await person.DeleteMessage(message_id=edited.id)
    built = await person.build(conversation, request_id="one")
    changed = pb.Component(id=built.id, etag=built.etag, content="second")
    assert (await person.UpdateComponent(component=changed)).component.version == 2
    run = pb.Interaction(conversation_id=conversation.id, model="m", state=pb.INTERACTION_STATE_COMPLETED)
    await person.RecordInteraction(interaction=run, response=pb.Response(), request_id="one")
    assert len((await person.ListInteractions(session_id=person.session_id)).interactions) == 1
    read = (await person.MarkRead(conversation_id=conversation.id, position=7)).conversation_session
    assert read.unread_count == 0
    assert len((await person.SearchMessages(query="hel*")).results) == 3
    assert len((await person.SearchMessages(query="2")).results) == 1
    assert len((await person.SearchConversations(query="plans")).results) == 1
    await person.DeleteConversation(conversation_id=conversation.id)
    await person.UndeleteConversation(conversation_id=conversation.id)


def test_clean_up_leaves_imports_that_are_under_way() -> None:
    """What is due to go is told by its purge_time; that of a conversation under way is -infinity."""
    purging = [query for query in plans.queries("chat") if query.name.endswith(".delete_purged")]
    assert len(purging) >= 8
    assert [query.name for query in purging if "purge_time > '-infinity'" not in query.text] == []

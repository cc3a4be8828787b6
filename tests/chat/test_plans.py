"""Plans do not depend on statistics: a plan made while the tables were empty or small is the plan of large ones."""

import pytest

from shared.background import Background
from shared.db import Database
from tests.servers import fetch
from tools import plans


@pytest.fixture
async def database(chat):
    async with (
        Background() as background,
        Database.connect("planner", chat.database.url, chat.config.pool, background) as database,
    ):
        yield database


@pytest.fixture(params=["empty and never analyzed", "small and analyzed"])
async def tables(request, ada, chat):
    if request.param == "small and analyzed":
        conversation = await ada.converse()
        await ada.say(conversation, request_id="one")
        await ada.build(conversation)
        await fetch(chat.database.owner_url, "VACUUM ANALYZE")


async def test_no_query_reads_a_whole_table(tables, database):
    for query in plans.queries("chat"):
        lines = "\n".join(plans.lines(await database.plan(query)))
        assert "Seq Scan" not in lines, f"{query.name}\n{lines}"

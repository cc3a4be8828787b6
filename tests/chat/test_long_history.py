"""The history that is measured is one that the service could have written, with the words that are searched in it."""

import random
from uuid import UUID

import pytest

from shared import clock, ids
from tests.servers import fetch
from tools import history
from tools.history import Figure
from tools.history_rows import History
from tools.operations import Samples

TOTAL = 3_000


@pytest.fixture
async def loaded(ada, chat):
    rows = History(
        user_id=UUID(ada.user_id), session_id=ids.new_id(), now=clock.now(), total=TOTAL, random=random.Random(1)
    )
    await history.load(chat.database.owner_url, rows, TOTAL // 3)
    await history.load(chat.database.owner_url, rows, TOTAL)
    return rows


async def test_as_many_messages_are_loaded_as_asked_without_a_gap(loaded, chat):
    assert (await fetch(chat.database.owner_url, "SELECT count(*) FROM chat_messages"))[0][0] == TOTAL
    wrong = """SELECT c.id FROM conversations c
        LEFT JOIN chat_messages m ON m.user_id = c.user_id AND m.conversation_id = c.id
        GROUP BY c.user_id, c.id
        HAVING count(m.id) <> c.message_count OR coalesce(max(m.position), 0) <> c.message_count"""
    assert await fetch(chat.database.owner_url, wrong) == []


async def test_planted_words_are_found_and_the_conversation_goes_on(loaded, ada):
    page = await ada.SearchMessages(query="frequent0 -frequent1", page_size=100)
    assert len(page.results) == 100
    assert 5 < len((await ada.SearchMessages(query="middling0", page_size=200)).results) < 100
    long = (await ada.GetConversation(conversation_id=str(loaded.long.id))).conversation
    assert (await ada.say(long)).position == loaded.long.length + 1


async def test_the_index_of_words_is_the_one_of_the_migration_again(loaded, chat):
    (row,) = await fetch(
        chat.database.owner_url, "SELECT indexdef FROM pg_indexes WHERE indexname = 'chat_messages_search_idx'"
    )
    assert "gin_pending_list_limit='256'" in row["indexdef"]


def test_a_figure_is_good_within_its_target():
    quick, slow = Samples(seconds=[0.01] * 20), Samples(seconds=[0.05] * 20)
    assert [Figure(name="", samples=one).good for one in (quick, slow)] == [True, False]
    assert Figure(name="", samples=slow, judged=False).good
    assert Figure(name="", samples=slow, beside=slow).good
    assert not Figure(name="", samples=slow, beside=quick).good
    assert Figure(name="", samples=slow, beside=quick, slowdown=5).good

"""Search in messages and titles: what a query means, what it may see, and in what order it finds."""
# ruff: noqa: RUF001 - scripts that look alike are what some tests are about

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from grpc import StatusCode
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_service import search_windows, searches
from chat_service.questions import parse
from protos.chat.v1 import message_service_pb2, search_pb2
from protos.chat.v1 import resources_pb2 as pb
from shared import ids
from tests.chattest import ASSISTANT, USER, message
from tests.grpc_errors import failure
from tests.servers import fetch

SAID = [
    "The garden in winter",
    "A winter in the garden, under snow",
    "Gardening for everybody",
    "Nothing of the kind",
]


async def said(person, conversation, texts=SAID):
    requests = [message(conversation, text) for text in texts]
    for begin in range(0, len(requests), 100):
        batch = message_service_pb2.BatchSendMessagesRequest(
            conversation_id=conversation.id, requests=requests[begin : begin + 100]
        )
        await person.BatchSendMessages(batch)


async def pages(person, query, **question):
    pages = [await person.SearchMessages(query=query, **question)]
    while pages[-1].next_page_token:
        pages.append(await person.SearchMessages(query=query, page_token=pages[-1].next_page_token, **question))
    return pages


async def found(person, query, **question):
    """The texts of all pages, in order."""
    return [one.message.parts[0].text for page in await pages(person, query, **question) for one in page.results]


async def titles(person, query, **question):
    texts, token = [], ""
    while True:
        page = await person.SearchConversations(query=query, page_token=token, **question)
        texts += [one.conversation.title for one in page.results]
        token = page.next_page_token
        if not token:
            return texts


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("garden", {0, 1}),
        ("GARDEN winter", {0, 1}),
        ('"garden in winter"', {0}),
        ('"winter in the garden', {1}),
        ("gard*", {0, 1, 2}),
        ("snow* gard*", {1}),
        ("garden -snow", {0}),
        ('winter -"winter in"', {0}),
        ("the -gard*", {3}),
        ("garden spade", set()),
        ("in-the-garden", {1}),
        ("in-the-gar*", {1}),
    ],
)
async def test_a_query_finds_words_phrases_and_beginnings_and_leaves_out(ada, query, texts):
    await said(ada, await ada.converse())
    assert sorted(await found(ada, query)) == sorted(SAID[nth] for nth in texts)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Crème brûlée", "creme brulee"),
        ("creme brulee", "CRÈME"),
        ("ﬁancé", "fiance"),
        ("Ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("МОСКВА", "москва"),
        ("今日は天気がいい", "天気"),
        ("今日は天気がいい", '"天気が"'),
        ("나는 서울에 산다", "서울에"),
        ("src/components/App.tsx", "app.tsx"),
        ("src/components/App.tsx", "components"),
        ("write to ana@example.com", "example"),
        ("std::vector<int> xs;", "int"),
        ("snake_case_name", "case"),
        ("it's 3.14 or so", "3.14"),
        ("a <b>bold</b> word", "bold"),
    ],
)
async def test_forms_of_writing_make_no_difference(ada, text, query):
    await said(ada, await ada.converse(), [text, "something else"])
    assert await found(ada, query) == [text]


async def test_signs_of_a_sentence_must_stand_side_by_side(ada):
    await said(ada, await ada.converse(), ["今日は天気がいい", "気が天になる"])
    assert await found(ada, "天気") == ["今日は天気がいい"]


HOSTILE = [
    "' | '' & !",
    "a' | b:* & !(c <-> d) \\",
    ":*",
    "!!! ??? ...",
    '""',
    '"',
    "-",
    "*",
    "- * \" '",
    "a\\'b",
    "<-> <2> &&",
    "x" * 500,
    "天" * 500,
    "e\u0301" * 250,
    "\ufdfa" * 500,
    "#0 #c #r #m",
    " ".join("abcdefghijklmnopqrstuvwxyz123456"),
    '"' + "a " * 249 + '"',
    "\u0001\u0002 \u200b \u202e\U0001f600",
]


@pytest.mark.parametrize("query", HOSTILE)
async def test_no_query_is_malformed(ada, query):
    """R45."""
    await said(ada, await ada.converse())
    assert set(await found(ada, query)) <= set(SAID)
    assert set(await titles(ada, query)) <= set(SAID)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80))
def test_any_text_can_be_taken_apart(query):
    assert all(term.text for term in parse(query))


async def test_what_cannot_be_looked_for_is_told(ada):
    moment = {"start_time": {"seconds": 10**12}}
    refused = await failure(
        ada.SearchMessages(query="", conversation_id="x", role=9, page_size=-1, page_token="x", **moment)
    )
    assert list(refused.violations) == [
        "query",
        "conversation_id",
        "role",
        "start_time",
        "page_size",
        "page_token",
    ]
    for query in ("x" * 501, "word " * 33, "-word", '-"a phrase" -b*', "nul\0"):
        for search in (ada.SearchMessages, ada.SearchConversations):
            refused = await failure(search(query=query))
            assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, ["query"])


async def test_filters_limit_a_search(ada, chat):
    first, second = await ada.converse(), await ada.converse()
    for role, text in ((USER, "garden one"), (ASSISTANT, "garden two")):
        for conversation in (first, second):
            await ada.say(conversation, text, role=role)
    assert len(await found(ada, "garden")) == 4
    assert await found(ada, "garden", role=ASSISTANT) == ["garden two"] * 2
    assert await found(ada, "garden", conversation_id=first.id) == ["garden two", "garden one"]
    assert await found(ada, "garden", conversation_id=first.id, role=USER) == ["garden one"]
    refused = await failure(ada.SearchMessages(query="garden", conversation_id=str(ids.new_id())))
    assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "CONVERSATION_NOT_FOUND")


async def test_a_range_of_time_limits_a_search(ada, chat):
    conversation = await ada.converse()
    months = [datetime(2024, month, 10, 12, tzinfo=UTC) for month in range(1, 13)]
    for nth, month in enumerate(months):
        one = await ada.say(conversation, f"garden {nth}")
        await fetch(chat.database.owner_url, "UPDATE chat_messages SET create_time = $1 WHERE id = $2", month, one.id)

    async def between(begin, end):
        times: dict[str, Any] = {}
        if begin is not None:
            times["start_time"] = begin
        if end is not None:
            times["end_time"] = end
        return [int(text.split()[1]) for text in await found(ada, "garden", **times)]

    assert await between(months[4], months[7]) == [6, 5, 4]
    assert await between(months[9], None) == [11, 10, 9]
    assert await between(None, months[2]) == [1, 0]
    assert await between(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)) == list(range(11, -1, -1))
    assert await between(months[4], months[4]) == []
    assert await between(months[7], months[4]) == []
    assert await between(months[4] + timedelta(microseconds=1), months[5] + timedelta(microseconds=1)) == [5]


async def test_what_is_deleted_is_not_found_and_what_is_undeleted_is(ada):
    conversation = await ada.converse(title="garden")
    await said(ada, conversation)
    await ada.DeleteConversation(conversation_id=conversation.id)
    assert (await found(ada, "garden"), await titles(ada, "garden")) == ([], [])
    assert await found(ada, "garden", conversation_id=conversation.id) == []
    await ada.UndeleteConversation(conversation_id=conversation.id)
    assert (len(await found(ada, "garden")), await titles(ada, "garden")) == (2, ["garden"])


async def test_a_deleted_message_is_not_found_and_one_on_another_branch_is(ada):
    conversation = await ada.converse()
    one = await ada.say(conversation, "garden one")
    await ada.EditMessage(message_id=one.id, parts=[pb.Part(text="garden two")])
    assert sorted(await found(ada, "garden")) == ["garden one", "garden two"]
    await ada.DeleteMessage(message_id=one.id)
    assert await found(ada, "garden") == ["garden two"]


async def test_only_texts_are_searched_all_of_them(ada):
    parts = [
        pb.Part(text="first"),
        pb.Part(file=pb.File(uri="https://example.com/uri", media_type="text/plain", name="name")),
        pb.Part(tool_call=pb.ToolCall(id="call", name="tool", arguments='{"text": "argument"}')),
        pb.Part(text="second"),
    ]
    await ada.SendMessage(conversation_id=(await ada.converse()).id, role=ASSISTANT, parts=parts)
    assert len(await found(ada, "first second")) == 1
    for query in ("uri", "name", "tool", "argument", "call"):
        assert await found(ada, query) == []


async def test_another_users_messages_and_titles_are_never_found(ada, bob, chat):
    """R42. Also where the ends of the ids, by which the index tells users, are the same."""
    await said(ada, await ada.converse(title="garden"))
    assert (await found(bob, "garden"), await titles(bob, "garden")) == ([], [])
    twin = f"{ids.new_id()!s:.24}{ada.user_id[-12:]}"
    await fetch(
        chat.database.owner_url,
        """INSERT INTO conversations (user_id, id, title) SELECT $1, id, title FROM conversations WHERE user_id = $2""",
        twin,
        ada.user_id,
    )
    await fetch(
        chat.database.owner_url,
        """INSERT INTO chat_messages
        (user_id, id, conversation_id, session_id, position, branch, depth, revision, role, parts, text_bytes)
        SELECT $1, id, conversation_id, session_id, position, branch, depth, revision, role, parts, text_bytes
        FROM chat_messages WHERE user_id = $2""",
        twin,
        ada.user_id,
    )
    assert (len(await found(ada, "garden")), len(await titles(ada, "garden"))) == (2, 1)


async def test_the_best_of_the_newest_comes_first(ada):
    conversation = await ada.converse()
    await said(ada, conversation, ["garden " + "word " * 50, "garden garden garden", "garden " + "word " * 100])
    assert [text.count("word") for text in await found(ada, "garden")] == [0, 50, 100]
    ranks = [one.rank for one in (await ada.SearchMessages(query="garden")).results]
    assert ranks == sorted(ranks, reverse=True)


async def test_pages_together_have_every_hit_once_block_by_block(ada, monkeypatch):
    monkeypatch.setattr(searches, "BLOCK", 40)
    await said(ada, await ada.converse(), [f"garden {'garden ' * (nth % 7)}{nth}" for nth in range(150)])
    texts = await found(ada, "garden", page_size=7)
    numbers = [int(text.split()[-1]) for text in texts]
    assert sorted(numbers) == list(range(150))
    blocks = [numbers[begin : begin + 40] for begin in range(0, 150, 40)]
    assert [set(block) for block in blocks] == [
        set(range(110, 150)),
        set(range(70, 110)),
        set(range(30, 70)),
        set(range(30)),
    ]
    at_once = [one for page in await pages(ada, "garden", page_size=40) for one in page.results]
    assert [int(one.message.parts[0].text.split()[-1]) for one in at_once] == numbers
    for begin in range(0, 150, 40):
        block = at_once[begin : begin + 40]
        assert block == sorted(block, key=lambda one: (-one.rank, -one.message.position))


async def test_what_is_appended_while_pages_are_read_is_not_on_them(ada):
    conversation = await ada.converse()
    await said(ada, conversation, [f"garden {nth}" for nth in range(10)])
    first = await ada.SearchMessages(query="garden", page_size=5)
    await said(ada, conversation, ["garden garden garden"] * 5)
    second = await ada.SearchMessages(query="garden", page_size=5, page_token=first.next_page_token)
    numbers = [one.message.parts[0].text for page in (first, second) for one in page.results]
    assert numbers == [f"garden {nth}" for nth in range(9, -1, -1)]
    refused = await failure(ada.SearchMessages(query="other", page_size=5, page_token=first.next_page_token))
    assert list(refused.violations) == ["page_token"]


HITS = {
    "garden": 120,
    "seldom": 5,
    "seldom garden": 5,
    "garde*": 120,
    "seld*": 5,
    '"garden seldom"': 5,
    '"seldom garden"': 0,
    "garden -seldom": 115,
    'garden -"garden seldom"': 115,
}


@pytest.mark.parametrize("apart", [1, 700, 40_000, 1_000_000])
async def test_the_same_is_found_however_far_apart_a_users_messages_are(ada, chat, monkeypatch, apart):
    """As if others had written so much in between, and with few rows a probe and few probes a page."""
    await said(ada, await ada.converse(), [f"garden {'seldom ' if nth % 29 == 3 else ''}{nth}" for nth in range(120)])
    await fetch(chat.database.owner_url, "UPDATE chat_messages SET serial = serial * $1", apart)
    await fetch(chat.database.owner_url, "SELECT setval('chat_messages_serial', 120 * $1::bigint)", apart)
    assert {query: len(set(await found(ada, query))) for query in HITS} == HITS
    monkeypatch.setattr(searches, "BLOCK", 25)
    monkeypatch.setattr(searches, "_MOST_PROBES", 5)
    if apart > searches.RUN:
        monkeypatch.setattr(searches, "_ROWS", 20)
        monkeypatch.setattr(searches, "_MOST_ROWS", 50)
    listed = {query: await found(ada, query, page_size=20) for query in HITS}
    assert {query: len(texts) for query, texts in listed.items()} == HITS
    assert {query: len(set(texts)) for query, texts in listed.items()} == HITS


async def test_a_page_ends_before_its_text_would_pass_three_million_bytes(ada):
    conversation = await ada.converse()
    for nth in range(4):
        parts = [pb.Part(text=f"garden {nth} " + "x" * 90_000)] * 10
        await ada.SendMessage(conversation_id=conversation.id, role=USER, parts=parts)
    first = await ada.SearchMessages(query="garden")
    assert (len(first.results), bool(first.next_page_token)) == (3, True)
    second = await ada.SearchMessages(query="garden", page_token=first.next_page_token)
    assert (len(second.results), second.next_page_token) == (1, "")


async def test_a_long_message_is_searched_at_its_beginning_and_never_refused(ada):
    """R45. A tsvector holds a megabyte: what a message may say must not pass it, whatever it is."""
    conversation = await ada.converse()
    words = [f"{nth:x}q" for nth in range(160_000)]
    long = [" ".join(words)[begin : begin + 99_000] for begin in range(0, 990_000, 99_000)]
    signs = "".join(map(chr, range(0x4E00, 0x9FFF))) * 2
    expanding = "".join(map(chr, range(0xFB50, 0xFDFC))) * 130
    for parts in (
        long,
        [signs[:40_000]],
        [expanding[:90_000]],
        [f"{'z' * 3_000} after"],
        ["\u0301" * 50_000 + " after"],
    ):
        request = message(conversation)
        del request.parts[:]
        request.parts.extend(pb.Part(text=part) for part in parts if part)
        await ada.SendMessage(request)
    assert len(await found(ada, "3q 4q")) == 1
    assert len(await found(ada, "after")) == 2


def marked(snippet: search_pb2.Snippet) -> str:
    text = snippet.text
    for one in reversed(snippet.ranges):
        text = f"{text[: one.begin]}[{text[one.begin : one.end]}]{text[one.end :]}"
    return text


@pytest.mark.parametrize(
    ("text", "query", "shown"),
    [
        ("The Crème brûlée, and more", "creme", "The [Crème] brûlée, and more"),
        ("The Crème brûlée, and creme", '"creme brulee"', "The [Crème brûlée], and creme"),
        ("Gardens and gardeners", "garden*", "[Gardens] and [gardeners]"),
        ("今日は天気がいい", "天気", "今日は[天気]がいい"),
        ("\U0001f600\U0001f600 src/App.tsx", "app.tsx", "\U0001f600\U0001f600 src/[App.tsx]"),
        ("garden without winter", "garden -summer", "[garden] without winter"),
        ("x" * 300, "x" * 300, f"[{'x' * 240}]"),
    ],
)
async def test_a_snippet_shows_what_was_looked_for(ada, text, query, shown):
    await said(ada, await ada.converse(title=text[:200]), [text])
    (hit,) = (await ada.SearchMessages(query=query)).results
    assert marked(hit.snippet) == shown


async def test_a_snippet_of_a_long_text_is_the_piece_around_the_first_place(ada):
    text = "before " * 100 + "the garden is here " + "after " * 100
    await said(ada, await ada.converse(), [text])
    (hit,) = (await ada.SearchMessages(query="garden")).results
    assert "[garden] is here after" in marked(hit.snippet)
    assert hit.snippet.text.startswith("before ")
    assert hit.snippet.text.endswith("after")
    assert len(hit.snippet.text) <= 240
    assert hit.snippet.text in text


async def test_titles_are_found_the_best_first_and_page_by_page(ada):
    made = ["Winter garden", "garden", "A plan for the summer", "Garden, garden and garden"]
    for title in made:
        await ada.converse(title=title)
    assert sorted(await titles(ada, "garden")) == sorted(made[:2] + made[3:])
    assert await titles(ada, "garden", page_size=1) == await titles(ada, "garden")
    assert await titles(ada, "garden -winter sum*") == []
    (hit,) = (await ada.SearchConversations(query='"winter gard*')).results or [None]
    assert hit is None
    (hit,) = (await ada.SearchConversations(query="winter gard*")).results
    assert marked(hit.snippet) == "[Winter] [garden]"


async def test_a_changed_title_is_found_by_its_new_words(ada):
    made = await ada.converse(title="winter")
    await ada.UpdateConversation(conversation=pb.Conversation(id=made.id, title="summer"))
    assert (await titles(ada, "winter"), await titles(ada, "summer")) == ([], ["summer"])


async def test_a_message_is_found_as_soon_as_it_is_sent(ada):
    conversation = await ada.converse()
    for number in range(20):
        await ada.say(conversation, f"number{number}")
        assert await found(ada, f"number{number}") == [f"number{number}"]
    await asyncio.gather(*(ada.say(conversation, f"together{number}") for number in range(64)))
    assert len(await found(ada, "together*")) == 64


def test_a_window_is_covered_by_the_fewest_runs_without_a_gap():
    user = ids.new_id()
    for first, end in ((0, 1), (0, 1024), (31, 97), (1000, 5000), (1023, 1025), (0, 100_000)):
        window = search_windows.Window(first, end)
        runs = [run for level, at in window._cover() for run in range(at * 32**level, (at + 1) * 32**level)]
        assert runs == list(range(first, end))
        assert window.condition(user).count("#") < 128 + end // 1024

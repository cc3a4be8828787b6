"""What an unnamed conversation is called after its first exchange."""

import pytest

from chat_service import titles
from tests.chat.generating import generating_chat, hear, text
from tests.providertest import Fail, Say, running_provider


@pytest.fixture
async def provider():
    async with running_provider() as running:
        yield running


@pytest.fixture
async def chat(servers, chat_database, auth_target, provider):
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider) as running:
        yield running


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Where does moss grow?", "Where does moss grow?"),
        ("  Where\n\tdoes\x07 moss   grow? ", "Where does moss grow?"),
        ("word " * 30, "word word word word word word word word word word word word…"),
        ("x" * 100, "x" * 59 + "…"),
        ("one, " * 20, "one, one, one, one, one, one, one, one, one, one, one, one…"),
        ("\u202e\n", ""),
    ],
)
def test_a_title_is_the_first_words_on_one_line(said, title):
    assert titles.from_words(said) == title
    assert len(title) <= titles.MAX_TITLE


async def title_of(person, conversation):
    return (await person.GetConversation(conversation_id=conversation.id)).conversation.title


async def test_the_first_exchange_names_a_conversation_that_its_user_has_not_named(ada, provider):
    conversation, named = await ada.converse(), await ada.converse(title="Plans")
    for one in (conversation, named):
        await hear(ada.Generate(conversation_id=one.id, parts=text("Where does moss grow?")))
    assert await title_of(ada, conversation) == "Where does moss grow?"
    assert await title_of(ada, named) == "Plans"
    await hear(ada.Generate(conversation_id=conversation.id, parts=text("And ferns?")))
    assert await title_of(ada, conversation) == "Where does moss grow?"


async def test_an_exchange_that_failed_names_nothing(ada, provider):
    conversation = await ada.converse()
    provider.answer(Fail(400))
    await hear(ada.Generate(conversation_id=conversation.id, parts=text("Where does moss grow?")))
    assert await title_of(ada, conversation) == ""
    provider.answer(Say("In the shade."))
    await hear(ada.Generate(conversation_id=conversation.id, parts=text("Once more")))
    assert await title_of(ada, conversation) == "Once more"

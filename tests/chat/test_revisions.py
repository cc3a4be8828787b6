"""Every change of a conversation, and of anything in it, takes the next revision and stamps what it touched."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from protos.chat.v1 import resources_pb2 as pb
from tests.chattest import message
from tests.servers import fetch


async def revision_of(person: Any, conversation_id: str) -> int:
    return (await person.GetConversation(conversation_id=conversation_id)).conversation.revision


@pytest.fixture
async def home(ada):
    conversation = await ada.converse(title="Plans")
    await ada.say(conversation)
    return conversation


async def test_each_change_takes_one_revision_and_what_it_touched_carries_it(ada, home):
    async def stamp(change: Callable[[], Awaitable[Any]], name: str) -> None:
        before = await revision_of(ada, home.id)
        touched = getattr(await change(), name)
        assert (touched.revision, await revision_of(ada, home.id)) == (before + 1, before + 1), name

    run = pb.Interaction(conversation_id=home.id, model="m", state=pb.INTERACTION_STATE_CANCELLED)
    await stamp(lambda: ada.SendMessage(message(home)), "message")
    await stamp(lambda: ada.MarkRead(conversation_id=home.id, position=2), "conversation_session")
    await stamp(lambda: ada.elsewhere().MarkRead(conversation_id=home.id, position=1), "conversation_session")
    said = await ada.say(home)
    await stamp(lambda: ada.SetFeedback(message_id=said.id, feedback=pb.Feedback(comment="Good")), "message")
    await stamp(lambda: ada.DeleteMessage(message_id=said.id), "message")
    built = await ada.build(home)
    assert built.revision == await revision_of(ada, home.id)
    changed = pb.Component(id=built.id, etag=built.etag, content="second")
    await stamp(lambda: ada.UpdateComponent(component=changed), "component")
    await stamp(lambda: ada.DeleteComponent(component_id=built.id), "component")
    await stamp(lambda: ada.RecordInteraction(interaction=run), "interaction")
    await stamp(lambda: ada.UpdateConversation(conversation=pb.Conversation(id=home.id, title="Other")), "conversation")
    await stamp(lambda: ada.DeleteConversation(conversation_id=home.id), "conversation")
    await stamp(lambda: ada.UndeleteConversation(conversation_id=home.id), "conversation")


async def test_an_edit_takes_a_revision_for_the_branch_and_one_for_the_message_and_a_switch_takes_one(ada, home):
    before = await revision_of(ada, home.id)
    said = (await ada.ListMessages(conversation_id=home.id)).messages[0]
    edited = (await ada.EditMessage(message_id=said.id, parts=[pb.Part(text="Other")])).message
    made = (await ada.ListBranches(conversation_id=home.id)).branches[1]
    assert (made.revision, edited.revision, await revision_of(ada, home.id)) == (before + 1, before + 2, before + 2)
    assert (await ada.SwitchBranch(conversation_id=home.id, branch=1)).conversation.revision == before + 3


async def test_what_changes_nothing_takes_no_revision(ada, home):
    built = await ada.build(home)
    await ada.MarkRead(conversation_id=home.id, position=1)
    before = await revision_of(ada, home.id)
    await ada.MarkRead(conversation_id=home.id, position=1)
    await ada.UpdateComponent(component=pb.Component(id=built.id, etag=built.etag, content=built.content))
    await ada.UndeleteConversation(conversation_id=home.id)
    await ada.SwitchBranch(conversation_id=home.id, branch=1)
    said = (await ada.ListMessages(conversation_id=home.id)).messages[0]
    await ada.SetFeedback(message_id=said.id)
    assert await revision_of(ada, home.id) == before


async def test_what_is_listed_carries_the_revision_that_it_was_written_with(ada, home):
    built = await ada.build(home)
    run = pb.Interaction(conversation_id=home.id, model="m", state=pb.INTERACTION_STATE_CANCELLED)
    recorded = (await ada.RecordInteraction(interaction=run)).interaction
    for asked in ({"conversation_id": home.id}, {"session_id": ada.session_id}):
        assert list((await ada.ListComponents(**asked)).components) == [built]
        assert list((await ada.ListInteractions(**asked)).interactions) == [recorded]
        (link,) = (await ada.ListConversationSessions(**asked)).conversation_sessions
        assert link.revision == 2  # of the message that brought this sign-in in


async def test_racing_changes_of_every_kind_share_no_revision_and_leave_none_out(ada, chat, home):
    people = [ada.elsewhere() for _ in range(8)]
    run = pb.Interaction(conversation_id=home.id, model="m", state=pb.INTERACTION_STATE_CANCELLED)

    async def act(person: Any, number: int) -> None:
        await person.say(home)
        await person.build(home, f"{number}.tsx")
        await person.MarkRead(conversation_id=home.id, position=1)
        await person.RecordInteraction(interaction=run)

    await asyncio.gather(*(act(person, number) for number, person in enumerate(people)))
    tables = ("chat_messages", "components", "ai_interactions")
    query = " UNION ALL ".join(f"SELECT revision FROM {table}" for table in tables)
    stamped = [row["revision"] for row in await fetch(chat.database.owner_url, query)]
    marks = "SELECT revision FROM conversation_sessions WHERE read_position > 0"
    stamped += [row["revision"] for row in await fetch(chat.database.owner_url, marks)]
    assert sorted(stamped) == list(range(2, 2 + 1 + 8 * 4))
    assert await revision_of(ada, home.id) == 1 + 1 + 8 * 4

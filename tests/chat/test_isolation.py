"""R36, R38, R42: what belongs to another user is exactly what does not exist."""

import pytest
from grpc import StatusCode

from protos.chat.v1 import resources_pb2 as pb
from shared import ids
from tests.chattest import ASSISTANT, USER
from tests.grpc_errors import failure
from tests.servers import fetch

TABLES = (
    "conversations",
    "chat_messages",
    "conversation_sessions",
    "components",
    "component_versions",
    "ai_interactions",
    "ai_responses",
)
FINISHED = pb.INTERACTION_STATE_CANCELLED


def by_conversation(person, conversation_id):
    """Every RPC that takes a conversation's id."""
    parts = [pb.Part(text="mine now")]
    component = pb.Component(conversation_id=conversation_id, name="mine", type="x")
    interaction = pb.Interaction(conversation_id=conversation_id, model="m", state=FINISHED)
    return {
        "GetConversation": person.GetConversation(conversation_id=conversation_id),
        "UpdateConversation": person.UpdateConversation(conversation=pb.Conversation(id=conversation_id, title="x")),
        "DeleteConversation": person.DeleteConversation(conversation_id=conversation_id),
        "UndeleteConversation": person.UndeleteConversation(conversation_id=conversation_id),
        "ListConversationSessions": person.ListConversationSessions(conversation_id=conversation_id),
        "MarkRead": person.MarkRead(conversation_id=conversation_id, position=1),
        "SendMessage": person.SendMessage(conversation_id=conversation_id, role=USER, parts=parts),
        "SendMessage with the owner's request_id": person.SendMessage(
            conversation_id=conversation_id, role=USER, parts=parts, request_id="one"
        ),
        "BatchSendMessages": person.BatchSendMessages(
            conversation_id=conversation_id, requests=[{"role": USER, "parts": parts}]
        ),
        "ListMessages": person.ListMessages(conversation_id=conversation_id),
        "ListMessages by role": person.ListMessages(conversation_id=conversation_id, role=USER),
        "ListMessages by session": person.ListMessages(conversation_id=conversation_id, session_id=person.session_id),
        "ListMessages of a branch": person.ListMessages(conversation_id=conversation_id, branch=2),
        "CreateComponent": person.CreateComponent(component=component),
        "CreateComponent with the owner's request_id": person.CreateComponent(component=component, request_id="one"),
        "ListComponents": person.ListComponents(conversation_id=conversation_id),
        "ListComponents of all": person.ListComponents(conversation_id=conversation_id, show_deleted=True),
        "ListComponents by session": person.ListComponents(
            conversation_id=conversation_id, session_id=person.session_id
        ),
        "RecordInteraction": person.RecordInteraction(interaction=interaction),
        "ListInteractions": person.ListInteractions(conversation_id=conversation_id),
        "ListInteractions by session": person.ListInteractions(
            conversation_id=conversation_id, session_id=person.session_id
        ),
    }


def by_component(person, component_id, etag):
    """Every RPC that takes a component's id."""
    changed = pb.Component(id=component_id, etag=etag, content="mine now")
    return {
        "GetComponent": person.GetComponent(component_id=component_id),
        "UpdateComponent": person.UpdateComponent(component=changed),
        "DeleteComponent": person.DeleteComponent(component_id=component_id),
        "ListComponentVersions": person.ListComponentVersions(component_id=component_id),
        "GetComponentVersion": person.GetComponentVersion(component_id=component_id, version=1),
    }


@pytest.fixture
async def hers(ada):
    """Something of every kind that belongs to Ada."""
    conversation = await ada.converse(title="Plans")
    said = await ada.say(conversation, request_id="one", role=ASSISTANT)
    built = await ada.build(conversation, request_id="one")
    run = pb.Interaction(conversation_id=conversation.id, model="m", state=FINISHED, message_id=said.id)
    recorded = (await ada.RecordInteraction(interaction=run, response=pb.Response(), request_id="one")).interaction
    return conversation, said, built, recorded


async def rows(chat):
    return {table: await fetch(chat.database.owner_url, f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}


async def test_another_users_thing_is_not_found_exactly_as_what_does_not_exist(hers, bob, chat):
    conversation, said, built, recorded = hers
    nowhere = str(ids.new_id())
    before = await rows(chat)
    for attempt in (
        lambda known: by_conversation(bob, conversation.id if known else nowhere),
        lambda known: by_component(bob, built.id if known else nowhere, built.etag),
        lambda known: {"GetMessage": bob.GetMessage(message_id=said.id if known else nowhere)},
        lambda known: {"GetInteraction": bob.GetInteraction(interaction_id=recorded.id if known else nowhere)},
    ):
        known, unknown = attempt(known=True), attempt(known=False)
        for name in known:
            foreign, absent = await failure(known[name]), await failure(unknown[name])
            assert foreign.code is StatusCode.NOT_FOUND, name
            assert foreign.seen == absent.seen, name
    assert await rows(chat) == before


async def test_another_users_sign_in_has_done_nothing(hers, ada, bob):
    assert list((await ada.ListMessages(session_id=ada.session_id)).messages) != []
    assert list((await bob.ListMessages(session_id=ada.session_id)).messages) == []
    assert list((await bob.ListComponents(session_id=ada.session_id)).components) == []
    assert list((await bob.ListInteractions(session_id=ada.session_id)).interactions) == []
    assert list((await bob.ListConversationSessions(session_id=ada.session_id)).conversation_sessions) == []
    assert list((await bob.ListConversations(show_deleted=True)).conversations) == []


async def test_metadata_of_the_call_changes_nobody_into_somebody_else(hers, chat, bob):
    """R43."""
    conversation, *_ = hers
    metadata = (
        ("authorization", f"Bearer {bob.user_id}:{bob.session_id}"),
        ("x-user-id", str(chat.users["ada"])),
        ("x-forwarded-for", "127.0.0.1"),
    )
    request_class, call = bob._calls["GetConversation"]
    refused = await failure(call(request_class(conversation_id=conversation.id), metadata=metadata))
    assert refused.code is StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "metadata",
    [(), (("authorization", "x"),), (("authorization", "Basic x"),), (("authorization", "Bearer" + "x" * 5000),)],
)
async def test_without_a_token_nothing_is_served(chat, ada, metadata):
    for request_class, call in ada._calls.values():
        refused = await failure(call(request_class(), metadata=metadata))
        assert (refused.code, refused.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")

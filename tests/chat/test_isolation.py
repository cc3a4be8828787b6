"""R36, R38, R42: what belongs to another user is exactly what does not exist.

The methods and the ids that they take are read off the contract. A new one is called here by itself; it fails until
`WITH` says what else a valid request of it has.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from grpc import StatusCode

from protos.chat.v1 import resources_pb2 as pb
from shared import ids
from tests.chat.sharing import ada, auth_target, bob, chat, chat_database  # noqa: F401 - one service for the file
from tests.chattest import ASSISTANT, SERVICES, USER, Chat, Person, message
from tests.grpc_errors import failure
from tests.servers import fetch

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINISHED = pb.INTERACTION_STATE_CANCELLED
TEXT = [pb.Part(text="mine now")]
# The client's name of each thing's making, the same for every user: it must not lead to another's either.
REQUEST_ID = "one"
# Ids in the resources of a request that the method does not read.
UNREAD = {
    "CreateConversation": {"conversation.id"},
    "CreateComponent": {"component.id", "component.session_id"},
    "UpdateComponent": {"component.conversation_id", "component.session_id"},
    "RecordInteraction": {
        "interaction.id",
        "interaction.session_id",
        "response.id",
        "response.interaction_id",
        "response.message_id",
    },
}
# What a valid request has beside its ids, by method.
WITH: dict[str, dict[str, Any]] = {
    "UpdateConversation": {"conversation": {"title": "mine now"}},
    "MarkRead": {"position": 1},
    "EditMessage": {"parts": TEXT},
    "SwitchBranch": {"branch": 1},
    "SetFeedback": {"feedback": {"rating": pb.FEEDBACK_RATING_GOOD}},
    "SendMessage": {"role": USER, "parts": TEXT},
    "BatchSendMessages": {"requests": [{"role": USER, "parts": TEXT}]},
    "CreateComponent": {"component": {"name": "other", "type": "text/tsx", "content": "mine now"}},
    "UpdateComponent": {"component": {"content": "mine now", "etag": "v1"}},
    "GetComponentVersion": {"version": 1},
    "RestoreComponentVersion": {"version": 1},
    "SearchMessages": {"query": "hello"},
    "RecordInteraction": {"interaction": {"model": "m", "state": FINISHED}},
    "ImportConversations": {"format": "CONVERSATION_FORMAT_PARLEY"},
}


@dataclass(frozen=True)
class Things:
    """Something of every kind that belongs to one user."""

    session_id: str
    conversation_id: str
    message_id: str
    component_id: str
    interaction_id: str

    def of(self, path: str) -> str:
        """The id for a field, such as `message_id` or `component.id`."""
        resource, _, name = path.rpartition(".")
        resource = resource.split("[")[0]
        name = name.removeprefix("regenerate_")
        return getattr(self, name if name != "id" else f"{resource}_id")


async def things_of(person: Person) -> Things:
    conversation = await person.converse(title="Plans")
    await person.say(conversation)
    said = await person.say(conversation, request_id=REQUEST_ID, role=ASSISTANT)
    built = await person.build(conversation, request_id=REQUEST_ID)
    run = pb.Interaction(conversation_id=conversation.id, model="m", state=FINISHED, message_id=said.id)
    recorded = await person.RecordInteraction(interaction=run, response=pb.Response(), request_id=REQUEST_ID)
    return Things(person.session_id, conversation.id, said.id, built.id, recorded.interaction.id)


def nothing() -> Things:
    return Things(*(str(ids.new_id()) for _ in range(5)))


METHODS: list[MethodDescriptor] = [method for service in SERVICES for method in service.methods]


def id_paths(method: MethodDescriptor) -> list[str]:
    """Where a request has ids that the method reads."""
    return [path for path in _id_paths(method.input_type.fields) if path not in UNREAD.get(method.name, set())]


def _id_paths(fields: list[FieldDescriptor], prefix: str = "") -> Iterator[str]:
    for field in fields:
        if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.file.package == "chat.v1":
            if prefix.count(".") == 0 and field.message_type.name != "Part":
                nested = f"{prefix}{field.name}[0]." if field.is_repeated else f"{prefix}{field.name}."
                yield from _id_paths(field.message_type.fields, nested)
        elif field.name.endswith("_id") and field.name != "request_id" and not prefix.endswith("[0]."):
            yield f"{prefix}{field.name}"
        elif field.name == "id" and prefix:
            yield f"{prefix}id"


def asking(method: MethodDescriptor, own: Things, path: str = "", other: Things | None = None) -> Message:
    """A request about one's own things, with the thing of somebody else in one place."""
    request: Message = method.input_type._concrete_class(**WITH.get(method.name, {}))
    for each in id_paths(method):
        write(request, each, own.of(each))
    if path and other is not None:
        write(request, path, other.of(path))
    if "request_id" in method.input_type.fields_by_name:
        request.request_id = REQUEST_ID + method.name  # type: ignore[attr-defined]
    return request


def write(request: Message, path: str, value: str) -> None:
    *resources, name = path.split(".")
    for resource in resources:
        request = getattr(request, resource)
    setattr(request, name, value)


async def answered(person: Person, method: MethodDescriptor, request: Message) -> bytes | tuple[object, ...]:
    """All that a caller sees: the answer, the first one of a stream, or the failure."""
    call = getattr(person, method.name)(iter([request]) if method.client_streaming else request)
    if not method.server_streaming:
        return await _seen(call)
    first = asyncio.ensure_future(_seen(call.read()))
    done, _ = await asyncio.wait({first}, timeout=1)
    call.cancel()
    return first.result() if done else b"still streaming"


async def _seen(answer: Any) -> bytes | tuple[object, ...]:
    try:
        response = await answer
    except grpc.aio.AioRpcError as error:
        return (await failure(_raised(error))).seen
    return b"" if response is grpc.aio.EOF else response.SerializeToString(deterministic=True)


async def _raised(error: grpc.aio.AioRpcError) -> None:
    raise error


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_another_users_thing_is_answered_exactly_as_what_does_not_exist(
    method: MethodDescriptor, chat: Chat, ada: Person, bob: Person
) -> None:
    hers = await things_of(ada)
    before = await rows(chat, hers)
    for path in id_paths(method):
        his = await things_of(bob)
        foreign = await answered(bob, method, asking(method, his, path, hers))
        absent = await answered(bob, method, asking(method, his, path, nothing()))
        assert foreign == absent, path
        if not path.endswith("session_id"):  # a filter: another's sign-in has done nothing
            assert foreign[0] is StatusCode.NOT_FOUND, path
        own = await answered(bob, method, asking(method, his))
        refused = own[0] in (StatusCode.NOT_FOUND, StatusCode.INVALID_ARGUMENT) if isinstance(own, tuple) else False
        assert not refused, f"{method.name} wants more than ids, so nothing was shown: say it in WITH ({own})"
    assert await rows(chat, hers) == before


async def rows(chat: Chat, hers: Things) -> dict[str, Any]:
    """All that stands in the database of one user."""
    tables = await fetch(
        chat.database.owner_url,
        "SELECT table_name AS name FROM information_schema.columns WHERE column_name = 'user_id' "
        "AND table_schema = 'public'",
    )
    owner = "(SELECT user_id FROM conversations WHERE id = $1)"
    return {
        table["name"]: await fetch(
            chat.database.owner_url,
            f"SELECT * FROM {table['name']} AS t WHERE user_id = {owner} ORDER BY t::text",
            hers.conversation_id,
        )
        for table in tables
    }


async def test_another_users_sign_in_has_done_nothing(ada: Person, bob: Person) -> None:
    await things_of(ada)
    assert list((await ada.ListMessages(session_id=ada.session_id)).messages) != []
    assert list((await bob.ListMessages(session_id=ada.session_id)).messages) == []
    assert list((await bob.ListComponents(session_id=ada.session_id)).components) == []
    assert list((await bob.ListInteractions(session_id=ada.session_id)).interactions) == []
    assert list((await bob.ListConversationSessions(session_id=ada.session_id)).conversation_sessions) == []
    assert list((await bob.ListConversations(show_deleted=True)).conversations) == []


async def test_a_request_id_of_another_user_leads_nowhere(ada: Person, bob: Person) -> None:
    hers = await things_of(ada)
    said = message(hers.conversation_id, "Hello", request_id=REQUEST_ID, role=ASSISTANT)
    assert (await failure(bob.SendMessage(said))).reason == "CONVERSATION_NOT_FOUND"
    component = pb.Component(conversation_id=hers.conversation_id, name="App.tsx", type="text/tsx", content="first")
    refused = await failure(bob.CreateComponent(component=component, request_id=REQUEST_ID))
    assert refused.reason == "CONVERSATION_NOT_FOUND"


async def test_metadata_of_the_call_changes_nobody_into_somebody_else(chat: Chat, ada: Person, bob: Person) -> None:
    """R43."""
    hers = await things_of(ada)
    metadata = (
        ("authorization", f"Bearer {bob.user_id}:{bob.session_id}"),
        ("x-user-id", str(chat.users["ada"])),
        ("x-forwarded-for", "127.0.0.1"),
    )
    request_class, call = bob._calls["GetConversation"]
    refused = await failure(call(request_class(conversation_id=hers.conversation_id), metadata=metadata))
    assert refused.code is StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "metadata",
    [(), (("authorization", "x"),), (("authorization", "Basic x"),), (("authorization", "Bearer" + "x" * 5000),)],
)
async def test_without_a_token_nothing_is_served(ada: Person, metadata: tuple[tuple[str, str], ...]) -> None:
    for method in METHODS:
        request_class, call = ada._calls[method.name]
        calling = call(iter([request_class()]) if method.client_streaming else request_class(), metadata=metadata)
        refused = await failure(calling.read() if method.server_streaming else calling)
        assert (refused.code, refused.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"), method.name

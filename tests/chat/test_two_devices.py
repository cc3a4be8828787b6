"""Two devices that write, edit and delete in one conversation at random, with cuts, end as a fresh client does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protos.chat.v1 import live_pb2
from protos.chat.v1 import resources_pb2 as pb
from tests.chat.watching import PATIENCE_SECONDS, Watch, what
from tests.chattest import ASSISTANT, Chat, Person, chat_config, gather, message, running_chat
from tests.servers import Servers

# What one stream cannot tell again of a thing each time that something else changes.
DERIVED = {
    "Message": ("sibling_count", "sibling_index", "previous_sibling_branch", "next_sibling_branch"),
    "Branch": ("leaf_depth", "message_count", "active"),
    "ConversationSession": ("unread_count",),
    "Conversation": ("message_count", "revision", "update_time"),
}
# Another change, or the state of things, was in the way.
IN_THE_WAY = {"ABORTED", "NOT_FOUND", "FAILED_PRECONDITION", "ALREADY_EXISTS", "INVALID_ARGUMENT"}
OPERATIONS = ("say", "answer", "batch", "edit", "remove", "switch", "build", "rewrite", "discard", "rename", "read")
STEPS = st.lists(
    st.tuples(
        st.sampled_from((*OPERATIONS, *("cut", "look") * 3)),
        st.sampled_from((*OPERATIONS, *("cut", "look") * 3)),
        st.integers(0, 7),
    ),
    min_size=5,
    max_size=25,
)


def own(thing: Message) -> Message:
    """A thing without what is derived from others."""
    copy = type(thing)()
    copy.CopyFrom(thing)
    for name in DERIVED.get(type(thing).__name__, ()):
        copy.ClearField(name)
    return copy


@dataclass
class Device:
    """What one device shows, and the stream by which it stays up to date; each stream is of another replica."""

    people: tuple[Person, Person]
    conversation_id: str
    shown: dict[tuple[str, str], Message] = field(default_factory=dict)
    told: set[tuple[str, str, int]] = field(default_factory=set)
    revision: int = 0
    cursor: str = ""
    watch: Watch | None = None
    streams: int = 0

    @property
    def person(self) -> Person:
        return self.people[self.streams % 2]

    async def look(self) -> None:
        """Take the next event, if there is one soon."""
        if self.watch is None:
            self.watch = Watch(self.person, self.conversation_id, cursor=self.cursor)
        self._show(await self.watch.next())

    async def catch_up_to(self, title: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while getattr(self.shown.get(("Conversation", self.conversation_id)), "title", "") != title:
                await self.look()

    def cut(self) -> None:
        if self.watch is not None:
            self.watch.stream.cancel()
            self.watch = None
            self.streams += 1

    def ids(self, kind: str) -> list[str]:
        return sorted(key for name, key in self.shown if name == kind)

    def _show(self, event: live_pb2.WatchConversationResponse) -> None:
        self.cursor = event.cursor
        if event.HasField("synced"):
            return
        thing = what(event)
        kind = type(thing).__name__
        key = str(getattr(thing, "branch", "")) if kind == "Branch" else getattr(thing, "id", "") or thing.session_id
        assert (kind, key, thing.revision) not in self.told, "told twice"
        assert thing.revision >= self.revision, "told too late"
        self.told.add((kind, key, thing.revision))
        self.revision = thing.revision
        self.shown[kind, key] = own(thing)


@pytest.fixture
async def twin(chat: Chat, servers: Servers, auth_target: str) -> AsyncIterator[Chat]:
    config = chat_config(chat.database, servers.redis.url, auth_target)
    async with running_chat(chat.database, config) as running:
        yield running


def picked(ids: list[str], number: int) -> str:
    return ids[number % len(ids)] if ids else "00000000-0000-7000-8000-000000000000"


async def operate(device: Device, name: str, number: int) -> None:
    """One operation, on what this device shows, which may be old."""
    person, home = device.person, device.conversation_id
    old = picked(device.ids("Message"), number)
    component = device.shown.get(
        ("Component", picked(device.ids("Component"), number)), pb.Component(id=old, etag="v1")
    )
    parts = [pb.Part(text=f"{name} {number}")]
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "say": lambda: person.SendMessage(message(home, f"say {number}")),
        "answer": lambda: person.SendMessage(message(home, f"answer {number}", role=ASSISTANT)),
        "batch": lambda: person.BatchSendMessages(conversation_id=home, requests=[message("", "batch")] * (number + 1)),
        "edit": lambda: person.EditMessage(message_id=old, parts=parts),
        "remove": lambda: person.DeleteMessage(message_id=old),
        "switch": lambda: person.SwitchBranch(conversation_id=home, branch=1 + number % 4),
        "build": lambda: person.build(pb.Conversation(id=home), f"{number}.tsx"),
        "rewrite": lambda: person.UpdateComponent(
            component=pb.Component(id=component.id, etag=component.etag, content=f"content {number}")
        ),
        "discard": lambda: person.DeleteComponent(component_id=component.id),
        "rename": lambda: person.UpdateConversation(conversation=pb.Conversation(id=home, title=f"title {number}")),
        "read": lambda: person.MarkRead(conversation_id=home, position=1 + number),
    }
    (answer,) = await gather(calls[name]())
    assert not isinstance(answer, grpc.aio.AioRpcError) or answer.code().name in IN_THE_WAY, answer


async def step(device: Device, name: str, number: int) -> None:
    if name == "cut":
        device.cut()
    elif name == "look":
        for _ in range(number):
            if not await _looked(device):
                return
    else:
        await operate(device, name, number)


async def _looked(device: Device) -> bool:
    """Whether there was something to see; there is, until all that the device has not seen has been told."""
    home = (await device.person.GetConversation(conversation_id=device.conversation_id)).conversation
    if device.revision >= home.revision:
        return False
    await device.look()
    return True


@settings(
    max_examples=15,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
async def test_two_devices_end_as_a_fresh_client_does(
    chat: Chat, twin: Chat, steps: list[tuple[str, str, int]]
) -> None:
    user = chat.person("ada")
    conversation = await user.converse(title="Plans")
    await user.say(conversation)
    signed_in = [user, user.elsewhere()]
    devices = [
        Device((person, Person(twin.channel, person.user_id, person.session_id)), conversation.id)  # type: ignore[arg-type]
        for person in signed_in
    ]
    for first, second, number in steps:
        await asyncio.gather(step(devices[0], first, number), step(devices[1], second, number + 1))
    # The last change of all is one of the settings: whoever has been told of it has been told everything.
    await user.UpdateConversation(conversation=pb.Conversation(id=conversation.id, title="the end"))
    fresh = Device((signed_in[0], signed_in[1]), conversation.id)
    for device in (*devices, fresh):
        await device.catch_up_to("the end")
        device.cut()
    assert devices[0].shown == devices[1].shown == fresh.shown
    positions = sorted(thing.position for (kind, _), thing in fresh.shown.items() if kind == "Message")  # type: ignore[attr-defined]
    assert positions == list(range(1, len(positions) + 1))
    listed = await user.ListMessages(conversation_id=conversation.id, page_size=200)
    assert [own(one) for one in listed.messages] == [fresh.shown["Message", one.id] for one in listed.messages]

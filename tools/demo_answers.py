"""The part of the tour that has a model answer: streamed, killed and resumed, cancelled, built from, found, counted."""

import re
import secrets
import time
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from protos.chat.v1 import component_service_pb2 as component_pb2
from protos.chat.v1 import conversation_service_pb2 as conversation_pb2
from protos.chat.v1 import generation_pb2, interaction_service_pb2_grpc, parameters_pb2, search_pb2, usage_pb2
from protos.chat.v1 import interaction_service_pb2 as interaction_pb2
from protos.chat.v1 import message_service_pb2 as message_pb2
from protos.chat.v1 import resources_pb2 as pb
from tools import channels
from tools.another import another_chat
from tools.clients import Clients, Person
from tools.folder import DataFolder, Stack
from tools.guide import Guide
from tools.reader import doomed_reader
from tools.ui import Failure

Event = generation_pb2.GenerateResponse | generation_pb2.ResumeInteractionResponse

_QUESTION: Final = "What is photosynthesis? Answer in two sentences."
_STORY: Final = "Write a long story about a garden in the shade."
_EXAMPLE: Final = ("Write hello.py: it prints hello.", '```python hello.py\nprint("hello")\n```')
_CODE: Final = "Write double.py: a function double(x) that returns x times two."
_SOUGHT: Final = "photosynthesis"
_KILLED_AFTER: Final = 5
_CANCELLED_AFTER: Final = 12
_BLOCK: Final = re.compile(r"```[^\n]*\n(.*?)```", re.DOTALL)
_MICRO: Final = 1_000_000


class AnswersTour:
    """What Ada asks a model, and what becomes of its answers."""

    def __init__(self, to: Clients, guide: Guide, running: Stack, folder: DataFolder) -> None:
        """The stack needs a model: see `Stack.model`."""
        self._to, self._guide, self._running, self._folder = to, guide, running, folder

    async def take(self, laptop: Person, phone: Person) -> None:
        """Go through all of it."""
        self._laptop, self._phone = laptop, phone
        first = await self._streamed()
        await self._killed_and_resumed()
        await self._cancelled()
        await self._built()
        await self._found()
        await self._counted(first)

    async def _streamed(self) -> str:
        self._guide.chapter(f"A model answers as it writes: {self._running.model}")
        self._talk = await self._conversation("How plants live")
        events = await self._shown("Generate", self._ask(self._talk, _QUESTION, 60))
        done = _last(events)
        self._guide.tell(f"{_state(done)}, in {len(_texts(events))} pieces")
        return done.id

    async def _killed_and_resumed(self) -> None:
        self._guide.chapter("The client is killed in the middle, and goes on at another process of chat")
        request = self._ask(await self._conversation("A story"), _STORY, 110)
        async with self._another() as other:
            seen = await self._killed(request)
            resume = generation_pb2.ResumeInteractionRequest(interaction_id=_id(seen), cursor=seen[-1].cursor)
            rest = await self._followed(
                "ResumeInteraction", resume, other.ResumeInteraction(resume, metadata=self._laptop.bearer)
            )
            again = generation_pb2.ResumeInteractionRequest(interaction_id=_id(seen))
            whole = [
                event async for event in self._to.interactions.ResumeInteraction(again, metadata=self._laptop.bearer)
            ]
        joined, told = _bytes([*seen, *rest]), _bytes(whole)
        if joined != told:
            raise Failure("What the client saw before and after is not what a replay of the whole answer says.")
        self._guide.tell(
            f"{len(seen)} events before the kill, {len(rest)} after it: the {sum(map(len, told)):,} bytes of a replay, "
            "no event twice, none missing"
        )

    async def _cancelled(self) -> None:
        self._guide.chapter("Cancelled from the other device, and what was written is kept")
        request = self._ask(await self._conversation("Another story"), _STORY, 400)
        events: list[Event] = []
        pen = self._guide.pen("Generate", request)
        async for event in self._to.interactions.Generate(request, metadata=self._laptop.bearer):
            events.append(event)
            pen.write(event.delta.text)
            if len(_texts(events)) == _CANCELLED_AFTER and event.HasField("delta"):
                pen.end()
                cancel = generation_pb2.CancelInteractionRequest(interaction_id=_id(events))
                await self._guide.call(
                    "CancelInteraction",
                    self._to.interactions.CancelInteraction,
                    cancel,
                    lambda it: _state(it.interaction),
                    by=self._phone,
                )
        pen.end()
        done, kept = _last(events), "".join(part.text for event in events for part in event.message.parts)
        if done.state != pb.INTERACTION_STATE_CANCELLED or kept != "".join(_texts(events)):
            raise Failure("A cancelled answer did not keep the text that was streamed.")
        self._guide.tell(f"{_state(done)}, with a message of the {len(kept)} characters that were streamed")

    async def _built(self) -> None:
        self._guide.chapter("A component built from the answer, edited, compared and restored")
        conversation_id = await self._conversation("Code")
        self._guide.tell("an example first, which a model this small follows")
        for role, text in zip((pb.ROLE_USER, pb.ROLE_ASSISTANT), _EXAMPLE, strict=True):
            await self._say(conversation_id, role, text)
        events = await self._shown("Generate", self._ask(conversation_id, _CODE, 60))
        made = next((event.component for event in events if event.HasField("component")), None)
        if made is None:
            self._guide.tell("no component came of it by itself, so one is made of its text by the API")
            made = await self._made(conversation_id, _code("".join(_texts(events))))
        else:
            self._guide.tell(f"component {made.name}, {_version(made)}, made of the code block in the answer")
        await self._edited(made)

    async def _edited(self, made: pb.Component) -> None:
        to = self._to.components
        content = f'"""Doubles numbers."""\n\n{made.content}'
        update = component_pb2.UpdateComponentRequest(
            component=pb.Component(id=made.id, etag=made.etag, content=content)
        )
        await self._guide.call(
            "UpdateComponent", to.UpdateComponent, update, lambda it: _version(it.component), by=self._laptop
        )
        diff = component_pb2.DiffComponentVersionsRequest(component_id=made.id)
        await self._guide.call(
            "DiffComponentVersions",
            to.DiffComponentVersions,
            diff,
            lambda it: f"version {it.from_version} to {it.to_version}\n{_indented(it.unified_diff)}",
            by=self._laptop,
        )
        restore = component_pb2.RestoreComponentVersionRequest(component_id=made.id, version=made.version)
        restored = await self._guide.call(
            "RestoreComponentVersion",
            to.RestoreComponentVersion,
            restore,
            lambda it: f"{_version(it.component)}: what version {made.version} said, as a new one",
            by=self._laptop,
        )
        if restored.component.content != made.content:
            raise Failure("The restored version does not say what the first one said.")

    async def _found(self) -> None:
        self._guide.chapter("Found again by its words")
        search = search_pb2.SearchMessagesRequest(query=_SOUGHT, page_size=2)
        answer = await self._guide.call(
            "SearchMessages", self._to.messages.SearchMessages, search, _hits, by=self._laptop
        )
        if not answer.results:
            raise Failure("What was asked of the model a moment ago is not found.")

    async def _counted(self, interaction_id: str) -> None:
        self._guide.chapter("What an answer used and cost, and how long it took")
        get = interaction_pb2.GetInteractionRequest(interaction_id=interaction_id)
        await self._guide.call(
            "GetInteraction",
            self._to.interactions.GetInteraction,
            get,
            lambda it: _run(it.interaction),
            by=self._laptop,
        )
        usage = await self._guide.call(
            "GetUsage",
            self._to.interactions.GetUsage,
            usage_pb2.GetUsageRequest(),
            lambda it: "\n      ".join(map(_used, it.days)),
            by=self._laptop,
        )
        if self._running.model not in [day.model for day in usage.days]:
            raise Failure("What the model was used for is not in the ledger.")

    async def _made(self, conversation_id: str, content: str) -> pb.Component:
        component = pb.Component(
            conversation_id=conversation_id, name="double.py", type="text/x-python", content=content
        )
        create = component_pb2.CreateComponentRequest(component=component, request_id=secrets.token_hex(8))
        answer = await self._guide.call(
            "CreateComponent",
            self._to.components.CreateComponent,
            create,
            lambda it: _version(it.component),
            by=self._laptop,
        )
        return answer.component

    @asynccontextmanager
    async def _another(self) -> AsyncIterator[interaction_service_pb2_grpc.InteractionServiceStub]:
        """Another process of chat."""
        begin = time.perf_counter()
        with another_chat(self._running, self._folder) as target:
            self._guide.note(f"another process of chat, at {target}", begin)
            async with channels.concurrent(target, self._running.tls_dir) as channel:
                yield interaction_service_pb2_grpc.InteractionServiceStub(channel)

    async def _killed(self, request: generation_pb2.GenerateRequest) -> list[Event]:
        """What a client in a process of its own was sent until its death."""
        told = {
            "target": self._running.chat_target,
            "tls_dir": self._running.tls_dir,
            "token": self._laptop.tokens.access_token,
            "request": request.SerializeToString().hex(),
        }
        events: list[Event] = []
        with doomed_reader(told) as (pid, lines):
            pen = self._guide.pen(f"Generate, by process {pid}", request)
            async for line in lines:
                events.append(generation_pb2.GenerateResponse.FromString(bytes.fromhex(line)))
                pen.write(events[-1].delta.text)
                if len(_texts(events)) == _KILLED_AFTER:
                    break
        pen.end()
        if len(_texts(events)) < _KILLED_AFTER:
            raise Failure("The answer ended before its reader could be killed.")
        self._guide.tell(f"kill -9 {pid}; the last cursor that it saw: {events[-1].cursor}")
        return events

    async def _shown(self, name: str, request: generation_pb2.GenerateRequest) -> list[Event]:
        """The events of an answer, with the text on the screen as it comes."""
        answer = self._to.interactions.Generate(request, metadata=self._laptop.bearer)
        return await self._followed(name, request, answer)

    async def _followed(self, name: str, request: "_Asked", answer: AsyncIterable[Event]) -> list[Event]:
        events: list[Event] = []
        pen = self._guide.pen(name, request)
        async for event in answer:
            events.append(event)
            pen.write(event.delta.text)
        pen.end()
        done = _last(events)
        if done.state != pb.INTERACTION_STATE_COMPLETED:
            raise Failure(f"The model did not answer: {_state(done)} {done.error.code} {done.error.message}")
        return events

    async def _conversation(self, title: str) -> str:
        create = conversation_pb2.CreateConversationRequest(
            conversation=pb.Conversation(title=title), request_id=secrets.token_hex(8)
        )
        made = await self._to.conversations.CreateConversation(create, metadata=self._laptop.bearer)
        return made.conversation.id

    async def _say(self, conversation_id: str, role: pb.Role.ValueType, text: str) -> None:
        send = message_pb2.SendMessageRequest(
            conversation_id=conversation_id, role=role, parts=[pb.Part(text=text)], request_id=secrets.token_hex(8)
        )
        await self._guide.call(
            "SendMessage",
            self._to.messages.SendMessage,
            send,
            lambda it: f"message at position {it.message.position}",
            by=self._laptop,
        )

    def _ask(self, conversation_id: str, text: str, tokens: int) -> generation_pb2.GenerateRequest:
        return generation_pb2.GenerateRequest(
            conversation_id=conversation_id,
            parts=[pb.Part(text=text)],
            request_id=secrets.token_hex(8),
            parameters=parameters_pb2.Parameters(temperature=0, max_output_tokens=tokens),
        )


_Asked = generation_pb2.GenerateRequest | generation_pb2.ResumeInteractionRequest


def _texts(events: Sequence[Event]) -> list[str]:
    return [event.delta.text for event in events if event.HasField("delta")]


def _last(events: Sequence[Event]) -> pb.Interaction:
    if not events or not events[-1].HasField("interaction"):
        raise Failure("The stream of an answer did not end with the interaction.")
    return events[-1].interaction


def _id(events: Sequence[Event]) -> str:
    return next(event.interaction.id for event in events if event.HasField("interaction"))


def _bytes(events: Sequence[Event]) -> list[bytes]:
    return [event.SerializeToString(deterministic=True) for event in events]


def _state(interaction: pb.Interaction) -> str:
    return pb.InteractionState.Name(interaction.state).removeprefix("INTERACTION_STATE_")


def _run(done: pb.Interaction) -> str:
    used = done.usage
    cost = (
        f"$ {used.cost_micros / _MICRO:.6f} by the prices of {used.price_version}" if used.price_version else "no price"
    )
    first, whole = (
        each.ToTimedelta().total_seconds() for each in (done.response.time_to_first_token, done.response.duration)
    )
    tokens = f"{used.input_tokens} tokens read, {used.output_tokens} written"
    return f"{done.model}: {tokens}, {cost}; the first after {first:.2f} s, all in {whole:.2f} s"


def _used(day: usage_pb2.UsageOfDay) -> str:
    tokens = f"{day.usage.input_tokens} tokens read, {day.usage.output_tokens} written"
    return f"{day.day}, {day.model}: {day.runs} runs, {tokens}, $ {day.usage.cost_micros / _MICRO:.6f}"


def _version(component: pb.Component) -> str:
    return f"version {component.version}, content {component.content_hash[:8]}"


def _hits(answer: search_pb2.SearchMessagesResponse) -> str:
    """Each hit with what it was found by in angle quotes."""
    return "\n      ".join(
        f"{pb.Role.Name(hit.message.role).removeprefix('ROLE_').lower()}, rank {hit.rank:.3f}: {_marked(hit.snippet)}"
        for hit in answer.results
    )


def _marked(snippet: search_pb2.Snippet) -> str:
    text = snippet.text
    for found in reversed(snippet.ranges):
        text = f"{text[: found.begin]}«{text[found.begin : found.end]}»{text[found.end :]}"
    return text


def _code(text: str) -> str:
    """What stands in the first code block of a text; the whole text where there is none."""
    block = _BLOCK.search(text)
    return block[1] if block else text


def _indented(text: str) -> str:
    return "\n".join(f"        {line}" for line in text.splitlines())

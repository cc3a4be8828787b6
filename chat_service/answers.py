"""The events of an answer, for whoever asks, on any replica: what Postgres has of it, and what comes after.

The events of a run are the same for everybody: [QUEUED, if it waited] [RUNNING] pieces of text, [the message]
[components] and the interaction in its final state. Each has a place; a cursor is the place as text.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from chat_service.errors import InteractionNotFound
from chat_service.hints import Hints
from chat_service.live_answers import LiveAnswers
from chat_service.models import Component, Interaction, InteractionState, Message, Usage
from chat_service.relay import Relay, Remote
from chat_service.run_models import FINAL, Answer
from chat_service.store import ai_interactions, chat_messages, component_versions, components, runs
from chat_service.streams import Stream, Streams
from shared.db import Database

_QUEUED, _RUNNING, _DELTA, _MESSAGE, _COMPONENT, _END = range(1, 7)


class Place(NamedTuple):
    """Where an event stands: what kind it is, and the how manieth of it."""

    phase: int
    number: int


BEGINNING: Final = Place(0, 0)
What: TypeAlias = Interaction | str | Message | Component


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to an answer; a text is more of it."""

    place: Place
    what: What


class Answers:
    """Tells of answers, for as long as their readers listen."""

    def __init__(self, database: Database, live: LiveAnswers, relay: Relay, streams: Streams, hints: Hints) -> None:
        """What this process writes itself is read from memory, and what others write by way of the relay."""
        self._database, self._live, self._relay = database, live, relay
        self._streams, self._hints = streams, hints

    async def follow(self, user_id: UUID, interaction_id: UUID, after: Place) -> AsyncGenerator[Event, None]:
        """The events after a place until the final one, as they come; raises InteractionNotFound."""
        with (
            self._streams.opened(user_id) as stream,
            self._hints.watching(user_id, lambda _: stream.wake()),
            self._relay.reading(interaction_id, stream) as remote,
        ):
            while True:
                answer = await self._find(user_id, interaction_id)
                for event in await self._stored(user_id, answer, after):
                    yield event
                    after = event.place
                if answer.state in FINAL:
                    return
                async with aclosing(self._coming(answer, after, stream, remote)) as coming:
                    async for event in coming:
                        yield event
                        after = event.place

    async def _find(self, user_id: UUID, interaction_id: UUID) -> Answer:
        answer = await runs.find(self._database, user_id, interaction_id)
        if answer is None:
            raise InteractionNotFound
        return answer

    async def _stored(self, user_id: UUID, answer: Answer, after: Place) -> list[Event]:
        """What is known for good, after a place."""
        found = await ai_interactions.find(self._database, user_id, answer.interaction_id)
        if found is None:
            raise InteractionNotFound
        events = []
        if answer.waited:
            events.append(Event(place=Place(_QUEUED, 0), what=_as_it_was(found, InteractionState.QUEUED)))
        if answer.started:
            events.append(Event(place=Place(_RUNNING, 0), what=_as_it_was(found, InteractionState.RUNNING)))
        message = await self._message(user_id, answer)
        text = answer.text if message is None else "".join(part for part in message.parts if isinstance(part, str))
        events += _pieces(text, answer.chunk_ends)
        if message is not None:
            events.append(Event(place=Place(_MESSAGE, 0), what=message))
        if answer.state in FINAL:
            events += await self._components(user_id, answer)
            events.append(Event(place=Place(_END, 0), what=found))
        return [event for event in events if event.place > after]

    async def _message(self, user_id: UUID, answer: Answer) -> Message | None:
        if answer.message_id is None:
            return None
        key = (user_id, answer.message_id)
        return (await chat_messages.find_many(self._database, [key])).get(key)

    async def _components(self, user_id: UUID, answer: Answer) -> list[Event]:
        events = []
        for number, (component_id, version) in enumerate(answer.components, 1):
            current = await components.find(self._database, user_id, component_id)
            then = await component_versions.find(self._database, user_id, component_id, version)
            if current is not None and then is not None:
                made = replace(
                    current,
                    version=version,
                    content=then.content,
                    content_hash=then.content_hash,
                    session_id=then.session_id,
                    update_time=then.create_time,
                    revision=current.revision if current.version == version else 0,
                )
                events.append(Event(place=Place(_COMPONENT, number), what=made))
        return events

    async def _coming(
        self, answer: Answer, after: Place, stream: Stream, remote: Remote
    ) -> AsyncGenerator[Event, None]:
        """What comes next, until it is time to look into Postgres again."""
        live = self._live.get(answer.interaction_id)
        number = after.number if after.phase == _DELTA else 0
        if live is None or not answer.started:
            remote.lack(answer.worker, number)
            await stream.wait()
            for number, chunk in enumerate(remote.after(number), number + 1):  # noqa: B020
                yield Event(place=Place(_DELTA, number), what=chunk)
            return
        with live.told_to(stream):
            while True:
                for number, chunk in enumerate(live.chunks[number:], number + 1):  # noqa: B020
                    yield Event(place=Place(_DELTA, number), what=chunk)
                if live.closed:
                    return
                await stream.wait()


def _as_it_was(interaction: Interaction, state: InteractionState) -> Interaction:
    """An interaction as it was before its end; which revision that took nobody knows any more."""
    return replace(
        interaction,
        state=state,
        message_id=None,
        usage=Usage(),
        revision=0,
        end_time=None,
        error=None,
        response=None,
    )


def _pieces(text: str, chunk_ends: tuple[int, ...]) -> list[Event]:
    """A text in the pieces in which it came; one that is gone, as its message was deleted, has none."""
    cuts = pairwise((0, *chunk_ends))
    return [
        Event(place=Place(_DELTA, number), what=text[begin:end])
        for number, (begin, end) in enumerate(cuts, 1)
        if end <= len(text)
    ]

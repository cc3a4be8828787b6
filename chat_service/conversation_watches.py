"""A conversation as it changes, for the devices of its user (protos/chat/v1/live.proto).

Nothing is queued for anybody. Who watches has a place in the conversation's history; when it is told, by a hint or by a
poll, that the conversation has gone on, it reads what lies behind that place from Postgres, in the order of revisions.
So no hint is needed, no replica is special, and who is slow costs no memory.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Final, TypeAlias
from uuid import UUID

import orjson

from chat_service.errors import ConversationNotFound, CursorUnknown
from chat_service.hints import Hint, Hints
from chat_service.models import (
    AnswerDelta,
    BranchList,
    Change,
    ChangeKind,
    Conversation,
    ConversationEvent,
    ConversationRow,
    ConversationSessionList,
    Interaction,
    InteractionState,
    Message,
    Place,
    Synced,
    Typing,
)
from chat_service.presence import Presence
from chat_service.store import (
    ai_interactions,
    changes,
    chat_messages,
    components,
    conversation_branches,
    conversation_sessions,
    conversations,
)
from chat_service.streams import Stream, Streams
from chat_service.tails import Tail, Tails
from shared.batch import PointReads
from shared.calls import Principal
from shared.db import Database
from shared.errors import Overloaded, Unavailable

SETTINGS_BYTES: Final = 8
_PAGE: Final = 50
# So much at most is read ahead of what has been sent, but for a single row that weighs more.
_READ_AHEAD_BYTES: Final = 256 * 1024

Told: TypeAlias = tuple[Place, ConversationEvent]
_Key: TypeAlias = tuple[UUID, UUID]


class ConversationWatches:
    """Tells of conversations as they change."""

    def __init__(self, database: Database, streams: Streams, hints: Hints, presence: Presence, tails: Tails) -> None:
        """What watchers read at the same time is read together."""
        self._streams, self._hints, self._presence, self._tails = streams, hints, presence, tails
        self._history = _History(database)

    async def watch(self, principal: Principal, conversation_id: UUID, after: Place) -> AsyncGenerator[Told, None]:
        """What has changed behind a place, each thing as it is now and once, in the order of revisions; then go on.

        Raises ConversationNotFound, also when the conversation is purged, and CursorUnknown.
        """
        user_id = principal.user_id
        with self._streams.opened(user_id) as stream, contextlib.ExitStack() as following:
            running = _Following(self._tails, (user_id, conversation_id), stream, following)
            watch = _Watch(self._history, stream, running, (user_id, conversation_id), after)
            hear_typing = partial(watch.hear_typing, principal.session_id)
            with self._hints.watching(user_id, watch.hear), self._presence.watching(conversation_id, hear_typing):
                while True:
                    yield await watch.next()


class _History:
    """What has happened in conversations, read for all watchers of the process together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._revisions: PointReads[_Key, int] = PointReads(
            "revisions", lambda keys: changes.find_revisions(database, keys)
        )
        self._conversations: PointReads[_Key, Conversation] = PointReads(
            "watched conversations", lambda keys: conversations.find_many(database, keys)
        )
        self._messages: PointReads[_Key, Message] = PointReads(
            "watched messages", lambda keys: chat_messages.find_many(database, keys)
        )

    async def revision(self, key: _Key) -> int:
        """The revision that a conversation has reached; raises ConversationNotFound."""
        found = await self._revisions.get(key)
        if found is None:
            raise ConversationNotFound
        return found

    async def conversation(self, key: _Key) -> Conversation:
        """A conversation as it is now; raises ConversationNotFound."""
        found = await self._conversations.get(key)
        if found is None:
            raise ConversationNotFound
        return found

    async def changes(self, key: _Key, after: Place, last: int) -> list[Change]:
        """What rows lie behind a place, up to a revision; the first page of them."""
        return await changes.list_since(self._database, *key, after, last, _PAGE)

    async def rows(self, key: _Key, told: Sequence[Change]) -> Sequence[ConversationRow | None]:
        """The rows themselves, None for one that has moved on: it lies behind a later revision, and is told then."""
        rows = await asyncio.gather(*(self._row(key, change) for change in told))
        return [
            row if row and row.revision == change.revision else None for row, change in zip(rows, told, strict=True)
        ]

    async def _row(self, key: _Key, change: Change) -> ConversationRow | None:
        user_id, conversation_id = key
        match change.kind:
            case ChangeKind.MESSAGE:
                return await self._messages.get((user_id, change.id))
            case ChangeKind.COMPONENT:
                return await components.find(self._database, user_id, change.id)
            case ChangeKind.INTERACTION:
                return await ai_interactions.find(self._database, user_id, change.id)
            case ChangeKind.BRANCH:
                branch = BranchList(user_id=user_id, conversation_id=conversation_id, after=change.id.int - 1, size=1)
                return (await conversation_branches.list_page(self._database, branch)).items[0]
        link = ConversationSessionList(
            user_id=user_id, conversation_id=conversation_id, session_id=change.id, after=None, size=1
        )
        return next(iter((await conversation_sessions.list_page(self._database, link)).items), None)


class _Watch:
    """One watcher: its place, how far the conversation is known to have come, and what is to be told next."""

    def __init__(self, history: _History, stream: Stream, running: "_Following", key: _Key, after: Place) -> None:
        self._history, self._stream, self._key, self._place = history, stream, key, after
        self._running = running
        self._hinted = -1
        self._goal: Conversation | None = None
        self._typing: dict[UUID, Typing] = {}
        self._synced = False
        self._ready: deque[Told] = deque()

    def hear(self, hint: Hint | None) -> None:
        if hint is None:
            self._stream.poll()
        elif hint.conversation_id == self._key[1]:
            self._hinted = max(self._hinted, hint.revision)
            self._stream.wake()

    def hear_typing(self, own_session_id: UUID, typing: Typing) -> None:
        if typing.session_id != own_session_id and self._synced and len(self._typing) < _PAGE:
            self._typing[typing.session_id] = typing
            self._stream.wake()

    async def next(self) -> Told:
        """What is to be told next; waits for it."""
        self._stream.check()
        while not self._ready:
            if self._goal is not None:
                await self._walk_to(self._goal)
            elif self._synced and (text := await self._running.more(look=self._stream.polled)):
                self._place = self._running.stamp(self._place)
                self._ready.append((self._place, text))
            elif not self._synced or await self._moved():
                self._goal = await self._conversation()
            elif self._typing:
                _, typing = self._typing.popitem()
                self._ready.append((self._place, typing))
            else:
                await self._stream.wait()
        return self._ready.popleft()

    async def _conversation(self) -> Conversation:
        """The conversation as it is now, which has something new in it."""
        self._hinted = -1  # a hint that is wrong is followed once
        conversation = await self._history.conversation(self._key)
        if conversation.revision < self._place.revision:
            raise CursorUnknown
        return conversation

    async def _moved(self) -> bool:
        if self._hinted > self._place.revision:
            return True
        if not self._stream.polled:
            return False
        self._stream.polled = False
        try:
            return await self._history.revision(self._key) != self._place.revision
        except (Overloaded, Unavailable):
            return False  # the next poll asks again, and callers with something to read learn of it

    async def _walk_to(self, goal: Conversation) -> None:
        """Read on towards the revision of the goal, as much as may be read ahead."""
        page = await self._history.changes(self._key, self._place, goal.revision)
        told = _affordable(page)
        for change, row in zip(told, await self._history.rows(self._key, told), strict=True):
            self._place = replace(self._place, revision=change.revision, kind=change.kind, id=change.id)
            if isinstance(row, Interaction):
                self._running.learn(row, self._place)
            if row is not None:
                self._ready.append((self._running.stamp(self._place), row))
        if len(told) == len(page) < _PAGE:
            if not self._synced:
                await self._running.begin(self._place)
            self._arrive(goal)

    def _arrive(self, goal: Conversation) -> None:
        settings = _settings(goal)
        news = settings != self._place.settings
        self._place = self._running.stamp(Place(revision=goal.revision, settings=settings))
        if news:
            self._ready.append((self._place, goal))
        if not self._synced:
            self._ready.append((self._place, Synced()))
        self._synced, self._goal = True, None


class _Following:
    """The answer that is being written in a conversation, and how many pieces of it were told."""

    def __init__(self, tails: Tails, key: _Key, stream: Stream, stack: contextlib.ExitStack) -> None:
        self._tails, self._key, self._stream, self._stack = tails, key, stream, stack
        self._run_id: UUID | None = None
        self._tail: Tail | None = None
        self._pieces = 0

    async def begin(self, place: Place) -> None:
        """Follow what is under way when a stream has told everything before."""
        run_id = await self._tails.find(*self._key)
        if run_id is not None:
            self._follow(run_id, place)

    def learn(self, interaction: Interaction, place: Place) -> None:
        """Follow a run that has begun, and let one go that has ended."""
        if interaction.state is InteractionState.RUNNING:
            self._follow(interaction.id, place)
        elif interaction.id == self._run_id:
            self._let_go()

    async def more(self, *, look: bool) -> AnswerDelta | None:
        """What was written since, as one piece."""
        if self._tail is None or self._run_id is None:
            return None
        pieces = await self._tail.after(self._pieces, look=look)
        self._pieces += len(pieces)
        return AnswerDelta(interaction_id=self._run_id, text="".join(pieces)) if pieces else None

    def stamp(self, place: Place) -> Place:
        """The place, with how much of the answer was told."""
        if self._run_id is None:
            return place
        return replace(place, answer=self._run_id, pieces=self._pieces)

    def _follow(self, run_id: UUID, place: Place) -> None:
        if run_id == self._run_id:
            return
        self._let_go()
        self._run_id = run_id
        self._pieces = place.pieces if place.answer == run_id else 0
        self._tail = self._stack.enter_context(self._tails.reading(self._key[0], run_id, self._stream))

    def _let_go(self) -> None:
        self._stack.close()
        self._run_id, self._tail, self._pieces = None, None, 0


def _affordable(page: Sequence[Change]) -> Sequence[Change]:
    """The first rows of a page, at least one, that may be read together."""
    weight = 0
    for count, change in enumerate(page):
        weight += change.weight
        if count and weight > _READ_AHEAD_BYTES:
            return page[:count]
    return page


def _settings(conversation: Conversation) -> bytes:
    """A digest of what is the conversation's own: all but what every change in it moves."""
    own = replace(conversation, message_count=0, revision=0, update_time=conversation.create_time)
    return sha256(orjson.dumps(own, default=str)).digest()[:SETTINGS_BYTES]

"""A user's conversations as they change, for whoever shows the list of them (protos/chat/v1/live.proto).

There is no counter of a user's changes, for it would make all writes of a user wait for each other. Instead there are
times. The invariant: each conversation's latest state is told at least once after its last change, and no revision of
it twice on one stream.

A change carries the time at which its transaction began, and can be seen when it has committed. So whoever asks at T
what has changed behind P, in the order of times, has been told of everything up to T, but for what was then under way:
that carries a time after T less the longest transaction. Hence the next question begins an overlap before T, and what
was told already is known by its revision. A cursor is such a time; a stream that begins with one begins an overlap
before it, and may repeat what another stream has told. Hints only say where to look first.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

from chat_service.hints import Hint, Hints
from chat_service.models import ChangedConversation, ChangedConversations, Conversation, Synced, UserPlace
from chat_service.store import changes, conversations
from chat_service.streams import Stream, Streams
from shared.batch import PointReads
from shared.db import Database
from shared.errors import Overloaded, Unavailable

# Longer than any transaction that changes a conversation, and than clocks differ where another server takes over.
OVERLAP: Final = timedelta(minutes=5)
BEGINNING: Final = datetime(1970, 1, 2, tzinfo=UTC)
_PAGE: Final = 50

Told: TypeAlias = tuple[datetime, Conversation | Synced]
_Key: TypeAlias = tuple[UUID, UUID]


class UserWatches:
    """Tells of users' conversations as they change."""

    def __init__(self, database: Database, streams: Streams, hints: Hints) -> None:
        """What watchers read at the same time is read together."""
        self._streams, self._hints = streams, hints
        self._history = _History(database)

    async def watch(self, user_id: UUID, since: datetime | None) -> AsyncGenerator[Told, None]:
        """What has changed since a time, or from now on, each as it is now, with the time to go on from."""
        with self._streams.opened(user_id) as stream:
            watch = _Watch(self._history, stream, user_id, since or await self._history.now(user_id))
            with self._hints.watching(user_id, watch.hear):
                while True:
                    yield await watch.next()


class _History:
    """What has happened in users' conversations, read for all watchers of the process together."""

    def __init__(self, database: Database) -> None:
        self._pages: PointReads[UserPlace, ChangedConversations] = PointReads(
            "changed conversations", lambda places: changes.list_conversations(database, places, _PAGE)
        )
        self._conversations: PointReads[_Key, Conversation] = PointReads(
            "listed conversations", lambda keys: conversations.find_many(database, keys)
        )

    async def now(self, user_id: UUID) -> datetime:
        """The time by which changes are dated."""
        return (await self.behind(UserPlace(user_id=user_id, time=datetime.max.replace(tzinfo=UTC)))).asked

    async def behind(self, place: UserPlace) -> ChangedConversations:
        """The first page of what has changed behind a place."""
        return await self._pages.get(place) or ChangedConversations(asked=place.time, items=[])

    async def conversations(self, user_id: UUID, ids: Sequence[UUID]) -> list[Conversation]:
        """Those of the conversations that are there."""
        found = await asyncio.gather(*(self._conversations.get((user_id, each)) for each in ids))
        return [conversation for conversation in found if conversation is not None]


class _Watch:
    """One watcher: up to when it has been told everything, what it was told since, and what is to be told next."""

    def __init__(self, history: _History, stream: Stream, user_id: UUID, since: datetime) -> None:
        self._history, self._stream, self._user_id = history, stream, user_id
        self._since = since
        # Where a question stands that goes on, and when it began; None between two questions.
        self._place: UserPlace | None = self._first()
        self._asked: datetime | None = None
        self._told: dict[UUID, ChangedConversation] = {}
        self._hinted: dict[UUID, int] = {}
        self._synced = False
        self._ready: deque[Told] = deque()

    def hear(self, hint: Hint | None) -> None:
        if hint is None or len(self._hinted) >= _PAGE:
            self._hinted.clear()
            self._stream.poll()
            return
        self._hinted[hint.conversation_id] = hint.revision
        self._stream.wake()

    async def next(self) -> Told:
        """What is to be told next; waits for it."""
        self._stream.check()
        while not self._ready:
            if self._place is not None:
                await self._walk(self._place)
            elif self._stream.polled:
                self._stream.polled, self._place = False, self._first()
            elif self._hinted:
                await self._follow_hints()
            else:
                await self._stream.wait()
        return self._ready.popleft()

    def _first(self) -> UserPlace:
        return UserPlace(user_id=self._user_id, time=max(self._since - OVERLAP, BEGINNING))

    async def _walk(self, place: UserPlace) -> None:
        """Read a page of what has changed, and be done with it or go on behind it."""
        try:
            page = await self._history.behind(place)
            news = [item.id for item in page.items if self._is_news(item)]
            found = {each.id: each for each in await self._history.conversations(self._user_id, news)}
        except (Overloaded, Unavailable):
            if not self._synced:
                raise
            self._place = self._asked = None  # the next poll asks again
            return
        self._asked = self._asked or page.asked
        for item in page.items:
            # No further than this one: what lies between it and now is still to be told.
            self._since = max(self._since, min(item.update_time, self._asked))
            if item.id in found:
                self._tell(found[item.id])
        if len(page.items) == _PAGE:
            self._place = replace(place, time=page.items[-1].update_time, id=page.items[-1].id)
        else:
            self._arrive(self._asked)

    def _arrive(self, asked: datetime) -> None:
        self._since = max(self._since, asked)
        self._place = self._asked = None
        oldest = self._since - OVERLAP
        self._told = {key: told for key, told in self._told.items() if told.update_time >= oldest}
        if not self._synced:
            self._synced = True
            self._ready.append((self._since, Synced()))

    async def _follow_hints(self) -> None:
        hinted, self._hinted = self._hinted, {}
        news = [key for key, revision in hinted.items() if key not in self._told or self._told[key].revision < revision]
        for found in await self._history.conversations(self._user_id, news):
            self._tell(found)

    def _tell(self, found: Conversation) -> None:
        item = ChangedConversation(id=found.id, revision=found.revision, update_time=found.update_time)
        if self._is_news(item):
            self._told[found.id] = item
            self._ready.append((self._since, found))

    def _is_news(self, item: ChangedConversation) -> bool:
        known = self._told.get(item.id)
        return known is None or known.revision < item.revision

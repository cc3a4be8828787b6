"""Exports: all that is kept of a user's conversations, read in pages, so that no more than one is in memory."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar
from uuid import UUID

from chat_service.errors import ConversationNotFound
from chat_service.open_streams import OpenStreams
from chat_service.store import exports as store
from chat_service.transfer_models import ExportedConversation, Record, TransferComponent
from shared.calls import Principal
from shared.db import Database, Executor

STREAMS: Final = 4

T = TypeVar("T")
H = TypeVar("H")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which conversations to take out: one, or all after one, the newest first."""

    conversation_id: UUID | None
    deleted: bool
    after: UUID | None


@dataclass(frozen=True, slots=True)
class ExportEnd:
    """The end of a conversation, and how many messages it had."""

    conversation_id: UUID
    message_count: int


Exported: TypeAlias = ExportedConversation | Record | ExportEnd


class Exports:
    """Reads what there is."""

    def __init__(self, database: Database) -> None:
        """Read from this database."""
        self._database = database
        self._streams = OpenStreams(STREAMS)

    async def records(self, principal: Principal, wanted: Wanted) -> AsyncGenerator[Exported, None]:
        """Each conversation with all that is in it; raises TooManyStreams."""
        with self._streams.one(principal.user_id):
            async for home in self._conversations(principal, wanted):
                yield home
                async for page in self._contents(principal.user_id, home):
                    for record in page:
                        yield record
                yield ExportEnd(home.id, home.message_count)

    async def _conversations(self, principal: Principal, wanted: Wanted) -> AsyncGenerator[ExportedConversation, None]:
        """The beginnings; each is read again when its turn comes, as it may have gone on."""
        if wanted.conversation_id is not None:
            one = await store.find_conversation(self._database, principal.user_id, wanted.conversation_id)
            if one is None:
                raise ConversationNotFound
            yield one
            return
        after = wanted.after
        while page := await store.list_conversations(self._database, principal.user_id, after, deleted=wanted.deleted):
            for one in page:
                now = await store.find_conversation(self._database, principal.user_id, one.id)
                if now is not None:
                    yield now
            after = page[-1].id

    async def _contents(self, user_id: UUID, home: ExportedConversation) -> AsyncGenerator[Sequence[Record], None]:
        """What is in a conversation, in the order in which an import reads it."""
        async for branches in self._pages(user_id, home, store.list_branches):
            yield branches
        async for messages in self._pages(user_id, home, store.list_messages):
            yield messages
        async for components in self._pages(user_id, home, store.list_components):
            for component in components:
                async for page in self._component(user_id, component):
                    yield page
        async for interactions in self._pages(user_id, home, store.list_interactions):
            yield interactions
        async for links in self._pages(user_id, home, store.list_links):
            yield links

    async def _component(self, user_id: UUID, component: TransferComponent) -> AsyncGenerator[Sequence[Record], None]:
        """A component, and its versions."""
        yield [component]
        async for versions in self._pages(user_id, component, store.list_versions):
            yield versions

    async def _pages(
        self, user_id: UUID, of: H, read: Callable[[Executor, UUID, H, T | None], Awaitable[list[T]]]
    ) -> AsyncGenerator[list[T], None]:
        page = await read(self._database, user_id, of, None)
        while page:
            yield page
            page = await read(self._database, user_id, of, page[-1])

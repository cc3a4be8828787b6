"""The rules of search: the newest hits of a question, in blocks, each with the best first."""

from collections.abc import Sequence
from typing import Final

from chat_service.models import Page
from chat_service.questions import Question
from chat_service.search_models import (
    Block,
    ConversationSearch,
    FoundConversation,
    FoundMessage,
    FoundMessages,
    Hit,
    MessageSearch,
    Probe,
)
from chat_service.search_windows import RUN, Walk, filters, narrower
from chat_service.snippets import Marker
from chat_service.store import chat_messages, conversations
from chat_service.store import searches as store
from chat_service.store.pages import MAX_PAGE_BYTES
from shared.db import Database

BLOCK: Final = 150
_ROWS: Final = RUN  # that a probe may look at: a run fits always
_MOST_ROWS: Final = 5 * _ROWS
_MOST_PROBES: Final = 24
_STROLL: Final = 2  # runs that are looked through row by row for beginnings of words, before the index is asked


class Searches:
    """Finds messages by what they say, and conversations by their titles."""

    def __init__(self, database: Database) -> None:
        """Search in this database."""
        self._database = database

    async def messages(self, asked: MessageSearch) -> FoundMessages:
        """A page of messages."""
        question, end = await store.understand(self._database, asked.user_id, asked.terms, asked.conversation_id)
        if not question.wanted:
            return FoundMessages(items=[], after=None)
        block = asked.after or Block(below=end, rank=None, serial=0)
        hits, rest = await self._newest(asked, question, block.below)
        ranked = sorted(hits, key=_order)
        if block.rank is not None:
            place = (-block.rank, -block.serial)
            ranked = [hit for hit in ranked if _order(hit) > place]
        page = _cut(ranked, asked.size)
        after: Block | None = None
        if len(page) < len(ranked):
            after = Block(below=block.below, rank=page[-1].rank, serial=page[-1].serial)
        elif rest:
            after = Block(below=rest, rank=None, serial=0)
        return FoundMessages(items=await self._shown(asked, question, page), after=after)

    async def conversations(self, asked: ConversationSearch) -> Page[FoundConversation]:
        """A page of conversations."""
        question, _ = await store.understand(self._database, asked.user_id, asked.terms, None)
        if not question.wanted:
            return Page(items=[], more=False)
        ranked = await store.titles(self._database, asked, question)
        keys = [(asked.user_id, found) for found, _ in ranked[: asked.size]]
        models = await conversations.find_many(self._database, keys) if keys else {}
        marker = Marker(question.wanted)
        items = [
            FoundConversation(conversation=model, snippet=marker.whole(model.title), rank=rank)
            for key, (_, rank) in zip(keys, ranked, strict=False)
            if (model := models.get(key)) is not None
        ]
        return Page(items=items, more=len(ranked) > asked.size)

    async def _newest(self, asked: MessageSearch, question: Question, below: int) -> tuple[list[Hit], int]:
        """The newest hits below a serial, and the serial below which there may be more; 0 where there are none."""
        walk, hits = Walk.of(question, below), list[Hit]()
        told = filters(asked)
        strolling = 0 if question.words else _STROLL
        window = walk.window(_ROWS, BLOCK)
        for nth in range(_MOST_PROBES):
            wanted = Probe(
                asked=asked,
                question=question,
                indexed=" & ".join(told if nth < strolling else [question.indexed, *told]),
                window=window.condition(asked.user_id),
                below=below,
                rows=_ROWS,
                hits=BLOCK - len(hits),
            )
            probed = await store.probe(self._database, wanted)
            if probed.looked > _ROWS:
                window = narrower(window)
                continue
            hits += probed.hits
            walk = walk.past(window, probed, estimated=nth >= strolling)
            if len(hits) == BLOCK:
                return hits, hits[-1].serial
            if walk.end == 0 or walk.looked > _MOST_ROWS or (nth < strolling and len(hits) >= asked.size):
                break
            window = walk.window(_ROWS, BLOCK - len(hits))
        return hits, walk.end * RUN

    async def _shown(self, asked: MessageSearch, question: Question, page: Sequence[Hit]) -> list[FoundMessage]:
        keys = [(asked.user_id, hit.id) for hit in page]
        models = await chat_messages.find_many(self._database, keys) if keys else {}
        marker = Marker(question.wanted)
        return [
            FoundMessage(
                message=model,
                snippet=marker.snippet(part for part in model.parts if isinstance(part, str)),
                rank=hit.rank,
            )
            for key, hit in zip(keys, page, strict=True)
            if (model := models.get(key)) is not None
        ]


def _order(hit: Hit) -> tuple[float, int]:
    """The best first, of equal ones the newest."""
    return (-hit.rank, -hit.serial)


def _cut(ranked: Sequence[Hit], size: int) -> Sequence[Hit]:
    """As many as fit on a page: one at least."""
    length = 0
    for nth, hit in enumerate(ranked[:size]):
        length += hit.text_bytes
        if nth and length > MAX_PAGE_BYTES:
            return ranked[:nth]
    return ranked[:size]

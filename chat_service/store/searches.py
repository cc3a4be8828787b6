"""Search in Postgres: what the indexes of words find."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from chat_service.errors import ConversationNotFound
from chat_service.questions import Question, Term, quoted, understood
from chat_service.search_models import ConversationSearch, Hit, Probe, Probed
from shared import sql
from shared.db import Executor

queries = sql.load(__file__)

MAX_TITLES: Final = 1_000


async def understand(
    executor: Executor, user_id: UUID, terms: Sequence[Term], conversation_id: UUID | None
) -> tuple[Question, int]:
    """The question that terms make, and the serial after the newest message; raises ConversationNotFound."""
    row = await executor.fetch_one(queries.understand, user_id, [term.text for term in terms], conversation_id)
    if row is None or not row["here"]:
        raise ConversationNotFound
    return understood(terms, row["phrases"]), row["newest"] + 1


async def probe(executor: Executor, wanted: Probe) -> Probed:
    """The newest hits in a window; where more rows were looked at than asked for, they mean nothing."""
    asked, question = wanted.asked, wanted.question
    rows = await executor.fetch_all(
        queries.probe,
        asked.user_id,
        wanted.indexed or wanted.window,
        wanted.window,
        None if question.exact else question.full,
        question.rated,
        wanted.below,
        asked.conversation_id,
        asked.start_time,
        asked.end_time,
        wanted.rows + 1,
        wanted.hits,
    )
    hits = [
        Hit(id=row["id"], serial=row["serial"], rank=row["rank"], text_bytes=row["text_bytes"])
        for row in rows
        if row["id"] is not None
    ]
    return Probed(looked=rows[0]["looked"], hits=hits)


async def titles(executor: Executor, asked: ConversationSearch, question: Question) -> Sequence[tuple[UUID, float]]:
    """Conversations with the ranks of their titles, one more than the page has room for."""
    owner = quoted(f"#u{str(asked.user_id)[-12:]}")
    rank, after = asked.after or (None, None)
    rows = await executor.fetch_all(
        queries.titles,
        asked.user_id,
        f"{question.full} & {owner}",
        question.rated,
        MAX_TITLES,
        rank,
        after,
        asked.size + 1,
    )
    return [(row["id"], row["rank"]) for row in rows]

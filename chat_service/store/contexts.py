"""What a model is shown of a conversation, in Postgres."""

from uuid import UUID

from chat_service.models import Role
from chat_service.parts import load
from chat_service.run_models import Run, Said
from shared import sql
from shared.db import Executor

queries = sql.load(__file__)


async def list_newest(executor: Executor, run: Run, most: int) -> list[Said]:
    """The newest messages of a run's branch, the oldest first."""
    rows = await executor.fetch_all(queries.list_newest, run.user_id, run.conversation_id, run.branch, most)
    return [Said(id=row["id"], role=Role(row["role"]), parts=load(row["parts"])) for row in reversed(rows)]


async def list_waiting_prompts(executor: Executor, run: Run) -> frozenset[UUID]:
    """The messages that other runs of the conversation are still to answer."""
    rows = await executor.fetch_all(queries.list_waiting_prompts, run.user_id, run.conversation_id)
    return frozenset(row["prompt_id"] for row in rows)

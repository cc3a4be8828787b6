"""How many answers, and of how many tokens, a user may ask for in a window of time."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from chat_service.errors import QuotaExceeded
from chat_service.store import ai_usage
from shared import clock
from shared.db import Executor

_TIME_BITS: Final = 80
_LEAST_WAIT: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The most of either in a window; None is without limit."""

    runs: int | None
    tokens: int | None
    window: timedelta


async def check(tx: Executor, quota: Quota, user_id: UUID) -> None:
    """Raise QuotaExceeded where the user has had as much as they may; who asks at the same time waits."""
    if quota.runs is None and quota.tokens is None:
        return
    await ai_usage.queue_up(tx, user_id)
    begin = clock.now() - quota.window
    since = UUID(int=int(begin.timestamp() * 1000) << _TIME_BITS)
    runs, tokens, oldest = await ai_usage.count_recent(tx, user_id, since)
    exceeded = [
        name
        for name, used, most in (("runs", runs, quota.runs), ("tokens", tokens, quota.tokens))
        if most is not None and used >= most
    ]
    if exceeded:
        wait = (oldest - begin).total_seconds() if oldest is not None else 0.0
        raise QuotaExceeded(retry_after=max(wait, _LEAST_WAIT), quota=exceeded[0])

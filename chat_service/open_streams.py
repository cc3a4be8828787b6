"""How many streams of one kind each user may have open in this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from chat_service.errors import TooManyStreams

_RETRY_SECONDS: Final = 5.0


class OpenStreams:
    """Counts them, by user."""

    def __init__(self, most: int) -> None:
        """Let each user have so many."""
        self._most = most
        self._open: Counter[UUID] = Counter()

    @contextmanager
    def one(self, user_id: UUID) -> Iterator[None]:
        """One more; raises TooManyStreams where there are too many."""
        if self._open[user_id] >= self._most:
            raise TooManyStreams(retry_after=_RETRY_SECONDS)
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]

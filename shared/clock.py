"""The process's clocks, in one place so that a test can turn them.

What is stored is stamped and compared by Postgres's `now()`; these serve tokens, deadlines and cached entries.
"""

import time
from datetime import UTC, datetime


def timestamp() -> float:
    """The wall clock, in seconds since 1970."""
    return time.time()


def now() -> datetime:
    """The same as a moment, in UTC, which takes five times as long to learn."""
    return datetime.fromtimestamp(timestamp(), UTC)


def monotonic() -> float:
    """Seconds that never go back."""
    return time.monotonic()

"""The process's clocks, in one place so that a test can turn them.

What is stored is stamped and compared by Postgres's `now()`; these serve tokens, deadlines and cached entries.
"""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds that never go back."""
    return time.monotonic()

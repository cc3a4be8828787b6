"""What a call costs the process that serves it, in processor time, with 64 calls in flight all the time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tools import processor

IN_FLIGHT: Final = 64
MICRO: Final = 1e6

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A call with its budget, as a ratio to what it is compared with, and how many of it make a round."""

    name: str
    service: str
    call: Call
    count: int
    budget: float | None = None
    without_hash: bool = False


async def spend(operation: Operation, pids: Mapping[str, int]) -> tuple[float, float]:
    """Microseconds of processor time a call, and calls a second."""
    pid = pids[operation.service]
    before, began = processor.spent(pid), time.perf_counter()
    await load(operation, operation.count)
    spent = processor.spent(pid).since(before, without_nice=operation.without_hash)
    return MICRO * spent / operation.count, operation.count / (time.perf_counter() - began)


async def load(operation: Operation, count: int) -> None:
    """So many calls."""
    numbers = iter(range(count))

    async def work() -> None:
        for _ in numbers:
            await operation.call()

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())

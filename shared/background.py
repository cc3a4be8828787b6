"""The owner of all tasks that outlive a call: none is lost, failures are counted and tried again, all end together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final, Self

import structlog

from shared import calls, metrics

log = structlog.get_logger()

_INSIST_SECONDS: Final = 1.0


class Background:
    """A TaskGroup whose members may fail without taking the service down."""

    def __init__(self) -> None:
        """Begin without tasks; enter it before the first."""
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Open the group."""
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *failure: object) -> None:
        """Stop, and close the group."""
        await self.stop()
        await self._group.__aexit__(None, None, None)

    async def stop(self) -> None:
        """Cancel what still runs and wait for its end; a task that lost the cancellation on its way is told again."""
        while tasks := {task for task in self._tasks if not task.done()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_INSIST_SECONDS)

    def spawn(self, name: str, work: Coroutine[object, object, object]) -> None:
        """Run a coroutine to its end."""
        task = self._group.create_task(self._guard(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # who is stopped before the first step has awaited nothing

    def every(self, seconds: float, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run a function again and again, with a pause after each run."""
        self.spawn(name, self._repeat(seconds, name, work))

    async def _repeat(self, seconds: float, name: str, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            await self._guard(name, work())
            await asyncio.sleep(seconds)

    async def _guard(self, name: str, work: Awaitable[object]) -> None:
        calls.current.set(None)  # nobody's call, so no caller's deadline
        try:
            await work
        except Exception as error:
            metrics.background_failures.labels(name).inc()
            log.warning("background task failed", task=name, error=repr(error))

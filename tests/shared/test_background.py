"""Background work: owned, tried again, and ended together."""

import asyncio
import warnings

import pytest
from prometheus_client import REGISTRY

from shared import background as background_tasks
from shared import calls, clock
from shared.background import Background
from shared.calls import Call


def failures(task: str) -> float:
    return REGISTRY.get_sample_value("parley_background_failures_total", {"task": task}) or 0.0


async def test_a_failure_is_counted_and_takes_nothing_else_down() -> None:
    done = asyncio.Event()

    async def fail() -> None:
        raise ValueError("an accident")

    async def succeed() -> None:
        done.set()

    before = failures("failing")
    async with Background() as background:
        background.spawn("failing", fail())
        background.spawn("succeeding", succeed())
        await asyncio.wait_for(done.wait(), 5)
    assert failures("failing") == before + 1


async def test_repeated_work_goes_on_after_a_failure() -> None:
    runs: list[int] = []
    enough = asyncio.Event()

    async def work() -> None:
        runs.append(len(runs))
        if len(runs) == 5:
            enough.set()
        if len(runs) % 2:
            raise ValueError("every other time")

    async with Background() as background:
        background.every(0, "repeating", work)
        await asyncio.wait_for(enough.wait(), 5)
    assert runs[:5] == [0, 1, 2, 3, 4]


async def test_work_that_runs_at_the_end_is_cancelled_and_awaited() -> None:
    began, cleaned = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    async with Background() as background:
        background.spawn("endless", work())
        await began.wait()
    assert cleaned.is_set()


async def test_work_that_is_stopped_before_it_began_leaves_no_warning() -> None:
    async def work() -> None:
        raise AssertionError("never begun")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with Background() as background:
            background.spawn("too late", work())
            background.every(1, "too late as well", work)
    assert caught == []


async def test_a_failure_of_who_owns_it_is_not_hidden_by_its_end() -> None:
    async def own() -> None:
        async with Background() as background:
            background.spawn("endless", asyncio.Event().wait())
            raise KeyError

    with pytest.raises(KeyError):
        await own()


async def test_work_that_a_call_begins_is_not_bound_to_its_deadline() -> None:
    seen: list[float] = []

    async def work() -> None:
        seen.append(calls.remaining(10.0))

    calls.current.set(Call(method="/a/B", request_id="r", deadline=clock.monotonic() - 1))
    assert calls.remaining(10.0) == 0
    async with Background() as background:
        background.spawn("rehash", work())
        await asyncio.sleep(0)
    assert seen == [10.0]
    assert calls.remaining(10.0) == 0


async def test_a_task_that_lost_the_first_cancellation_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `asyncio.wait_for` of Python 3.11 does where a result comes at the same moment."""
    monkeypatch.setattr(background_tasks, "_INSIST_SECONDS", 0.01)
    lost = False

    async def work() -> None:
        nonlocal lost
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost = True
        await asyncio.Event().wait()

    async with asyncio.timeout(10), Background() as background:
        background.spawn("deaf", work())
        await asyncio.sleep(0)
    assert lost

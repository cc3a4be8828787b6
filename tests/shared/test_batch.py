import asyncio
from collections.abc import Sequence

import pytest

from shared import calls, clock
from shared.batch import Batcher, GroupCommit, PointReads
from shared.calls import Call
from shared.errors import Conflict, DeadlineExceeded, Overloaded, Unavailable


class Recorder:
    """A flush that keeps its batches, and can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def flush(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(items))
        await self.gate.wait()
        return [item * 10 for item in items]


async def test_what_is_asked_in_one_turn_travels_together() -> None:
    recorder = Recorder()
    batcher: Batcher[int, int] = Batcher("test", recorder.flush)
    assert await asyncio.gather(*(batcher.submit(n) for n in range(5))) == [0, 10, 20, 30, 40]
    assert recorder.batches == [[0, 1, 2, 3, 4]]


async def test_what_comes_while_a_batch_is_under_way_waits_for_the_next() -> None:
    """A look-up must not be answered by a query that began before it was asked."""
    recorder = Recorder()
    recorder.gate.clear()
    batcher: Batcher[int, int] = Batcher("test", recorder.flush)
    first = asyncio.create_task(batcher.submit(1))
    await _until(lambda: recorder.batches == [[1]])
    late = [asyncio.create_task(batcher.submit(n)) for n in (2, 3)]
    await asyncio.sleep(0)
    assert recorder.batches == [[1]]
    recorder.gate.set()
    assert await asyncio.gather(first, *late) == [10, 20, 30]
    assert recorder.batches == [[1], [2, 3]]


async def test_a_caller_that_leaves_takes_nothing_with_it() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher: Batcher[int, int] = Batcher("test", recorder.flush)
    held = asyncio.create_task(batcher.submit(1))
    await _until(lambda: recorder.batches == [[1]])
    leaving, staying = asyncio.create_task(batcher.submit(2)), asyncio.create_task(batcher.submit(3))
    await asyncio.sleep(0)
    leaving.cancel()
    recorder.gate.set()
    assert await asyncio.gather(held, staying) == [10, 30]
    assert recorder.batches == [[1], [3]]


async def test_a_caller_whose_time_is_up_is_told_so() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher: Batcher[int, int] = Batcher("test", recorder.flush)
    calls.current.set(Call(method="test", request_id="test", deadline=clock.monotonic() + 0.01))
    with pytest.raises(DeadlineExceeded):
        await batcher.submit(1)
    recorder.gate.set()


async def test_a_batch_does_not_end_by_the_deadline_of_its_first_caller() -> None:
    seen: list[float] = []

    async def flush(items: Sequence[int]) -> Sequence[int | Exception]:
        seen.append(calls.remaining(30.0))
        return list(items)

    calls.current.set(Call(method="test", request_id="test", deadline=clock.monotonic() + 5))
    assert await Batcher("test", flush).submit(1) == 1
    assert seen == [30.0]


async def test_a_queue_that_is_full_turns_callers_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.batch._MAX_WAITING", 2)
    recorder = Recorder()
    recorder.gate.clear()
    batcher: Batcher[int, int] = Batcher("test", recorder.flush)
    tasks = [asyncio.create_task(batcher.submit(1))]
    await _until(lambda: recorder.batches == [[1]])
    tasks += [asyncio.create_task(batcher.submit(n)) for n in (2, 3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await batcher.submit(4)
    assert refused.value.retry_after == 1.0
    recorder.gate.set()
    assert await asyncio.gather(*tasks) == [10, 20, 30]


async def test_a_failed_flush_fails_its_callers_and_no_others() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int | Exception]:
        if 1 in items:
            raise Unavailable
        return list(items)

    batcher: Batcher[int, int] = Batcher("test", flush)
    with pytest.raises(Unavailable):
        await batcher.submit(1)
    assert await batcher.submit(2) == 2


async def test_point_reads_load_each_key_once_and_answer_none_for_the_rest() -> None:
    loaded: list[list[str]] = []

    async def load(keys: Sequence[str]) -> dict[str, int]:
        loaded.append(list(keys))
        return {"a": 1}

    reads = PointReads("test", load)
    assert await asyncio.gather(reads.get("a"), reads.get("b"), reads.get("a")) == [1, None, 1]
    assert loaded == [["a", "b"]]


async def test_one_callers_conflict_does_not_fail_its_neighbours() -> None:
    written: list[list[int]] = []

    async def write(items: Sequence[int]) -> Sequence[int | Exception]:
        written.append(list(items))
        if 3 in items:
            raise Conflict
        return [item * 10 for item in items]

    commits: GroupCommit[int, int] = GroupCommit("test", write)
    results = await asyncio.gather(*(commits.submit(n) for n in (1, 2, 3, 4)), return_exceptions=True)
    assert results[:2] + results[3:] == [10, 20, 40]
    assert isinstance(results[2], Exception)
    assert written[0] == [1, 2, 3, 4]


async def _until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)

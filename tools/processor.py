"""How much processor time a process has used, thread by thread where the system tells."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_NICE = 16  # the nice value's place in /proc/…/stat, after the name in brackets
_NANOSECOND = 1e-9


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor time in seconds by thread, and which threads have stepped back in priority, as the hashing ones do."""

    threads: Mapping[int, float]
    nice: frozenset[int]

    def since(self, before: "Spent", *, without_nice: bool = False) -> float:
        """What has been used since an earlier moment."""
        return sum(
            seconds - before.threads.get(thread, 0.0)
            for thread, seconds in self.threads.items()
            if not (without_nice and thread in self.nice)
        )


def spent(pid: int) -> Spent:
    """What a process has used so far: to the nanosecond on Linux, elsewhere in ticks and as if of one thread."""
    tasks = Path(f"/proc/{pid}/task")
    if not (tasks.parent / "schedstat").exists():
        times = psutil.Process(pid).cpu_times()
        return Spent({0: times.user + times.system}, frozenset())
    threads, nice = dict[int, float](), set[int]()
    for task in tasks.iterdir():
        thread = int(task.name)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            threads[thread] = int((task / "schedstat").read_text().split()[0]) * _NANOSECOND
            if int((task / "stat").read_text().rpartition(")")[2].split()[_NICE]) > 0:
                nice.add(thread)
    return Spent(threads, frozenset(nice))

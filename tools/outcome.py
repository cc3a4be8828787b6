"""What `performance-test` has measured, beside the goals, the promises and the figures of the former application."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from tools.operations import Samples
from tools.watch import Cache, Hashing, Memory, Pool, hit_rate

HIT_RATE_GOAL: Final = 0.95
HIT_RATE_PROMISE: Final = 0.80
_PLOTTED: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An operation with the times it must keep, in seconds; the verdict is on the goal, the stricter of the two."""

    key: str
    title: str
    goal: float
    promise: float | None = None
    former: float | None = None
    share: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An operation as it was measured."""

    target: Target
    samples: Samples

    @property
    def value(self) -> float:
        """The time that the verdict is on: the median, or the share that the target names."""
        return self.samples.quantile(self.target.share)

    @property
    def good(self) -> bool:
        """Whether the goal is kept."""
        return self.value < self.target.goal

    @property
    def judged(self) -> str:
        """What the verdict is on, in a word."""
        return "median" if self.target.share == 0.5 else f"p{100 * self.target.share:.0f}"  # noqa: PLR2004


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything of one run."""

    time: str
    machine: Mapping[str, str]
    rows: Mapping[str, int]
    results: Sequence[Result]
    mix: str
    mix_calls_a_second: float
    mix_caches: Sequence[Cache]
    all_caches: Sequence[Cache]
    pools: Sequence[Pool]
    memory: Sequence[Memory]
    hashing: Hashing
    notes: Sequence[str]

    @property
    def hit_rate(self) -> float:
        """The share of the mix's look-ups that the cache answered."""
        return hit_rate(self.mix_caches)

    @property
    def missed(self) -> list[str]:
        """What did not keep its goal."""
        late = [result.target.title for result in self.results if not result.good]
        return late if self.hit_rate > HIT_RATE_GOAL else [*late, "cache hit rate"]


def as_json(outcome: Outcome) -> dict[str, object]:
    """The outcome for machines; times are in milliseconds, and of the runs it has the quantiles."""
    return {
        "time": outcome.time,
        "machine": outcome.machine,
        "rows": outcome.rows,
        "good": not outcome.missed,
        "missed": outcome.missed,
        "operations": [_operation(result) for result in outcome.results],
        "cache": {
            "mix": outcome.mix,
            "mix_calls_per_second": round(outcome.mix_calls_a_second, 1),
            "hit_rate": round(outcome.hit_rate, 4),
            "hit_rate_goal": HIT_RATE_GOAL,
            "hit_rate_promised": HIT_RATE_PROMISE,
            "kinds": [asdict(each) for each in outcome.mix_caches],
            "whole_run": [asdict(each) for each in outcome.all_caches],
        },
        "pools": [asdict(each) for each in outcome.pools],
        "memory": [asdict(each) for each in outcome.memory],
        "hashing": asdict(outcome.hashing),
        "notes": outcome.notes,
    }


def _operation(result: Result) -> dict[str, object]:
    target, samples = result.target, result.samples
    return {
        "operation": target.key,
        "title": target.title,
        "judged": result.judged,
        "goal_ms": _ms(target.goal),
        "promised_ms": _ms(target.promise),
        "former_application_ms": _ms(target.former),
        "runs": len(samples.seconds),
        "median_ms": _ms(samples.median),
        "p95_ms": _ms(samples.quantile(0.95)),
        "p99_ms": _ms(samples.quantile(0.99)),
        "good": result.good,
        "quantiles_ms": [_ms(samples.quantile(nth / _PLOTTED)) for nth in range(_PLOTTED + 1)],
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 3)

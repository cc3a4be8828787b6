"""What `performance-test` prints."""

from rich.text import Text

from tools.outcome import HIT_RATE_GOAL, HIT_RATE_PROMISE, Outcome
from tools.tables import console, share, show, size, table, verdict


def report(outcome: Outcome) -> None:
    """The operations against their targets, then cache, pools, memory and hashing."""
    _operations(outcome)
    _caches(outcome)
    _pools(outcome)
    _memory(outcome)
    hashing = outcome.hashing
    console.print(
        f"\nPasswords: {hashing.hashes:,} hashed in {1000 * hashing.mean:.1f} ms each, most waiting or in work "
        f"{hashing.most_waiting}, turned away {hashing.shed}."
    )
    console.print(verdict(not outcome.missed, _summary(outcome)))


def milliseconds(seconds: float | None) -> str:
    """A time with as many digits as matter; nothing where there is none."""
    if seconds is None:
        return ""
    value = 1000 * seconds
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms"  # noqa: PLR2004


def _operations(outcome: Outcome) -> None:
    columns = ("Operation", ">Target", ">Promised", ">Median", ">p95", ">p99", "Verdict", ">Formerly", ">Runs")
    made = table("Operations", *columns)
    for result in outcome.results:
        target, samples = result.target, result.samples
        measured = [milliseconds(value) for value in (samples.median, samples.quantile(0.95), samples.quantile(0.99))]
        goal = f"{result.judged} < {milliseconds(target.goal)}"
        word = verdict(result.good, "kept" if result.good else "missed")
        former = (milliseconds(target.former), str(len(samples.seconds)))
        made.add_row(target.title, goal, milliseconds(target.promise), *measured, word, *former)
    good = outcome.hit_rate > HIT_RATE_GOAL
    rate = (f"> {HIT_RATE_GOAL:.0%}", f"> {HIT_RATE_PROMISE:.0%}", f"{outcome.hit_rate:.1%}", "", "")
    made.add_row("cache hit rate", *rate, verdict(good, "kept" if good else "missed"), "", "")
    show(made)
    for note in outcome.notes:
        console.print(Text(note, style="dim"))


def _caches(outcome: Outcome) -> None:
    made = table("Look-ups in the shared cache", "Kind", ">In the mix", ">Found", ">Rate", ">In the whole run", ">Rate")
    whole = {each.kind: each for each in outcome.all_caches}
    for each in outcome.mix_caches:
        total = whole[each.kind]
        mix = (f"{each.lookups:,}", f"{each.hits:,}", share(each.hits, each.lookups))
        made.add_row(each.kind, *mix, f"{total.lookups:,}", share(total.hits, total.lookups))
    show(made)
    console.print(Text(f"The mix: {outcome.mix} {outcome.mix_calls_a_second:,.0f} calls a second.", style="dim"))


def _pools(outcome: Outcome) -> None:
    columns = ("Pool", ">Most in use", ">Idle now", ">Size", ">Taken", ">Mean wait", ">Waits over 1 ms")
    made = table("Connection pools", *columns)
    for each in outcome.pools:
        used = (str(each.most_in_use), str(each.idle), str(each.size))
        made.add_row(each.name, *used, f"{each.acquired:,}", milliseconds(each.mean_wait), f"{each.long_waits:,}")
    show(made)


def _memory(outcome: Outcome) -> None:
    made = table("Memory", "Process", ">Before", ">Most", ">After")
    for each in outcome.memory:
        made.add_row(each.process, size(each.begin), size(each.most), size(each.end))
    show(made)


def _summary(outcome: Outcome) -> str:
    return f"missed: {', '.join(outcome.missed)}" if outcome.missed else "every target is kept"

"""The page that `performance-test` writes: one file with plots that fetches nothing, light or dark as one has it."""

from collections.abc import Sequence
from html import escape
from typing import Final

from tools.outcome import HIT_RATE_GOAL, HIT_RATE_PROMISE, Outcome, Result
from tools.performance_report import milliseconds
from tools.plots import Span, distribution, shares, spans
from tools.tables import share, size

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2433; --dim: #667085; --line: #e4e7ec; --ground: #fcfcfd; --card: #fff;
  --good: #12805c; --bad: #c4320a; --bar: #4f6bed; --rail: #eef0f5; --target: #b54708; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #98a2b3; --line: #2b3240; --ground: #12151b;
  --card: #191d25; --good: #3ccb9a; --bad: #ff8a65; --bar: #8098f9; --rail: #252b37; --target: #fdb022; } }
* { box-sizing: border-box } body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif } main { max-width: 980px; margin: 0 auto; padding: 40px 24px 64px }
h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 17px; margin: 40px 0 10px } p { margin: 6px 0 }
.dim { color: var(--dim) } .good { color: var(--good) } .bad { color: var(--bad) } .badge { font-weight: 600 }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px; overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: left; font-weight: 600; color: var(--dim); font-size: 13px } td, th { padding: 6px 10px 6px 0 }
tr + tr td { border-top: 1px solid var(--line) } .n { text-align: right; white-space: nowrap }
.many { display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); gap: 8px 16px }
svg { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif } svg text { fill: var(--ink) }
svg .tick { fill: var(--dim); font-size: 11px } svg .middle { text-anchor: middle } svg .end { text-anchor: end }
svg .title { font-weight: 600 } .grid, .axis { stroke: var(--line) } .target { stroke: var(--target); stroke-width: 2 }
.bar { fill: var(--bar) } .rail { fill: var(--rail) } .whisker { stroke-width: 2 } .box { stroke-width: 8;
  stroke-opacity: .35 } line.good { stroke: var(--good) } line.bad { stroke: var(--bad) }
  circle.good { fill: var(--good) } circle.bad { fill: var(--bad) }
  .former { stroke: var(--dim); stroke-width: 1.5; fill: none }
"""


def page(outcome: Outcome) -> str:
    """The whole page."""
    word, state = ("Every target is kept", "good") if not outcome.missed else ("Targets were missed", "bad")
    machine = ", ".join(f"{key} {value}" for key, value in outcome.machine.items())
    rows = ", ".join(f"{count:,} {what}" for what, count in outcome.rows.items())
    missed = f": {escape(', '.join(outcome.missed))}" if outcome.missed else ""
    body = [
        "<h1>Parley: performance</h1>",
        f'<p class="dim">{escape(outcome.time)} · {escape(rows)} · {escape(machine)}</p>',
        f'<p class="badge {state}">{word}{missed}</p>',
        *_operations(outcome),
        *_cache(outcome),
        *_resources(outcome),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Parley: performance</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _operations(outcome: Outcome) -> list[str]:
    head = ("Operation", "Target", "Promised", "Median", "p95", "p99", "Verdict", "Formerly", "Runs")
    notes = "".join(f'<p class="dim">{escape(note)}</p>' for note in outcome.notes)
    legend = (
        '<p class="dim">Dot: median. Band: to the 95th percentile, line: to the 99th. Upright stroke: the target. '
        "Cross: the former application. The axis is logarithmic.</p>"
    )
    rows = [*(_row(result) for result in outcome.results), _hit_rate(outcome)]
    each = "".join(
        distribution(result.target.title, [1000 * value for value in result.samples.seconds], 1000 * result.target.goal)
        for result in outcome.results
    )
    return [
        "<h2>Operations</h2>",
        f'<div class="card">{spans([_span(result) for result in outcome.results])}{legend}</div>',
        f"<h2>In figures</h2>{_table(head, rows)}{notes}",
        f'<h2>Every run</h2><div class="card many">{each}</div>',
    ]


def _cache(outcome: Outcome) -> list[str]:
    bars = [
        (each.kind, each.hits / max(each.lookups, 1), share(each.hits, each.lookups)) for each in outcome.mix_caches
    ]
    all_kinds = ("all", outcome.hit_rate, f"{outcome.hit_rate:.1%}")
    rate = f"{outcome.mix_calls_a_second:,.0f} calls a second."
    return [
        "<h2>Look-ups that the cache answered</h2>",
        f'<div class="card">{shares([all_kinds, *bars], HIT_RATE_GOAL)}</div>',
        f'<p class="dim">{escape(outcome.mix)} {rate}</p>',
    ]


def _resources(outcome: Outcome) -> list[str]:
    most = max((each.most for each in outcome.memory), default=1)
    memory = [(each.process, each.most / most, size(each.most)) for each in outcome.memory]
    head = ("Pool", "Most in use", "Idle now", "Size", "Taken", "Mean wait", "Waits over 1 ms")
    pools = [
        (
            each.name,
            str(each.most_in_use),
            str(each.idle),
            str(each.size),
            f"{each.acquired:,}",
            milliseconds(each.mean_wait),
            f"{each.long_waits:,}",
        )
        for each in outcome.pools
    ]
    hashing = outcome.hashing
    words = (
        f"{hashing.hashes:,} passwords were hashed, {1000 * hashing.mean:.1f} ms each; at most {hashing.most_waiting} "
        f"were waiting or in work, {hashing.shed} were turned away."
    )
    return [
        f"<h2>Connection pools</h2>{_table(head, pools)}",
        f'<h2>Most memory</h2><div class="card">{shares(memory)}</div>',
        f"<h2>Hashing</h2><p>{words}</p>",
    ]


def _span(result: Result) -> Span:
    target, samples = result.target, result.samples
    return Span(
        title=target.title,
        median=1000 * samples.median,
        p95=1000 * samples.quantile(0.95),
        p99=1000 * samples.quantile(0.99),
        target=1000 * target.goal,
        good=result.good,
        former=None if target.former is None else 1000 * target.former,
    )


def _row(result: Result) -> Sequence[str]:
    target, samples = result.target, result.samples
    measured = [milliseconds(value) for value in (samples.median, samples.quantile(0.95), samples.quantile(0.99))]
    goal = f"{result.judged} < {milliseconds(target.goal)}"
    told = (milliseconds(target.former), f"{len(samples.seconds):,}")
    return (target.title, goal, milliseconds(target.promise), *measured, _verdict(good=result.good), *told)


def _hit_rate(outcome: Outcome) -> Sequence[str]:
    good = outcome.hit_rate > HIT_RATE_GOAL
    targets = (f"> {HIT_RATE_GOAL:.0%}", f"> {HIT_RATE_PROMISE:.0%}")
    return ("cache hit rate", *targets, f"{outcome.hit_rate:.1%}", "", "", _verdict(good=good), "", "")


def _verdict(*, good: bool) -> str:
    return "✓ kept" if good else "✗ missed"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        first, *rest = (escape(cell) for cell in cells)
        marks = {"✓ kept": " good", "✗ missed": " bad"}
        inner = "".join(f'<{tag} class="n{marks.get(cell, "")}">{cell}</{tag}>' for cell in rest)
        return f"<tr><{tag}>{first}</{tag}>{inner}</tr>"

    return f'<div class="card"><table>{line(head, "th")}{"".join(line(row, "td") for row in rows)}</table></div>'

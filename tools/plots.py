"""Plots as SVG, for pages that fetch nothing: spans on a logarithmic axis, and distributions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 860
_LABEL: Final = 230
_RIGHT: Final = 90
_ROW: Final = 30
_AXIS: Final = 34
_TICKS: Final = (0.1, 1, 10, 100, 1_000, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """An operation's median, p95 and p99 beside its target, all in milliseconds."""

    title: str
    median: float
    p95: float
    p99: float
    target: float
    good: bool
    former: float | None = None


def spans(rows: Sequence[Span]) -> str:
    """One line an operation, on one logarithmic axis of milliseconds."""
    values = [value for row in rows for value in (row.median, row.p99, row.target, row.former) if value]
    scale = _Log(min(values) / 1.5, max(values) * 1.5, _LABEL, _WIDTH - _RIGHT)
    height = _ROW * len(rows) + _AXIS
    parts = [_tick(scale, tick, height - _AXIS) for tick in _TICKS if scale.low <= tick <= scale.high]
    parts += [_span(scale, row, _ROW * nth + _ROW / 2) for nth, row in enumerate(rows)]
    return _svg(_WIDTH, height, "Median to p99 of every operation against its target", parts)


def distribution(title: str, values: Sequence[float], target: float) -> str:
    """How the runs of an operation are spread over milliseconds, and where its target is; the axis is logarithmic."""
    width, height, bins = 270, 130, 40
    floor, base = 26, 104
    scale = _Log(min(values) / 1.1, max(*values, target) * 1.1, 8, width - 8)
    counts = [0] * bins
    for value in values:
        counts[min(int(scale.share(value) * bins), bins - 1)] += 1
    step = (scale.right - scale.left) / bins
    bars = [
        f'<rect class="bar" x="{scale.left + nth * step:.1f}" y="{base - (base - floor) * count / max(counts):.1f}" '
        f'width="{step - 0.6:.1f}" height="{(base - floor) * count / max(counts):.1f}"/>'
        for nth, count in enumerate(counts)
        if count
    ]
    x = scale.at(target)
    parts = [
        f'<text class="title" x="8" y="14">{escape(title)}</text>',
        *bars,
        f'<line class="axis" x1="8" x2="{width - 8}" y1="{base}" y2="{base}"/>',
        f'<line class="target" x1="{x:.1f}" x2="{x:.1f}" y1="{floor}" y2="{base}"/>',
        f'<text class="tick" x="8" y="{base + 14}">{_number(min(values))} ms</text>',
        f'<text class="tick end" x="{width - 8}" y="{base + 14}">{_number(max(*values, target))} ms</text>',
    ]
    return _svg(width, height, f"Distribution of {title}", parts)


def shares(rows: Sequence[tuple[str, float, str]], limit: float | None = None) -> str:
    """Bars from nothing to all: a label, a share between 0 and 1, and words for it; with a line at a limit."""
    height = _ROW * len(rows) + 6
    scale = _WIDTH - _LABEL - _RIGHT
    parts = []
    for nth, (label, value, words) in enumerate(rows):
        y = _ROW * nth + _ROW / 2
        parts += [
            f'<text class="label" x="0" y="{y + 4:.1f}">{escape(label)}</text>',
            f'<rect class="rail" x="{_LABEL}" y="{y - 7:.1f}" width="{scale}" height="14" rx="3"/>',
            f'<rect class="bar" x="{_LABEL}" y="{y - 7:.1f}" width="{scale * min(value, 1):.1f}" height="14" rx="3"/>',
            f'<text class="value" x="{_WIDTH - _RIGHT + 8}" y="{y + 4:.1f}">{escape(words)}</text>',
        ]
    if limit is not None:
        x = _LABEL + scale * limit
        parts.append(f'<line class="target" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{height - 4}"/>')
    return _svg(_WIDTH, height, "Shares", parts)


@dataclass(frozen=True, slots=True)
class _Log:
    """A logarithmic axis from left to right."""

    low: float
    high: float
    left: float
    right: float

    def share(self, value: float) -> float:
        return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)

    def at(self, value: float) -> float:
        return self.left + self.share(value) * (self.right - self.left)


def _span(scale: _Log, row: Span, y: float) -> str:
    median, p95, p99, target = (scale.at(value) for value in (row.median, row.p95, row.p99, row.target))
    state = "good" if row.good else "bad"
    former = ""
    if row.former:
        x = scale.at(row.former)
        former = f'<path class="former" d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"/>'
    return (
        f'<text class="label" x="0" y="{y + 4:.1f}">{escape(row.title)}</text>'
        f'<line class="whisker {state}" x1="{median:.1f}" x2="{p99:.1f}" y1="{y}" y2="{y}"/>'
        f'<line class="box {state}" x1="{median:.1f}" x2="{max(p95, median + 1):.1f}" y1="{y}" y2="{y}"/>'
        f'<circle class="dot {state}" cx="{median:.1f}" cy="{y}" r="5"/>'
        f'<line class="target" x1="{target:.1f}" x2="{target:.1f}" y1="{y - 10}" y2="{y + 10}"/>{former}'
        f'<text class="value" x="{_WIDTH - _RIGHT + 8}" y="{y + 4:.1f}">{_number(row.median)} ms</text>'
    )


def _tick(scale: _Log, tick: float, bottom: float) -> str:
    x = scale.at(tick)
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{bottom}"/>'
        f'<text class="tick middle" x="{x:.1f}" y="{bottom + 18}">{_number(tick)} ms</text>'
    )


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{escape(title)}" '
        f'style="max-width:{width}px">{"".join(parts)}</svg>'
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004

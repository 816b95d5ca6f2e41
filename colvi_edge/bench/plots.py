"""Pictures of a bench: every sample of a series, and the stages of an image."""

from collections.abc import Sequence
from math import ceil, floor, log10

from colvi_edge.bench.figures import three_digits
from colvi_edge.bench.statistics import percentile
from colvi_edge.pages import plots

STRIP_PX, BAR_PX = 46, 30
_DOT_PX = 2.6
_LABELLED = 0.09
"""Share of the width that a part of a bar needs for its number: 30 of a phone's 330 pixels."""


class Scale:
    """A logarithmic axis over all samples, 0..100 percent of the width."""

    def __init__(self, samples_ms: Sequence[float]) -> None:
        """Span the samples, with some air on both sides."""
        low, high = log10(max(min(samples_ms), 1e-3)), log10(max(*samples_ms, 1e-3))
        air = max(0.04 * (high - low), 0.03)
        self._low, self._high = low - air, high + air

    def percent(self, milliseconds: float) -> float:
        """Return where a time lies."""
        return 100 * (log10(max(milliseconds, 1e-3)) - self._low) / (self._high - self._low)

    def ticks(self) -> list[float]:
        """Return round times on the axis: 1, 2, 5, 10, ...; on a short one, finer."""
        for steps in (
            (1,),
            (1, 2, 5),
            (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9),
            [1 + step / 20 for step in range(180)],
        ):
            decades = range(floor(self._low), ceil(self._high) + 1)
            found = [step * 10.0**decade for decade in decades for step in steps]
            inside = [tick for tick in found if 2 <= self.percent(tick) <= 98]
            if len(inside) >= 3:
                break
        return inside[:: ceil(len(inside) / 8)]


def strip(samples_ms: Sequence[float], scale: Scale, words: str) -> str:
    """Return every sample as a dot, from the first on top to the last, with p50 and p95 as lines."""
    top, height = 6, STRIP_PX - 12
    step = height / max(1, len(samples_ms) - 1)
    dots = "".join(
        f'<circle cx="{scale.percent(sample):.2f}%" cy="{top + number * step:.1f}" r="{_DOT_PX}"/>'
        for number, sample in enumerate(samples_ms)
    )
    marks = "".join(
        plots.upright(name, scale.percent(percentile(samples_ms, share)), STRIP_PX)
        for name, share in (("p50", 0.5), ("p95", 0.95))
    )
    grid = "".join(plots.upright("grid", scale.percent(tick), STRIP_PX) for tick in scale.ticks())
    return plots.picture("strip", STRIP_PX, words, f"{grid}<g class=dots>{dots}</g>{marks}")


def axis(scale: Scale) -> str:
    """Return the numbers below strips."""
    ticks = scale.ticks()
    words = [f"{tick:g}" for tick in ticks[:-1]] + [f"{tick:g} ms" for tick in ticks[-1:]]
    return plots.axis(zip(map(scale.percent, ticks), words, strict=True))


def bar(parts: Sequence[tuple[str, float]], whole: float, words: str) -> str:
    """Return parts, (style class, milliseconds), after each other on a width that stands for `whole`."""
    drawn, at = [], 0.0
    for name, milliseconds in parts:
        width = 100 * milliseconds / whole
        if not width:
            continue
        drawn.append(f'<rect class="{name}" x="{at:.2f}%" width="{width:.2f}%" height="{BAR_PX}"/>')
        if width >= 100 * _LABELLED:
            drawn.append(
                f'<text class="inside" x="{at + width / 2:.2f}%" y="{BAR_PX / 2 + 4.5}" '
                f'text-anchor="middle">{three_digits(milliseconds)}</text>'
            )
        at += width
    return plots.picture("bar", BAR_PX, words, "".join(drawn))

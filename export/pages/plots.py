"""Pictures of an evaluation: ROC curves, reliability, scores."""

from collections.abc import Iterable, Sequence
from html import escape

from colvi_edge.export.evaluation.record import Bin, Curve, ImageJudged
from colvi_edge.pages import plots

STYLES = 6
"""Lines that style sheet tells apart, by colour and dashes."""

_SIDE, _LEFT, _TOP, _BELOW = 250, 44, 8, 44
_COUNTS = 46
"""Height of the bars below a reliability plot."""

STRIP_PX = 54


def roc(curves: Sequence[Curve | None], words: str) -> str:
    """Return ROC curves in one square, and the line of chance; a curve that is None is left out."""
    lines = "".join(
        f'<polyline class="curve line{number % STYLES}" points="{_polyline(curve)}"/>'
        for number, curve in enumerate(curves)
        if curve is not None
    )
    chance = _line("chance", (0, 0), (1, 1))
    return _square(words, chance + lines, "1 - specificity", "sensitivity")


def reliability(bins: Sequence[Bin], words: str, what: str = "patches") -> str:
    """Return how often each confidence was right, and below it how many patches, or what it is, had it."""
    base = _TOP + _SIDE + _BELOW
    most = max(one.n for one in bins)
    drawn = _line("chance", (0, 0), (1, 1))
    for one in bins:
        gap = ((one.confidence, one.confidence), (one.confidence, one.accuracy))
        x, y = _place(one.confidence, one.accuracy)
        drawn += _line("gap", *gap) + f'<circle class="bin" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    below = "".join(
        f'<rect class="count" x="{_place(one.low, 0)[0] + 1:.1f}" width="{_SIDE / 10 - 2:.1f}" '
        f'y="{base + _COUNTS * (1 - one.n / most):.1f}" height="{_COUNTS * one.n / most:.1f}"/>'
        for one in bins
    )
    below += f'<text x="{_LEFT + _SIDE / 2}" y="{base + _COUNTS + 14}" text-anchor="middle">{what}</text>'
    return _square(words, drawn + below, "confidence", "share judged right", _COUNTS + 18)


def strip(images: Sequence[ImageJudged], words: str) -> str:
    """Return each image's score as a dot, the first on top, the last at the bottom; wrong ones stand out."""
    step = (STRIP_PX - 12) / max(1, len(images) - 1)
    top = 6 if len(images) > 1 else STRIP_PX / 2
    dots = "".join(
        f'<circle class="{"hit" if image.right else "miss"}" cx="{image.score:.2f}%" '
        f'cy="{top + number * step:.1f}" r="4">'
        f"<title>{escape(image.name)}: {image.score:.1f}</title></circle>"
        for number, image in sorted(enumerate(images), key=lambda pair: not pair[1].right)
    )
    grid = "".join(plots.upright("half" if at == 50 else "grid", at, STRIP_PX) for at in _SCORES)
    return plots.picture("scores", STRIP_PX, words, grid + dots)


def score_axis() -> str:
    """Return the numbers below strips."""
    return plots.axis((at, f"{at}") for at in _SCORES)


def legend(names: Iterable[str]) -> str:
    """Return the lines of the curves that `roc` draws, with what each is of, as plain text."""
    lines = (
        (f'<line class="curve line{number % STYLES}" x1="0" x2="26" y1="5" y2="5"/>', name)
        for number, name in enumerate(names)
    )
    return plots.legend(lines, 26, 10)


_SCORES = (0, 25, 50, 75, 100)


def _square(words: str, content: str, across: str, upwards: str, more_px: int = 0) -> str:
    grid = ""
    for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        x, y = _place(share, share)
        grid += _line("grid", (share, 0), (share, 1)) + _line("grid", (0, share), (1, share))
        grid += f'<text x="{x:.1f}" y="{_TOP + _SIDE + 15}" text-anchor="middle">{share:g}</text>'
        grid += f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share:g}</text>'
    middle, width, height = _TOP + _SIDE / 2, _LEFT + _SIDE + 10, _TOP + _SIDE + _BELOW + more_px
    grid += f'<text x="{_LEFT + _SIDE / 2}" y="{_TOP + _SIDE + 33}" text-anchor="middle">{across}</text>'
    grid += f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">{upwards}</text>'
    return (
        f'<svg class="square" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(words)}">'
        f"{grid}{content}</svg>"
    )


def _place(x: float, y: float) -> tuple[float, float]:
    """Return where in the drawing shares of the sides lie; upwards is upwards."""
    return _LEFT + _SIDE * x, _TOP + _SIDE * (1 - y)


def _line(name: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = _place(*start), _place(*end)
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _polyline(curve: Curve) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(*point) for point in curve))

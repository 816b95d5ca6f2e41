"""Parts of pictures as inline SVG: across in percent, so that they fit a phone and stay legible."""

from collections.abc import Iterable
from html import escape

AXIS_PX = 20


def picture(style: str, height: int, words: str, content: str) -> str:
    """Return a picture as wide as there is room; `words` say what is on it, `content` is SVG."""
    head = f'<svg class="{style}" width="100%" height="{height}" role="img" aria-label="{escape(words)}">'
    return f"{head}{content}</svg>"


def upright(style: str, percent: float, height: int) -> str:
    """Return a line from top to bottom."""
    return f'<line class="{style}" x1="{percent:.2f}%" x2="{percent:.2f}%" y1="0" y2="{height}"/>'


def axis(labels: Iterable[tuple[float, str]]) -> str:
    """Return what stands below pictures of one scale: words, each at its percent."""
    texts = "".join(
        f'<text x="{percent:.2f}%" y="14" text-anchor="middle">{escape(word)}</text>'
        for percent, word in labels
    )
    return f'<svg class="axis" width="100%" height="{AXIS_PX}" aria-hidden="true">{texts}</svg>'


def legend(entries: Iterable[tuple[str, str]], width: int, height: int) -> str:
    """Return what each (SVG of this size, plain text) stands for, side by side."""
    shown = "".join(
        f'<li><svg width="{width}" height="{height}" aria-hidden="true">{drawn}</svg>{escape(words)}</li>'
        for drawn, words in entries
    )
    return f'<ul class="legend">{shown}</ul>'

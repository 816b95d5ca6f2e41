"""The caption below an overlay: the result in words, for whoever sees the picture and nothing else.

    [=====control====|=====|===|==|===]    how many patches fall into which band
    culture_07.tif  CONTROL  score 90.6  (100 = control); 232 of 256 patches vote control
    what the quality rules found
    p_control [ ] 0.9-1.0 84  [.] 0.7-0.9 94  ...  collagen  nuclei
    model: NAME VERSION  Research use only. ...

Lines that are too long for the picture are continued on the next one.
"""

from functools import lru_cache
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from colvi_edge.bands import BANDS
from colvi_edge.outputs.names import image_label
from colvi_edge.outputs.palette import AMBER, COLLAGEN, DIAGNOSES, GREY, NUCLEI, PAPER, WHITE, Colour
from colvi_edge.outputs.sidecar import Patches, Sidecar

MIN_WIDTH_PX = 768  # the legend on one line
NAME_CHARACTERS = 44

TITLE, LINE, BASELINE = 1.4, 1.75, 1.3  # in sizes of the text; so is everything below
MARGIN, SPACE, GAP = 1.0, 0.28, 0.9
BAR, SWATCH = 0.5, 2.0


class _Piece(NamedTuple):
    """A word, or the small frame of a band; `gap` is the space after it."""

    text: str = ""
    colour: Colour = GREY
    scale: float = 1.0
    gap: float = SPACE
    band: int | None = None


_Group = list[_Piece]
"""Pieces that stay together on one line."""


def draw(sidecar: Sidecar, width_px: int) -> NDArray[np.uint8]:
    """Return the caption as (height, width, 3), as high as it needs to be.

    Args:
        sidecar: what to tell.
        width_px: of the picture above; the caption is never narrower than MIN_WIDTH_PX.
    """
    width = max(width_px, MIN_WIDTH_PX)
    size = max(14, width // 68)
    margin = round(MARGIN * size)
    placed = []
    baseline = margin - 0.3 * size if sidecar.patches is None else margin + (BAR + 0.2) * size
    for line in _lines(sidecar):
        baseline += LINE * size
        left = margin
        for group in line:
            inks = [_ink(piece, size) for piece in group]
            gaps = [round(piece.gap * size) for piece in group]
            right = left + sum(ink.shape[1] for ink in inks) + sum(gaps[:-1])
            if right > width - margin and left > margin:
                baseline += LINE * size
                left = margin
            for piece, ink, gap in zip(group, inks, gaps, strict=True):
                placed.append((round(baseline) - round(BASELINE * piece.scale * size), left, ink))
                left += ink.shape[1] + gap
    page = np.empty((round(baseline) + margin, width, 3), np.uint8)
    page[...] = PAPER
    for top, left, ink in placed:
        page[top : top + ink.shape[0], left : left + ink.shape[1]] = ink[:, : width - left]
    if sidecar.patches is not None:
        _draw_bar(page[margin : margin + round(BAR * size), margin:-margin], sidecar.patches)
    return page


def _lines(sidecar: Sidecar) -> list[list[_Group]]:
    name = spelt_name(image_label(sidecar.image.name, sidecar.image.key))
    title = [[_Piece(name, WHITE, TITLE, GAP)]]
    lines = [title]
    warnings = [flag.words for flag in sidecar.quality if flag.severity == "warn"]
    if sidecar.patches is None or sidecar.diagnosis is None or sidecar.votes is None:
        rejects = [flag.words for flag in sidecar.quality if flag.severity == "reject"]
        title.append([_Piece("REJECTED - not judged", AMBER, TITLE)])
        lines.append(_sentence(" ".join(rejects), WHITE))
    else:
        patches = sidecar.patches.rows * sidecar.patches.cols
        title.append([_Piece(sidecar.diagnosis.upper(), DIAGNOSES[sidecar.diagnosis], TITLE, GAP)])
        title.append([_Piece(f"score {sidecar.score:.1f}", WHITE, TITLE, GAP)])
        title += _sentence(f"(100 = control); {sidecar.votes.control} of {patches} patches vote control")
    if warnings:
        lines.append(_sentence(" ".join(warnings), AMBER))
    if sidecar.patches is not None:
        lines.append(_legend(sidecar.patches))
    model = _sentence(f"model: {sidecar.model.label}")
    model[-1] = [model[-1][0]._replace(gap=GAP)]
    lines.append([*model, *_sentence(sidecar.intended_use, WHITE)])
    return lines


def _legend(patches: Patches) -> list[_Group]:
    legend = [[_Piece("p_control", gap=GAP)]]
    for index, (band, count) in enumerate(zip(BANDS, _counts(patches), strict=True)):
        swatch = _Piece(band=index, gap=0.5)
        legend.append(
            [swatch, _Piece(f"{band.at_least:.1f}-{band.ceiling:.1f}"), _Piece(str(count), WHITE, gap=GAP)]
        )
    legend.append([_Piece("collagen", COLLAGEN, gap=GAP)])
    legend.append([_Piece("nuclei", NUCLEI)])
    return legend


def _counts(patches: Patches) -> list[int]:
    names = [name for row in patches.band for name in row]
    return [sum(name == band.name for name in names) for band in BANDS]


def _draw_bar(bar: NDArray[np.uint8], patches: Patches) -> None:
    shares = np.cumsum([0, *_counts(patches)]) / (patches.rows * patches.cols)
    edges = np.round(shares * bar.shape[1]).astype(int)
    for band, left, right in zip(BANDS, edges, edges[1:], strict=False):
        bar[:, left:right] = band.rgb


def _sentence(text: str, colour: Colour = GREY) -> list[_Group]:
    return [[_Piece(word, colour)] for word in _spelt(text).split()]


@lru_cache(maxsize=256)  # drawing a letter takes 8 us, and most words stand below every picture
def _ink(piece: _Piece, size: int) -> NDArray[np.uint8]:
    """Return a piece as (height, width, 3) on paper; its baseline lies BASELINE below its top."""
    text_px = round(piece.scale * size)
    height, baseline = round(LINE * piece.scale * size), round(BASELINE * piece.scale * size)
    if piece.band is not None:
        return _swatch(piece.band, size, height, baseline)
    font = ImageFont.load_default(text_px)
    left, _, right, _ = font.getbbox(piece.text, anchor="ls")
    page = Image.new("RGB", (ceil(right - left), height), PAPER)
    ImageDraw.Draw(page).text((-left, baseline), piece.text, piece.colour, font, anchor="ls")
    return np.asarray(page)


def _swatch(band: int, size: int, height: int, baseline: int) -> NDArray[np.uint8]:
    """Return a small frame as the overlay draws it, dots and all."""
    unit = max(1, size // 7)
    page = np.empty((height, round(SWATCH * size), 3), np.uint8)
    page[...] = PAPER
    frame = page[baseline - round(0.85 * size) : baseline + round(0.15 * size)]
    frame[...] = BANDS[band].rgb
    frame[unit:-unit, unit:-unit] = PAPER
    dot = round(1.5 * unit)
    top = (frame.shape[0] - dot) // 2
    for left in range(3 * unit, 3 * unit + 3 * unit * band, 3 * unit):
        frame[top : top + dot, left : left + dot] = BANDS[band].rgb
    return page


def spelt_name(name: str) -> str:
    """Spell a name in what Pillow's own font has letters for, its middle left out if it is long."""
    name = _spelt(name)
    if len(name) <= NAME_CHARACTERS:
        return name
    half = (NAME_CHARACTERS - 3) // 2
    return f"{name[:half]}...{name[-half:]}"


def _spelt(text: str) -> str:
    """Spell a text in what Pillow's own font has letters for: ASCII; the rest as escapes."""
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in text)

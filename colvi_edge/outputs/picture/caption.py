"""The caption below an overlay: the result in words, for whoever sees the picture and nothing else.

    [=====control====|=====|===|==|===]    how many patches fall into which band
    culture_07.tif  CONTROL  score 90.6  (100 = control); 232 of 256 patches vote control
    what the quality rules found
    p_control [ ] 0.9-1.0 84  [.] 0.7-0.9 94  ...  collagen  nuclei
    model: NAME VERSION  Research use only. ...

Where regions are found instead, the bar tells their shares, and the legend areas, objects and diameters:

    [==nucleus==|=vesicle=|                ]
    image_01.tif  412 nuclei  11.3 % of the image
    [ ] nucleus 11.3 %  4,012 um^2  412 objects  median diameter 9.8 um  (dashed: at the border, not counted)

Lines that are too long for the picture are continued on the next one.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from colvi_edge.bands import BANDS
from colvi_edge.outputs.cells import counted_objects, percent, regions_answer
from colvi_edge.outputs.names import image_label
from colvi_edge.outputs.palette import AMBER, COLLAGEN, DIAGNOSES, EMPTY, GREY, NUCLEI, PAPER, WHITE, Colour
from colvi_edge.outputs.regions.colours import class_colour
from colvi_edge.outputs.sidecar import ObjectsRecord, Patches, RegionRecord, Sidecar

MIN_WIDTH_PX = 768  # the legend on one line
NAME_CHARACTERS = 44

TITLE, LINE, BASELINE = 1.4, 1.75, 1.3  # in sizes of the text; so is everything below
MARGIN, SPACE, GAP = 1.0, 0.28, 0.9
BAR, SWATCH = 0.5, 2.0


class _Piece(NamedTuple):
    """A word, or the small frame of a band or a class; `gap` is the space after it."""

    text: str = ""
    colour: Colour = GREY
    scale: float = 1.0
    gap: float = SPACE
    band: int | None = None
    frame: Colour | None = None


class _Bar(NamedTuple):
    """Colours, and how much of the whole each of them is."""

    colours: Sequence[Colour]
    amounts: Sequence[float]
    whole: int


_Group = list[_Piece]
"""Pieces that stay together on one line."""


def draw(
    sidecar: Sidecar, width_px: int, channels: Mapping[str, Colour] | None = None, plane: int = 0
) -> NDArray[np.uint8]:
    """Return the caption as (height, width, 3), as high as it needs to be.

    Args:
        sidecar: what to tell.
        width_px: of the picture above; the caption is never narrower than MIN_WIDTH_PX.
        channels: the colours of the channels, where regions are shown.
        plane: whose regions these are, from 0, if there are several.
    """
    bar = _bar_of(sidecar)
    width = max(width_px, MIN_WIDTH_PX)
    size = max(14, width // 68)
    margin = round(MARGIN * size)
    placed = []
    baseline = margin - 0.3 * size if bar is None else margin + (BAR + 0.2) * size
    for line in _lines(sidecar, channels or {}, plane):
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
    if bar is not None:
        _draw_bar(page[margin : margin + round(BAR * size), margin:-margin], bar)
    return page


def _lines(sidecar: Sidecar, channels: Mapping[str, Colour], plane: int) -> list[list[_Group]]:
    name = spelt_name(image_label(sidecar.image.name, sidecar.image.key))
    title = [[_Piece(name, WHITE, TITLE, GAP)]]
    lines = [title]
    warnings = [flag.words for flag in sidecar.quality if flag.severity == "warn"]
    if sidecar.regions is not None:
        title += _answer(regions_answer(sidecar.regions, sidecar.objects))
        lines.append(_regions(sidecar.regions, sidecar.objects))
        lines.append(_signs(sidecar, channels, plane))
    elif sidecar.patches is None or sidecar.diagnosis is None or sidecar.votes is None:
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


def _answer(words: str) -> list[_Group]:
    """Return the result in the size of the title, parted at its commas."""
    return [[_Piece(part, WHITE, TITLE, GAP)] for part in words.split(", ")]


def _regions(regions: Sequence[RegionRecord], objects: ObjectsRecord | None) -> list[_Group]:
    line: list[_Group] = []
    for index, region in enumerate(regions, 1):
        told = [
            _Piece(frame=class_colour(index), gap=0.5),
            _Piece(region.name, WHITE),
            _Piece(percent(region.share)),
        ]
        if region.area_um2 is not None:
            told.append(_Piece(f"{region.area_um2:,.0f} um^2"))
        if objects is not None:
            told.append(_Piece(f"in {counted_objects(objects.by_class[region.name], 'object')}"))
        told[-1] = told[-1]._replace(gap=GAP)
        line.append(told)
    return line


def _signs(sidecar: Sidecar, channels: Mapping[str, Colour], plane: int) -> list[_Group]:
    """Return what else is seen: the middle of the diameters, dashes, the channels, the plane."""
    line: list[_Group] = []
    objects = sidecar.objects
    if objects is not None and objects.diameter_px is not None:
        spread, unit = (objects.diameter_um, "um") if objects.diameter_um else (objects.diameter_px, "px")
        line.append([_Piece("median diameter"), _Piece(f"{spread.median:.3g} {unit}", WHITE, gap=GAP)])
    if objects is not None and objects.counted < objects.count:
        left = objects.count - objects.counted
        line += _sentence(f"dashed: {left:,} at the border, whose diameter does not count")
        line[-1] = [line[-1][0]._replace(gap=GAP)]
    if (sidecar.image.planes or 1) > 1:
        line += _sentence(f"plane {plane + 1} of {sidecar.image.planes}")
        line[-1] = [line[-1][0]._replace(gap=GAP)]
    return line + [[_Piece(_spelt(role), _readable(colour), gap=GAP)] for role, colour in channels.items()]


def _readable(colour: Colour) -> Colour:
    """Return the colour of a channel as that of a word: blue is too dark to read."""
    return NUCLEI if colour == (0, 0, 255) else colour


def _bar_of(sidecar: Sidecar) -> _Bar | None:
    """Return what the bar tells; None where nothing was judged."""
    if sidecar.regions is not None:
        colours = [class_colour(index) for index in range(1, len(sidecar.regions) + 1)]
        return _Bar(colours, [region.share for region in sidecar.regions], 1)
    if sidecar.patches is None:
        return None
    cells = sidecar.patches.rows * sidecar.patches.cols
    return _Bar([band.rgb for band in BANDS], _counts(sidecar.patches), cells)


def _counts(patches: Patches) -> list[int]:
    names = [name for row in patches.band for name in row]
    return [sum(name == band.name for name in names) for band in BANDS]


def _draw_bar(space: NDArray[np.uint8], bar: _Bar) -> None:
    ends = np.cumsum([0, *bar.amounts]) / bar.whole
    edges = np.round(ends * space.shape[1]).astype(int)
    space[:, edges[-1] :] = EMPTY
    for colour, left, right in zip(bar.colours, edges, edges[1:], strict=False):
        space[:, left:right] = colour


def _sentence(text: str, colour: Colour = GREY) -> list[_Group]:
    return [[_Piece(word, colour)] for word in _spelt(text).split()]


@lru_cache(maxsize=256)  # drawing a letter takes 8 us, and most words stand below every picture
def _ink(piece: _Piece, size: int) -> NDArray[np.uint8]:
    """Return a piece as (height, width, 3) on paper; its baseline lies BASELINE below its top."""
    text_px = round(piece.scale * size)
    height, baseline = round(LINE * piece.scale * size), round(BASELINE * piece.scale * size)
    if piece.band is not None:
        return _swatch(BANDS[piece.band].rgb, piece.band, size, height, baseline)
    if piece.frame is not None:
        return _swatch(piece.frame, 0, size, height, baseline)
    font = ImageFont.load_default(text_px)
    left, _, right, _ = font.getbbox(piece.text, anchor="ls")
    page = Image.new("RGB", (ceil(right - left), height), PAPER)
    ImageDraw.Draw(page).text((-left, baseline), piece.text, piece.colour, font, anchor="ls")
    return np.asarray(page)


def _swatch(colour: Colour, dots: int, size: int, height: int, baseline: int) -> NDArray[np.uint8]:
    """Return a small frame as the overlay draws it, dots and all."""
    unit = max(1, size // 7)
    page = np.empty((height, round(SWATCH * size), 3), np.uint8)
    page[...] = PAPER
    frame = page[baseline - round(0.85 * size) : baseline + round(0.15 * size)]
    frame[...] = colour
    frame[unit:-unit, unit:-unit] = PAPER
    dot = round(1.5 * unit)
    top = (frame.shape[0] - dot) // 2
    for left in range(3 * unit, 3 * unit + 3 * unit * dots, 3 * unit):
        frame[top : top + dot, left : left + dot] = colour
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

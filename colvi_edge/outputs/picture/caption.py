"""The caption below an overlay: the result in words, for whoever sees the picture and nothing else.

    [=====control====|=====|===|==|===]    how many patches fall into which band
    culture_07.tif  CONTROL  score 90.6  (100 = control); 232 of 256 patches vote control
    what the quality rules found
    p_control [ ] 0.9-1.0 84  [.] 0.7-0.9 94  ...  collagen  nuclei
    model: NAME VERSION  Research use only. ...

Where there are no bands, bar and legend tell of classes instead: how many patches or slices vote for each, or
how likely each is, of a whole image. Where regions are found, they tell of these, and of objects:

    [==nucleus==|=vesicle=|                ]
    image_01.tif  412 nuclei  11.3 % of the image
    [ ] nucleus 11.3 % 4,012 um^2 in 412 objects
    median diameter 9.8 um  dashed: 12 at the border, whose diameter does not count  intensity

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
from colvi_edge.outputs.cells import (
    classes_of,
    counted_objects,
    counts_of,
    decided_by,
    percent,
    regions_answer,
    scored,
)
from colvi_edge.outputs.names import image_label
from colvi_edge.outputs.palette import (
    AMBER,
    COLLAGEN,
    EMPTY,
    GREY,
    NUCLEI,
    PAPER,
    WHITE,
    Colour,
    class_colour,
    class_colours,
)
from colvi_edge.outputs.picture.numerals import numeral
from colvi_edge.outputs.sidecar import Cells, ObjectsRecord, Patches, RegionRecord, Sidecar
from colvi_edge.tasks.classify import TIE, scored_class

MIN_WIDTH_PX = 768  # the legend on one line
NAME_CHARACTERS = 44
MOST_LISTED = 16
"""Classes that a legend lists also where nothing votes for them."""

TITLE, LINE, BASELINE = 1.4, 1.75, 1.3  # in sizes of the text; so is everything below
MARGIN, SPACE, GAP = 1.0, 0.28, 0.9
BAR, SWATCH = 0.5, 2.0


class _Piece(NamedTuple):
    """A word, or the small frame of a band or a class; `gap` is the space after it."""

    text: str = ""
    colour: Colour = GREY
    scale: float = 1.0
    gap: float = SPACE
    frame: "_Frame | None" = None


class _Frame(NamedTuple):
    """A frame as the overlay draws it, with so many dots in it, or with a number."""

    colour: Colour
    dots: int = 0
    number: int = 0


_Group = list[_Piece]
"""Pieces that stay together on one line."""


_OF_THE_ASSAY = {"collagen": COLLAGEN, "nuclei": NUCLEI}


def draw(
    sidecar: Sidecar, width_px: int, channels: Mapping[str, Colour] = _OF_THE_ASSAY, plane: int = 0
) -> NDArray[np.uint8]:
    """Return the caption as (height, width, 3), as high as it needs to be.

    Args:
        sidecar: what to tell.
        width_px: of the picture above; the caption is never narrower than MIN_WIDTH_PX.
        channels: each with its colour.
        plane: whose regions are seen, from 0, if there are several.
    """
    is_judged = sidecar.status == "ok"
    width = max(width_px, MIN_WIDTH_PX)
    size = max(14, width // 68)
    margin = round(MARGIN * size)
    placed = []
    baseline = margin + (BAR + 0.2) * size if is_judged else margin - 0.3 * size
    for line in _lines(sidecar, channels, plane):
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
    if is_judged:
        _draw_bar(page[margin : margin + round(BAR * size), margin:-margin], sidecar)
    return page


def _lines(sidecar: Sidecar, channels: Mapping[str, Colour], plane: int) -> list[list[_Group]]:
    name = spelt_name(image_label(sidecar.image.name, sidecar.image.key))
    title = [[_Piece(name, WHITE, TITLE, GAP)]]
    lines = [title]
    warnings = [flag.words for flag in sidecar.quality if flag.severity == "warn"]
    if sidecar.status == "rejected":
        rejects = [flag.words for flag in sidecar.quality if flag.severity == "reject"]
        title.append([_Piece("REJECTED - not judged", AMBER, TITLE)])
        lines.append(_sentence(" ".join(rejects), WHITE))
    elif sidecar.regions is not None:
        title += _answer(regions_answer(sidecar.regions, sidecar.objects))
        lines.append(_legend_of_regions(sidecar.regions, sidecar.objects))
        lines.append([*_signs(sidecar, plane), *_names(channels)])
    elif sidecar.patches is not None and sidecar.diagnosis is not None:
        colour = class_colours(classes_of(sidecar))[sidecar.diagnosis]
        title.append([_Piece(sidecar.diagnosis.upper(), colour, TITLE, GAP)])
        title.append([_Piece(f"score {sidecar.score:.1f}", WHITE, TITLE, GAP)])
        title += _sentence(f"({scored(sidecar)}){_told(sidecar, sidecar.patches)}")
    if warnings:
        lines.append(_sentence(" ".join(warnings), AMBER))
    if sidecar.patches is not None:
        lines.append([*_legend(sidecar, sidecar.patches), *_names(channels)])
    model = _sentence(f"model: {sidecar.model.label}")
    model[-1] = [model[-1][0]._replace(gap=GAP)]
    lines.append([*model, *_sentence(sidecar.intended_use, WHITE)])
    return lines


def _told(sidecar: Sidecar, grid: Patches | Cells) -> str:
    """Return how many votes the score is of; nothing of a whole image, or of several that have most."""
    of = scored_class(classes_of(sidecar), decided_by(sidecar)) or str(sidecar.diagnosis)
    votes, cells = counts_of(sidecar).get(of), grid.rows * grid.cols
    words = "patches" if grid.size_px else "slices"
    is_image = isinstance(grid, Cells) and grid.of == "image"
    return "" if is_image or votes is None else f"; {votes} of {cells} {words} vote {of}"


def _legend(sidecar: Sidecar, grid: Patches | Cells) -> list[_Group]:
    if isinstance(grid, Patches):
        legend = [[_Piece("p_control", gap=GAP)]]
        for index, (band, count) in enumerate(zip(BANDS, _bands(grid), strict=True)):
            swatch = _Piece(frame=_Frame(band.rgb, dots=index), gap=0.5)
            between = f"{band.at_least:.1f}-{band.ceiling:.1f}"
            legend.append([swatch, _Piece(between), _Piece(str(count), WHITE, gap=GAP)])
    else:
        legend = _legend_of_classes(sidecar, grid)
    return legend


def _names(channels: Mapping[str, Colour]) -> list[_Group]:
    """Return what each channel shows, in its colour; blue is too dark to read."""
    return [
        [_Piece(_spelt(role), NUCLEI if colour == (0, 0, 255) else colour, gap=GAP)]
        for role, colour in channels.items()
    ]


def _answer(words: str) -> list[_Group]:
    """Return a result in the size of the title, parted at its commas."""
    return [[_Piece(part, WHITE, TITLE, GAP)] for part in words.split(", ")]


def _legend_of_regions(regions: Sequence[RegionRecord], objects: ObjectsRecord | None) -> list[_Group]:
    """Return each class with its area and, if they are told apart, its objects; of many those there are."""
    legend: list[_Group] = []
    for index, region in enumerate(regions, 1):
        if len(regions) > MOST_LISTED and not region.pixels:
            continue
        told = [_Piece(frame=_Frame(class_colour(index)), gap=0.5), _Piece(region.name, WHITE)]
        told.append(_Piece(percent(region.share)))
        if region.area_um2 is not None:
            told.append(_Piece(f"{region.area_um2:,.0f} um^2"))
        if objects is not None:
            told.append(_Piece(f"in {counted_objects(objects.by_class[region.name], 'object')}"))
        legend.append([*told[:-1], told[-1]._replace(gap=GAP)])
    return legend


def _signs(sidecar: Sidecar, plane: int) -> list[_Group]:
    """Return what else the picture tells: the middle of the diameters, what is dashed, which plane it is."""
    line: list[_Group] = []
    objects = sidecar.objects
    if objects is not None and objects.diameter_px is not None:
        spread, unit = (objects.diameter_um, "um") if objects.diameter_um else (objects.diameter_px, "px")
        line.append([_Piece("median diameter"), _Piece(f"{spread.median:.3g} {unit}", WHITE, gap=GAP)])
    if objects is not None and objects.counted < objects.count:
        line += _sentence(f"dashed: {objects.count - objects.counted:,} at the border, in no diameter")
        line[-1] = [line[-1][0]._replace(gap=GAP)]
    if (sidecar.image.planes or 1) > 1:
        line += _sentence(f"lines: plane {plane + 1} of {sidecar.image.planes}")
        line[-1] = [line[-1][0]._replace(gap=GAP)]
    return line


def _legend_of_classes(sidecar: Sidecar, grid: Cells) -> list[_Group]:
    """Return each class with its number of votes; of many classes those alone that have some."""
    colours = class_colours(classes_of(sidecar))
    counts = counts_of(sidecar)
    if grid.of == "image":
        values = {name: f"{cell[0][0]:.3f}" for name, cell in grid.probabilities.items()}
    else:
        many = len(colours) > MOST_LISTED
        values = {name: str(n) for name, n in counts.items() if n or (not many and name != TIE)}
    legend = [[_Piece("probability" if grid.of == "image" else "votes", gap=GAP)]]
    for name, value in values.items():
        number = list(counts).index(name) + 1 if name != TIE and grid.size_px else 0
        swatch = _Piece(frame=_Frame(colours[name], number=number), gap=0.5)
        legend.append([swatch, _Piece(name), _Piece(value, WHITE, gap=GAP)])
    return legend


def _bands(patches: Patches) -> list[int]:
    names = [name for row in patches.band for name in row]
    return [sum(name == band.name for name in names) for band in BANDS]


def _draw_bar(bar: NDArray[np.uint8], sidecar: Sidecar) -> None:
    """Draw the shares of bands, classes or regions; of a single cell how likely each class is."""
    grid = sidecar.patches
    parts: list[tuple[Colour, float]] = []
    if sidecar.regions is not None:
        parts = [(class_colour(index), region.share) for index, region in enumerate(sidecar.regions, 1)]
        parts.append((EMPTY, 1 - sum(region.share for region in sidecar.regions)))
    elif isinstance(grid, Patches):
        parts = [(band.rgb, count) for band, count in zip(BANDS, _bands(grid), strict=True)]
    elif grid is not None:
        colours = class_colours(classes_of(sidecar))
        likely = {name: cell[0][0] for name, cell in grid.probabilities.items()}
        values = likely if grid.of == "image" else counts_of(sidecar)
        parts = [(colours[name], value) for name, value in values.items()]
    shares = np.cumsum([0, *(value for _, value in parts)])
    edges = np.round(shares / (shares[-1] or 1) * bar.shape[1]).astype(int)
    for (rgb, _), left, right in zip(parts, edges, edges[1:], strict=False):
        bar[:, left:right] = rgb


def _sentence(text: str, colour: Colour = GREY) -> list[_Group]:
    return [[_Piece(word, colour)] for word in _spelt(text).split()]


@lru_cache(maxsize=256)  # drawing a letter takes 8 us, and most words stand below every picture
def _ink(piece: _Piece, size: int) -> NDArray[np.uint8]:
    """Return a piece as (height, width, 3) on paper; its baseline lies BASELINE below its top."""
    text_px = round(piece.scale * size)
    height, baseline = round(LINE * piece.scale * size), round(BASELINE * piece.scale * size)
    if piece.frame is not None:
        return _swatch(piece.frame, size, height, baseline)
    font = ImageFont.load_default(text_px)
    left, _, right, _ = font.getbbox(piece.text, anchor="ls")
    page = Image.new("RGB", (ceil(right - left), height), PAPER)
    ImageDraw.Draw(page).text((-left, baseline), piece.text, piece.colour, font, anchor="ls")
    return np.asarray(page)


def _swatch(drawn: _Frame, size: int, height: int, baseline: int) -> NDArray[np.uint8]:
    """Return a small frame as the overlay draws it, dots or number and all."""
    unit = max(1, size // 7)
    page = np.empty((height, round(SWATCH * size), 3), np.uint8)
    page[...] = PAPER
    frame = page[baseline - round(0.85 * size) : baseline + round(0.15 * size)]
    frame[...] = drawn.colour
    frame[unit:-unit, unit:-unit] = PAPER
    dot = round(1.5 * unit)
    top = (frame.shape[0] - dot) // 2
    for left in range(3 * unit, 3 * unit + 3 * unit * drawn.dots, 3 * unit):
        frame[top : top + dot, left : left + dot] = drawn.colour
    if drawn.number:
        mask = numeral(drawn.number, max(1, (frame.shape[0] - 2 * unit) // 5))
        top, left = ((whole - part) // 2 for whole, part in zip(frame.shape, mask.shape, strict=False))
        frame[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = drawn.colour
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

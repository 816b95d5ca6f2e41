"""Pieces of a picture that explains: text, maps in false colours, colour bars; each an array of pixels.

Like the caption below an overlay they stand on `palette.PAPER`, in the letters that Pillow brings.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from colvi_edge.outputs.palette import GREY, PAPER, WHITE, Colour

Picture = NDArray[np.uint8]
"""(height, width, 3), RGB."""

Scale = tuple[float, float]
"""The values that the two ends of a colour map stand for."""

TEXT_PX = 15
GAP_PX = 8
CELL_PX = 128
LABEL_PX, BAR_PX = 112, 104  # what stands left and right of a row of maps

_NAMES_PX = 30  # below a row of maps


def blank(height_px: int, width_px: int) -> Picture:
    """Return an empty piece."""
    page = np.empty((height_px, width_px, 3), np.uint8)
    page[...] = PAPER
    return page


def padded(piece: Picture, height_px: int, width_px: int) -> Picture:
    """Return a piece with paper below and to its right, at least so high and wide."""
    page = blank(max(height_px, piece.shape[0]), max(width_px, piece.shape[1]))
    page[: piece.shape[0], : piece.shape[1]] = piece
    return page


def indented(piece: Picture, by_px: int) -> Picture:
    """Return a piece with paper to its left."""
    return np.hstack([blank(piece.shape[0], by_px), piece])


def column(pieces: Sequence[Picture]) -> Picture:
    """Return pieces below each other, as wide as the widest."""
    width_px = max(piece.shape[1] for piece in pieces)
    return np.vstack([padded(piece, 0, width_px) for piece in pieces])


def coloured(values: NDArray[Any], scale: Scale, colours: str) -> Picture:
    """Return (height, width) values in colours; what is beyond the scale gets the colour of its end.

    Args:
        values: of any dtype.
        scale: what the ends of the colour map stand for.
        colours: matplotlib's name of the colour map.
    """
    low, high = scale
    shares = (values.astype(np.float64) - low) / (high - low or 1)
    picture: Picture = colormaps[colours](shares, bytes=True)[..., :3]
    return picture


def words(lines: Sequence[tuple[str, Colour]], width_px: int, text_px: int = TEXT_PX) -> Picture:
    """Return lines of text, each continued on the next one where it is too long."""
    font = ImageFont.load_default(text_px)
    broken: list[tuple[str, Colour]] = []
    for text, colour in lines:
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}" if line else word
            if line and font.getlength(longer) > width_px:
                broken.append((line, colour))
                longer = word
            line = longer
        broken.append((line, colour))
    line_px = round(1.5 * text_px)
    page = Image.fromarray(blank((len(broken) + 1) * line_px, width_px))
    draw = ImageDraw.Draw(page)
    for number, (line, colour) in enumerate(broken, start=1):
        draw.text((0, number * line_px), line, colour, font, anchor="ls")
    return np.asarray(page)


def lying_bar(highest: float, colours: str, width_px: int, text_px: int) -> Picture:
    """Return a colour bar from 0 to `highest`, and what is above, its numbers below it."""
    page = Image.fromarray(blank(4 * text_px, width_px))
    ramp = np.linspace(0, 1, width_px)[np.newaxis].repeat(text_px, axis=0)
    page.paste(Image.fromarray(coloured(ramp, (0, 1), colours)), (0, text_px))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(text_px)
    for share, anchor, more in ((0, "la", ""), (0.5, "ma", ""), (1, "ra", " and above")):
        place = (share * width_px, 2.3 * text_px)
        draw.text(place, f"{share * highest:.2g}{more}", WHITE, font, anchor=anchor)
    return np.asarray(page)


def row_of_maps(
    label: str, maps: NDArray[np.float32], names: Sequence[str], scale: Scale, colours: str
) -> Picture:
    """Return maps side by side with a label to their left, names below and a colour bar to their right.

    Args:
        label: what they are.
        maps: (K, height, width), enlarged by a whole number, as many times as fit into CELL_PX.
        names: of the K maps.
        scale: of all of them.
        colours: matplotlib's name of the colour map.
    """
    lefts = [LABEL_PX + index * (CELL_PX + GAP_PX) for index in range(len(maps) + 1)]
    page = Image.fromarray(blank(CELL_PX + _NAMES_PX, lefts[-1] + BAR_PX))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(TEXT_PX)
    draw.text((GAP_PX, 0), label, WHITE, font)
    times = CELL_PX // max(maps.shape[1:])
    for values, name, left in zip(maps, names, lefts, strict=False):
        enlarged = coloured(values, scale, colours).repeat(times, axis=0).repeat(times, axis=1)
        page.paste(Image.fromarray(enlarged), (left, 0))
        draw.text((left, CELL_PX + 4), name, GREY, font)
    ramp = np.linspace(1, 0, CELL_PX)[:, np.newaxis].repeat(12, axis=1)
    page.paste(Image.fromarray(coloured(ramp, (0, 1), colours)), (lefts[-1], 0))
    for value, y, anchor in ((scale[1], 0, "la"), (scale[0], CELL_PX, "ld")):
        draw.text((lefts[-1] + 18, y), f"{value:.2g}", GREY, font, anchor=anchor)
    return np.asarray(page)

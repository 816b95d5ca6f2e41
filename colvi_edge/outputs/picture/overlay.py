"""The overlay: the projection with a frame round every patch, and a caption below it.

Collagen is green, nuclei are blue, each frame has the colour of its patch's band, or class. Pixel (0, 0)
is pixel (0, 0) of the raw image: nothing stands above or left of the picture, so ROIs and
GeoJSON drop onto it in place. For eyes that do not tell the colours apart, every frame carries
its band as dots too: none for the healthiest, four for the last; or its class as a number. A whole image has
one frame, and so has a stack, in the colour of its diagnosis.
"""

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bands import BANDS
from colvi_edge.outputs.cells import classes_of
from colvi_edge.outputs.palette import PAPER, Colour, channel_colours, class_colours
from colvi_edge.outputs.picture import caption, contour_lines, png
from colvi_edge.outputs.picture.numerals import numeral
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import Cells, Patches, Sidecar
from colvi_edge.tasks.segment import Segmentation

RED, GREEN, BLUE = range(3)
SAMPLES = 16384  # pixels that the display range is taken from: 0.4 ms; a whole 1024^2 image takes 17
DARKEST, BRIGHTEST = 0.005, 0.997  # quantiles shown as black and as full colour
NOISE_SPAN = np.float32(12)  # standard deviations of noise that lie between them at least

BLOCK_ROWS = 64  # a block of float32 stays in the cache: whole images cost 1600 page faults, 4 ms

INSET_PX, LINE_PX = 1, 2  # a frame's distance from its patch's edge, and its width
DOT_PX, DOT_STEP_PX, DOT_INSET_PX = 3, 6, 6
NUMBERED_PX = 24
"""Edge of the smallest patch that has room for a number."""
WHOLE_PX = 4
"""Width of the frame round a whole image."""


def draw(sidecar: Sidecar, collagen: NDArray[Any], nuclei: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the overlay as (height, width, 3) RGB: the projection, and the caption below it.

    Args:
        sidecar: what is shown; a rejected image gets no frames, and a caption that says why.
        collagen: (H, W) projection, any integer or float dtype, finite.
        nuclei: the same of the other channel.
    """
    canvas, picture = _page(caption.draw(sidecar, collagen.shape[1]), *collagen.shape)
    _draw_channels(picture, {GREEN: collagen, BLUE: nuclei})
    _draw_cells(picture, sidecar)
    return canvas


def draw_shown(sidecar: Sidecar, shown: Shown, result: Segmentation | None = None) -> NDArray[np.uint8]:
    """Return the overlay likewise of any channels, with frames, or with lines where regions were found.

    Args:
        sidecar: what is shown.
        shown: the image.
        result: regions and objects; of several planes the fullest is drawn.
    """
    height, width = shown.projection.shape[1:]
    colours = channel_colours(shown.roles)
    plane = 0 if result is None else contour_lines.fullest_plane(result)
    canvas, picture = _page(caption.draw(sidecar, width, colours, plane), height, width)
    picture[...] = 0
    for role, colour in colours.items():
        _add_channel(picture, shown.channel(role), colour)
    _draw_cells(picture, sidecar)
    if result is not None:
        contour_lines.draw(picture, result, plane)
    return canvas


def encode(canvas: NDArray[np.uint8], sidecar: Sidecar) -> bytes:
    """Return a drawn overlay as a PNG file; equal input gives equal bytes."""
    return png.encode(canvas, {"Software": sidecar.software.label, "Description": sidecar.intended_use})


def _page(below: NDArray[np.uint8], height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a canvas with its caption, and the part of it, (H, W, 3), where the picture comes."""
    canvas = np.empty((height + below.shape[0], below.shape[1], 3), np.uint8)
    canvas[:height, width:] = PAPER
    canvas[height:] = below
    return canvas, canvas[:height, :width]


def _add_channel(picture: NDArray[np.uint8], channel: NDArray[Any], colour: Colour) -> None:
    """Add a channel, (H, W), to an (H, W, 3) picture in any colour; what is too bright is full."""
    black, span = _display_range(channel)
    for top in range(0, picture.shape[0], BLOCK_ROWS):
        block = picture[top : top + BLOCK_ROWS]
        brightness = channel[top : top + BLOCK_ROWS].astype(np.float32)
        brightness -= black
        brightness *= 1 / span
        np.clip(brightness, 0, 1, out=brightness)
        for full in set(colour) - {0}:
            lit = (brightness * np.float32(full)).astype(np.uint8)
            for part in (part for part, value in enumerate(colour) if value == full):
                dark = 255 - block[..., part]
                block[..., part] += np.minimum(lit, dark, out=dark)


def _draw_channels(picture: NDArray[np.uint8], channels: dict[int, NDArray[Any]]) -> None:
    """Draw each channel, (H, W), into its colour of an (H, W, 3) picture; the others stay black."""
    ranges = {colour: _display_range(channel) for colour, channel in channels.items()}
    for top in range(0, picture.shape[0], BLOCK_ROWS):
        rows = slice(top, top + BLOCK_ROWS)
        block = picture[rows]
        block[...] = 0
        for colour, channel in channels.items():
            black, span = ranges[colour]
            brightness = channel[rows].astype(np.float32)
            brightness -= black
            brightness *= 255 / span
            np.clip(brightness, 0, 255, out=block[..., colour], casting="unsafe")


def _display_range(channel: NDArray[Any]) -> tuple[np.float32, np.float32]:
    """Return what is shown as black, and how far above it full colour lies.

    That is at least NOISE_SPAN standard deviations of the noise: collagen that is not there must
    not glow of amplified noise.
    """
    step = max(1, isqrt(channel.size // SAMPLES))
    sample = channel[::step, ::step].astype(np.float32)
    beside = channel[::step, 1::step].astype(np.float32)
    noise = _quantile(np.abs(sample[:, : beside.shape[1]] - beside), 0.5) / 0.954  # of two normal values
    black = _quantile(sample, DARKEST)
    span = max(_quantile(sample, BRIGHTEST) - black, NOISE_SPAN * noise)
    return black, span or np.float32(1)


def _quantile(values: NDArray[np.float32], share: float) -> np.float32:
    """Return the value that this share of the values does not exceed; np.percentile takes 5 times as long."""
    return np.sort(values, axis=None)[int(share * (values.size - 1))]


def _draw_cells(picture: NDArray[np.uint8], sidecar: Sidecar) -> None:
    """Draw the frames of an image that was judged cell by cell into an (H, W, 3) picture."""
    if isinstance(sidecar.patches, Patches):
        _draw_bands(picture, sidecar.patches)
    elif sidecar.patches is not None:
        _draw_classes(picture, sidecar, sidecar.patches)


def _draw_bands(picture: NDArray[np.uint8], patches: Patches) -> None:
    """Draw every patch's frame and dots into an (H, W, 3) picture."""
    number = {band.name: index for index, band in enumerate(BANDS)}
    bands = np.array([[number[name] for name in row] for row in patches.band])
    colours = np.array([band.rgb for band in BANDS], np.uint8)[bands]
    cells = _draw_frames(picture, patches.size_px, colours)
    for dot in range(len(BANDS) - 1):
        row, col = np.nonzero(bands > dot)
        left = DOT_INSET_PX + dot * DOT_STEP_PX
        dots = cells[:, DOT_INSET_PX : DOT_INSET_PX + DOT_PX, :, left : left + DOT_PX]
        dots[row, :, col] = colours[row, col][:, np.newaxis, np.newaxis]


def _draw_classes(picture: NDArray[np.uint8], sidecar: Sidecar, grid: Cells) -> None:
    """Draw a frame and a number for each patch's class, or a frame round the image for its diagnosis."""
    classes = classes_of(sidecar)
    palette = class_colours(classes)
    if grid.size_px is None:
        for edge in (np.s_[:WHOLE_PX], np.s_[-WHOLE_PX:], np.s_[:, :WHOLE_PX], np.s_[:, -WHOLE_PX:]):
            picture[edge] = palette[str(sidecar.diagnosis)]
        return
    colours = np.array([[palette[vote] for vote in row] for row in grid.vote], np.uint8)
    cells = _draw_frames(picture, grid.size_px, colours)
    if grid.size_px < NUMBERED_PX:
        return
    votes = np.array(grid.vote)
    for number, name in enumerate(classes, 1):
        row, col = np.nonzero(votes == name)
        for y, x in np.argwhere(numeral(number)):
            cells[row, DOT_INSET_PX + y, col, DOT_INSET_PX + x] = palette[name]


def _draw_frames(picture: NDArray[np.uint8], size: int, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw a frame round every patch of an (H, W, 3) picture; return these, a view.

    In a patch of 64 pixels the lines lie on 1-2 and 61-62: neighbours keep two pixels apart.

    Args:
        picture: drawn into.
        size: edge of a patch, pixels.
        colours: (rows, cols, 3).

    Returns:
        (rows, size, cols, size, 3).
    """
    rows, cols = colours.shape[:2]
    cells = picture[: rows * size, : cols * size].reshape(rows, size, cols, size, 3)  # a view
    first, last = INSET_PX, size - INSET_PX
    across = colours[:, np.newaxis, :, np.newaxis]
    cells[:, first : first + LINE_PX, :, first:last] = across
    cells[:, last - LINE_PX : last, :, first:last] = across
    cells[:, first:last, :, first : first + LINE_PX] = across
    cells[:, first:last, :, last - LINE_PX : last] = across
    return cells

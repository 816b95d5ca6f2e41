"""The overlay: the projection with a frame round every patch, and a caption below it.

Collagen is green, nuclei are blue, each frame has the colour of its patch's band, or of its class. Pixel (0, 0)
is pixel (0, 0) of the raw image: nothing stands above or left of the picture, so ROIs and
GeoJSON drop onto it in place. For eyes that do not tell the colours apart, every frame carries
its band as dots too: none for the healthiest, four for the last; or its class, none for the first. A whole
image has one frame, and so has a stack, in the colour of its diagnosis.
"""

from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bands import BANDS
from colvi_edge.outputs.cells import classes_of
from colvi_edge.outputs.palette import PAPER, Colour, class_colours
from colvi_edge.outputs.picture import caption, png
from colvi_edge.outputs.sidecar import Cells, Patches, Sidecar
from colvi_edge.tasks.classify import TIE

RED, GREEN, BLUE = range(3)
SAMPLES = 16384  # pixels that the display range is taken from: 0.4 ms; a whole 1024^2 image takes 17
DARKEST, BRIGHTEST = 0.005, 0.997  # quantiles shown as black and as full colour
NOISE_SPAN = np.float32(12)  # standard deviations of noise that lie between them at least

BLOCK_ROWS = 64  # a block of float32 stays in the cache: whole images cost 1600 page faults, 4 ms

INSET_PX, LINE_PX = 1, 2  # a frame's distance from its patch's edge, and its width
DOT_PX, DOT_STEP_PX, DOT_INSET_PX, DOTS_A_ROW = 3, 6, 6, 5
WHOLE_PX = 4
"""Width of the frame round a whole image."""


def draw(sidecar: Sidecar, collagen: NDArray[Any], nuclei: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the overlay as (height, width, 3) RGB: the projection, and the caption below it.

    Args:
        sidecar: what is shown; a rejected image gets no frames, and a caption that says why.
        collagen: (H, W) projection, any integer or float dtype, finite.
        nuclei: the same of the other channel.
    """
    height, width = collagen.shape
    below = caption.draw(sidecar, width)
    canvas = np.empty((height + below.shape[0], below.shape[1], 3), np.uint8)
    canvas[:height, width:] = PAPER
    canvas[height:] = below
    picture = canvas[:height, :width]
    _draw_channels(picture, {GREEN: collagen, BLUE: nuclei})
    if isinstance(sidecar.patches, Patches):
        number = {band.name: index for index, band in enumerate(BANDS)}
        bands = np.array([[number[name] for name in row] for row in sidecar.patches.band])
        _draw_frames(picture, sidecar.patches.size_px, bands, [band.rgb for band in BANDS])
    elif sidecar.patches is not None:
        _draw_classes(picture, sidecar, sidecar.patches)
    return canvas


def encode(canvas: NDArray[np.uint8], sidecar: Sidecar) -> bytes:
    """Return a drawn overlay as a PNG file; equal input gives equal bytes."""
    return png.encode(canvas, {"Software": sidecar.software.label, "Description": sidecar.intended_use})


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


def _draw_classes(picture: NDArray[np.uint8], sidecar: Sidecar, grid: Cells) -> None:
    """Draw a frame in the colour of each patch's class, or one round the image in that of its diagnosis."""
    colours = class_colours(classes_of(sidecar))
    if grid.size_px is None:
        rgb = colours[str(sidecar.diagnosis)]
        inner = picture[WHOLE_PX:-WHOLE_PX, WHOLE_PX:-WHOLE_PX].copy()
        picture[...] = rgb
        picture[WHOLE_PX:-WHOLE_PX, WHOLE_PX:-WHOLE_PX] = inner
        return
    votes = [*classes_of(sidecar), TIE]
    number = {name: index for index, name in enumerate(votes)}
    voted = np.array([[number[name] for name in row] for row in grid.vote])
    _draw_frames(picture, grid.size_px, voted, [colours[name] for name in votes])


def _draw_frames(
    picture: NDArray[np.uint8], size: int, kinds: NDArray[np.int64], palette: Sequence[Colour]
) -> None:
    """Draw every patch's frame and dots into an (H, W, 3) picture.

    In a patch of 64 pixels the lines lie on 1-2 and 61-62: neighbours keep two pixels apart.

    Args:
        picture: drawn into.
        size: edge of a patch, pixels.
        kinds: (rows, cols) band or vote of each patch, which has as many dots, in rows of five.
        palette: their colours.
    """
    colours = np.array(palette, np.uint8)[kinds]
    rows, cols = kinds.shape
    cells = picture[: rows * size, : cols * size].reshape(rows, size, cols, size, 3)  # a view
    first, last = INSET_PX, size - INSET_PX
    across = colours[:, np.newaxis, :, np.newaxis]
    cells[:, first : first + LINE_PX, :, first:last] = across
    cells[:, last - LINE_PX : last, :, first:last] = across
    cells[:, first:last, :, first : first + LINE_PX] = across
    cells[:, first:last, :, last - LINE_PX : last] = across
    for dot in range(int(kinds.max())):
        row, col = np.nonzero(kinds > dot)
        top, left = (DOT_INSET_PX + place * DOT_STEP_PX for place in divmod(dot, DOTS_A_ROW))
        dots = cells[:, top : top + DOT_PX, :, left : left + DOT_PX]
        dots[row, :, col] = colours[row, col][:, np.newaxis, np.newaxis]

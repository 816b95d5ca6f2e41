"""Brings an image to the size that the network was made for, and its map of pixels back.

Pixel (0, 0) of what comes back is pixel (0, 0) of the raw image. Pillow resamples: bilinearly and, where
it makes smaller, over all pixels that fall into one; classes go back by the nearest. The result is rounded
to the type of the raw pixels, so that a normalisation that was made for this type takes it.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colvi_edge.acquisition import Acquisition
from colvi_edge.acquisition.model import SAME_SIZE
from colvi_edge.bundle.input import Input
from colvi_edge.errors import ImageTooLargeError

MOST_TIMES = 16.0
"""Smaller or larger in one direction; beyond, the pixel size is a slip of the pen."""

MOST_PIXELS = 2**28
"""Of a plane after that."""


class Size(NamedTuple):
    """Rows and columns."""

    height: int
    width: int


def size_asked(asked: Input, acquisition: Acquisition) -> Size | None:
    """Return the size that an image is brought to; None if it is judged as it is.

    Args:
        asked: by the bundle.
        acquisition: whose pixels are brought to the bundle's size where both are known.

    Raises:
        ImageTooLargeError: the pixels are unlike those of the network by more than MOST_TIMES, or there would
            be more than MOST_PIXELS of them.
    """
    if asked.resize_px is not None:
        return Size(*asked.resize_px)
    found_um, wanted_um = acquisition.pixel_size_um, asked.pixel_size_um
    if found_um is None or wanted_um is None:
        return None
    times = ((acquisition.pixel_height_um or found_um) / wanted_um, found_um / wanted_um)
    if all(abs(factor - 1) <= SAME_SIZE for factor in times):
        return None
    height, width = acquisition.planes.shape[2:]
    size = Size(max(1, round(height * times[0])), max(1, round(width * times[1])))
    alike = all(1 / MOST_TIMES <= factor <= MOST_TIMES for factor in times)
    if not alike or size.height * size.width > MOST_PIXELS:
        raise ImageTooLargeError(
            f"has pixels of {found_um:g} um, and the network was made for {wanted_um:g} um: it would be "
            f"{size.width} x {size.height} pixels large; name the right size with --pixel-size-um",
            subject=acquisition.name,
        )
    return size


def brought_to(planes: NDArray[Any], size: Size) -> NDArray[Any]:
    """Return planes (Z, C, H, W) as (Z, C, *size), of the same dtype."""
    found = np.empty((*planes.shape[:2], *size), planes.dtype)
    for z, channels in enumerate(planes):
        for c, channel in enumerate(channels):
            resized = _resized(channel.astype(np.float32), size, Image.Resampling.BILINEAR)
            if planes.dtype.kind == "u":
                np.rint(resized, out=resized)
            found[z, c] = resized
    return found


def brought_back(kept: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Return a kept map (Z, h, w, 2) of classes and probabilities as (Z, *size, 2)."""
    found = np.empty((len(kept), *size, 2), np.uint8)
    for plane, target in zip(kept, found, strict=True):
        target[..., 0] = _resized(plane[..., 0], size, Image.Resampling.NEAREST)
        target[..., 1] = _resized(plane[..., 1], size, Image.Resampling.BILINEAR)
    return found


def _resized(channel: NDArray[Any], size: Size, how: Image.Resampling) -> NDArray[Any]:
    resized = Image.fromarray(np.ascontiguousarray(channel)).resize((size.width, size.height), how)
    return np.array(resized)

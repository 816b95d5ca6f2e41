"""The projection of an image, normalised a window at a time: never is a second image in memory."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.patches import Normalisation

_BAND_PX = 2**16
"""Of which statistics are taken at once: 512 KB of float64, which stay in the cache."""


class Scene:
    """Planes of an image, and the two numbers a channel that normalise them, which are the whole image's.

    x = (sum over z of I[z, c] - offset[c]) / divisor[c], as `patches` says it; the rest of a window that
    goes beyond the image is zero.
    """

    def __init__(self, planes: NDArray[Any], normalisation: Normalisation) -> None:
        """Measure the image, where its normalisation asks for that.

        Args:
            planes: (Z, C, H, W) uint8, uint16 or float32.
            normalisation: of any kind; that of a patch takes the image for one.
        """
        self._planes = planes
        self._numbers = _numbers(planes, normalisation)

    def put(self, window: NDArray[np.float32], top: int, left: int) -> None:
        """Fill a window (C, h, w) with what lies there, normalised."""
        _, height, width = window.shape
        part = self._planes[:, :, top : top + height, left : left + width]
        rows, cols = part.shape[2:]
        for number, (offset, divisor) in enumerate(self._numbers):
            inside = window[number, :rows, :cols]
            # The difference in float64, in pieces that stay in the cache: no array of that type is made. It,
            # the divisor and the quotient are rounded to float32.
            np.subtract(projection(part[:, number]), offset, inside, dtype=np.float64, casting="same_kind")
            np.divide(inside, np.float32(divisor), inside)
        window[:, rows:] = 0
        window[:, :, cols:] = 0


def projection(planes: NDArray[Any]) -> NDArray[Any]:
    """Sum over Z, the first axis, without rounding: one plane is its own sum.

    32 bit hold 65,537 planes of 16 bit.
    """
    if len(planes) == 1:
        only: NDArray[Any] = planes[0]
        return only
    wide = np.uint32 if np.issubdtype(planes.dtype, np.integer) else np.float64
    summed: NDArray[Any] = planes.sum(axis=0, dtype=wide)
    return summed


def _numbers(planes: NDArray[Any], normalisation: Normalisation) -> list[tuple[float, float]]:
    """Return (offset, divisor) for each channel."""
    channels = planes.shape[1]
    if normalisation.kind == "fixed":
        return list(zip(normalisation.mean, normalisation.std, strict=True))
    if normalisation.kind == "scale":
        return [(0.0, normalisation.divisor)] * channels
    measure = _range if normalisation.kind == "image-range" else _mean_and_deviation
    if normalisation.kind == "patch-channel":
        return [_dividing(*measure(planes[:, number : number + 1])) for number in range(channels)]
    return [_dividing(*measure(planes))] * channels


def _dividing(offset: float, divisor: float) -> tuple[float, float]:
    """Return the same; a constant image becomes zeros, in every dtype."""
    return offset, divisor if np.float32(divisor) else math.inf


def _range(planes: NDArray[Any]) -> tuple[float, float]:
    bands = [(band.min().item(), band.max().item()) for band in _bands(planes)]
    low, high = min(low for low, _ in bands), max(high for _, high in bands)
    return float(low), float(high - low)


def _mean_and_deviation(planes: NDArray[Any]) -> tuple[float, float]:
    """Return mean and population standard deviation, in one pass over the planes.

    Bands are merged after Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances", 1979: never E[x^2] - E[x]^2, which cancels seven digits at 16 bit.
    The sums of integers are exact before the one division. So are those of a constant float32 over a band,
    24 bits and the logarithms of a thousand planes and of a band, so that its deviation is exactly zero.
    """
    count, total, mean, squares = 0, 0, 0.0, 0.0
    for band in _bands(planes):
        wide = np.int64 if np.issubdtype(band.dtype, np.integer) else np.float64
        added = band.sum(dtype=wide).item()
        of_band = added / band.size
        centred = np.subtract(band, of_band, dtype=np.float64)
        # Not `centred @ centred`: the threads of a BLAS spin beside the network's, for ten times as long.
        apart, both = of_band - mean, count + band.size
        squares += np.square(centred, centred).sum().item() + apart * apart * count * band.size / both
        mean += apart * band.size / both
        count, total = both, total + added
    return total / count, math.sqrt(squares / count)


def _bands(planes: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the projection (C, rows, W), some rows at a time."""
    _, channels, height, width = planes.shape
    rows = max(1, _BAND_PX // (channels * width))
    for top in range(0, height, rows):
        yield projection(planes[:, :, top : top + rows])

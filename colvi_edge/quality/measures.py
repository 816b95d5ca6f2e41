"""What a channel looks like, in numbers that gain, offset and bit depth do not change.

Nearly everything is measured on bins of 4 x 4 and 8 x 8 pixels of the projection. Sums over planes
and sums over bins may be taken in either order, so the planes are binned one by one and the
projection itself is never made.
"""

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

FINE_PX, COARSE_PX = 4, 8
SAMPLE = np.s_[..., ::7, ::9]
"""One pixel in 63, in odd steps, which meet every column of stripes and tiles of even width."""

DIRECTIONS = 32


@dataclass(frozen=True)
class ChannelStatistics:
    """A channel's projection in bins, parted into what stands out and the rest.

    Attributes:
        fine: (H div 4, W div 4), mean of 4 x 4 pixels, in counts of the projection.
        coarse: (H div 8, W div 8), mean of 8 x 8 pixels.
        threshold: what parts the coarse bins best (Otsu's), in counts.
        bright: as `fine`, bool: above it.
        contrast: median of the bright bins above the median of the others, in counts.
        unevenness: 10th to 90th percentile of the bins that are not bright, over the contrast: the
            dark between nuclei is even, between fibrils it is full of weaker fibrils. 1 for noise.
        grey_step: smallest difference of two pixel values, in counts.
    """

    fine: Floats
    coarse: Floats
    threshold: float
    bright: NDArray[np.bool_]
    contrast: float
    unevenness: float
    grey_step: float

    @property
    def area(self) -> float:
        """Share of the field that is bright, 0..1."""
        return float(self.bright.mean())


def channel_statistics(planes: NDArray[Any]) -> ChannelStatistics:
    """Return the statistics of one channel: (Z, H, W) of any dtype, H and W at least 16."""
    fine = binned(planes)
    coarse = halved(fine)
    threshold, contrast, unevenness = parted(coarse)
    return ChannelStatistics(
        fine, coarse, threshold, fine > threshold, contrast, unevenness, grey_step(planes)
    )


def parted(coarse: Floats) -> tuple[float, float, float]:
    """Part a channel into what is bright and the rest.

    Args:
        coarse: its bins of 8 x 8 pixels.

    Returns:
        The threshold, the contrast and the unevenness, as of `ChannelStatistics`.
    """
    # The brightest 0.5 % are clipped: a speck of dust or a dead cell must not set the threshold.
    (ceiling,) = quantiles(coarse, 0.995)
    threshold = _otsu(np.minimum(coarse, ceiling))
    above = coarse > threshold
    if not above.any() or above.all():
        return threshold, 0.0, 1.0
    low, middle, high = quantiles(coarse[~above], 0.1, 0.5, 0.9)
    contrast = quantiles(coarse[above], 0.5)[0] - middle
    return threshold, contrast, (high - low) / contrast


def relief(channel: ChannelStatistics) -> float:
    """Return how far nuclei stand out, in typical steps between neighbouring coarse bins, 0 and up.

    It is their contrast (1.4 where there is nothing but noise; what covers less than 0.5 % of the field
    counts for nothing), or the steepest step if that is less (4.6 in noise: the 0.998 quantile over the
    median of a normal distribution's magnitude; under a smooth gradient of light no more). A typical
    step is at least the rounding to grey levels.
    """
    steps = np.abs(channel.coarse[:, 1:] - channel.coarse[:, :-1])
    typical, steepest = quantiles(steps, 0.5, 0.998)
    rounding = 0.289 * 2**0.5 / COARSE_PX * channel.grey_step  # 0.289: deviation of a uniform distribution
    step = max(typical, rounding)
    return min(steepest, channel.contrast) / step if step > 0 else 0.0


def outshone(channel: ChannelStatistics) -> float:
    """Return the height of the brightest 0.2 % of the field over the contrast, 1 and up."""
    low, high = quantiles(channel.fine, 0.5, 0.998)
    return (high - low) / channel.contrast if channel.contrast > 0 else 1.0


def sharpness(channel: ChannelStatistics) -> float:
    """Return the steepest edge: rise per 4 pixels over the height of the brightest 1 % of the field, 0..1.

    On bins of 4 pixels photon noise is a quarter; an edge in focus rises within one or two of them, and
    blurred by a Gaussian of sigma s bins by at most 0.4 / s of the contrast. What is brighter than nuclei,
    a dead cell say, seldom covers 1 % of the field.
    """
    bins = channel.fine
    low, high = quantiles(bins, 0.5, 0.99)
    steps = [np.abs(bins[1:] - bins[:-1]), np.abs(bins[:, 1:] - bins[:, :-1])]
    steepest = max(quantiles(step, 0.999)[0] for step in steps)
    return steepest / (high - low) if high > low else 0.0


def noise_at_nuclei(planes: NDArray[Any], channel: ChannelStatistics) -> float:
    """Return the standard deviation of the projection's pixel noise on the bright bins, in counts.

    From the mixed difference of the four pixels in each bin's corner, which smooth structure leaves
    near 0: its variance is four times that of the noise.
    """
    y, x = FINE_PX * np.array(np.nonzero(channel.bright))
    corner = [planes[:, y + v, x + u].sum(axis=0, dtype=np.float64) for v in (0, 1) for u in (0, 1)]
    difference = corner[0] - corner[1] - corner[2] + corner[3]
    (typical,) = quantiles(np.abs(difference), 0.5)
    return typical / 0.6745 / 2  # 0.6745: median magnitude of the standard normal distribution


def chord_px(bright: NDArray[np.bool_]) -> float:
    """Return the mean length that rows and columns cut out of the bright blobs, in pixels."""
    starts = 0
    for mask in (bright, bright.T):
        starts += np.count_nonzero(mask[1:] > mask[:-1]) + np.count_nonzero(mask[0])
    return 2 * FINE_PX * np.count_nonzero(bright) / starts if starts else 0.0


def emptier_half(bright: NDArray[np.bool_]) -> float:
    """Return how much of the bright area the emptiest half of the field has, 0..0.5.

    Halves are cut through the centre, in 32 directions.
    """
    height, width = bright.shape
    y, x = np.divmod(np.flatnonzero(bright), width)
    turn = np.arctan2((y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5) / (2 * np.pi)
    sectors = np.bincount(((turn + 0.5) * DIRECTIONS).astype(np.intp) % DIRECTIONS, minlength=DIRECTIONS)
    halves = np.convolve(np.tile(sectors, 2)[:-1], np.ones(DIRECTIONS // 2), "valid")
    return float(halves.min()) / max(1, y.size)


def saturated_share(planes: NDArray[Any], of_interest: float = 0.0) -> float:
    """Return the share of pixels that pile up at the highest value, 0..1.

    The ceiling is read off the pile itself, not off the dtype: 12-bit detectors write 16-bit
    files, and a ready projection has a multiple of the detector's ceiling. A pile is more
    pixels at the maximum than in the whole twentieth of the range below it; the tail of any
    unsaturated image falls the other way. Below 64 counts a twentieth holds too few values to
    tell, and a constant channel is empty rather than full.

    Args:
        planes: (Z, H, W).
        of_interest: a share below this need not be told from 0; most images are then done
            after a sample.
    """
    sample = planes[SAMPLE]
    if np.count_nonzero(sample == sample.max()) < of_interest / 4 * sample.size:
        return 0.0
    top, bottom = planes.max(), float(planes.min())
    if top == bottom or (planes.dtype.kind in "iu" and top - bottom < 64):
        return 0.0
    at_top = np.count_nonzero(planes == top)
    near = bottom + 0.95 * (float(top) - bottom)
    # In the pixels' own dtype: a comparison with a Python float would convert every pixel.
    near_top = np.count_nonzero(planes >= planes.dtype.type(ceil(near) if top.dtype.kind in "iu" else near))
    near_top -= at_top
    return at_top / planes.size if at_top > near_top else 0.0


def binned(planes: NDArray[Any]) -> Floats:
    """Return the mean of 4 x 4 pixels, (Z, H, W) summed over planes; a rest at two edges is left out."""
    height, width = (length // FINE_PX for length in planes.shape[1:])
    whole = planes[:, : height * FINE_PX, : width * FINE_PX]
    # Sums of float32 may be beyond its range.
    wide = np.float32 if planes.dtype.kind in "iu" else np.float64
    # In one call: a buffer to add up into costs more in page faults than the sums themselves.
    rows = whole.reshape(-1, height, FINE_PX, width * FINE_PX).sum(axis=(0, 2), dtype=wide)
    # Summing over an axis of length 4 would take eight times as long.
    return (rows[:, 0::4] + rows[:, 1::4] + rows[:, 2::4] + rows[:, 3::4]) / FINE_PX**2


def halved(fine: Floats) -> Floats:
    """Return the mean of 2 x 2 bins; an odd row or column is left out."""
    height, width = (length // 2 * 2 for length in fine.shape)
    pairs = fine[0:height:2, :width] + fine[1:height:2, :width]
    return (pairs[:, 0::2] + pairs[:, 1::2]) / 4


def _otsu(values: Floats) -> float:
    """Return the threshold that leaves the least variance within the two classes."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return high
    steps = ((values - low) * (256 / (high - low))).astype(np.intp)
    # Not np.histogram: it refuses values that differ by no more than a rounding.
    counts = np.bincount(steps.ravel().clip(0, 255), minlength=256)
    below = np.cumsum(counts)[:-1]
    mass = np.cumsum(counts * np.arange(256))[:-1]
    above = values.size - below
    total = float(np.dot(counts, np.arange(256)))
    between = (total * below / values.size - mass) ** 2 / np.maximum(below * above, 1)
    return low + (1 + int(np.argmax(between))) * (high - low) / 256


def grey_step(planes: NDArray[Any]) -> float:
    """Return the smallest difference of two values of the projection (of (Z, H, W)), in counts."""
    wide = np.int64 if planes.dtype.kind in "iu" else np.float64
    values = planes[SAMPLE].sum(axis=0, dtype=wide).ravel()
    if wide is np.int64 and (span := int(np.ptp(values))) < 2**20:
        # Counting whole numbers takes a seventh of the time of sorting them.
        values = np.flatnonzero(np.bincount(values - values.min(), minlength=span + 1))
    else:
        values.sort()
    steps = np.diff(values)
    steps = steps[steps > 0]
    return float(steps.min()) if steps.size else 0.0


def quantiles(values: NDArray[Any], *shares: float) -> list[float]:
    """Return order statistics."""
    flat = values.ravel()
    return [_select(flat, min(int(share * flat.size), flat.size - 1)) for share in shares]


def _select(values: NDArray[Any], place: int) -> float:
    """Return what stands at a place, from 0, when the values (N,) are in order."""
    if values.size >= 2**13:
        # Only what a sample says is near is put in order: of 65,536 values a fifth of the time (AMD EPYC).
        sample = np.sort(values[:: values.size // 512])
        near = place * sample.size // values.size
        low, high = sample[max(near - 16, 0)], sample[min(near + 16, sample.size - 1)]
        candidates = values[(values >= low) & (values <= high)]
        among = place - np.count_nonzero(values < low)
        if 0 <= among < candidates.size:
            return float(np.partition(candidates, among)[among])
    return float(np.partition(values, place)[place])

"""Are two channels two recordings, or one that was saved twice?

Collagen that stays in the cells, and light of the nuclei that bleeds into the collagen's detector, look
like the nuclei, too, and are the disease. What tells them from a copy is noise: every recording counts
photons of its own, while a copy - scaled, offset, blurred, rounded again - adds nothing but a rounding.

Two steps. The first is for every image, on bins of 16 x 16 pixels: can one channel be put together from the
other and blurred forms of it? In cultures with a network of collagen it cannot, and that is all. Where it
can, the second looks at single pixels: does the channel hold noise that no filter of the other explains?
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.quality.measures import COARSE_PX, SAMPLE, Floats, binned, grey_step, halved

ALIKE = 0.8
"""Share of a channel's variance in bins that the other one explains: of 24 simulated nuclei channels, blurred
by 0.5 to 40 pixels, at least 0.92, by 60 at least 0.85; at most 0.54 in 506 simulated cultures of all
severities and difficulties. Above it the pixels decide."""

BLURS_BINS = (0.75, 2.5, 7.5)
"""Standard deviations of 12, 40 and 120 pixels; those between are mixtures of them."""

REACH_PX = 7
"""Of the filter; what a wider blur leaves of single pixels is less than a rounding."""

PLACES = 4096
"""Pixels that are asked, the brightest of the other channel, where its light would bring noise along."""

ROUNDINGS = 1.05
"""Noise over that of rounding: at most 0.98 in 8-bit copies, scaled, offset or blurred. Where light of
nuclei bleeds through to 8 bits, with the noise of four photons a count of the 16, at least 1.15; at 16
photons a count it is lost in the rounding, and called a copy."""

PURE = 1e-3
"""Noise over height; below it, more than a million photons a pixel would have been counted. At most
0.0006 in blurred copies of 16 bits, where what the filter leaves is more than a rounding."""

LEVELS = 6
"""Height of a channel, over its dark, at those places. In fewer grey levels rounding hides the noise of
photons (5 % of the nuclei's light in an 8-bit picture), and the channel is believed."""


def is_constant(planes: NDArray[Any]) -> bool:
    """Return whether every plane (Z, H, W) holds a single value, which no detector delivers."""
    sample = planes[SAMPLE].reshape(len(planes), -1)
    if (sample != sample[:, :1]).any():
        return False
    return bool((planes.max(axis=(1, 2)) == planes.min(axis=(1, 2))).all())


def shares_explained(first_coarse: Floats, second_coarse: Floats) -> tuple[float, float]:
    """Return how much of each channel's variance, 0..1, the other one explains; the first one's first.

    Args:
        first_coarse: bins of 8 x 8 pixels of the projection.
        second_coarse: of the same shape.
    """
    first, second = (halved(coarse).astype(np.float64) for coarse in (first_coarse, second_coarse))
    return explained(first, second), explained(second, first)


def copied(first: NDArray[Any], second: NDArray[Any], shares: tuple[float, float]) -> bool:
    """Return whether one of two channels is made from the other, down to rounding.

    Args:
        first: (Z, H, W), not constant; H and W at least 16.
        second: of the same shape and dtype, not constant either.
        shares: of `shares_explained`.
    """
    if np.array_equal(first[SAMPLE], second[SAMPLE]) and np.array_equal(first, second):
        return True
    return (shares[0] > ALIKE and not has_noise_of_its_own(first, second)) or (
        shares[1] > ALIKE and not has_noise_of_its_own(second, first)
    )


def explained(bins: Floats, other: Floats) -> float:
    """Return the share of the bins' variance, 0..1, that the other channel and its blurs explain."""
    wanted, plain = (_standardised(values) for values in (bins, other))
    if wanted is None or plain is None:
        return 0.0
    columns = [plain.ravel()]
    for blur in BLURS_BINS:
        down, across = (_blur(length, blur) for length in plain.shape)
        columns.append((down @ plain @ across.T).ravel())
    basis = np.stack(columns)
    basis -= basis.mean(axis=1, keepdims=True)
    # By the normal equations: 4 x 4 numbers, and a tenth of the time of a decomposition.
    fit, *_ = np.linalg.lstsq(basis @ basis.T, basis @ wanted.ravel(), rcond=1e-12)
    rest = wanted.ravel() - fit @ basis
    return 1 - float(np.mean(rest**2))


def has_noise_of_its_own(planes: NDArray[Any], other: NDArray[Any]) -> bool:
    """Return whether the pixels of a channel hold what no symmetric filter of the other one gives.

    Asked of the mixed difference of four neighbours, which noise passes and smooth structure does not.
    Pixels at either end of a channel's range are left out: clipped, they follow from nothing.
    """
    image, source = (channel.sum(axis=0, dtype=np.float64) for channel in (planes, other))
    y, x = _places(source, np.minimum(_inside(image), _inside(source)))
    if y.size < 4 * (REACH_PX + 1) ** 2:
        return True  # too few to tell: the benefit of the doubt
    step = grey_step(planes)
    height = float(np.median(image[y, x]) - np.quantile(image[SAMPLE], 0.01))
    if abs(height) < LEVELS * step:
        return True
    wanted, rough = _mixed_difference(image)[y, x], _mixed_difference(source)
    rings = [_ring(v, u) for v in range(REACH_PX + 1) for u in range(v + 1)]
    basis = np.stack([sum(rough[y + v, x + u] for v, u in ring) for ring in rings], axis=1)
    fit, *_ = np.linalg.lstsq(basis, wanted, rcond=None)
    rest = np.abs(wanted - basis @ fit)
    # Not the median: of 8-bit copies the rest is a few whole numbers. What is clipped or a dead pixel goes.
    noise = float(np.sqrt(np.mean(rest[rest <= np.quantile(rest, 0.99)] ** 2))) / 2
    gain2 = sum(len(ring) * weight**2 for ring, weight in zip(rings, fit, strict=True))
    # Where both were rounded from one picture, their errors may go together: they add up at most.
    rounding = 0.289 * (step + gain2**0.5 * grey_step(other))  # 0.289: see `relief`
    return noise > max(ROUNDINGS * rounding, PURE * abs(height))


def _ring(v: int, u: int) -> set[tuple[int, int]]:
    """Return the one, four or eight places that a filter which knows no direction weighs like (v, u)."""
    return {(s * a, t * b) for a, b in ((v, u), (u, v)) for s in (-1, 1) for t in (-1, 1)}


def _standardised(values: Floats) -> Floats | None:
    """Return the values with mean 0 and variance 1; None if they are all alike."""
    if values.size == 0 or (deviation := float(values.std())) == 0:
        return None
    return (values - values.mean()) / deviation


def _places(source: Floats, usable: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where to ask: usable pixels far from the edge, the brightest of the source."""
    inner = np.zeros_like(usable)
    inner[REACH_PX : -REACH_PX - 1, REACH_PX : -REACH_PX - 1] = True
    candidates = np.flatnonzero(usable & inner)
    if candidates.size > PLACES:
        # By bins, or the brightest pixels would be those whose noise is highest.
        bright = halved(binned(source[np.newaxis])).repeat(COARSE_PX, axis=0).repeat(COARSE_PX, axis=1)
        level = np.full(source.shape, -np.inf)
        level[: bright.shape[0], : bright.shape[1]] = bright
        order = np.argsort(level.ravel()[candidates], kind="stable")[::-1]
        brightest = candidates[order[: max(PLACES, candidates.size // 10)]]
        candidates = brightest[:: max(1, brightest.size // PLACES)]
    return np.divmod(candidates, source.shape[1])


def _inside(image: Floats) -> NDArray[np.bool_]:
    """Return where all four neighbours of the mixed difference are inside the range of the values."""
    inside = (image > image.min()) & (image < image.max())
    inside[:-1] &= inside[1:]
    inside[:, :-1] &= inside[:, 1:]
    return inside


def _mixed_difference(image: Floats) -> Floats:
    """Return (H, W), the last row and column 0: noise of deviation s becomes 2 s."""
    difference = np.zeros_like(image)
    difference[:-1, :-1] = image[:-1, :-1] - image[:-1, 1:] - image[1:, :-1] + image[1:, 1:]
    return difference


@lru_cache(maxsize=16)
def _blur(length: int, deviation: float) -> Floats:
    """Return the (length, length) matrix that blurs; what lies beyond the edge is left out."""
    distance = np.subtract.outer(np.arange(length), np.arange(length))
    weights = np.exp(-0.5 * (distance / deviation) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)

"""Is this an image that can be judged at all? Flags, each with value, limit and words.

A rule must never turn away the sick: little, broken or no collagen *is* the disease. So focus and
emptiness are judged on the nuclei, which both classes have alike; the collagen is asked only
whether its detector was saturated.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition.model import Acquisition
from colvi_edge.bundle import Expected
from colvi_edge.patches import project

Severity = Literal["warn", "reject"]

SATURATED_WARN, SATURATED_REJECT = 0.01, 0.25
"""Share of a channel's pixels at its ceiling."""

CELLS_AT_LEAST = 12.0
"""Brightest nuclei above their surroundings, in noise units: 12 simulated cultures have 536 to 764, noise
alone 3, noise under a steep ramp of light 8."""

FOCUS_WARN, FOCUS_REJECT = 0.22, 0.15
"""Steepest nuclear edge per 4 pixels: 12 simulated cultures have 0.39 to 0.46 in focus, and in the
median 0.24, 0.18, 0.14 behind a Gaussian blur of 6, 10, 16 pixels."""

PIXEL_SIZE_FACTOR = 1.25
"""A pixel size off by more than this factor shows the network another magnification."""


class Flag(NamedTuple):
    """One finding; value and limit are None where nothing could be measured."""

    name: str
    severity: Severity
    value: float | None
    limit: float | None
    words: str


def assess(acquisition: Acquisition, expected: Expected) -> list[Flag]:
    """Return what is wrong with an image, worst first; an empty list is a good image.

    Args:
        acquisition: with a collagen and a nuclei channel.
        expected: what the bundle's training images were like.
    """
    nuclei = project(acquisition.planes[:, [acquisition.channels.index("nuclei")]])[0]
    found = [
        *_saturated(acquisition),
        *_cells_and_focus(nuclei.astype(np.float32)),
        *_pixel_size(acquisition.pixel_size_um, expected.pixel_size_um),
        *_planes(acquisition),
        *_channels(acquisition),
    ]
    return sorted(found, key=lambda flag: flag.severity != "reject")


def _saturated(acquisition: Acquisition) -> list[Flag]:
    flags = []
    for role in ("collagen", "nuclei"):
        share = saturated_share(acquisition.planes[:, acquisition.channels.index(role)])
        if share < SATURATED_WARN:
            continue
        severity, limit = _graded(share >= SATURATED_REJECT, SATURATED_WARN, SATURATED_REJECT)
        words = f"{share:.1%} of the {role} pixels are saturated: lower the gain or the laser power."
        flags.append(Flag(f"saturated_{role}", severity, share, limit, words))
    return flags


def saturated_share(pixels: NDArray[Any]) -> float:
    """Return the share of pixels that pile up at the highest value, 0..1.

    The ceiling is read off the pile itself, not off the dtype: 12-bit detectors write 16-bit
    files, and a ready projection has a multiple of the detector's ceiling. A pile is more
    pixels at the maximum than in the whole tenth of the range below it; the tail of any
    unsaturated image falls the other way. Below 64 counts a "tenth" holds too few values to
    tell, and a constant channel is empty rather than full.
    """
    top, bottom = pixels.max(), pixels.min()
    if top == bottom or (np.issubdtype(pixels.dtype, np.integer) and top < 64):
        return 0.0
    at_top = int(np.count_nonzero(pixels == top))
    near_top = int(np.count_nonzero(pixels >= 0.9 * float(top))) - at_top
    return at_top / pixels.size if at_top > near_top else 0.0


def _cells_and_focus(nuclei: NDArray[np.float32]) -> list[Flag]:
    cells = cell_contrast(nuclei)
    if cells < CELLS_AT_LEAST:
        words = (
            "No cells: the nuclei channel holds nothing above its noise; check the stain, the field, and "
            "with --channels which channel is which."
        )
        return [Flag("no_cells", "reject", cells, CELLS_AT_LEAST, words)]
    focus = focus_sharpness(nuclei)
    if focus >= FOCUS_WARN:
        return []
    severity, limit = _graded(focus < FOCUS_REJECT, FOCUS_WARN, FOCUS_REJECT)
    words = "Out of focus: no nucleus has a sharp edge; refocus and acquire again."
    return [Flag("out_of_focus", severity, focus, limit, words)]


def _graded(reject: bool, warn_limit: float, reject_limit: float) -> tuple[Severity, float]:
    return ("reject", reject_limit) if reject else ("warn", warn_limit)


def cell_contrast(nuclei: NDArray[np.float32]) -> float:
    """Return how far the brightest nuclei stand out of their surroundings, in noise units, 0 and up.

    On 8 x 8 bins: the 99.5th percentile above the mean of the surrounding 33 x 33 bins (so uneven
    illumination does not count), over the noise, which neighbouring bins' differences tell.
    """
    binned = _binned(nuclei, 8)
    rise = binned - _box_mean(binned, 16)
    noise = float(np.median(np.abs(np.diff(binned, axis=1)))) / (0.6745 * np.sqrt(2))
    height = float(np.quantile(rise, 0.995))
    if height <= 0:
        return 0.0
    return height / noise if noise > 0 else np.inf


def focus_sharpness(nuclei: NDArray[np.float32]) -> float:
    """Return the steepest nuclear edge: rise per 4 pixels over the nuclear contrast, 0..1.

    On 4 x 4 bins, where photon noise is a quarter: an edge in focus rises within one or two bins;
    blurred by a Gaussian of sigma s bins it rises by at most 0.4 / s of the contrast.
    """
    binned = _binned(nuclei, 4)
    low, high = np.quantile(binned, (0.5, 0.998))
    step_y, step_x = np.abs(np.diff(binned, axis=0)), np.abs(np.diff(binned, axis=1))
    steepest = max(float(np.quantile(step_y, 0.999)), float(np.quantile(step_x, 0.999)))
    return steepest / float(high - low) if high > low else 0.0


def _pixel_size(found_um: float | None, expected_um: float | None) -> list[Flag]:
    if expected_um is None:
        return []
    if found_um is None:
        words = f"The file states no pixel size; the network was trained at {expected_um:g} um."
        return [Flag("pixel_size_unknown", "warn", None, expected_um, words)]
    if 1 / PIXEL_SIZE_FACTOR <= found_um / expected_um <= PIXEL_SIZE_FACTOR:
        return []
    words = (
        f"Pixel size {found_um:g} um, the network was trained at {expected_um:g} um: structures come out "
        f"{expected_um / found_um:.2g} times their usual size."
    )
    return [Flag("pixel_size_off", "warn", found_um, expected_um, words)]


def _planes(acquisition: Acquisition) -> list[Flag]:
    found, planned = acquisition.planes.shape[0], acquisition.planes_planned
    if planned is None or not 1 < found < planned:  # one plane is a ready projection
        return []
    words = f"{found} planes of the {planned} that were to be acquired: the projection is darker than usual."
    return [Flag("planes_missing", "warn", found, planned, words)]


def _channels(acquisition: Acquisition) -> list[Flag]:
    if not acquisition.channels_assumed:
        return []
    # Measured on simulated cultures: swapped, every patient is still called one, with full confidence.
    words = (
        "The file names no channels: taken as nuclei, collagen; if they lie the other way round, say so "
        "with --channels."
    )
    return [Flag("channels_assumed", "warn", None, None, words)]


def _binned(image: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    height, width = (length // factor * factor for length in image.shape)
    blocks = image[:height, :width].reshape(height // factor, factor, width // factor, factor)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def _box_mean(image: NDArray[np.float32], reach: int) -> NDArray[np.float64]:
    """Mean over (2 reach + 1)^2 pixels, fewer at the border."""
    total, count = image.astype(np.float64), np.ones(image.shape)
    for axis in (0, 1):
        total, count = _box_sum(total, reach, axis), _box_sum(count, reach, axis)
    return total / count


def _box_sum(values: NDArray[np.float64], reach: int, axis: int) -> NDArray[np.float64]:
    length = values.shape[axis]
    pad = [(1, 0) if a == axis else (0, 0) for a in (0, 1)]
    cumulated = np.pad(values, pad).cumsum(axis=axis)
    end = np.minimum(np.arange(length) + reach + 1, length)
    start = np.maximum(np.arange(length) - reach, 0)
    return cumulated.take(end, axis) - cumulated.take(start, axis)

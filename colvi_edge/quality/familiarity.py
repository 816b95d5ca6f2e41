"""Is an image like those that the network learnt from?

Nothing here knows what a culture looks like: a bundle carries how its own training images measured
(`export/converting/familiarity.py` makes the limits), and an image far from all of them is no image of the
assay, or one that was taken in another way. The network would call it something all the same.

The nuclei, which controls and patients have alike, are measured in four numbers, each with two limits. The
collagen is what the disease changes, so one question is asked of it, and it is put carefully: is there an
image among those of the training - as it was, or as the disease could have left it: dim, drowned in noise,
kept in the cells - whose collagen has the same structure? It is not asked at all where the nuclei explain
nearly all of the collagen, which then lies in the cells, as the most severe disease leaves it, and with a
wider limit where a part of the field is bare.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle
from colvi_edge.bundle.expected import FamiliarityLimits, MeasureName
from colvi_edge.errors import BundleError
from colvi_edge.printable import printable_name
from colvi_edge.quality.copies import ALIKE
from colvi_edge.quality.measures import (
    FINE_PX,
    ChannelStatistics,
    Floats,
    chord_px,
    emptier_half,
    halved,
    parted,
    quantiles,
)

OCTAVES = 6
"""Details of 4 to 8 pixels, of 8 to 16, ... of 128 to 256; the last are the illumination's: left out."""

SKEWED = (1, 2, 3)
"""Halvings after which the skewness of the collagen is taken: on bins of 8, 16 and 32 pixels."""

STRUCTURE = OCTAVES - 1 + len(SKEWED) + 2
"""Numbers that describe the collagen of an image."""

FLOOR = 0.003
"""Share of the variance in an octave, below which it tells nothing; 0.06 and more in simulated cultures."""

LOGARITHMIC: frozenset[MeasureName] = frozenset({"nuclei_background", "nuclei_size", "straight_lines"})
"""Measures of which the ratio counts."""

COVERED = 0.36
"""Share of the nuclei in the emptier half of the field: 0.38 in half of the good images. Where it is less,
cells may have let go of a part, as the disease may make them, and bare glass has a structure of its own."""

BARE = 0.19
"""The same share, below which a part of the field is bare: no good image has less."""

_SOFTENED = 1e-4
"""Keeps the logarithm of an even background finite."""

_TINY = float(np.finfo(np.float64).tiny)
_MOST_LOGARITHM = 700.0
"""Whose number float64 still holds: a tiny image may have limits as wide as that."""

_LEAST_VARIANCE = 1e-12
"""Of what all training images have alike; the least of the demo's is above 1e-3."""


class Measured(NamedTuple):
    """An image in numbers that gain, offset, bit depth and the number of planes do not change.

    Attributes:
        nuclei: of the four measures of the nuclei channel.
        structure: (STRUCTURE,) float64, of the collagen; None where it lies in the cells.
        emptier_half: share of the nuclei there, 0..0.5.
        pixels: of the image, H x W.
    """

    nuclei: dict[MeasureName, float]
    structure: NDArray[np.float64] | None
    emptier_half: float
    pixels: int


class Measure(NamedTuple):
    """One measure of an image beside its limits, which are those of an image of its size.

    Attributes:
        name: see `WORDS`.
        value: in the measure's own unit, as are the others.
        low, high: what lies outside is unfamiliar.
        typical: of the training images.
    """

    name: MeasureName
    value: float
    low: float
    typical: float
    high: float

    @property
    def is_familiar(self) -> bool:
        """Whether the value lies within its limits."""
        return self.low <= self.value <= self.high


class Words(NamedTuple):
    """What a measure is, and what is the matter with an image outside its limits."""

    what: str
    too_low: str
    too_high: str


WORDS: Mapping[MeasureName, Words] = {
    "nuclei_background": Words(
        "unevenness of the dark between the nuclei, in their brightness",
        "the dark between the nuclei is too even",
        "between the nuclei it is not evenly dark",
    ),
    "nuclei_size": Words(
        "mean chord of the nuclei, in pixels",
        "the nuclei, or what passes for them, are smaller",
        "the nuclei, or what passes for them, are larger",
    ),
    "nuclei_speckle": Words(
        "quartiles' distance of the brightness in and among the nuclei, in their brightness",
        "what passes for nuclei is too evenly bright",
        "what passes for nuclei is too unevenly bright",
    ),
    "straight_lines": Words(
        "strongest edge along one whole row or column, in that of the upper quarter of them",
        "rows and columns differ too little",
        "straight lines run along rows or columns, as of frames, panels, text or tiles",
    ),
    "collagen_structure": Words(
        "distance of the collagen's structure from the nearest training image, in standard deviations",
        "",
        "what the collagen channel shows is structured otherwise",
    ),
}


def measure(nuclei: ChannelStatistics, collagen_fine: Floats, share_in_cells: float) -> Measured:
    """Measure an image.

    Args:
        nuclei: of its nuclei channel.
        collagen_fine: bins of 4 x 4 pixels of its collagen channel, of the shape of `nuclei.fine`.
        share_in_cells: of the collagen's variance, 0..1, what the nuclei explain (`copies.explained`).
    """
    return Measured(
        {
            "nuclei_background": nuclei.unevenness,
            "nuclei_size": chord_px(nuclei.bright),
            "nuclei_speckle": speckle(nuclei),
            "straight_lines": straight_lines(nuclei),
        },
        structure(nuclei.coarse, collagen_fine) if share_in_cells <= ALIKE else None,
        emptier_half(nuclei.bright),
        nuclei.fine.size * FINE_PX**2,
    )


def speckle(nuclei: ChannelStatistics) -> float:
    """Return the distance of the bright bins' quartiles, which no dead cell reaches, over the contrast."""
    bright = nuclei.fine[nuclei.bright]
    if not bright.size or nuclei.contrast <= 0:
        return 0.0
    lower, upper = quantiles(bright, 0.25, 0.75)
    return (upper - lower) / nuclei.contrast


def straight_lines(nuclei: ChannelStatistics) -> float:
    """Return the largest mean step from one row or column of bins to the next, over their upper quartile.

    The upper one, because half of a field may be bare. What is brighter than a nucleus counts as one.
    """
    level = np.minimum(nuclei.fine, nuclei.threshold + nuclei.contrast / 2)
    longest = 1.0
    for steps in (
        np.abs(level[1:] - level[:-1]).mean(axis=1),
        np.abs(level[:, 1:] - level[:, :-1]).mean(axis=0),
    ):
        if (usual := quantiles(steps, 0.75)[0]) > 0:
            longest = max(longest, float(steps.max()) / usual)
    return longest


def structure(nuclei_coarse: Floats, collagen_fine: Floats) -> NDArray[np.float64]:
    """Return (STRUCTURE,) float64: how the collagen is spread over scales, and what it has of the nuclei.

    The logarithms of the octaves' shares of the variance, the skewness on three scales, the logarithm of
    the unevenness of what is not bright, the correlation with the nuclei.
    """
    levels = [collagen_fine - collagen_fine.mean()]
    while len(levels) <= OCTAVES and min(levels[-1].shape) > 1:
        levels.append(halved(levels[-1]))
    power = np.zeros(OCTAVES + 1)  # a small image lacks the coarsest octaves
    power[: len(levels)] = [np.mean(level * level) for level in levels]
    octaves = -np.diff(power) / max(power[0] - power[OCTAVES], _TINY)
    # Two products: NumPy's power of 3 took 176 times as long.
    thirds = [float(np.mean(level * level * level)) for level in levels]
    skewness = [thirds[k] / max(power[k] ** 1.5, _TINY) if k < len(levels) else 0.0 for k in SKEWED]
    _, _, unevenness = parted(levels[1])
    nuclei = nuclei_coarse - nuclei_coarse.mean()
    both = np.mean(nuclei * nuclei) * power[1]
    alike = np.mean(nuclei * levels[1]) / both**0.5 if both > 0 else 0.0
    shares = np.log(np.maximum(octaves[:-1], FLOOR))
    return np.array([*shares, *skewness, np.log(max(unevenness, FLOOR)), alike], np.float64)


def whitening(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (STRUCTURE, STRUCTURE): it makes differences of one standard deviation in all directions.

    Args:
        images: (N, STRUCTURE), of training images. The fewer, the less their covariances are believed.
    """
    n, k = images.shape
    covariance = np.cov(images.T) if n > 1 else np.eye(k)
    spread = np.maximum(np.diag(covariance), _LEAST_VARIANCE)
    believed = n / (n + k)
    covariance = believed * covariance + np.diag((1 - believed) * spread)
    return np.linalg.cholesky(np.linalg.inv(covariance))


def distances(
    of: NDArray[np.float64], to: NDArray[np.float64], whitened_by: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (N, M): root mean square of the whitened difference, of (N, STRUCTURE) to (M, STRUCTURE)."""
    difference = (of @ whitened_by)[:, np.newaxis] - to @ whitened_by
    return np.sqrt(np.mean(difference**2, axis=2))


@dataclass(frozen=True)
class Familiar:
    """What a bundle knows of its training images.

    Attributes:
        limits: of each measure.
        pixels: of a typical training image; in a smaller one all measures vary more.
        references: (M, STRUCTURE), the training images and what the disease could have made of them.
        whitened_by: of `whitening`.
    """

    limits: Mapping[MeasureName, FamiliarityLimits]
    pixels: int
    references: NDArray[np.float64]
    whitened_by: NDArray[np.float64]

    @classmethod
    def of(cls, bundle: Bundle) -> "Familiar | None":
        """Return what a bundle carries; None if it was exported without it.

        Raises:
            BundleError: it is not what an export writes.
        """
        carried, references = bundle.config.familiarity, bundle.references()
        if carried is None or references is None:
            return None
        wide = references.astype(np.float64)
        with np.errstate(all="ignore"):
            try:
                whitened_by = whitening(wide[: carried.images])
            except np.linalg.LinAlgError:
                whitened_by = np.full((STRUCTURE, STRUCTURE), np.nan)
        if not np.isfinite(whitened_by).all():
            file = printable_name(str(bundle.path / carried.references))
            raise BundleError(
                f"{file} holds images without a spread; export the model again with its training images"
            )
        return cls(carried.limits, carried.pixels, wide, whitened_by)

    def compare(self, measured: Measured) -> list[Measure]:
        """Return every measure that could be taken, with its limits for an image of this size."""
        # The standard deviation of a mean goes with the root of how much there is to measure: half of it
        # where cells are left in one half of the field only.
        covered = (1 + min(1.0, measured.emptier_half / BARE)) / 2
        wider = max(1.0, (self.pixels / (measured.pixels * covered)) ** 0.5)
        measures = [
            _compared(name, value, self.limits[name], wider) for name, value in measured.nuclei.items()
        ]
        if measured.structure is not None:
            nearest = distances(measured.structure[np.newaxis], self.references, self.whitened_by).min()
            wider *= max(1.0, COVERED / max(measured.emptier_half, COVERED / 10))
            name: MeasureName = "collagen_structure"
            measures.append(_compared(name, float(nearest), self.limits[name], wider))
        return measures


def _compared(name: MeasureName, value: float, limits: FamiliarityLimits, wider: float) -> Measure:
    low, typical, high = (to_scale(name, limit) for limit in (limits.low, limits.typical, limits.high))
    ends = (typical - wider * (typical - low), typical + wider * (high - typical))
    low, high = (float(f"{from_scale(name, end):.5g}") for end in ends)
    return Measure(name, value, low, limits.typical, high)


def to_scale(name: MeasureName, value: float) -> float:
    """Return a measure on the scale on which its spread is even: the logarithm, of some."""
    return float(np.log(max(value + _SOFTENED, _TINY))) if name in LOGARITHMIC else value


def from_scale(name: MeasureName, value: float) -> float:
    """Return what `to_scale` was given."""
    return float(np.exp(min(value, _MOST_LOGARITHM))) - _SOFTENED if name in LOGARITHMIC else value


def unfamiliar(measures: Iterable[Measure]) -> list[Measure]:
    """Return what lies outside its limits, the farthest first."""
    return sorted((one for one in measures if not one.is_familiar), key=remoteness, reverse=True)


def remoteness(measure: Measure) -> float:
    """Return how far a measure is from the typical, in that of the limit on its side: above 1 unfamiliar."""
    value, low, typical, high = (to_scale(measure.name, part) for part in measure[1:])
    limit = high if value > typical else low
    return abs(value - typical) / max(abs(limit - typical), _TINY)

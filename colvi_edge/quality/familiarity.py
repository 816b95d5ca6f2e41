"""Is an image like those that the network learnt from?

Nothing here knows what a culture looks like: a bundle carries how its own training images measured
(`export/familiarity.py` makes the limits), and an image far from all of them is no image of the assay, or
one that was taken in another way. The network would call it something all the same.

The nuclei, which controls and patients have alike, are measured in five numbers, each with two limits. The
collagen is what the disease changes, so one question is asked of it, and it is put carefully: is there an
image among those of the training - as it was, or as the disease could have left it: dim, drowned in noise,
kept in the cells - whose collagen has the same structure? Collagen of which the nuclei explain nearly all
lies in the cells, as the most severe disease leaves it, and is not asked at all.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, FamiliarityLimits, MeasureName
from colvi_edge.errors import BundleError
from colvi_edge.quality.copies import ALIKE
from colvi_edge.quality.measures import FINE_PX, Floats, Look, chord_px, halved, parted, sharpness

OCTAVES = 6
"""Details of 4 to 8 pixels, of 8 to 16, ... of 128 to 256; the last are the illumination's: left out."""

SKEWED = (1, 2, 3)
"""Halvings after which the skewness of the collagen is taken: on bins of 8, 16 and 32 pixels."""

STRUCTURE = OCTAVES - 1 + len(SKEWED) + 2
"""Numbers that describe the collagen of an image."""

FLOOR = 0.003
"""Share of the variance in an octave, below which it is noise's: 0.007 and more in simulated collagen."""

LOGARITHMIC: frozenset[MeasureName] = frozenset({"nuclei_background", "nuclei_size", "straight_lines"})
"""Measures of which the ratio counts."""

_SOFTENED = 1e-4
"""Keeps the logarithm of an even background finite."""

_TINY = float(np.finfo(np.float64).tiny)


class Measured(NamedTuple):
    """An image in numbers that gain, offset, bit depth and the number of planes do not change.

    Attributes:
        nuclei: of the five measures of the nuclei channel.
        structure: (STRUCTURE,) float64, of the collagen; None where it lies in the cells.
        pixels: of the image, H x W.
    """

    nuclei: dict[MeasureName, float]
    structure: NDArray[np.float64] | None
    pixels: int


class Measure(NamedTuple):
    """One measure of an image beside its limits, which are those of an image of its size.

    Attributes:
        name: see `WORDS`.
        value, low, high: all in the measure's own unit; what lies outside is unfamiliar.
    """

    name: MeasureName
    value: float
    low: float
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
    "nuclei_edges": Words(
        "steepest rise of the nuclei's edges over 4 pixels, in their brightness",
        "the nuclei have softer edges",
        "what passes for nuclei has harder edges",
    ),
    "nuclei_size": Words(
        "mean chord of the nuclei, in pixels",
        "the nuclei, or what passes for them, are smaller",
        "the nuclei, or what passes for them, are larger",
    ),
    "nuclei_speckle": Words(
        "variation of brightness in and among the nuclei, in their brightness",
        "what passes for nuclei is too evenly bright",
        "what passes for nuclei is too unevenly bright",
    ),
    "straight_lines": Words(
        "strongest edge along one whole row or column, in that of the typical one",
        "rows and columns differ too little",
        "straight lines run along rows or columns, as of frames, panels, text or tiles",
    ),
    "collagen_structure": Words(
        "distance of the collagen's structure from the nearest training image, in standard deviations",
        "",
        "what the collagen channel shows is structured otherwise",
    ),
}


def measure(nuclei: Look, collagen_fine: Floats, share_in_cells: float) -> Measured:
    """Measure an image.

    Args:
        nuclei: of its nuclei channel.
        collagen_fine: bins of 4 x 4 pixels of its collagen channel, of the shape of `nuclei.fine`.
        share_in_cells: of the collagen's variance, 0..1, what the nuclei explain (`copies.explained`).
    """
    bright = nuclei.fine[nuclei.bright]
    speckle = float(bright.std()) / nuclei.contrast if bright.size and nuclei.contrast > 0 else 0.0
    return Measured(
        {
            "nuclei_background": nuclei.unevenness,
            "nuclei_edges": sharpness(nuclei),
            "nuclei_size": chord_px(nuclei.bright),
            "nuclei_speckle": speckle,
            "straight_lines": straight_lines(nuclei.fine),
        },
        None if share_in_cells > ALIKE else structure(nuclei.coarse, collagen_fine),
        nuclei.fine.size * FINE_PX**2,
    )


def straight_lines(fine: Floats) -> float:
    """Return the largest mean step from one row or column of bins to the next, over the median of them."""
    longest = 1.0
    for steps in (np.abs(fine[1:] - fine[:-1]).mean(axis=1), np.abs(fine[:, 1:] - fine[:, :-1]).mean(axis=0)):
        if (typical := float(np.median(steps))) > 0:
            longest = max(longest, float(steps.max()) / typical)
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
    skewness = [
        np.mean(levels[k] ** 3) / max(power[k], _TINY) ** 1.5 if power[k] > 0 else 0.0 for k in SKEWED
    ]
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
    spread = np.maximum(np.diag(covariance), _TINY)
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
        carried = bundle.config.familiarity
        if carried is None:
            return None
        try:
            references = np.load(io.BytesIO(bundle.read(carried.references)), allow_pickle=False)
        except ValueError as error:
            raise BundleError(f"{bundle.path / carried.references} is no .npy; export again") from error
        if (
            references.ndim != 2
            or references.shape[1] != STRUCTURE
            or references.dtype != np.float32
            or len(references) < carried.images
            or not np.isfinite(references).all()
        ):
            raise BundleError(
                f"{bundle.path / carried.references} holds {references.dtype} {references.shape}; expected "
                f"finite float32 (at least {carried.images}, {STRUCTURE}); export again"
            )
        wide = references.astype(np.float64)
        return cls(carried.limits, carried.pixels, wide, whitening(wide[: carried.images]))

    def compare(self, measured: Measured) -> list[Measure]:
        """Return every measure that could be taken, with its limits for an image of this size."""
        # The standard deviation of a mean goes with the root of how much there is to measure.
        wider = max(1.0, (self.pixels / measured.pixels) ** 0.5)
        values: dict[MeasureName, float] = dict(measured.nuclei)
        if measured.structure is not None:
            nearest = distances(measured.structure[np.newaxis], self.references, self.whitened_by).min()
            values["collagen_structure"] = float(nearest)
        return [
            Measure(name, value, *_widened(name, self.limits[name], wider)) for name, value in values.items()
        ]


def _widened(name: MeasureName, limits: FamiliarityLimits, factor: float) -> tuple[float, float]:
    low, typical, high = (to_scale(name, value) for value in (limits.low, limits.typical, limits.high))
    return (
        from_scale(name, typical - factor * (typical - low)),
        from_scale(name, typical + factor * (high - typical)),
    )


def to_scale(name: MeasureName, value: float) -> float:
    """Return a measure on the scale on which its spread is even: the logarithm, of some."""
    return float(np.log(value + _SOFTENED)) if name in LOGARITHMIC else value


def from_scale(name: MeasureName, value: float) -> float:
    """Return what `to_scale` was given."""
    return float(np.exp(value)) - _SOFTENED if name in LOGARITHMIC else value


def unfamiliar(measures: Iterable[Measure]) -> Iterator[Measure]:
    """Yield what lies outside its limits, the farthest first."""
    outside = [measure for measure in measures if not measure.is_familiar]
    return iter(sorted(outside, key=_excess, reverse=True))


def _excess(measure: Measure) -> float:
    """Return by how many half widths of its limits a measure lies beyond the nearer one."""
    value, low, high = (to_scale(measure.name, part) for part in measure[1:])
    half_width = max((high - low) / 2, _TINY)
    return max(low - value, value - high) / half_width

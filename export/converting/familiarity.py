"""What the training images measure, and how far from them an image may lie: limits for a bundle.

A limit is a tolerance limit: with 95 % confidence, 99.9 % of images such as the training's lie within it, if
their tail is a normal one [NIST/SEMATECH e-Handbook of Statistical Methods, 7.2.6.3]; of sizes and ratios,
the logarithm is taken first. The fewer images, the wider. Then it is stretched, because other days, other
cultures and other operators are not among the training images. How many of these the limits would have
turned away that were made without them is counted and stated.

Collagen is what the disease changes. To the structures of the training images come those that the disease
could have made of some of them: less light against the noise, down to none; light that stays in and around
the nuclei; both.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import nct, norm

from colvi_edge.bundle.expected import Familiarity, FamiliarityLimits, MeasureName
from colvi_edge.export.data.division import evenly_spread
from colvi_edge.quality.copies import is_constant, shares_explained
from colvi_edge.quality.familiarity import (
    Familiar,
    Measured,
    distances,
    from_scale,
    measure,
    structure,
    to_scale,
    unfamiliar,
    whitening,
)
from colvi_edge.quality.measures import Floats, binned, channel_statistics, halved

REFERENCES = "familiarity.npy"

COVERAGE, CONFIDENCE = 0.999, 0.95

STRETCHED = 2.0
"""Of the nuclei's measures. With both stretched, of 1,000 simulated cultures of all difficulties, severities
and forms the farthest reached 0.91 of a limit, other nuclei 2.4 and more (benchmarks/familiarity.py)."""

STRETCHED_STRUCTURE = 1.4
"""Of the distance of the collagen's structure, which alone tells other stains around the same nuclei: 40
drawings of mitochondria, lysosomes, stress fibres and reticulum lie at 1.01 to 4.2 limits, Golgi, membranes
and foci at 6.7 and more; of 10 with microtubules, which are fibres, too, 6 are not told from collagen."""

DISEASED = 64
"""Images, evenly spread, of which forms are made that the disease could have left: 19 of each."""

ENOUGH = 100
"""Images, below which an export says that its limits are wide."""

AT_LEAST = 4
"""With fewer images nothing is known about their spread."""

PARTS = 5
"""Of the cross-validation."""


class Sample(NamedTuple):
    """A training image, measured.

    Attributes:
        measured: as it is.
        forms: (F, 10), its collagen's structure as the disease could have left it.
    """

    measured: Measured
    forms: NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """Limits for a bundle, and what the file that they name holds: (M, 10) float32."""

    familiarity: Familiarity
    references: NDArray[np.float32]

    def as_plain(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it: words and numbers."""
        return {"limits": self.familiarity.model_dump(), "references": self.references.tolist()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Fitted":
        """Return what `as_plain` was made from."""
        limits = Familiarity.model_validate(plain["limits"])
        return cls(limits, np.array(plain["references"], np.float32))


def sample(collagen: NDArray[Any], nuclei: NDArray[Any]) -> Sample | None:
    """Measure a training image; None if a channel of it was not recorded.

    Args:
        collagen: planes (Z, H, W), H and W at least 64.
        nuclei: of the same shape.
    """
    if is_constant(collagen) or is_constant(nuclei):
        return None
    found, fine = channel_statistics(nuclei), binned(collagen)
    (in_cells, _) = shares_explained(halved(fine), found.coarse)
    forms = [structure(found.coarse, form) for form in _left_by_disease(found.fine, fine)]
    return Sample(measure(found, fine, in_cells), np.array(forms))


def _left_by_disease(nuclei: Floats, collagen: Floats) -> Iterator[Floats]:
    """Yield bins (H, W) of the collagen with more and more noise, and with light in and around the nuclei."""
    rng = np.random.default_rng(0)
    cells = nuclei - np.median(nuclei)
    around = gaussian_filter(cells, 4.0)
    height = np.quantile(collagen, 0.99) - np.median(collagen)
    lights = [height / max(np.quantile(light, 0.99), 1e-9) * light for light in (cells, around)]
    for light in lights:
        for share in (0.1, 0.4, 1.6, 6.4):
            yield collagen + share * light
    deviation = collagen.std()
    for noise in (0.3, 1, 3, 10, 1e4):
        dim = collagen + rng.normal(0, noise * deviation, collagen.shape)
        yield dim
        if noise <= 3:
            for share in (0.4, 1.6):
                yield dim + share * lights[1]


def fit(samples: Sequence[Sample]) -> Fitted | None:
    """Return limits that training images set; None for fewer than four that have a structure."""
    known = [one for one in samples if one.measured.structure is not None]
    if len(known) < AT_LEAST:
        return None
    familiarity = Familiarity(
        images=len(known),
        pixels=int(np.median([one.measured.pixels for one in samples])),
        coverage=COVERAGE,
        confidence=CONFIDENCE,
        stretched=STRETCHED,
        structure_stretched=STRETCHED_STRUCTURE,
        rejected_left_out=_rejected_left_out(samples),
        limits=_limits(samples),
        references=REFERENCES,
    )
    return Fitted(familiarity, _References.of(samples).rows.astype(np.float32))


class _References(NamedTuple):
    """What a structure is compared with.

    Attributes:
        rows: (M, 10), first the images, then forms of some of them.
        image: (M,), which image a row is, or was made from.
        whitened_by: of `whitening`.
    """

    rows: NDArray[np.float64]
    image: NDArray[np.intp]
    whitened_by: NDArray[np.float64]

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "_References":
        known = [k for k, one in enumerate(samples) if one.measured.structure is not None]
        chosen = evenly_spread(len(samples), DISEASED)
        images = np.array([samples[k].measured.structure for k in known])
        rows = np.concatenate([images, *(samples[k].forms for k in chosen)])
        made_from = np.repeat(chosen, [len(samples[k].forms) for k in chosen])
        return cls(rows, np.concatenate([known, made_from]), whitening(images))


def _limits(samples: Sequence[Sample]) -> dict[MeasureName, FamiliarityLimits]:
    factor = tolerance_factor(len(samples))
    limits: dict[MeasureName, FamiliarityLimits] = {}
    for name in samples[0].measured.nuclei:
        values = [to_scale(name, one.measured.nuclei[name]) for one in samples]
        middle, reach = np.mean(values), STRETCHED * factor * np.std(values, ddof=1)
        ends = (middle - reach, middle, middle + reach)
        low, typical, high = (_rounded(from_scale(name, float(end))) for end in ends)
        limits[name] = FamiliarityLimits(low=low, typical=typical, high=high)
    references = _References.of(samples)
    among = distances(references.rows, references.rows, references.whitened_by)
    among[references.image[:, np.newaxis] == references.image] = np.inf
    images = sum(one.measured.structure is not None for one in samples)
    nearest = np.log(among[:images].min(axis=1))
    middle, spread = nearest.mean(), nearest.std(ddof=1)
    limits["collagen_structure"] = FamiliarityLimits(
        low=0,
        typical=_rounded(np.exp(middle)),
        high=_rounded(STRETCHED_STRUCTURE * np.exp(middle + tolerance_factor(images) * spread)),
    )
    return limits


def _rejected_left_out(samples: Sequence[Sample]) -> int:
    """Return how many images are unfamiliar to limits that the other four fifths set."""
    rejected = 0
    for part in range(PARTS):
        kept = [one for k, one in enumerate(samples) if k % PARTS != part]
        if sum(one.measured.structure is not None for one in kept) < AT_LEAST:
            continue
        references = _References.of(kept)
        pixels = int(np.median([one.measured.pixels for one in kept]))
        familiar = Familiar(_limits(kept), pixels, references.rows, references.whitened_by)
        rejected += sum(any(unfamiliar(familiar.compare(one.measured))) for one in samples[part::PARTS])
    return rejected


def _rounded(value: float) -> float:
    """Return what people can read."""
    return float(f"{value:.5g}")


def tolerance_factor(images: int) -> float:
    """Return how many standard deviations a one-sided normal tolerance limit lies from the mean."""
    root = images**0.5
    return float(nct.ppf(CONFIDENCE, images - 1, norm.ppf(COVERAGE) * root) / root)
